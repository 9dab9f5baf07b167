//! Runs in the forms that were seen beside the documented one.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::emulator::settings::RunOddity;

pub(super) fn apply(mut item: Value, oddities: &BTreeSet<RunOddity>) -> Value {
    let status = item["metrics"]["statusSummary"]["status"].clone();
    for oddity in oddities {
        match oddity {
            RunOddity::NegativeCounts if status == "failed" => negate(&mut item["metrics"]),
            RunOddity::Activites => rename(&mut item, "activities", "activites"),
            RunOddity::Seconds => to_seconds(&mut item),
            RunOddity::StatusOnly if status == "inProgress" => {
                item["metrics"] = json!({"statusSummary": {"status": status}});
                rename(&mut item, "activities", "");
                rename(&mut item, "activites", "");
            }
            RunOddity::NegativeCounts | RunOddity::StatusOnly => {}
        }
    }
    item
}

fn negate(metrics: &mut Value) {
    for (name, members) in metrics.as_object_mut().into_iter().flatten() {
        if !matches!(name.as_str(), "sizeSummary" | "recordSummary" | "fileSummary") {
            continue;
        }
        for value in members.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if value.is_number() {
                *value = json!(-1);
            }
        }
    }
}

/// An empty name removes.
fn rename(item: &mut Value, from: &str, to: &str) {
    if let Some(members) = item.as_object_mut()
        && let Some(value) = members.remove(from)
        && !to.is_empty()
    {
        members.insert(to.to_owned(), value);
    }
}

fn to_seconds(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(to_seconds),
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value.as_u64()) {
                    ("startedAtUTC" | "completedAtUTC" | "windowStart" | "windowEnd", Some(time)) => {
                        *value = json!(time / 1000);
                    }
                    _ => to_seconds(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: &str) -> Value {
        json!({
            "id": "r",
            "metrics": {
                "durationSummary": {"startedAtUTC": 5000},
                "recordSummary": {"inputRecordCount": 5, "failedInfo": []},
                "statusSummary": {"status": status},
            },
            "activities": [{"durationSummary": {"extensions": {"windowEnd": 7000}}}],
        })
    }

    fn odd(status: &str, oddities: &[RunOddity]) -> Value {
        apply(run(status), &oddities.iter().copied().collect())
    }

    #[test]
    fn each_oddity_changes_one_thing() {
        assert_eq!(odd("failed", &[]), run("failed"));
        let negative = odd("failed", &[RunOddity::NegativeCounts]);
        assert_eq!(negative["metrics"]["recordSummary"], json!({"inputRecordCount": -1, "failedInfo": []}));
        assert_eq!(negative["metrics"]["durationSummary"]["startedAtUTC"], 5000);
        assert_eq!(odd("success", &[RunOddity::NegativeCounts]), run("success"));

        let misspelled = odd("success", &[RunOddity::Activites]);
        assert!(misspelled.get("activities").is_none() && misspelled["activites"].is_array());

        let seconds = odd("success", &[RunOddity::Seconds]);
        assert_eq!(seconds["metrics"]["durationSummary"]["startedAtUTC"], 5);
        assert_eq!(seconds["activities"][0]["durationSummary"]["extensions"]["windowEnd"], 7);

        let bare = json!({"id": "r", "metrics": {"statusSummary": {"status": "inProgress"}}});
        assert_eq!(odd("inProgress", &[RunOddity::Activites, RunOddity::StatusOnly]), bare);
        assert_eq!(odd("success", &[RunOddity::StatusOnly]), run("success"));
    }
}

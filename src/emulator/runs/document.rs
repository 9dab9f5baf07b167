//! A run as the Flow Service shows it.

use serde_json::{Value, json};

use super::{
    plan::{Outcome, RunResult},
    run::{Period, Run},
};
use crate::emulator::{
    collection::Record,
    flow_specs::{CRM_TO_AEP_ID, CRM_TO_AEP_VERSION},
};

/// The bytes of a row in its source and in its dataset: invented.
const BYTES_READ: u64 = 64;
const BYTES_WRITTEN: u64 = 256;

pub(super) fn of(record: &Record<Run>) -> Value {
    let Run { flow, is_one_time, period, result, .. } = &record.content;
    let RunResult { outcome, input, output, failed, error } = result;
    let kind = if *is_one_time { "one-time" } else { "incremental" };
    let failures: Vec<_> = match (outcome, error) {
        (Outcome::Partial, Some((code, message))) => vec![json!({"code": code, "message": message})],
        _ => Vec::new(),
    };
    let files = u64::from(*input > 0);
    json!({
        "id": record.id,
        // It is recorded when it is read. It exists since it began.
        "createdAt": period.started_ms,
        "updatedAt": period.completed_ms,
        "createdBy": "flowservice",
        "createdClient": "flowservice",
        "sandboxId": record.tenant.sandbox_id().to_string(),
        "sandboxName": record.tenant.sandbox,
        "imsOrgId": record.tenant.org,
        "flowId": flow,
        "flowSpec": {"id": CRM_TO_AEP_ID, "version": CRM_TO_AEP_VERSION},
        "providerRefId": format!("M-{flow}-{kind}-0:{}", record.id),
        "state": outcome.status(),
        "version": record.etag,
        "etag": record.etag,
        "metrics": {
            "durationSummary": duration(period, *outcome),
            "sizeSummary": {"inputBytes": input * BYTES_READ, "outputBytes": output * BYTES_WRITTEN},
            "recordSummary": {
                "inputRecordCount": input,
                "outputRecordCount": output,
                "failedRecordCount": failed,
                "failedInfo": failures,
                "skippedRecordCount": 0,
            },
            "fileSummary": {
                "inputFileCount": files,
                "outputFileCount": u64::from(*output > 0),
                "activityRefs": ["promotionActivity"],
            },
            "statusSummary": status(outcome.status(), error.as_ref(), &["copyActivity", "promotionActivity"]),
        },
        "activities": activities(&record.content, kind),
    })
}

fn duration(period: &Period, outcome: Outcome) -> Value {
    let mut duration = json!({"startedAtUTC": period.started_ms});
    if outcome != Outcome::InProgress {
        duration["completedAtUTC"] = json!(period.completed_ms);
    }
    duration
}

fn status(status: &str, error: Option<&(&str, String)>, activities: &[&str]) -> Value {
    let mut summary = json!({"status": status});
    if let Some((code, message)) = error {
        summary["errors"] = json!([{"code": code, "message": message}]);
    }
    if !activities.is_empty() {
        summary["activityRefs"] = json!(activities);
    }
    summary
}

/// Copying from the source, and writing to the dataset if it came to that.
fn activities(run: &Run, kind: &str) -> Vec<Value> {
    let Run { source_connection, target_connection, period, result, batch, .. } = run;
    let RunResult { outcome, error, failed, .. } = result;
    let with_error = |fails: bool| error.as_ref().filter(|_| fails);
    let copy_fails = *outcome == Outcome::FailedCopy;
    let copy_status = match outcome {
        Outcome::FailedCopy | Outcome::InProgress => outcome.status(),
        Outcome::Succeeded | Outcome::Partial | Outcome::FailedProcess | Outcome::FailedIngest => "success",
    };
    let mut duration = duration(period, *outcome);
    duration["extensions"] = json!({"windowStart": period.window_start_ms, "windowEnd": period.started_ms});
    let mut copy = json!({
        "id": "copyActivity",
        "name": "Copy Activity",
        "updatedAtUTC": 0,
        "durationSummary": duration,
        "statusSummary": status(copy_status, with_error(copy_fails), &[]),
        "sourceInfo": [{"id": source_connection, "type": "SourceConnection"}],
    });
    copy["statusSummary"]["extensions"] = json!({"type": kind});
    if let Some((_, message)) = with_error(copy_fails) {
        copy["statusSummary"]["extensions"]["errorDetail"] = json!(message);
        // The back end's code for a mistake of its user.
        let inner = json!({"code": "2200", "message": message});
        copy["statusSummary"]["extensions"]["errors"] = json!([inner]);
    }
    if matches!(outcome, Outcome::FailedCopy | Outcome::InProgress) {
        return vec![copy];
    }
    let mut target = json!({"id": target_connection, "type": "TargetConnection"});
    if let Some(batch) = batch {
        target["reference"] = json!({"type": "Batch", "ids": [batch]});
    }
    let mut promotion = json!({
        "id": "promotionActivity",
        "name": "Promotion Activity",
        "updatedAtUTC": 0,
        "durationSummary": self::duration(period, *outcome),
        "statusSummary": status(outcome.status(), with_error(true), &[]),
        "targetInfo": [target],
    });
    if let Some((code, message)) = error {
        let error = json!({"code": code, "message": message, "recordCount": failed});
        promotion["statusSummary"]["extensions"] = json!({"errors": [error]});
    }
    vec![copy, promotion]
}

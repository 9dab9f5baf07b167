//! The tags of a dataset: names with texts, which lists can be filtered by.

use serde_json::Value;

use crate::emulator::{platform::bad_request, problem::Problem};

/// # Errors
/// 400 unless tags are names with arrays of texts, and none has a name that Adobe reserves.
pub(super) fn check(tags: &Value) -> Result<(), Problem> {
    let tags = tags.as_object().ok_or_else(|| bad_request("The field tags must be an object."))?;
    for (name, values) in tags {
        if name.starts_with("adobe") {
            return Err(bad_request(format!("The tag {name} is reserved: its name begins with adobe.")));
        }
        if !values.as_array().is_some_and(|values| values.iter().all(Value::is_string)) {
            return Err(bad_request(format!("The tag {name} must be an array of texts.")));
        }
    }
    Ok(())
}

/// The condition `NAME:VALUE`, where `*` in the value stands for any text.
#[derive(Debug)]
pub(super) struct Condition {
    name: String,
    value: String,
}

impl Condition {
    /// Parses conditions separated by commas, all of which a dataset must meet.
    ///
    /// # Errors
    /// 400 for one without a name or a value.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>, Problem> {
        let parse = |condition: &str| match condition.split_once(':') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(bad_request(format!("The tag {condition} must be like NAME:VALUE."))),
        };
        text.split(',').map(parse).collect()
    }

    pub(super) fn is_met(&self, document: &Value) -> bool {
        let values = document["tags"][&self.name].as_array();
        let is_met = |value: &Value| value.as_str().is_some_and(|value| matches(&self.value, value));
        values.is_some_and(|values| values.iter().any(is_met))
    }
}

/// Whether a text is like a pattern with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    // Everything after the asterisk can begin anywhere.
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_condition_must_be_met() {
        let document = json!({"tags": {"hcsRequestId": ["a:1", "b"], "empty": []}});
        for (text, is_met) in [
            ("hcsRequestId:a:1", true),
            ("hcsRequestId:a", false),
            ("hcsRequestId:b,hcsRequestId:a*", true),
            ("hcsRequestId:*:1", true),
            ("hcsRequestId:*", true),
            ("hcsRequestId:b,other:*", false),
            ("empty:*", false),
        ] {
            let conditions = Condition::parse_all(text).unwrap();
            assert_eq!(conditions.iter().all(|condition| condition.is_met(&document)), is_met, "{text}");
        }
        for text in ["", "name", "name:", ":value", "a:b,"] {
            assert!(Condition::parse_all(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_are_arrays_of_texts_with_free_names() {
        assert_eq!(check(&json!({"a": ["b"], "unifiedProfile": ["enabled:true"]})), Ok(()));
        for tags in [json!([]), json!({"a": "b"}), json!({"a": [1]}), json!({"adobe/x": ["b"]})] {
            assert!(check(&tags).is_err(), "{tags}");
        }
    }
}

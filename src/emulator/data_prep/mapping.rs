//! One mapping of a mapping set.

use serde_json::{Value, json};

use crate::emulator::{platform::bad_request, problem::Problem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) source_type: SourceType,
    pub(super) source: String,
    /// A path in the schema, like `person.name.firstName`.
    pub(super) destination: String,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceType {
    Attribute,
    Expression,
    Static,
}

impl SourceType {
    /// Both names of each; an attribute is what the earlier dialect has, which knows no types.
    fn parse(text: Option<&Value>) -> Result<Self, Problem> {
        match text.map(|text| text.as_str().unwrap_or_default()) {
            None | Some("ATTRIBUTE" | "text/x.schema-path") => Ok(Self::Attribute),
            Some("EXPRESSION" | "text/x.aep-xl") => Ok(Self::Expression),
            Some("STATIC") => Ok(Self::Static),
            Some(other) => Err(bad_request(format!(
                "The sourceType {other} must be one of ATTRIBUTE, EXPRESSION and STATIC."
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Attribute => "ATTRIBUTE",
            Self::Expression => "EXPRESSION",
            Self::Static => "STATIC",
        }
    }
}

impl Mapping {
    /// # Errors
    /// 400 for the first mistake.
    pub(super) fn parse(item: &Value) -> Result<Self, Problem> {
        let either = |current: &str, earlier: &str| {
            let text =
                item[current].as_str().or_else(|| item[earlier].as_str()).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| {
                bad_request(format!("Each mapping needs {current}, or {earlier} in the earlier form."))
            })
        };
        Ok(Self {
            source_type: SourceType::parse(item.get("sourceType"))?,
            source: either("source", "sourceAttribute")?,
            destination: either("destination", "destinationXdmPath")?,
        })
    }

    /// With the fields of both dialects.
    pub(super) fn document(&self) -> Value {
        let Self { source_type, source, destination } = self;
        json!({
            "sourceType": source_type.name(),
            "source": source,
            "destination": destination,
            "sourceAttribute": source,
            "destinationXdmPath": destination,
            "identity": false,
            "identityGroup": null,
            "namespaceCode": null,
            "version": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_say_the_same() {
        let current = json!({"sourceType": "ATTRIBUTE", "source": "Vid", "destination": "_id"});
        let earlier = json!({
            "sourceAttribute": "Vid", "destinationXdmPath": "_id", "identity": false, "identityGroup": null,
        });
        let mapping = Mapping {
            source_type: SourceType::Attribute,
            source: "Vid".to_owned(),
            destination: "_id".to_owned(),
        };
        assert_eq!(Mapping::parse(&current), Ok(mapping.clone()));
        assert_eq!(Mapping::parse(&earlier), Ok(mapping.clone()));
        assert_eq!(Mapping::parse(&mapping.document()), Ok(mapping));
    }

    #[test]
    fn each_mapping_has_a_source_and_a_destination() {
        for item in [
            json!("Vid"),
            json!({"source": "Vid"}),
            json!({"source": "", "destination": "_id"}),
            json!({"sourceType": "attribute", "source": "Vid", "destination": "_id"}),
            json!({"sourceType": null, "source": "Vid", "destination": "_id"}),
        ] {
            assert!(Mapping::parse(&item).is_err(), "{item}");
        }
    }
}

//! What the record of a creation keeps: the dataflow, and what was prepared for it.

use serde::{Deserialize, Serialize};

use super::prepared::{Document, Prepared};
use crate::{
    domain::{
        Etag,
        dataflow::{CreatedDataflow, DataflowId},
    },
    exactly_once::{Kind, operation, store::Origin},
};

const VERSION: u32 = 1;

/// The dataflow that a creation made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(super) dataflow: CreatedDataflow,
    /// How it is known.
    pub(super) origin: Origin,
    pub(super) prepared: Prepared,
}

#[derive(Serialize, Deserialize)]
struct Text {
    version: u32,
    kind: Kind,
    id: String,
    etag: String,
    origin: Origin,
    #[serde(flatten)]
    prepared: Document,
}

impl operation::Outcome for Outcome {
    type Id = DataflowId;

    fn id(&self) -> &DataflowId {
        &self.dataflow.id
    }

    fn to_text(&self) -> String {
        let Self { dataflow: CreatedDataflow { id, etag }, origin, prepared } = self;
        let text = Text {
            version: VERSION,
            kind: Kind::Dataflow,
            id: id.to_string(),
            etag: etag.to_string(),
            origin: *origin,
            prepared: prepared.to_document(),
        };
        // It has no keys but strings, so that it always can be written.
        serde_json::to_string(&text).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let text: Text = serde_json::from_str(text).ok()?;
        let Text { version: VERSION, kind: Kind::Dataflow, id, etag, origin, prepared } = text else {
            return None;
        };
        let dataflow = CreatedDataflow { id: DataflowId::parse(&id).ok()?, etag: Etag::parse(&etag).ok()? };
        Some(Self { dataflow, origin, prepared: Prepared::of_document(prepared)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::prepared::tests::prepared, *};
    use crate::exactly_once::operation::Outcome as _;

    fn outcome() -> Outcome {
        let dataflow = CreatedDataflow {
            id: DataflowId::parse("f-1").unwrap(),
            etag: Etag::parse("\"d403848a\"").unwrap(),
        };
        Outcome { dataflow, origin: Origin::Reply, prepared: prepared() }
    }

    /// They are kept in Redis, and every later version has to read them.
    #[test]
    fn the_text_of_an_outcome_is_what_it_always_was() {
        let text = outcome().to_text();
        let head = r#"{"version":1,"kind":"dataflow","id":"f-1","etag":"\"d403848a\"","origin":"reply","source":"s-1","#;
        assert!(text.starts_with(head), "{text}");
        assert_eq!(Outcome::parse(&text), Some(outcome()));
        let future = text.replace(r#","start""#, r#","future":{"a":[1]},"start""#);
        let read = Outcome::parse(&future).unwrap();
        assert!(read.to_text().contains(r#""future":{"a":[1]}"#));
    }

    #[test]
    fn a_damaged_outcome_or_one_of_a_connection_is_not_read() {
        let good = outcome().to_text();
        for (part, damaged) in [
            (r#""version":1"#, r#""version":2"#),
            (r#""kind":"dataflow""#, r#""kind":"connection""#),
            ("f-1", "../.."),
            (r#""origin":"reply","#, ""),
            ("s-1", ""),
        ] {
            let text = good.replace(part, damaged);
            assert_ne!(text, good, "{part}");
            assert_eq!(Outcome::parse(&text), None, "{text}");
        }
    }
}

//! What the record of a creation keeps: the connection, and the state of its verification.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    domain::{ConnectionId, CreatedConnection, Etag, RequestId, TestReport},
    exactly_once::{
        operation,
        store::{Origin, Recorded, Store, StoreError},
    },
};

const VERSION: u32 = 1;

/// The connection that a creation made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The connection.
    pub connection: CreatedConnection,
    /// How it is known.
    pub origin: Origin,
    /// `None` where no verification was asked for.
    pub verdict: Option<Verdict>,
    /// The fields that this version does not know.
    pub unknown: Map<String, Value>,
}

/// The state of the verification of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "report")]
pub enum Verdict {
    /// It was not tested yet, or without a definite result.
    Pending,
    /// It was tested, and the report is final.
    Passed(TestReport),
    /// The test failed. If the connection is to be deleted, that remains to be done.
    Failed(TestReport),
    /// The test failed, and the connection was deleted again.
    Deleted(TestReport),
}

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    version: u32,
    id: Cow<'a, str>,
    etag: Cow<'a, str>,
    origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<Cow<'a, Verdict>>,
    #[serde(flatten)]
    unknown: Cow<'a, Map<String, Value>>,
}

impl Outcome {
    pub fn new(connection: CreatedConnection, origin: Origin, verdict: Option<Verdict>) -> Self {
        Self { connection, origin, verdict, unknown: Map::new() }
    }

    /// The text that the record keeps.
    pub fn to_text(&self) -> String {
        let Self { connection: CreatedConnection { id, etag }, origin, verdict, unknown } = self;
        let document = Document {
            version: VERSION,
            id: id.as_str().into(),
            etag: etag.as_str().into(),
            origin: *origin,
            verdict: verdict.as_ref().map(Cow::Borrowed),
            unknown: Cow::Borrowed(unknown),
        };
        // It has no keys but strings, so that it always can be written.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// Reads that text; `None` where it is damaged, or of another version.
    pub fn parse(text: &str) -> Option<Self> {
        let document: Document<'_> = serde_json::from_str(text).ok()?;
        let Document { version: VERSION, id, etag, origin, verdict, unknown } = document else { return None };
        let connection =
            CreatedConnection { id: ConnectionId::parse(&id).ok()?, etag: Etag::parse(&etag).ok()? };
        let verdict = verdict.map(Cow::into_owned);
        Some(Self { connection, origin, verdict, unknown: unknown.into_owned() })
    }

    /// The recorded verdict, if it stays where this one is to be recorded. Nothing is recorded about another
    /// connection, nor where no verification was asked for.
    fn stays(&self, about: &ConnectionId, verdict: &Verdict) -> Option<Verdict> {
        let recorded = self.verdict.as_ref().filter(|_| self.connection.id == *about);
        let recorded = recorded.unwrap_or(verdict);
        let yields = match recorded {
            Verdict::Pending => *verdict != Verdict::Pending,
            Verdict::Failed(_) => matches!(verdict, Verdict::Deleted(_)),
            Verdict::Passed(_) | Verdict::Deleted(_) => false,
        };
        (!yields).then(|| recorded.clone())
    }
}

impl operation::Outcome for Outcome {
    type Id = ConnectionId;

    fn id(&self) -> &ConnectionId {
        &self.connection.id
    }

    fn to_text(&self) -> String {
        self.to_text()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// Records a verdict about the connection of this outcome, as it was last read, and returns the one that is
/// recorded then: the first definite one stays, except that [`Verdict::Failed`] may become
/// [`Verdict::Deleted`]. Where there is no record of it that is the given one.
///
/// # Errors
/// The store fails, or its record cannot be read.
pub async fn record_verdict(
    store: &dyn Store,
    request_id: &RequestId,
    last_read: &Outcome,
    verdict: Verdict,
) -> Result<Verdict, StoreError> {
    let mut expected = last_read.to_text();
    let mut outcome = Outcome { verdict: Some(verdict.clone()), ..last_read.clone() };
    loop {
        match store.replace(request_id, &expected, &outcome.to_text()).await? {
            Recorded::Done => return Ok(verdict),
            Recorded::Already(recorded) => expected = recorded,
        }
        let recorded = Outcome::parse(&expected);
        let recorded = recorded.ok_or_else(|| StoreError::Unreadable("its outcome is damaged".to_owned()))?;
        if let Some(stays) = recorded.stays(&last_read.connection.id, &verdict) {
            return Ok(stays);
        }
        outcome = Outcome { verdict: Some(verdict.clone()), ..recorded };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Check, CheckName, CheckState};

    fn outcome(verdict: Option<Verdict>) -> Outcome {
        let connection = CreatedConnection {
            id: ConnectionId::parse("c-1").unwrap(),
            etag: Etag::parse("\"d403848a\"").unwrap(),
        };
        Outcome::new(connection, Origin::Search, verdict)
    }

    /// They are kept in Redis, and every later version has to read them.
    #[test]
    fn the_text_of_an_outcome_is_what_it_always_was() {
        let check = Check { name: CheckName::Tables, state: CheckState::Skipped, message: "m".to_owned() };
        let head = r#"{"version":1,"id":"c-1","etag":"\"d403848a\"","origin":"search""#;
        let report = TestReport { checks: vec![check] };
        let checks = r#"{"checks":[{"name":"tables","state":"skipped","message":"m"}]}"#;
        for (verdict, rest) in [
            (None, "}".to_owned()),
            (Some(Verdict::Pending), r#","verdict":{"state":"pending"}}"#.to_owned()),
            (
                Some(Verdict::Failed(report)),
                format!(r#","verdict":{{"state":"failed","report":{checks}}}}}"#),
            ),
        ] {
            let outcome = outcome(verdict);
            assert_eq!(outcome.to_text(), format!("{head}{rest}"));
            assert_eq!(Outcome::parse(&outcome.to_text()), Some(outcome));
        }
    }

    #[test]
    fn fields_that_this_version_does_not_know_are_preserved() {
        let text = outcome(None).to_text().replace('}', r#","future":{"a":[1]}}"#);
        let mut read = Outcome::parse(&text).unwrap();
        assert_eq!(read.to_text(), text);
        read.verdict = Some(Verdict::Pending);
        assert_eq!(Outcome::parse(&read.to_text()), Some(read));
    }

    #[test]
    fn a_damaged_outcome_is_not_read() {
        let good = outcome(Some(Verdict::Passed(TestReport { checks: Vec::new() }))).to_text();
        assert!(Outcome::parse(&good).is_some());
        for (part, damaged) in [
            ("\"version\":1", "\"version\":2"),
            ("\"version\":1,", ""),
            ("\"id\":\"c-1\"", "\"id\":\"../..\""),
            ("\"id\":\"c-1\"", "\"id\":\"\""),
            (r#""etag":"\"d403848a\"""#, "\"etag\":\"\""),
            ("\"origin\":\"search\",", ""),
            ("\"search\"", "\"nonsense\""),
            ("\"passed\"", "\"nonsense\""),
            (",\"report\":{\"checks\":[]}", ""),
            ("{\"checks\":[]}", "\"\""),
            ("{\"checks\":[]}", "[]"),
            ("[]", r#"[{"name":"no_check"}]"#),
            ("}}}", "}}"),
        ] {
            let text = good.replace(part, damaged);
            assert_ne!(text, good, "{part}");
            assert_eq!(Outcome::parse(&text), None, "{text}");
        }
    }
}

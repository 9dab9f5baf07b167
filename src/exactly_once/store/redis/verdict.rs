//! Verdicts as the scripts know them: a word, and a report in JSON.

use crate::{domain::TestReport, exactly_once::store::Verdict};

/// The word and the report, which is empty where there is none.
pub(super) fn to_words(verdict: &Verdict) -> serde_json::Result<[String; 2]> {
    let (word, report) = match verdict {
        Verdict::Pending => ("pending", None),
        Verdict::Passed(report) => ("passed", Some(report)),
        Verdict::Failed(report) => ("failed", Some(report)),
        Verdict::Deleted(report) => ("deleted", Some(report)),
    };
    let report = report.map(serde_json::to_string).transpose()?;
    Ok([word.to_owned(), report.unwrap_or_default()])
}

/// `None` where these are no such words.
pub(super) fn from_words(words: &[&str]) -> Option<Verdict> {
    let (verdict, report): (fn(TestReport) -> Verdict, _) = match *words {
        ["pending"] => return Some(Verdict::Pending),
        ["passed", report] => (Verdict::Passed, report),
        ["failed", report] => (Verdict::Failed, report),
        ["deleted", report] => (Verdict::Deleted, report),
        _ => return None,
    };
    serde_json::from_str(report).ok().map(verdict)
}

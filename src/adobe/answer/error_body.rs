//! Reads the body of an error reply.
//!
//! The Flow Service's endpoints reply in five forms: its own problem document with legacy fields, the legacy
//! fields alone, a bare message, the gateway's `error_code` (a string in one of Adobe's documents, an integer
//! in another), and a generic problem document. A body may also be empty, HTML or cut off. Reading never fails.

use std::fmt;

use serde_json::Value;

use super::{author::author, problem::Author};
use crate::{adobe::AskedService, domain::ConnectionId};

/// The readable parts of an error body. The texts are not cleaned yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
    /// Who uses this form.
    pub(crate) author: Author,
    /// The IDs of the dataflows that use the connection, if the body names them.
    pub(crate) flows: Vec<String>,
}

/// An error code, with its catalogue: Adobe's catalogues give the same number different meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// A code of the Flow Service or another Platform service: `FLOW-1413-400`.
    Platform { prefix: String, number: u32, status: u16 },
    /// A code of the Adobe I/O gateway: `403003`.
    Gateway(u32),
}

impl ErrorCode {
    /// The HTTP status that it belongs to, which may differ from that of the reply.
    pub(crate) fn status(&self) -> u32 {
        match self {
            Self::Platform { status, .. } => u32::from(*status),
            Self::Gateway(number) => number / 1000,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform { prefix, number, status } => write!(f, "{prefix}-{number}-{status}"),
            Self::Gateway(number) => number.fmt(f),
        }
    }
}

impl Default for ErrorBody {
    /// A body in no known form.
    fn default() -> Self {
        let author = Author::Unrecognized;
        Self { code: None, message: None, request_id: None, author, flows: Vec::new() }
    }
}

impl ErrorBody {
    /// A body in reply to a request to the Flow Service.
    pub(crate) fn parse(status: u16, body: &[u8]) -> Self {
        Self::of(AskedService::FlowService, status, body)
    }

    /// A body in reply to a request to this service.
    pub(crate) fn of(service: AskedService, status: u16, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let fields = serde_json::from_str(body.trim_start_matches('\u{feff}'));
        let Some(fields) = fields.ok().filter(Value::is_object) else { return Self::default() };
        let text = |name: &str| non_empty(&fields[name]);
        let report = |name: &str| non_empty(&fields["report"][name]);
        let code = text("type")
            .as_deref()
            .and_then(platform_code)
            .or_else(|| text("error_code").as_deref().and_then(platform_code))
            .or_else(|| gateway_code(&fields["error_code"]));
        let is_in_use =
            matches!(&code, Some(ErrorCode::Platform { prefix, number: 1418, .. }) if prefix == "FLOW");

        Self {
            author: author(service, status, &fields, code.as_ref()),
            flows: if is_in_use { flows(&fields) } else { Vec::new() },
            code,
            message: with_sub_errors(
                report("detailed-message")
                    .or_else(|| text("detail"))
                    .or_else(|| {
                        text("errorMessage")
                            .map(|message| with_details(message, details(&fields["errorDetails"])))
                    })
                    .or_else(|| text("message"))
                    .or_else(|| text("error"))
                    .or_else(|| text("title")),
                &fields["report"]["sub-errors"],
            ),
            request_id: report("request-id").or_else(|| report("registryRequestId")),
        }
    }
}

/// The second legacy field, which may be another type than a string.
fn details(details: &Value) -> Option<String> {
    let is_list = details.is_object() || details.is_array();
    if is_list { Some(details.to_string()) } else { non_empty(details) }
}

/// Joins the two legacy fields: often they are the same, and sometimes only the details say what to do.
fn with_details(message: String, details: Option<String>) -> String {
    match details.filter(|details| details.contains(char::is_alphanumeric)) {
        Some(details) if details.contains(&message) => details,
        Some(details) if !message.contains(&details) => format!("{message}: {details}"),
        Some(_) | None => message,
    }
}

/// The most sub-errors that are read from one body.
const MOST_SUB_ERRORS: usize = 5;

/// Adds what the sub-errors of a report say: often only they name the field. Their form is not documented.
fn with_sub_errors(message: Option<String>, sub_errors: &Value) -> Option<String> {
    const TEXTS: [&str; 6] = ["detailed-message", "detail", "message", "errorMessage", "error", "title"];
    let said = |error: &Value| {
        non_empty(error).or_else(|| TEXTS.into_iter().find_map(|name| non_empty(&error[name])))
    };
    let mut all: Vec<_> = sub_errors.as_array().into_iter().flatten().filter_map(said).collect();
    all.truncate(MOST_SUB_ERRORS);
    let all = (!all.is_empty()).then(|| all.join("; "));
    match message {
        Some(message) => Some(with_details(message, all)),
        None => all,
    }
}

/// The most IDs that are read from one body.
const MOST_FLOWS: usize = 20;

/// The UUIDs in the texts of a body, except those of the request and the connection, and every ID under a name
/// that contains `flow`. Where the Flow Service names them is not documented.
fn flows(body: &Value) -> Vec<String> {
    const OTHERS: [&str; 3] = ["request-id", "id", "type"];
    let mut found = Vec::new();
    let mut rest = vec![(body, false)];
    while let Some((value, is_about_flows)) = rest.pop() {
        match value {
            Value::String(text) if is_about_flows && ConnectionId::parse(text).is_ok() => {
                found.push(text.clone());
            }
            Value::String(text) => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
                let words = text.split(|c| !is_part(c)).filter(|word| word.len() == 36);
                found.extend(words.filter(|word| uuid::Uuid::parse_str(word).is_ok()).map(str::to_owned));
            }
            Value::Array(values) => rest.extend(values.iter().map(|value| (value, is_about_flows))),
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(name, _)| !OTHERS.contains(&&***name));
                rest.extend(fields.map(|(name, value)| {
                    (value, is_about_flows || name.to_ascii_lowercase().contains("flow"))
                }));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found.sort();
    found.dedup();
    found.truncate(MOST_FLOWS);
    found
}

pub(super) fn non_empty(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// Reads `FLOW-1413-400` off the end of a problem type. The scheme and host before it vary.
fn platform_code(problem_type: &str) -> Option<ErrorCode> {
    let mut parts = problem_type.rsplit('/').next()?.rsplitn(3, '-');
    let (status, number, prefix) = (parts.next()?, parts.next()?, parts.next()?);
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if prefix.len() > MOST_PREFIX || !prefix.split('-').all(is_word) {
        return None;
    }
    Some(ErrorCode::Platform {
        prefix: prefix.to_owned(),
        number: number.parse().ok()?,
        status: status.parse().ok()?,
    })
}

/// The longest prefix of a code.
const MOST_PREFIX: usize = 24;

fn gateway_code(value: &Value) -> Option<ErrorCode> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.map(ErrorCode::Gateway)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flow(number: u32, status: u16) -> Option<ErrorCode> {
        Some(ErrorCode::Platform { prefix: "FLOW".to_owned(), number, status })
    }

    fn parse(body: &str) -> ErrorBody {
        ErrorBody::parse(400, body.as_bytes())
    }

    #[test]
    fn the_problem_document_of_the_flow_service_is_read() {
        let body = parse(
            r#"{"type":"https://ns.adobe.com/aep/errors/FLOW-2120-403","title":"Forbidden","status":403,
                "report":{"detailed-message":"Insufficient permissions","request-id":"r-1"},
                "errorMessage":"legacy","errorDetails":"legacy"}"#,
        );
        assert_eq!(body.code, flow(2120, 403));
        assert_eq!(body.message.as_deref(), Some("Insufficient permissions"));
        assert_eq!(body.request_id.as_deref(), Some("r-1"));
    }

    #[test]
    fn what_the_sub_errors_of_a_report_say_is_added() {
        for (sub_errors, expected) in [
            (
                r#"["/allOf/1 is unknown",{"message":"title is too long"}]"#,
                "x: /allOf/1 is unknown; title is too long",
            ),
            (r#"[{"detailed-message":"y","title":"z"},{"code":1},null,[],""]"#, "x: y"),
            (r#"["x"]"#, "x"),
            ("[]", "x"),
            (r#"{"message":"y"}"#, "x"),
            ("null", "x"),
        ] {
            let body = parse(&format!(
                r#"{{"type":"http://ns.adobe.com/aep/errors/XDM-1521-400","title":"Bad request","status":400,
                    "report":{{"registryRequestId":"r-1","detailed-message":"x","sub-errors":{sub_errors}}}}}"#
            ));
            assert_eq!(body.message.as_deref(), Some(expected), "{sub_errors}");
            assert_eq!(body.request_id.as_deref(), Some("r-1"));
        }
        let many = vec!["y"; 100];
        let body = parse(&serde_json::json!({"report": {"sub-errors": many}}).to_string());
        assert_eq!(body.message.as_deref(), Some("y; y; y; y; y"));
    }

    #[test]
    fn the_legacy_fields_and_the_bare_message_are_read() {
        let body = parse(r#"{"errorMessage":"connections not found","errorDetails":"…"}"#);
        assert_eq!((body.code, body.message.as_deref()), (None, Some("connections not found")));
        for (details, read) in [
            ("\"not found\"", "connections not found"),
            ("\"connections not found with id = [x]\"", "connections not found with id = [x]"),
            ("\"grant the scope x\"", "connections not found: grant the scope x"),
            ("null", "connections not found"),
        ] {
            let body = format!(r#"{{"errorMessage":"connections not found","errorDetails":{details}}}"#);
            assert_eq!(parse(&body).message.as_deref(), Some(read));
        }
        let body = parse(r#"{"message":"Please provide a valid spec id"}"#);
        assert_eq!((body.code, body.message.as_deref()), (None, Some("Please provide a valid spec id")));
    }

    #[test]
    fn the_dataflows_that_use_a_connection_are_found_wherever_they_are_named() {
        let (one, other) = ("84224def-1e2a-4d95-9ea2-132d697ed2aa", "94224def-1e2a-4d95-9ea2-132d697ed2aa");
        let body = parse(&format!(
            r#"{{"type":"https://ns.adobe.com/aep/errors/FLOW-1418-400","errorMessage":"used by [{other},{one}]",
                "report":{{"id":"a4224def-1e2a-4d95-9ea2-132d697ed2aa","flows":["{one}","f-1","no id",5],
                           "request-id":"b4224def-1e2a-4d95-9ea2-132d697ed2aa"}}}}"#
        ));
        assert_eq!(body.flows, [one, other, "f-1"]);
        let body = parse(&format!(r#"{{"type":"FLOW-1416-400","errorMessage":"{one}"}}"#));
        assert_eq!(body.flows, [""; 0]);
    }

    #[test]
    fn a_gateway_code_is_read_as_text_and_as_a_number() {
        for body in [
            r#"{"error_code":"403003","message":"Api Key is invalid"}"#,
            r#"{"error_code":403003,"message":"Api Key is invalid"}"#,
        ] {
            let body = parse(body);
            assert_eq!(body.code, Some(ErrorCode::Gateway(403_003)));
            assert_eq!(body.message.as_deref(), Some("Api Key is invalid"));
        }
    }

    #[test]
    fn a_generic_problem_has_a_message_and_no_code() {
        let body = parse(
            r#"{"type":"/placeholder/type/uri","status":400,"title":"BadRequestError","detail":"A valid content-type must be specified"}"#,
        );
        assert_eq!(
            (body.code, body.message.as_deref()),
            (None, Some("A valid content-type must be specified"))
        );
    }

    #[test]
    fn the_scheme_of_a_problem_type_does_not_matter() {
        assert_eq!(
            parse(r#"{"type":"http://ns.adobe.com/aep/errors/SMS-2074-400"}"#).code,
            Some(ErrorCode::Platform { prefix: "SMS".to_owned(), number: 2074, status: 400 })
        );
        for not_a_code in ["", "FLOW", "FLOW-1", "FLOW-x-400", "FLOW-1-2-3", "flow-1-400", "FLOW-1-99999"] {
            assert_eq!(parse(&format!(r#"{{"type":"{not_a_code}"}}"#)).code, None, "{not_a_code}");
        }
    }

    #[test]
    fn a_body_in_no_known_form_is_read_as_nothing() {
        for body in [
            "",
            "<html><body>502 Bad Gateway</body></html>",
            r#"{"type":"https://ns.adobe.com/aep/errors/FLOW-1103-503","ti"#,
            "null",
            "[]",
            r#""text""#,
            r#"{"message":42,"error_code":{"a":1},"report":[],"type":null}"#,
            r#"{"error_code":-1}"#,
            r#"{"error_code":"99999999999"}"#,
        ] {
            assert_eq!(parse(body), ErrorBody::default(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            ErrorBody::parse(400, &body);
        }

        #[test]
        fn no_problem_type_makes_it_panic(problem_type: String) {
            platform_code(&problem_type);
        }
    }
}

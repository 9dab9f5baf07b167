//! Reads the body of an error answer, whichever of the five shapes it has.
//!
//! Five shapes share the Flow Service's endpoints: its own problem document with legacy fields, the
//! legacy fields alone, a bare message, the gateway's `error_code` (a string in one of Adobe's
//! documents, an integer in another), and a generic problem document. A body may also be empty,
//! HTML or cut off. Whatever can be read is; nothing here fails.

use std::fmt;

use serde_json::Value;

/// What could be read of an error body. The texts are as they came: not yet cleaned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) code: Option<ErrorCode>,
    pub(super) message: Option<String>,
    pub(super) request_id: Option<String>,
}

/// An error code, with the part that says which catalogue its number belongs to: Adobe's catalogues
/// give the same number different meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    /// A code of the Flow Service or another Platform service: `FLOW-1413-400`.
    Platform { prefix: String, number: u32, status: u16 },
    /// A code of the Adobe I/O gateway: `403003`.
    Gateway(u32),
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform { prefix, number, status } => write!(f, "{prefix}-{number}-{status}"),
            Self::Gateway(number) => number.fmt(f),
        }
    }
}

impl ErrorBody {
    /// Reads what can be read of a body.
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Self::default();
        };
        let text = |name: &str| fields.get(name).and_then(non_empty);
        let report = |name: &str| fields.get("report").and_then(|r| r.get(name)).and_then(non_empty);

        Self {
            code: text("type")
                .as_deref()
                .and_then(platform_code)
                .or_else(|| fields.get("error_code").and_then(gateway_code)),
            message: report("detailed-message")
                .or_else(|| text("detail"))
                .or_else(|| text("errorMessage"))
                .or_else(|| text("message"))
                .or_else(|| text("error"))
                .or_else(|| text("title")),
            request_id: report("request-id"),
        }
    }
}

fn non_empty(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// Reads `FLOW-1413-400` off the end of a problem type. The scheme and host before it vary.
fn platform_code(problem_type: &str) -> Option<ErrorCode> {
    let mut parts = problem_type.rsplit('/').next()?.split('-');
    let (prefix, number, status) = (parts.next()?, parts.next()?, parts.next()?);
    let is_prefix = (1..=16).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_uppercase());
    if !is_prefix || parts.next().is_some() {
        return None;
    }
    Some(ErrorCode::Platform {
        prefix: prefix.to_owned(),
        number: number.parse().ok()?,
        status: status.parse().ok()?,
    })
}

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
        ErrorBody::parse(body.as_bytes())
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
    fn the_legacy_fields_and_the_bare_message_are_read() {
        let body = parse(r#"{"errorMessage":"connections not found","errorDetails":"…"}"#);
        assert_eq!((body.code, body.message.as_deref()), (None, Some("connections not found")));
        let body = parse(r#"{"message":"Please provide a valid spec id"}"#);
        assert_eq!((body.code, body.message.as_deref()), (None, Some("Please provide a valid spec id")));
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
    fn a_body_in_no_shape_is_read_as_nothing() {
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
            ErrorBody::parse(&body);
        }

        #[test]
        fn no_problem_type_makes_it_panic(problem_type: String) {
            platform_code(&problem_type);
        }
    }
}

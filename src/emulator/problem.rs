//! The error bodies of the Flow Service, its gateway, IMS and HubSpot.
//!
//! One endpoint has errors of several shapes. Where the public documentation has no body, the nearest documented
//! one is used.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{hubspot, reply::Reply};

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Problem {
    /// Shape A: the Flow Service's problem report, with its legacy fields.
    Report { status: StatusCode, code: String, detail: String },
    /// Shape A with a further field: the flows that use the connection.
    InUse { detail: String, flows: Vec<String> },
    /// Shape B: the legacy fields alone.
    Legacy { status: StatusCode, message: String },
    /// Shape C: a bare message.
    Message { status: StatusCode, message: String },
    /// Shape D: the gateway's. Its code is documented as a string and as a number.
    Gateway { status: StatusCode, code: Value, message: String },
    /// Shape E: for an unreadable request.
    Unreadable { status: StatusCode, title: String, detail: String },
    /// The token endpoint's, as in RFC 6749 section 5.2. IMS documents none of its own.
    Token { status: StatusCode, error: String, description: String },
    /// HubSpot's.
    HubSpot { status: StatusCode, code: Option<String>, message: String },
}

impl Problem {
    /// Shape A with a code of the Flow Service's catalogue.
    pub(super) fn report(status: StatusCode, code: u16, detail: impl Into<String>) -> Self {
        Self::Report { status, code: code.to_string(), detail: detail.into() }
    }

    /// Shape A with status 400.
    pub(super) fn invalid(code: u16, detail: impl Into<String>) -> Self {
        Self::report(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Shape D with a code of the gateway's catalogue.
    pub(super) fn gateway(status: StatusCode, code: u32) -> Self {
        let code = code.to_string();
        let message = gateway_message(&code, status).to_owned();
        Self::Gateway { status, code: Value::from(code), message }
    }

    /// Shape E with status 400.
    pub(super) fn unreadable(detail: impl Into<String>) -> Self {
        Self::Unreadable {
            status: StatusCode::BAD_REQUEST,
            title: "BadRequestError".to_owned(),
            detail: detail.into(),
        }
    }

    /// `request_id` is only in the shapes that report one.
    pub(super) fn reply(&self, request_id: &str) -> Reply {
        match self {
            Self::Report { status, code, detail } => {
                Reply::json(*status, &report(*status, code, detail, request_id))
            }
            Self::InUse { detail, flows } => {
                let mut body = report(StatusCode::BAD_REQUEST, "1418", detail, request_id);
                body["report"]["flows"] = json!(flows);
                Reply::json(StatusCode::BAD_REQUEST, &body)
            }
            Self::Legacy { status, message } => {
                Reply::json(*status, &json!({"errorMessage": message, "errorDetails": message}))
            }
            Self::Message { status, message } => Reply::json(*status, &json!({"message": message})),
            Self::Gateway { status, code, message } => {
                Reply::json(*status, &json!({"error_code": code, "message": message}))
            }
            Self::Unreadable { status, title, detail } => Reply::json(
                *status,
                &json!({
                    "type": "/placeholder/type/uri",
                    "status": status.as_u16(),
                    "title": title,
                    "detail": detail,
                }),
            ),
            Self::HubSpot { status, code, message } => hubspot::error(*status, code.as_deref(), message),
            Self::Token { status, error, description } => {
                Reply::json(*status, &json!({"error": error, "error_description": description}))
                    .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
            }
        }
    }
}

fn report(status: StatusCode, code: &str, detail: &str, request_id: &str) -> Value {
    let status_code = status.as_u16();
    // A code of another catalogue has its prefix.
    let name = match code.split('-').count() {
        1 => format!("FLOW-{code}-{status_code}"),
        2 => format!("{code}-{status_code}"),
        _ => code.to_owned(),
    };
    json!({
        "type": format!("https://ns.adobe.com/aep/errors/{name}"),
        "title": report_title(code, status),
        "status": status.as_u16(),
        "report": {"detailed-message": detail, "request-id": request_id},
        "errorMessage": detail,
        "errorDetails": detail,
    })
}

/// The catalogue's title for a code.
fn report_title(code: &str, status: StatusCode) -> &'static str {
    match (code, status.as_u16()) {
        ("1403" | "2105", _) => "Header is missing",
        ("1404", _) => "Version not matching",
        ("1439", _) => "Resource not found",
        ("2000", _) => "Invalid authorization token",
        ("2100" | "2101" | "2103", _) => "Sandbox not found",
        (_, 400) => "Invalid request",
        (_, 404) => "Resource not found",
        (_, 500) => "Internal Error",
        _ => reason(status),
    }
}

/// The message for a code in the gateway's catalogue.
pub(super) fn gateway_message(code: &str, status: StatusCode) -> &'static str {
    match code {
        "400003" => "Missing header",
        "401013" => "Oauth token is not valid",
        "403000" => "Api Key is required",
        "403003" => "Api Key is invalid",
        "403010" => "Oauth token is missing.",
        "403025" => "Profile is not valid",
        "403027" => "User region is missing",
        "429050" => "Too many requests",
        _ => reason(status),
    }
}

/// The status in words.
pub(super) fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Unknown status")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.reply("REQUEST").body).unwrap()
    }

    #[test]
    fn a_report_repeats_its_message_in_the_legacy_fields() {
        let problem = Problem::invalid(1405, "The request body cannot be null or empty.");
        assert_eq!(
            body(&problem),
            json!({
                "type": "https://ns.adobe.com/aep/errors/FLOW-1405-400",
                "title": "Invalid request",
                "status": 400,
                "report": {
                    "detailed-message": "The request body cannot be null or empty.",
                    "request-id": "REQUEST",
                },
                "errorMessage": "The request body cannot be null or empty.",
                "errorDetails": "The request body cannot be null or empty.",
            })
        );
    }

    #[test]
    fn the_gateways_error_is_in_snake_case_with_a_string_code() {
        assert_eq!(
            body(&Problem::gateway(StatusCode::FORBIDDEN, 403010)),
            json!({"error_code": "403010", "message": "Oauth token is missing."})
        );
    }
}

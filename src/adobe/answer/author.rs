//! Who sent an error body. A form that neither the Flow Service nor its gateway is known to use may come from any
//! proxy.

use serde_json::Value;

use super::{
    error_body::{ErrorCode, non_empty},
    problem::Author,
};
use crate::adobe::AskedService;

/// Who sends a body of this form, in reply to a request to this service. Of the siblings of the Flow Service, Adobe
/// documents the errors of the Schema Registry only.
pub(super) fn author(service: AskedService, status: u16, fields: &Value, code: Option<&ErrorCode>) -> Author {
    if service != AskedService::FlowService && is_of_sibling(status, fields, code) {
        return Author::Sibling;
    }
    author_by_flow_service(status, fields, code)
}

/// Whether a sibling of the Flow Service sends a body of this form. Where it decides whether something exists or is
/// permitted, the form must be one of the Platform's; otherwise a known text is enough, as what these services create
/// has no effect by itself.
fn is_of_sibling(status: u16, fields: &Value, code: Option<&ErrorCode>) -> bool {
    let text = |name: &str| non_empty(&fields[name]);
    let has = |name: &str| text(name).is_some();
    match code {
        Some(ErrorCode::Gateway(_)) => return false,
        Some(ErrorCode::Platform { .. }) => return text("type").is_some_and(|kind| kind.contains(ADOBE)),
        None => {}
    }
    // As `NotFoundError`: the reason phrases of HTTP, which a proxy sends, have no such end.
    let is_title = text("title").is_some_and(|title| title.ends_with("Error") && !title.contains(' '));
    let is_foreign = text("type").is_some_and(|kind| !is_type_of_adobe(&kind));
    if !is_foreign
        && (is_title && (has("detail") || fields["status"].is_u64()) || is_problem_of_adobe(fields))
    {
        return true;
    }
    let is_said = ["detail", "message", "error", "errorMessage", "title"].into_iter().any(has);
    matches!(status, 400 | 422) && is_said && !is_foreign && !has("errorType")
}

/// Who sends a body of this form after a request to the Flow Service. The prefix of a code decides before anything else: a connector's error has the
/// legacy fields as well.
fn author_by_flow_service(status: u16, fields: &Value, code: Option<&ErrorCode>) -> Author {
    let text = |name: &str| non_empty(&fields[name]);
    let has = |name: &str| text(name).is_some();
    let unrecognized = Author::Unrecognized;
    match code {
        Some(ErrorCode::Platform { prefix, .. }) if prefix == "FLOW" => Author::FlowService,
        Some(ErrorCode::Platform { prefix, .. }) if is_connector(prefix) => Author::Source,
        // Other services of the Platform reply through the Flow Service. So may a proxy with codes of its own.
        Some(ErrorCode::Platform { .. }) if text("type").is_some_and(|kind| kind.contains(ADOBE)) => {
            Author::FlowService
        }
        Some(ErrorCode::Platform { .. }) => unrecognized,
        // The code begins with the status.
        Some(code @ ErrorCode::Gateway(_)) if (400..600).contains(&code.status()) => Author::Gateway,
        Some(ErrorCode::Gateway(_)) => unrecognized,
        // A code that cannot be read in full.
        None if CODES.into_iter().filter_map(text).any(|code| is_connector(&code)) => Author::Source,
        // The legacy fields, with or without a problem document. AWS Lambda replies with the first one as well.
        None if has("errorMessage") && !has("errorType") => Author::FlowService,
        // A bare message is documented with these. With others, gateways of many makers reply so.
        None if has("message")
            && fields.as_object().is_some_and(|fields| fields.len() == 1)
            && matches!(status, 400 | 422) =>
        {
            Author::FlowService
        }
        None if is_problem_of_adobe(fields) => Author::Gateway,
        // The same without a type, which other services of the Platform throttle with.
        None if has("title") && has("detail") && fields["status"] == 429 => Author::Gateway,
        None => unrecognized,
    }
}

/// Whether a body is a generic problem document with a type that Adobe uses. Any proxy may send `about:blank`.
fn is_problem_of_adobe(fields: &Value) -> bool {
    let text = |name: &str| non_empty(&fields[name]);
    let has_status = fields["status"].is_u64();
    text("type").is_some_and(|kind| is_type_of_adobe(&kind))
        && text("title").is_some()
        && (has_status || text("detail").is_some())
}

fn is_type_of_adobe(kind: &str) -> bool {
    kind == "/placeholder/type/uri" || kind.contains(ADOBE)
}

/// The members that have a code.
const CODES: [&str; 4] = ["type", "error_code", "errorCode", "code"];
/// The host of Adobe's problem types, whose scheme varies.
const ADOBE: &str = "://ns.adobe.com/";

/// Whether a code, or a problem type that ends in one, is a connector's: `CONN-1105-401`.
fn is_connector(code: &str) -> bool {
    let code = code.rsplit('/').next().unwrap_or_default();
    let prefix = code.split(['-', '_']).next().unwrap_or_default();
    ["CONN", "CONNECTOR"].iter().any(|connector| prefix.eq_ignore_ascii_case(connector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adobe::answer::error_body::ErrorBody;

    fn author_of(status: u16, body: &str) -> Author {
        ErrorBody::parse(status, body.as_bytes()).author
    }

    #[test]
    fn the_prefix_of_a_code_names_its_author() {
        for (code, author) in [
            ("FLOW-1439-404", Author::FlowService),
            ("CONN-1105-401", Author::Source),
            ("CONNECTOR-2001-500", Author::Source),
            ("CONN-HUBSPOT-1105-401", Author::Source),
            ("CONN_HUBSPOT-1105-401", Author::Source),
            // Another service of the Platform.
            ("SMS-2074-400", Author::FlowService),
            // Not all of it can be read, and enough.
            ("CONN-1105", Author::Source),
            ("conn-1105-401", Author::Source),
            ("CONN_1105_401", Author::Source),
        ] {
            for status in [400, 401, 403, 404, 429, 503] {
                let body = format!(
                    r#"{{"type":"https://ns.adobe.com/aep/errors/{code}","title":"x","status":{status},
                        "report":{{"detailed-message":"x"}},"errorMessage":"x","errorDetails":"x"}}"#
                );
                assert_eq!(author_of(status, &body), author, "{code} {status}");
            }
        }
        for member in ["error_code", "errorCode", "code", "type"] {
            let body = format!(r#"{{"{member}":"CONN-1105","message":"x"}}"#);
            assert_eq!(author_of(401, &body), Author::Source, "{member}");
        }
    }

    #[test]
    fn documented_forms_are_recognized() {
        use Author::{FlowService, Gateway};
        for (status, body, author) in [
            (404, r#"{"type":"https://ns.adobe.com/aep/errors/FLOW-1439-404"}"#, FlowService),
            (
                404,
                r#"{"errorMessage":"connections not found","errorDetails":"connections not found"}"#,
                FlowService,
            ),
            (412, r#"{"errorMessage":"connections not found"}"#, FlowService),
            (400, r#"{"message":"Please provide a valid spec id"}"#, FlowService),
            (422, r#"{"message":"version is required"}"#, FlowService),
            (403, r#"{"error_code":"403010","message":"Oauth token is missing."}"#, Gateway),
            (401, r#"{"error_code":401013,"message":"Oauth token is not valid"}"#, Gateway),
            (
                400,
                r#"{"type":"/placeholder/type/uri","status":400,"title":"BadRequestError","detail":"x"}"#,
                Gateway,
            ),
            (400, r#"{"type":"/placeholder/type/uri","title":"BadRequestError","detail":"x"}"#, Gateway),
            (403, r#"{"type":"http://ns.adobe.com/aep/errors/x","title":"Forbidden","status":403}"#, Gateway),
            (429, r#"{"title":"RequestRateTooLarge","status":429,"detail":"x"}"#, Gateway),
        ] {
            assert_eq!(author_of(status, body), author, "{body}");
        }
    }

    #[test]
    fn a_sibling_is_recognized_by_the_form_of_the_platform_or_by_a_text_about_the_request() {
        for (status, body, is_sibling) in [
            (
                404,
                r#"{"type":"/placeholder/type/uri","status":404,"title":"NotFoundError","detail":"x"}"#,
                true,
            ),
            (403, r#"{"title":"ForbiddenError","detail":"Permission management access denied"}"#, true),
            (404, r#"{"type":"http://ns.adobe.com/aep/errors/XDM-1010-404","title":"x"}"#, true),
            (400, r#"{"message":"the mapping is invalid"}"#, true),
            (422, r#"{"error":"invalid"}"#, true),
            (403, r#"{"message":"Forbidden"}"#, false),
            (404, r#"{"message":"no Route matched with those values"}"#, false),
            (404, r#"{"timestamp":1,"status":404,"error":"Not Found","path":"/dataSets"}"#, false),
            (403, r#"{"type":"about:blank","title":"ForbiddenError","status":403}"#, false),
            (403, r#"{"error_code":"403003","message":"Api Key is invalid"}"#, false),
            (400, "[]", false),
            (400, "", false),
        ] {
            let author = ErrorBody::of(AskedService::Catalog, status, body.as_bytes()).author;
            assert_eq!(author == Author::Sibling, is_sibling, "{status} {body}: {author:?}");
            assert_ne!(author_of(status, body), Author::Sibling, "{body}");
        }
    }

    #[test]
    fn any_other_form_is_unrecognized() {
        for (status, body) in [
            (403, ""),
            (503, ""),
            (403, "Forbidden"),
            (403, "{}"),
            (403, "[]"),
            (403, "null"),
            (403, "<html><h1>403 Forbidden</h1></html>"),
            (403, r#"[{"errorMessage":"x"}]"#),
            (400, r#"{"type":"https://ns.adobe.com/aep/errors/FLOW-1413-400","ti"#),
            (400, r#"{"errorMessage":""}"#),
            (400, r#"{"errorMessage":null}"#),
            (400, r#"{"errorMessage":["x"]}"#),
            (400, r#"{"message":" "}"#),
            // Of the gateways of Amazon and Kong.
            (403, r#"{"message":"Forbidden"}"#),
            (401, r#"{"message":"Unauthorized"}"#),
            (404, r#"{"message":"no Route matched with those values"}"#),
            (404, r#"{"message":"no Route matched with those values","request_id":"x"}"#),
            (429, r#"{"message":"API rate limit exceeded"}"#),
            (502, r#"{"message":"Internal server error"}"#),
            (403, r#"{"message":"Forbidden","requestId":"x"}"#),
            (
                401,
                r#"{"status":"error","message":"This key is expired","category":"EXPIRED_AUTHENTICATION"}"#,
            ),
            (404, r#"{"timestamp":1,"status":404,"error":"Not Found","message":"x","path":"/connections"}"#),
            (403, r#"{"error":"forbidden"}"#),
            (403, r#"{"error":{"code":403,"message":"x"}}"#),
            (403, r#"{"fault":{"faultstring":"x","detail":{"errorcode":"x"}}}"#),
            (403, r#"{"errors":[{"errorMessage":"x"}]}"#),
            (400, r#"{"error_code":"40","message":"x"}"#),
            (403, r#"{"title":"Error 1020","status":403,"detail":"x","error_code":1020}"#),
            (400, r#"{"error_code":"canary","message":"x"}"#),
            (400, r#"{"error_code":null}"#),
            (403, r#"{"type":"about:blank"}"#),
            // Codes of other services.
            (403, r#"{"type":"https://gateway.example/problems/http-403","title":"Forbidden","status":403}"#),
            (403, r#"{"type":"https://gateway.example/errors/WAF-1020-403","title":"x","status":403}"#),
            (403, r#"{"type":"waf-1020"}"#),
            (400, r#"{"type":"SMS-2074-400"}"#),
            (403, r#"{"errorMessage":"x","errorType":"Runtime.ExitError"}"#),
            (403, r#"{"type":"about:blank","title":"Forbidden","status":403}"#),
            (
                403,
                r#"{"type":"https://tools.ietf.org/html/rfc7231#section-6.5.3","title":"Forbidden","status":403}"#,
            ),
            (403, r#"{"type":"/errors/forbidden","title":"Forbidden","status":403}"#),
            (503, r#"{"title":"Too many requests","status":503,"detail":"x"}"#),
            (400, r#"{"title":"Bad Request","status":400,"detail":"x"}"#),
            (400, r#"{"title":"x","detail":"x"}"#),
            (403, r#"{"success":false,"code":1020}"#),
        ] {
            assert_eq!(author_of(status, body), Author::Unrecognized, "{status} {body}");
        }
    }
}

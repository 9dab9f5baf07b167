//! The responses of faults.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::emulator::{
    hubspot, ims,
    problem::{self, Problem},
    reply::Reply,
    routes::Route,
};

/// A response that the route itself would not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultResponse {
    pub status: StatusCode,
    pub shape: Shape,
    /// The code of shapes A, D and, on the token route, E. `None` means one that fits the status. In shape A it is
    /// the Flow Service's, unless it has the prefix of another catalogue, like `CONN-1105`. Shape D keeps the
    /// difference between a number and a string, because its `error_code` is documented as both.
    pub code: Option<Value>,
    /// Added to the headers of the shape, or in place of them.
    pub headers: HeaderMap,
    /// Whether the request is executed all the same.
    pub commit: bool,
}

/// The forms of an error body, documented (A to E) and otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Shape {
    /// The Flow Service's report, with legacy fields.
    A,
    /// The legacy fields alone.
    B,
    /// A bare message.
    C,
    /// The gateway's.
    D,
    /// The response to an unreadable request. On the token route, with a code: IMS's own, an OAuth error
    /// with this code. On HubSpot's route: HubSpot's own, with a code in OAuth's form.
    E,
    #[serde(rename = "empty")]
    Empty,
    /// A page of HTML, as proxies send.
    #[serde(rename = "html")]
    Html,
    /// Half of a body, then the connection breaks. The body is the route's own if the request is executed and its
    /// response has one, otherwise that of shape A.
    #[serde(rename = "cut")]
    Cut,
}

impl FaultResponse {
    /// A response with a code that fits the status. The request is not executed.
    pub fn new(status: StatusCode, shape: Shape) -> Self {
        Self { status, shape, code: None, headers: HeaderMap::new(), commit: false }
    }

    /// `own` is the route's reply, if the request was executed.
    pub(in crate::emulator) fn reply(&self, route: Route, own: Option<Reply>, request_id: &str) -> Reply {
        let Self { status, shape, headers, .. } = self;
        let status = *status;
        let message = problem::reason(status).to_owned();
        let mut reply = match shape {
            Shape::A => self.report().reply(request_id),
            Shape::B => Problem::Legacy { status, message }.reply(request_id),
            Shape::C => Problem::Message { status, message }.reply(request_id),
            Shape::D => self.gateway().reply(request_id),
            Shape::E => match &self.code {
                code if route == hubspot::ROUTE => {
                    let code = code.as_ref().map(code_text);
                    Problem::HubSpot { status, code, message }.reply(request_id)
                }
                Some(code) if route == ims::TOKEN_ROUTE => {
                    ims::rejection(status, &code_text(code), &message).reply(request_id)
                }
                Some(_) | None => {
                    // The title is as the Schema Registry has it, and, as far as is known, the Catalog.
                    let words = message.replace(' ', "");
                    let title = if route.is_of_sibling() { words + "Error" } else { message.clone() };
                    Problem::Unreadable { status, title, detail: message }.reply(request_id)
                }
            },
            Shape::Empty => Reply::empty(status),
            Shape::Html => Reply::text(
                status,
                "text/html",
                format!("<html><body><h1>{} {message}</h1></body></html>\n", status.as_u16()),
            ),
            Shape::Cut => {
                // The response to a deletion has no body to cut.
                let own = own.filter(|own| !own.body.is_empty());
                let whole = own.unwrap_or_else(|| self.report().reply(request_id));
                Reply { status, broken_off: true, ..whole }
            }
        };
        for (name, value) in headers {
            reply.headers.insert(name, value.clone());
        }
        reply
    }

    fn report(&self) -> Problem {
        let fitting = match self.status.as_u16() {
            400 => "1100",
            401 => "2000",
            403 => "2120",
            404 => "1439",
            412 => "1404",
            500 => "1102",
            503 => "1103",
            504 => "1104",
            _ => "1400",
        };
        let code = self.code.as_ref().map_or_else(|| fitting.to_owned(), code_text);
        let detail = match self.status.as_u16() {
            500 => "An internal error has occurred. ",
            503 => "The service is temporarily unavailable. ",
            504 => "A gateway timeout has occurred. ",
            _ => "",
        };
        let detail = match detail {
            "" => format!("{}.", problem::reason(self.status)),
            cause => {
                format!("{cause}Please try again. If the problem persists, please contact customer support.")
            }
        };
        Problem::Report { status: self.status, code, detail }
    }

    fn gateway(&self) -> Problem {
        let fitting = match self.status.as_u16() {
            400 => 400_003,
            401 => 401_013,
            403 => 403_025,
            429 => 429_050,
            other => u32::from(other) * 1000,
        };
        let code = self.code.clone().unwrap_or_else(|| Value::from(fitting.to_string()));
        let message = problem::gateway_message(&code_text(&code), self.status).to_owned();
        Problem::Gateway { status: self.status, code, message }
    }
}

fn code_text(code: &Value) -> String {
    code.as_str().map_or_else(|| code.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::faults::Action;
    use serde_json::json;

    fn body(value: Value) -> Value {
        body_on("POST /connections", value)
    }

    fn body_on(route: &str, value: Value) -> Value {
        let Ok(Action::Respond(response)) = serde_json::from_value(value) else { panic!("no response") };
        serde_json::from_slice(&response.reply(route.parse().unwrap(), None, "REQUEST").body).unwrap()
    }

    #[test]
    fn a_code_is_the_one_given_or_fits_the_status() {
        let code = |value| body(value)["error_code"].clone();
        assert_eq!(code(json!({"status": 429, "shape": "D"})), json!("429050"));
        assert_eq!(code(json!({"status": 401, "shape": "D", "code": "401013"})), json!("401013"));
        assert_eq!(code(json!({"status": 401, "shape": "D", "code": 401013})), json!(401013));
        for (value, expected) in [
            (json!({"status": 503}), "https://ns.adobe.com/aep/errors/FLOW-1103-503"),
            (json!({"status": 400, "code": 1308}), "https://ns.adobe.com/aep/errors/FLOW-1308-400"),
            (json!({"status": 418, "code": "x"}), "https://ns.adobe.com/aep/errors/FLOW-x-418"),
            (json!({"status": 401, "code": "CONN-1105"}), "https://ns.adobe.com/aep/errors/CONN-1105-401"),
            (
                json!({"status": 200, "code": "CONN-1105-401"}),
                "https://ns.adobe.com/aep/errors/CONN-1105-401",
            ),
        ] {
            assert_eq!(body(value)["type"], expected);
        }
    }

    #[test]
    fn the_token_route_has_an_oauth_error_where_a_code_is_given() {
        let token = |value| body_on("POST /ims/token/v3", value);
        assert_eq!(
            token(json!({"status": 401, "shape": "E", "code": "invalid_client"})),
            json!({"error": "invalid_client", "error_description": "Unauthorized"})
        );
        assert_eq!(token(json!({"status": 400, "shape": "E"}))["title"], "Bad Request");
        assert_eq!(token(json!({"status": 503, "code": "invalid_client"}))["status"], 503);
        let forbidden =
            body_on("POST /data/foundation/catalog/dataSets", json!({"status": 403, "shape": "E"}));
        assert_eq!(forbidden["title"], "ForbiddenError");
        let elsewhere = body(json!({"status": 401, "shape": "E", "code": "invalid_client"}));
        assert_eq!(elsewhere["title"], "Unauthorized");
    }
}

//! Faults: what goes wrong, on which route and how often.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ims,
    problem::{self, Problem},
    reply::Reply,
    routes::Route,
    settings::parse_duration,
};

/// What goes wrong with the next requests to a route, before any other check.
///
/// In JSON: `{"route": "POST /connections", "count": 1, "action": …}` with one of the actions
/// `{"status": 503, "shape": "A", "code": "1103", "headers": {"retry-after": "1"}, "commit": false}`
/// (only the status is needed), `{"close": "before_commit"}`, `{"close": "after_commit"}`,
/// `{"commit_after": "5s"}` and `{"delay": "2s"}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub route: Route,
    /// How many requests it affects. 0 means all.
    #[serde(default = "once")]
    pub count: u32,
    pub action: Action,
}

fn once() -> u32 {
    1
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ActionFields")]
pub enum Action {
    /// The client receives this response.
    Respond(FaultResponse),
    /// The connection closes without a byte of a response.
    Close(Moment),
    /// The connection closes without a byte of a response, and the request is executed after this time.
    CommitAfter(Duration),
    /// The request is executed at once, and its response is sent after this time.
    Delay(Duration),
}

/// When a connection closes: instead of executing the request, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    BeforeCommit,
    AfterCommit,
}

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
    /// with this code.
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

impl Fault {
    /// A fault that happens once.
    ///
    /// # Panics
    /// When there is no route of this name.
    pub fn once(route: &str, action: Action) -> Self {
        let route = route.parse().unwrap_or_else(|error| panic!("{error}"));
        Self { route, count: 1, action }
    }
}

impl Action {
    /// A response in shape A with a code that fits the status. The request is not executed.
    pub fn status(status: StatusCode) -> Self {
        Self::Respond(FaultResponse::new(status, Shape::A))
    }
}

impl FaultResponse {
    /// A response with a code that fits the status. The request is not executed.
    pub fn new(status: StatusCode, shape: Shape) -> Self {
        Self { status, shape, code: None, headers: HeaderMap::new(), commit: false }
    }

    /// `own` is the route's reply, if the request was executed.
    pub(super) fn reply(&self, route: Route, own: Option<Reply>, request_id: &str) -> Reply {
        let Self { status, shape, headers, .. } = self;
        let status = *status;
        let message = problem::reason(status).to_owned();
        let mut reply = match shape {
            Shape::A => self.report().reply(request_id),
            Shape::B => Problem::Legacy { status, message }.reply(request_id),
            Shape::C => Problem::Message { status, message }.reply(request_id),
            Shape::D => self.gateway().reply(request_id),
            Shape::E => match &self.code {
                Some(code) if route == ims::TOKEN_ROUTE => {
                    ims::rejection(status, &code_text(code), &message).reply(request_id)
                }
                Some(_) | None => {
                    Problem::Unreadable { status, title: message.clone(), detail: message }.reply(request_id)
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

/// An action in JSON. The fields that it has decide which one it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFields {
    status: Option<u16>,
    shape: Option<Shape>,
    code: Option<Value>,
    headers: Option<BTreeMap<String, String>>,
    commit: Option<bool>,
    close: Option<Moment>,
    commit_after: Option<String>,
    delay: Option<String>,
}

impl TryFrom<ActionFields> for Action {
    type Error = String;

    fn try_from(fields: ActionFields) -> Result<Self, String> {
        let ActionFields { status, shape, code, headers, commit, close, commit_after, delay } = fields;
        let has_response_fields = shape.is_some() || code.is_some() || headers.is_some() || commit.is_some();
        match (status, close, commit_after, delay) {
            (Some(status), None, None, None) => Ok(Self::Respond(FaultResponse {
                status: parse_status(status)?,
                shape: shape.unwrap_or(Shape::A),
                code: code.map(parse_code).transpose()?,
                headers: parse_headers(headers.unwrap_or_default())?,
                commit: commit.unwrap_or(false),
            })),
            (None, Some(moment), None, None) if !has_response_fields => Ok(Self::Close(moment)),
            (None, None, Some(after), None) if !has_response_fields => {
                Ok(Self::CommitAfter(parse_duration(&after)?))
            }
            (None, None, None, Some(delay)) if !has_response_fields => {
                Ok(Self::Delay(parse_duration(&delay)?))
            }
            _ => Err("an action is exactly one of status (with shape, code, headers, commit), close, \
                      commit_after and delay"
                .to_owned()),
        }
    }
}

fn parse_status(status: u16) -> Result<StatusCode, String> {
    let parsed = StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status));
    parsed.ok_or_else(|| format!("invalid status {status}: it must be from 200 to 599"))
}

fn parse_code(code: Value) -> Result<Value, String> {
    let is_code = code.is_u64() || code.as_str().is_some_and(|code| !code.is_empty());
    if is_code { Ok(code) } else { Err("a code must be a string or a positive number".to_owned()) }
}

fn parse_headers(headers: BTreeMap<String, String>) -> Result<HeaderMap, String> {
    // A wrong value of these would break the framing of the response, not its content.
    const FRAMING: [HeaderName; 3] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    let parse = |(name, value): (String, String)| {
        let parsed = HeaderName::try_from(&name).map_err(|_| format!("invalid header name {name:?}"))?;
        if FRAMING.contains(&parsed) {
            return Err(format!("the header {name} cannot be set"));
        }
        let value =
            HeaderValue::try_from(value).map_err(|_| format!("invalid value of the header {name}"))?;
        Ok((parsed, value))
    };
    headers.into_iter().map(parse).collect()
}

/// The remaining faults. Those of one route apply in this order.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn replace(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    /// Takes the fault for the next request to a route.
    pub(super) fn take(&mut self, route: Route) -> Option<Action> {
        let index = self.0.iter().position(|fault| fault.route == route)?;
        let fault = &mut self.0[index];
        match fault.count {
            0 => Some(fault.action.clone()),
            1 => Some(self.0.remove(index).action),
            more => {
                fault.count = more - 1;
                Some(fault.action.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn action(value: Value) -> Result<Action, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn body(value: Value) -> Value {
        body_on("POST /connections", value)
    }

    fn body_on(route: &str, value: Value) -> Value {
        let Ok(Action::Respond(response)) = action(value) else { panic!("no response") };
        serde_json::from_slice(&response.reply(route.parse().unwrap(), None, "REQUEST").body).unwrap()
    }

    #[test]
    fn the_fields_decide_which_action_it_is() {
        assert_eq!(action(json!({"status": 503})), Ok(Action::status(StatusCode::SERVICE_UNAVAILABLE)));
        assert_eq!(action(json!({"close": "after_commit"})), Ok(Action::Close(Moment::AfterCommit)));
        assert_eq!(action(json!({"commit_after": "5s"})), Ok(Action::CommitAfter(Duration::from_secs(5))));
        assert_eq!(action(json!({"delay": "2s"})), Ok(Action::Delay(Duration::from_secs(2))));
    }

    #[test]
    fn a_mistake_is_named() {
        for (value, says) in [
            (json!({}), "exactly one of"),
            (json!({"status": 503, "close": "after_commit"}), "exactly one of"),
            (json!({"delay": "2s", "commit": true}), "exactly one of"),
            (json!({"status": 101}), "101"),
            (json!({"status": 503, "shape": "F"}), "F"),
            (json!({"status": 503, "code": true}), "code"),
            (json!({"status": 503, "headers": {"a b": "c"}}), "a b"),
            (json!({"status": 503, "headers": {"Content-Length": "9"}}), "Content-Length"),
            (json!({"explode": true}), "explode"),
            (json!({"close": "sometimes"}), "sometimes"),
            (json!({"delay": "soon"}), "soon"),
        ] {
            let error = action(value.clone()).unwrap_err();
            assert!(error.contains(says), "{value}: {error}");
        }
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
        let elsewhere = body(json!({"status": 401, "shape": "E", "code": "invalid_client"}));
        assert_eq!(elsewhere["title"], "Unauthorized");
    }

    #[test]
    fn faults_of_one_route_happen_in_turn() {
        let delay = |seconds| Action::Delay(Duration::from_secs(seconds));
        let fault = |route, count, seconds| Fault { count, ..Fault::once(route, delay(seconds)) };
        let mut faults = Faults::default();
        faults.replace(vec![
            fault("POST /connections", 2, 1),
            fault("GET /connections", 1, 2),
            fault("POST /connections", 0, 3),
        ]);
        let mut take = |route: &str| faults.take(route.parse().unwrap());
        for seconds in [1, 1, 3, 3] {
            assert_eq!(take("POST /connections"), Some(delay(seconds)));
        }
        assert_eq!(take("GET /connections"), Some(delay(2)));
        assert_eq!(take("GET /connections"), None);
    }
}

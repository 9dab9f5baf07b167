//! Faults: what goes wrong, on which route, how often.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{
    problem::{self, Problem},
    reply::Reply,
    routes::Route,
    settings::parse_duration,
};

/// Something that goes wrong with the next requests of a route, before any other check.
///
/// In JSON: `{"route": "POST /connections", "count": 1, "action": …}` with one of the actions
/// `{"status": 503, "shape": "A", "code": "1103", "headers": {"retry-after": "1"}, "commit": false}`
/// (only the status is needed), `{"close": "before_commit"}`, `{"close": "after_commit"}`,
/// `{"commit_after": "5s"}` and `{"delay": "2s"}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The route.
    pub route: Route,
    /// How many requests it happens to; 0 is all.
    #[serde(default = "once")]
    pub count: u32,
    /// What happens.
    pub action: Action,
}

fn once() -> u32 {
    1
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ActionFields")]
pub enum Action {
    /// It is answered with this.
    Answer(Answer),
    /// The connection closes without a byte of an answer.
    Close(Moment),
    /// The connection closes like this, and what the request asks for happens this much later.
    CommitAfter(Duration),
    /// What it asks for happens at once, and its answer comes this much later.
    Delay(Duration),
}

/// When a connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Instead of what the request asks for.
    BeforeCommit,
    /// After it.
    AfterCommit,
}

/// An answer that the route itself would not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The form of the body.
    pub shape: Shape,
    /// The code that shapes A and D carry; `None` is one that fits the status. In shape A it is one of the
    /// Flow Service, unless it has the prefix of another catalogue, as `CONN-1105` has. A number is told
    /// from a string in shape D, whose `error_code` is documented as both.
    pub code: Option<Value>,
    /// More headers, or other values for those of the shape.
    pub headers: HeaderMap,
    /// Whether what the request asks for happens all the same.
    pub commit: bool,
}

/// The forms of an error body that the public documentation shows, and some that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Shape {
    /// The Flow Service's report, with its legacy fields.
    A,
    /// The legacy fields alone.
    B,
    /// A bare message.
    C,
    /// The gateway's.
    D,
    /// The answer to an unreadable request.
    E,
    /// No body.
    #[serde(rename = "empty")]
    Empty,
    /// A page of HTML, as proxies answer.
    #[serde(rename = "html")]
    Html,
    /// Half of a body, then the connection breaks: of the route's own answer where it commits and
    /// has a body, of shape A where it does not.
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
    /// An answer in shape A, with a code that fits the status and nothing committed.
    pub fn status(status: StatusCode) -> Self {
        Self::Answer(Answer::new(status, Shape::A))
    }
}

impl Answer {
    /// An answer with a code that fits the status, no more headers and nothing committed.
    pub fn new(status: StatusCode, shape: Shape) -> Self {
        Self { status, shape, code: None, headers: HeaderMap::new(), commit: false }
    }

    /// The answer; `own` is the route's, where it has committed.
    pub(super) fn reply(&self, own: Option<Reply>, request_id: &str) -> Reply {
        let Self { status, shape, headers, .. } = self;
        let status = *status;
        let message = problem::reason(status).to_owned();
        let mut reply = match shape {
            Shape::A => self.report().reply(request_id),
            Shape::B => Problem::Legacy { status, message }.reply(request_id),
            Shape::C => Problem::Message { status, message }.reply(request_id),
            Shape::D => self.gateway().reply(request_id),
            Shape::E => {
                Problem::Unreadable { status, title: message.clone(), detail: message }.reply(request_id)
            }
            Shape::Empty => Reply::empty(status),
            Shape::Html => Reply::text(
                status,
                "text/html",
                format!("<html><body><h1>{} {message}</h1></body></html>\n", status.as_u16()),
            ),
            Shape::Cut => {
                // An answer without a body, to a deletion, has nothing to cut.
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

/// An action as JSON has it: which fields are there says which action it is.
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
        let has_answer_fields = shape.is_some() || code.is_some() || headers.is_some() || commit.is_some();
        match (status, close, commit_after, delay) {
            (Some(status), None, None, None) => Ok(Self::Answer(Answer {
                status: parse_status(status)?,
                shape: shape.unwrap_or(Shape::A),
                code: code.map(parse_code).transpose()?,
                headers: parse_headers(headers.unwrap_or_default())?,
                commit: commit.unwrap_or(false),
            })),
            (None, Some(moment), None, None) if !has_answer_fields => Ok(Self::Close(moment)),
            (None, None, Some(after), None) if !has_answer_fields => {
                Ok(Self::CommitAfter(parse_duration(&after)?))
            }
            (None, None, None, Some(delay)) if !has_answer_fields => Ok(Self::Delay(parse_duration(&delay)?)),
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
    // A wrong value of these would break the framing of the answer, not its content.
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

/// The faults that are still to happen, in the order in which those of one route apply.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn replace(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    /// What happens to the next request of a route.
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

    fn body(answer: Value) -> Value {
        let Ok(Action::Answer(answer)) = action(answer) else { panic!("no answer") };
        serde_json::from_slice(&answer.reply(None, "REQUEST").body).unwrap()
    }

    #[test]
    fn which_fields_are_there_says_which_action_it_is() {
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

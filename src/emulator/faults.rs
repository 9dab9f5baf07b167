//! Faults: what goes wrong, on which route and how often.

mod response;

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{routes::Route, settings::parse_duration};
pub use response::{FaultResponse, Shape};

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

//! What the clients of Adobe and of HubSpot share: an attempt of a request and its measurement, the circuit breaker,
//! the throttle gate, and the parts of a reply's head that are shown or obeyed.

pub(crate) mod attempt;
pub(crate) mod breaker;
pub(crate) mod media_type;
pub(crate) mod retry_after;
pub(crate) mod throttle;

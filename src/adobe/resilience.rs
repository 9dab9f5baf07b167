pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod throttle;

//! What the Flow Service refuses of what this service itself writes: a request that was right when this
//! version was made, and is not any more.

use std::sync::atomic::{AtomicU8, Ordering};

use http::Method;

use crate::adobe::Problem;
use crate::adobe::flow_service::REQUESTS;

/// The kinds of requests of which the last one was refused for what this service writes into each of them: a
/// bit for each of [`REQUESTS`].
#[derive(Debug, Default)]
pub(crate) struct OwnRequests(AtomicU8);

const _: () = assert!(REQUESTS.len() <= u8::BITS as usize);

impl OwnRequests {
    /// Whether there are any.
    pub(crate) fn are_refused(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn refused(&self, method: &Method, template: &'static str, problem: &Problem) {
        let bit = bit(method, template);
        // Once, and not for each call, until such a request is accepted again.
        if self.0.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        tracing::error!(
            request = format!("{method} {template}"),
            reply = %problem,
            "the Flow Service refuses what this service itself writes into such a request: look for a newer \
             version, or for a proxy that changes its requests"
        );
    }

    pub(crate) fn accepted(&self, method: &Method, template: &'static str) {
        // Most of the time there is nothing to change, and nobody has to wait for the cache line.
        if self.are_refused() {
            self.0.fetch_and(!bit(method, template), Ordering::Relaxed);
        }
    }
}

fn bit(method: &Method, template: &'static str) -> u8 {
    let is_it = |(m, t, _): &(Method, &'static str, _)| m == method && *t == template;
    REQUESTS.iter().position(is_it).map_or(0, |index| 1 << index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adobe::flow_service::{CONNECTION, CONNECTIONS};

    #[test]
    fn a_kind_of_request_is_refused_until_one_of_it_is_accepted() {
        let requests = OwnRequests::default();
        let problem = Problem::default();
        requests.refused(&Method::POST, CONNECTIONS, &problem);
        requests.refused(&Method::PATCH, CONNECTION, &problem);
        requests.accepted(&Method::POST, CONNECTIONS);
        // One of another kind says nothing.
        requests.accepted(&Method::GET, CONNECTION);
        assert!(requests.are_refused());
        requests.accepted(&Method::PATCH, CONNECTION);
        assert!(!requests.are_refused());
    }
}

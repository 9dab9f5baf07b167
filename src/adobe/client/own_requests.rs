//! Remembers which kinds of requests Adobe refuses for what this service itself writes into them: they were right
//! when this version was made.

use parking_lot::Mutex;

use super::Route;
use crate::adobe::{AskedService, Problem};

/// The kinds of requests whose last one was refused.
#[derive(Debug, Default)]
pub(super) struct OwnRequests {
    service: AskedService,
    refused: Mutex<Vec<&'static Route>>,
}

impl OwnRequests {
    pub(super) fn of(service: AskedService) -> Self {
        Self { service, refused: Mutex::default() }
    }

    pub(super) fn are_refused(&self) -> bool {
        !self.refused.lock().is_empty()
    }

    pub(super) fn refused(&self, route: &'static Route, problem: &Problem) {
        let mut refused = self.refused.lock();
        // Logged once, and not for each call, until such a request is accepted again.
        if refused.iter().any(|other| other.kind.is(&route.kind)) {
            return;
        }
        refused.push(route);
        tracing::error!(
            request = format!("{} {}", route.kind.method, route.kind.template),
            reply = %problem,
            "{} refuses what this service itself writes into such a request: look for a newer version, or for a proxy \
             that changes its requests",
            self.service
        );
    }

    pub(super) fn accepted(&self, route: &'static Route) {
        self.refused.lock().retain(|other| !other.kind.is(&route.kind));
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::adobe::answer::classify::Asked;

    static POST: Route = route(Method::POST, "/connections");
    static PATCH: Route = route(Method::PATCH, "/connections/{id}");
    static GET: Route = route(Method::GET, "/connections/{id}");

    const fn route(method: Method, template: &'static str) -> Route {
        Route::new(method, template, StatusCode::OK, Asked::Read, &[])
    }

    #[test]
    fn a_kind_of_request_is_refused_until_one_of_it_is_accepted() {
        let requests = OwnRequests::default();
        let problem = Problem::default();
        requests.refused(&POST, &problem);
        requests.refused(&PATCH, &problem);
        requests.accepted(&POST);
        // One of another kind says nothing.
        requests.accepted(&GET);
        assert!(requests.are_refused());
        requests.accepted(&PATCH);
        assert!(!requests.are_refused());
    }
}

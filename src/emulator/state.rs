//! The state of the emulator, and what happens to a request.

use std::{collections::VecDeque, mem, time::Duration};

use http::StatusCode;

use super::{
    Options,
    catalog::{Batch, Dataset},
    collection::Collection,
    connections::Connection,
    data_prep::MappingSet,
    faults::{Action, Faults, Moment},
    flows::Flow,
    gateway::{self, Tenant},
    hubspot::HubSpotToken,
    ims::Tokens,
    platform,
    problem::Problem,
    received::ReceivedRequest,
    reply::Reply,
    routes::{self, BASE_PATH, Call, Handler, Matched, PLATFORM_PATH},
    runs::{self, Run},
    schema_registry::XdmResource,
    settings::Settings,
    source_connections::SourceConnection,
    target_connections::TargetConnection,
};

/// How many requests are kept.
const MAX_RECEIVED: usize = 10_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) received: VecDeque<ReceivedRequest>,
    pub(super) connections: Collection<Connection>,
    pub(super) source_connections: Collection<SourceConnection>,
    pub(super) target_connections: Collection<TargetConnection>,
    pub(super) flows: Collection<Flow>,
    pub(super) runs: Collection<Run>,
    pub(super) run_plan: runs::Plan,
    /// What HubSpot says about tokens. It accepts all others.
    pub(super) hubspot: Vec<HubSpotToken>,
    /// Schemas and field groups.
    pub(super) xdm_resources: Collection<XdmResource>,
    pub(super) datasets: Collection<Dataset>,
    pub(super) batches: Collection<Batch>,
    pub(super) mapping_sets: Collection<MappingSet>,
    pub(super) tokens: Tokens,
    pub(super) options: Options,
    /// How often the state was reset.
    generation: u64,
}

/// What the server does with a request.
#[derive(Debug)]
pub(super) enum Decision {
    Reply(Reply),
    ReplyAfter(Duration, Reply),
    /// Closes the connection without a reply.
    Close,
    /// Closes the connection without a reply, and calls [`State::commit_late`] after this time.
    CloseAndCommitAfter(Duration, Late),
}

/// A request that takes effect later.
#[derive(Debug)]
pub(super) struct Late {
    request: ReceivedRequest,
    generation: u64,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self {
            settings: Settings::default(),
            faults: Faults::default(),
            received: VecDeque::new(),
            connections: Collection::default(),
            source_connections: Collection::default(),
            target_connections: Collection::default(),
            flows: Collection::default(),
            runs: Collection::default(),
            run_plan: runs::Plan::default(),
            hubspot: Vec::new(),
            xdm_resources: Collection::default(),
            datasets: Collection::default(),
            batches: Collection::default(),
            mapping_sets: Collection::default(),
            tokens: Tokens::default(),
            options,
            generation: 0,
        }
    }

    /// Records a request and executes it, or the fault for it.
    pub(super) fn receive(&mut self, request: ReceivedRequest) -> Decision {
        if self.received.len() == MAX_RECEIVED {
            self.received.pop_front();
        }
        self.received.push_back(request.clone());
        let route = routes::find(&request.method, &request.path).map(Matched::route);
        let fault = route.and_then(|route| Some((route, self.faults.take(route)?)));
        let Some((route, action)) = fault else { return Decision::Reply(self.handle(&request)) };
        match action {
            Action::Respond(response) => {
                let own = response.commit.then(|| self.handle(&request));
                Decision::Reply(response.reply(route, own, &request.request_id))
            }
            Action::Close(Moment::BeforeCommit) => Decision::Close,
            Action::Close(Moment::AfterCommit) => {
                self.handle(&request);
                Decision::Close
            }
            Action::CommitAfter(time) => {
                Decision::CloseAndCommitAfter(time, Late { request, generation: self.generation })
            }
            Action::Delay(time) => Decision::ReplyAfter(time, self.handle(&request)),
        }
    }

    /// Executes a late request, unless the state was reset in the meantime.
    pub(super) fn commit_late(&mut self, late: &Late) {
        if late.generation == self.generation {
            self.handle(&late.request);
        }
    }

    /// Forgets everything but the tokens, so that clients can continue to use theirs.
    pub(super) fn reset(&mut self) {
        let new = Self::new(self.options.clone());
        *self = Self { tokens: mem::take(&mut self.tokens), generation: self.generation + 1, ..new };
    }

    fn handle(&mut self, request: &ReceivedRequest) -> Reply {
        self.dispatch(request).unwrap_or_else(|problem| problem.reply(&request.request_id))
    }

    fn dispatch(&mut self, request: &ReceivedRequest) -> Result<Reply, Problem> {
        let Some(Matched { endpoint, id }) = routes::find(&request.method, &request.path) else {
            return Err(self.unknown_path(request));
        };
        match endpoint.handler {
            Handler::Open(handle) => handle(request, self),
            Handler::Tenant(handle) => {
                let tenant = gateway::admit(request, &self.options, &self.tokens)?;
                handle(&Call { request, id, tenant }, self)
            }
        }
    }

    /// The error for a path that no route has. Only the Flow Service has codes of the Flow Service.
    fn unknown_path(&self, request: &ReceivedRequest) -> Problem {
        let path = &request.path;
        let is_below =
            |base| path.strip_prefix(base).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with('/'));
        if is_below(PLATFORM_PATH)
            && let Err(problem) = gateway::check_credentials(request, &self.options, &self.tokens)
        {
            return problem;
        }
        let detail = format!("The requested resource {path} is not found.");
        if is_below(BASE_PATH) {
            Problem::report(StatusCode::NOT_FOUND, 1439, detail)
        } else {
            platform::not_found(detail)
        }
    }

    /// A tenant's flows that satisfy a condition.
    pub(super) fn flows_of<'a>(
        &'a self,
        tenant: &'a Tenant,
        condition: impl Fn(&Flow) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        let flows = self.flows.all().iter();
        let flows = flows.filter(move |flow| flow.tenant == *tenant && condition(&flow.content));
        flows.map(|flow| flow.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{
        CLIENT_ID, DEMO_ACCESS_TOKEN, ORG_ID,
        connection_specs::{HUBSPOT, Param},
        faults::Fault,
        received::tests::request,
    };
    use serde_json::json;

    const TIME: Duration = Duration::from_secs(5);

    fn create(name: &str) -> ReceivedRequest {
        let params: serde_json::Map<_, _> =
            HUBSPOT.params.iter().map(|Param { name, .. }| ((*name).to_owned(), json!("x"))).collect();
        let body = json!({
            "name": name,
            "auth": {"specName": HUBSPOT.auth_spec, "params": params},
            "connectionSpec": {"id": HUBSPOT.id, "version": HUBSPOT.version},
        });
        let bearer = format!("Bearer {DEMO_ACCESS_TOKEN}");
        let headers = [
            ("authorization", &*bearer),
            ("x-api-key", CLIENT_ID),
            ("x-gw-ims-org-id", ORG_ID),
            ("x-sandbox-name", "prod"),
            ("content-type", "application/json"),
        ];
        request("POST", "/data/foundation/flowservice/connections", &headers, &body.to_string())
    }

    fn with_fault(action: Action) -> State {
        let mut state = State::new(Options::default());
        state.faults.replace(vec![Fault::once("POST /connections", action)]);
        state
    }

    fn names(state: &State) -> Vec<String> {
        state.connections.all().iter().map(|record| record.content.name.clone()).collect()
    }

    #[test]
    fn a_delayed_request_is_executed_before_the_delay() {
        let mut state = with_fault(Action::Delay(TIME));
        let Decision::ReplyAfter(TIME, reply) = state.receive(create("a")) else { panic!("not delayed") };
        assert_eq!(reply.status, StatusCode::CREATED);
        assert_eq!(names(&state), ["a"]);
    }

    #[test]
    fn a_late_commit_has_no_effect_before_its_time() {
        let mut state = with_fault(Action::CommitAfter(TIME));
        let Decision::CloseAndCommitAfter(TIME, late) = state.receive(create("a")) else {
            panic!("not late")
        };
        assert_eq!(names(&state), [""; 0]);
        state.commit_late(&late);
        assert_eq!(names(&state), ["a"]);
        state.reset();
        state.commit_late(&late);
        assert_eq!(names(&state), [""; 0]);
    }

    #[test]
    fn only_the_latest_requests_are_kept() {
        let mut state = State::new(Options::default());
        for number in 0..=MAX_RECEIVED {
            state.receive(request("GET", &format!("/{number}"), &[], ""));
        }
        assert_eq!(state.received.len(), MAX_RECEIVED);
        assert_eq!(state.received[0].path, "/1");
    }
}

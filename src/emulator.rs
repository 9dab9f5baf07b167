//! The Flow Service emulator: Adobe IMS, the Flow Service, the Schema Registry, the Catalog, Data Prep and HubSpot's
//! introspection of tokens on one port, in memory, for tests and demos.
//!
//! It follows Adobe's public documentation, including its error shapes and codes, and fails on request: see
//! [`Fault`] and [`Settings`]. It shares no types with the service's client of Adobe, so that one mistake cannot pass
//! on both sides. A build with `--no-default-features` does not contain it.
//!
//! `hubspot-connection-service emulator` runs it alone. It accepts the client [`CLIENT_ID`] with [`CLIENT_SECRET`], the
//! token [`DEMO_ACCESS_TOKEN`], any well-formed organization and sandbox, and any HubSpot credentials.
//!
//! Of the Flow Service it has these resources. A request for another one is a 404.
//!
//! | path | methods |
//! | --- | --- |
//! | `/connections` | create, list, read, change, delete; `/{id}/test`, `/{id}/explore` |
//! | `/sourceConnections`, `/targetConnections` | create, list, read, change, delete |
//! | `/flows` | create, list, read, change, delete; `/{id}/action?op=enable` and `disable` |
//! | `/runs`, `/connectionSpecs`, `/flowSpecs` | list, read |
//!
//! # Controls
//!
//! A test in the same process uses the methods of [`Emulator`]; other processes use these routes on the same port. A
//! mistake in a body is a 400 that explains it, and changes nothing.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /emulator` | lists these controls, and the routes of faults |
//! | `PUT /emulator/faults` | replaces the faults by a JSON array of faults |
//! | `DELETE /emulator/faults` | removes all faults |
//! | `PUT /emulator/settings` | replaces the settings; a missing field gets its default |
//! | `PUT /emulator/runs` | replaces the plan for the next runs by a JSON array of planned runs |
//! | `PUT /emulator/hubspot` | replaces what HubSpot says about tokens by a JSON array of tokens |
//! | `POST /emulator/runs` | makes the runs of such an array at once, for flows that are enabled |
//! | `GET /emulator/ledger` | counts what exists: `connections`, `source_connections`, `target_connections`, `flows`, `mapping_sets`, `datasets`, `schemas`, `field_groups` |
//! | `GET /emulator/requests` | lists the latest 10,000 requests, oldest first, with secrets redacted |
//! | `GET /emulator/connections` | lists all connections, oldest first |
//! | `DELETE /emulator/state` | resets everything but the access tokens, and cancels delayed commits |
//!
//! ## Faults
//!
//! A fault applies to the next `count` requests of a route (1 by default; 0 means all), before any other check:
//!
//! ```json
//! [{"route": "POST /connections", "count": 1, "action": {"close": "after_commit"}}]
//! ```
//!
//! The route is `METHOD /path`, relative to the base path of the Flow Service, such as `GET /connections/{id}/test`, or
//! `POST /ims/token/v3`; of HubSpot it is `POST /oauth/2026-03/token/introspect`; of the Schema Registry, the Catalog and Data Prep its path is the full one, such as
//! `POST /data/foundation/catalog/dataSets`. An unknown route is an error that lists the known ones. Actions:
//!
//! | action | the request |
//! | --- | --- |
//! | `{"status": 503}` | gets this status and is not executed. Optional fields: `shape`, `code`, `headers`, and `commit`: with `true` it is executed |
//! | `{"close": "before_commit"}` | gets no response: the connection closes, and it is not executed |
//! | `{"close": "after_commit"}` | gets no response, but is executed |
//! | `{"commit_after": "5s"}` | gets no response, and is executed this much later |
//! | `{"delay": "2s"}` | is executed at once, and gets its response this much later |
//!
//! The `shape` of an error body is one of these:
//!
//! | shape | body |
//! | --- | --- |
//! | `A` | the Flow Service's error report with its legacy fields; the default. `code` can have the prefix of another catalogue (`CONN-1105`) |
//! | `B` | only the legacy fields |
//! | `C` | only a message |
//! | `D` | the gateway's error; `code` can be a number or a string |
//! | `E` | the error for an unreadable request; of HubSpot its own error, with a `code` OAuth's (`invalid_client`) |
//! | `empty` | none |
//! | `html` | an HTML page, like that of a proxy |
//! | `cut` | the first half of a body, then the connection breaks: of the real response with `commit`, otherwise of shape A |
//!
//! ## Runs
//!
//! A flow makes a run at its start time, and a repeated one at the beginning of every period. The run is there after
//! `run_delay`, if the flow is enabled then. It succeeds with all rows of its table; a later run of a repeated flow
//! finds no new ones. A plan changes that for the next `count` runs of a flow, or of any flow with `*` (1 by default;
//! 0 means all, and nothing in a `POST`):
//!
//! ```json
//! [{"flow": "*", "outcome": "partial", "input_records": 100, "failed_records": 3, "message": "…", "count": 1}]
//! ```
//!
//! An outcome is `succeeded`, `partial`, `failed_copy` (as with credentials that HubSpot has revoked),
//! `failed_process`, `failed_ingest` or `in_progress`, which never ends. Everything but `flow` and `outcome` is optional.
//!
//! ## Tokens of HubSpot
//!
//! HubSpot (`POST /oauth/2026-03/token/introspect`) accepts every client, and every token with every scope, unless the
//! token is described:
//!
//! ```json
//! [{"token": "…", "state": "active", "scopes": ["crm.objects.contacts.read"], "hub_id": 62515}]
//! ```
//!
//! A state is `active` (the default), `expired`, `revoked` or `other_app`. Everything but `token` is optional. A client
//! secret that is wrong is a fault of the route: `{"status": 401, "shape": "E", "code": "invalid_client"}`.
//!
//! ## Settings
//!
//! | field | default | meaning |
//! | --- | --- | --- |
//! | `test_result` | `true` | the result of testing a connection |
//! | `initial_state` | `"enabled"` | the state of a new connection |
//! | `index_lag` | `"0s"` | how long a new resource is missing in lists; reading it by ID works at once |
//! | `mask_auth_params` | `false` | whether reading a connection masks its secrets |
//! | `delete_status` | `204` | the status of a deletion, 204 or 202 |
//! | `missing_dataset_delete_status` | `404` | the status of deleting a dataset that does not exist, 404, or 200 with `[]` |
//! | `delete_schemas_in_use` | `false` | whether a schema that datasets use can be deleted, and a field group that schemas use |
//! | `token_ttl` | `"24h"` | lifetime of access tokens issued from then on |
//! | `flows` | `{}` | IDs of the flows that use a base connection, by its ID: `{"connection-id": ["flow-id"]}`, in place of those that exist. A connection with flows cannot be deleted |
//! | `protect_used_connections` | `true` | whether a source or target connection that a flow uses cannot be deleted |
//! | `source_params` | none | how a source connection must name its table: `"path"`, `"tableName"` or `"both"`; without it, each of these is accepted |
//! | `path_explores` | `false` | whether a source connection to a table that does not exist is refused |
//! | `source_error_prefix` | `"FLOW"` | what the error codes of the sources' catalogue begin with, such as those about schedules |
//! | `run_delay` | `"3s"` | how long after its start a run is there |
//! | `run_oddities` | `[]` | how runs differ from the documented form: `"negative_counts"` (-1 on failed runs), `"activites"` (in place of `activities`), `"seconds"` (in place of milliseconds), `"status_only"` (no other metrics while in progress) |
//! | `auth_spec` | none | replaces the authentication part of HubSpot's connection specification: one object with `name` and `spec`, or an array of them |
//!
//! For example, to see a verification fail:
//!
//! ```sh
//! curl -X PUT -d '{"test_result": false}' http://localhost:8080/emulator/settings
//! ```
//!
//! # Differences from Adobe's OpenAPI document
//!
//! `prism proxy` in front of the emulator compared the service's requests and the emulator's responses with Adobe's
//! OpenAPI document. These differences remain; all others would be mistakes:
//!
//! | what | here | in the document |
//! | --- | --- | --- |
//! | `objectType` of an explore request | `root` and `table`, as in every tutorial | upper case |
//! | path of PATCH and DELETE | `/connections/{id}`, as it is for GET | only with a slash at the end. Therefore prism does not compare the body of a PATCH, which is an array in every example and an object in the document |
//! | columns of a table | an object, as in Adobe's tutorials | an array |
//! | `op` of an action | `enable` and `disable`, without `subop`, as in every example | upper case, with `subop` |
//! | `mappingVersion` of a flow | a number, as Data Prep returns it | a string |
//! | `interval` of a schedule | a number, as the flow specification requires it | a string |
//! | `startTime` and `backfill` in a response | strings, as in Adobe's tutorials; a request has a number and a boolean | a number and a boolean |
//! | `transformationSpecs` of a flow specification | an array, as in Adobe's responses | an object |
//! | `start` of `GET /mappingSets` | optional, because clients leave it out | required |
//! | errors of the Catalog and Data Prep | shape E, as the Schema Registry has it | no bodies |
//! | error statuses | also 400 and 404 | only 403 and 503, besides 200 |

mod catalog;
mod collection;
pub mod connection_specs;
mod connections;
mod controls;
mod data_prep;
mod faults;
mod flow_service;
mod flow_specs;
mod flows;
mod gateway;
mod hubspot;
mod ims;
mod ledger;
mod platform;
mod problem;
mod received;
mod reply;
mod routes;
mod runs;
mod schema_registry;
mod server;
mod settings;
mod source_connections;
mod state;
mod target_connections;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use connections::LedgerEntry;
pub use controls::{CONTROLS, Control};
pub use faults::{Action, Fault, FaultResponse, Moment, Shape};
pub use flows::FlowEntry;
pub use hubspot::{HubSpotToken, TokenState};
pub use ledger::Ledger;
pub use received::ReceivedRequest;
pub use routes::{BASE_PATH, IMS_PATH, Route, UnknownRoute};
pub use runs::{Outcome, PlannedRun};
pub use settings::{RunOddity, Settings, SourceParams};

use state::State;

/// The default client id, for IMS and as `x-api-key`.
pub const CLIENT_ID: &str = "demo-client";

/// The secret of [`CLIENT_ID`].
pub const CLIENT_SECRET: &str = "demo-secret";

/// An organization for demos and tests. By default, every well-formed one is accepted.
pub const ORG_ID: &str = "5C1328435BF324E90A49402A@AdobeOrg";

/// The default access token, which is valid without being issued.
pub const DEMO_ACCESS_TOKEN: &str = "demo-access-token";

/// The clients, organizations and sandboxes that exist.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// The only client, for IMS and as `x-api-key`.
    pub client_id: String,
    pub client_secret: String,
    /// A token that is valid without being issued, and never expires.
    pub access_token: String,
    /// The organization that the client is entitled to. `None` means every well-formed one.
    pub org_id: Option<String>,
    /// The sandboxes of every organization. `None` means every well-formed name.
    pub sandboxes: Option<Vec<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            access_token: DEMO_ACCESS_TOKEN.to_owned(),
            org_id: None,
            sandboxes: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client_id, client_secret: _, access_token: _, org_id, sandboxes } = self;
        f.debug_struct("Options")
            .field("client_id", client_id)
            .field("org_id", org_id)
            .field("sandboxes", sandboxes)
            .finish_non_exhaustive()
    }
}

/// A running emulator. It stops with [`Emulator::stop`], or when the last handle is dropped.
#[derive(Clone)]
pub struct Emulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop_on_drop: Arc<DropGuard>,
}

impl Emulator {
    /// Serves on a bound listener, so clients can connect as soon as this returns.
    ///
    /// # Panics
    /// Outside a tokio runtime, and if the operating system does not know the listener's address.
    pub fn start(listener: TcpListener, options: Options) -> Self {
        let addr = listener.local_addr().expect("a bound listener has an address");
        let stopped = CancellationToken::new();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options)),
            tasks: TaskTracker::new(),
            stopped: stopped.clone(),
        });
        shared.tasks.spawn(server::serve(listener, Arc::clone(&shared)));
        Self { addr, shared, _stop_on_drop: Arc::new(stopped.drop_guard()) }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of the Flow Service.
    pub fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.addr)
    }

    pub fn ims_url(&self) -> String {
        format!("http://{}{IMS_PATH}", self.addr)
    }

    /// The base URL of HubSpot.
    pub fn hubspot_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Replaces what HubSpot says about tokens, as `PUT /emulator/hubspot` does.
    pub fn describe_tokens(&self, tokens: Vec<HubSpotToken>) {
        self.shared.state().hubspot = tokens;
    }

    /// Replaces the faults, as `PUT /emulator/faults` does.
    pub fn inject(&self, faults: Vec<Fault>) {
        self.shared.state().faults.replace(faults);
    }

    /// Replaces the settings, as `PUT /emulator/settings` does.
    pub fn settings(&self, settings: Settings) {
        self.shared.state().settings = settings;
    }

    /// Plans how the next runs end, as `PUT /emulator/runs` does.
    pub fn plan_runs(&self, planned: Vec<PlannedRun>) {
        self.shared.state().run_plan.replace(planned);
    }

    /// Makes runs at once, as `POST /emulator/runs` does.
    ///
    /// # Errors
    /// When a named flow does not exist or is not enabled.
    pub fn make_runs(&self, planned: &[PlannedRun]) -> Result<(), String> {
        runs::make_now(&mut self.shared.state(), planned)
    }

    /// Changes the state of a connection or a flow, such as from `initializing` to `enabled`. Like every write,
    /// this changes the etag. `false` if there is none with this id.
    pub fn set_state(&self, id: &str, state: &str) -> bool {
        let mut all = self.shared.state();
        connections::set_state(&mut all.connections, id, state) || flows::set_state(&mut all.flows, id, state)
    }

    /// Forgets everything but the tokens, as `DELETE /emulator/state` does. Cancels late requests of faults.
    pub fn reset(&self) {
        self.shared.state().reset();
    }

    /// All connections, the oldest first.
    pub fn connections(&self) -> Vec<LedgerEntry> {
        connections::ledger(&self.shared.state().connections)
    }

    /// All flows, the oldest first.
    pub fn flows(&self) -> Vec<FlowEntry> {
        flows::ledger(&self.shared.state().flows)
    }

    /// How many of each resource exist, as `GET /emulator/ledger` shows.
    pub fn ledger(&self) -> Ledger {
        Ledger::of(&self.shared.state())
    }

    /// The latest ten thousand requests with their secrets, the oldest first, without those to control routes.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.state().received.iter().cloned().collect()
    }

    /// Closes the port and every connection, and waits for that.
    pub async fn stop(&self) {
        self.shared.stopped.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}

struct Shared {
    state: Mutex<State>,
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

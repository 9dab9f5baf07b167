//! The Flow Service emulator: Adobe IMS and the Flow Service on one port, in memory.
//!
//! It answers as the public documentation says, in the error shapes and with the codes that this
//! shows, and misbehaves on request: see [`Fault`] and [`Settings`]. It shares no types with the
//! client of the Flow Service, so that one mistake cannot pass on both sides.
//!
//! Within the process it is driven through [`Emulator`], from outside through the control routes:
//! `PUT` and `DELETE /emulator/faults`, `PUT /emulator/settings`, `GET /emulator/requests`,
//! `GET /emulator/connections` and `DELETE /emulator/state`.

mod collection;
pub mod connection_specs;
mod connections;
mod controls;
mod faults;
mod flow_service;
mod gateway;
mod ims;
mod problem;
mod received;
mod reply;
mod routes;
mod server;
mod settings;
mod state;

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
pub use faults::{Action, Fault, FaultResponse, Moment, Shape};
pub use received::ReceivedRequest;
pub use routes::{BASE_PATH, IMS_PATH, Route, UnknownRoute};
pub use settings::Settings;

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

    /// Replaces the faults, as `PUT /emulator/faults` does.
    pub fn inject(&self, faults: Vec<Fault>) {
        self.shared.state().faults.replace(faults);
    }

    /// Replaces the settings, as `PUT /emulator/settings` does.
    pub fn settings(&self, settings: Settings) {
        self.shared.state().settings = settings;
    }

    /// Changes the state of a connection, such as from `initializing` to `enabled`. Like every write, this changes
    /// the etag. `false` if there is no such connection.
    pub fn set_state(&self, id: &str, state: &str) -> bool {
        connections::set_state(&mut self.shared.state().connections, id, state)
    }

    /// Forgets everything but the tokens, as `DELETE /emulator/state` does. Cancels late requests of faults.
    pub fn reset(&self) {
        self.shared.state().reset();
    }

    /// All connections, the oldest first.
    pub fn connections(&self) -> Vec<LedgerEntry> {
        connections::ledger(&self.shared.state().connections)
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

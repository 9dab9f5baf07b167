//! The running service: a call of any method, with a connection of its own.

use std::{error::Error, io, time::Duration};

use http::{Uri, uri::PathAndQuery};
use tokio::time::{Instant, timeout_at};
use tonic::{
    Request,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{failure::Failure, options::Options, rpc::Rpc};
use crate::error::error_chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Finds out that the service's machine is gone, long before the timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// For a response that arrives at the deadline.
const GRACE: Duration = Duration::from_millis(500);

pub(super) struct Service<'a> {
    options: &'a Options,
    endpoint: Endpoint,
    /// When the whole subcommand has to end.
    pub(super) deadline: Instant,
}

impl<'a> Service<'a> {
    /// # Errors
    /// What to correct.
    pub(super) fn new(options: &'a Options) -> Result<Self, String> {
        if options.authorization.is_some() {
            // A warning that cannot be written is no reason not to call.
            let _ = options.warn_of_plaintext("the token");
        }
        let endpoint = Endpoint::from(options.address.clone())
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let endpoint = match &options.tls {
            Some(tls) => endpoint.tls_config(tls.clone()).map_err(|error| {
                format!("no TLS: {}. Check --ca-file, --cert-file and --key-file", error_chain(&error))
            })?,
            None => endpoint,
        };
        Ok(Self { options, endpoint, deadline: Instant::now() + options.timeout })
    }

    pub(super) fn address(&self) -> &Uri {
        &self.options.address
    }

    /// Connects for one call: until there is a connection, nothing was sent.
    async fn connect(&self) -> Result<Channel, Failure> {
        let end = self.deadline.min(Instant::now() + CONNECT_TIMEOUT);
        let not_connected = |cause: &(dyn Error + 'static)| Failure::not_connected(cause, self.address());
        match timeout_at(end, self.endpoint.connect()).await {
            Ok(connected) => connected.map_err(|error| not_connected(&error)),
            Err(_) => Err(not_connected(&io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    /// Calls a method once.
    pub(super) async fn call<Q: Rpc>(&self, request: Q) -> Result<Q::Response, Failure> {
        let mut grpc = Grpc::new(self.connect().await?);
        let mut request = Request::new(request);
        request.set_timeout(self.deadline.saturating_duration_since(Instant::now()));
        if let Some(authorization) = &self.options.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let path = PathAndQuery::try_from(format!("/{}/{}", Q::SERVICE, Q::METHOD));
        let path = path.expect("names of methods are valid in paths");
        let called = async {
            grpc.ready().await.map_err(|error| tonic::Status::from_error(error.into()))?;
            grpc.unary(request, path, ProstCodec::<Q, Q::Response>::default()).await
        };
        // The service reports its deadline itself, unless it is gone.
        match timeout_at(self.deadline + GRACE, called).await {
            Ok(response) => response
                .map(tonic::Response::into_inner)
                .map_err(|status| Failure::of(&status, self.address(), Q::WRITES)),
            Err(_) => Err(Failure::late(self.address(), Q::WRITES)),
        }
    }
}

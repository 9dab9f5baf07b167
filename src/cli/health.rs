//! `health`: asks a running service for its health.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use http::Uri;
use tokio::runtime::Builder;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::failed;

/// A service that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
#[error("no health from {address}")]
struct NoHealth {
    address: Uri,
    source: Box<dyn Error>,
}

/// Prints the status. The exit status is 0 for SERVING, and 1 for anything else.
pub(super) fn run(address: Uri) -> ExitCode {
    match check(address.clone()).map_err(|source| NoHealth { address, source }) {
        Ok(ServingStatus::Serving) => ExitCode::SUCCESS,
        Ok(ServingStatus::NotServing | ServingStatus::Unknown | ServingStatus::ServiceUnknown) => {
            ExitCode::FAILURE
        }
        Err(error) => failed(&error),
    }
}

fn check(address: Uri) -> Result<ServingStatus, Box<dyn Error>> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let channel = Channel::builder(address).connect_timeout(TIMEOUT).timeout(TIMEOUT).connect().await?;
        let response = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        // Printing the whole status would print every header of the response.
        let response = response.map_err(|status| format!("{}: {}", status.code(), status.message()))?;
        let status = response.into_inner().status();
        writeln!(io::stdout(), "{}", status.as_str_name())?;
        Ok(status)
    })
}

//! `health`: asks a running service for its health.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{ArgMatches, Command};
use http::Uri;
use tokio::runtime::Builder;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{http_url, option, value};
use crate::error::error_chain;

/// A service that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn command() -> Command {
    let address = option("address", "URL", "URL of the admin port").value_parser(http_url);
    Command::new("health")
        .about("Exit with 0 if a running service is SERVING")
        .arg(address.default_value("http://127.0.0.1:9090"))
}

/// Prints the status. The exit status is 0 for SERVING, and 1 for anything else.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let address: Uri = value(matches, "address");
    match check(address.clone()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: no health from {address}: {}", error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Whether the service is serving.
fn check(address: Uri) -> Result<bool, Box<dyn Error>> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let channel = Channel::builder(address).connect_timeout(TIMEOUT).timeout(TIMEOUT).connect().await?;
        let response = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        // Printing the whole status would print every header of the response.
        let response = response.map_err(|status| format!("{}: {}", status.code(), status.message()))?;
        let status = response.into_inner().status();
        writeln!(io::stdout(), "{}", status.as_str_name())?;
        Ok(status == ServingStatus::Serving)
    })
}

//! A call without a response: no connection, a lost one, or a time-out.

use std::{error::Error, io, iter};

use http::Uri;
use tonic::{Code, ConnectError, TimeoutExpired};

use crate::error::error_chain;

pub(super) struct Lost {
    pub(super) code: Code,
    pub(super) message: String,
    /// Whether the service may have received the call.
    pub(super) was_sent: bool,
    /// Whether a retry cannot help.
    pub(super) is_permanent: bool,
}

pub(super) fn explain(code: Code, cause: &(dyn Error + 'static), address: &Uri) -> Lost {
    if contains::<TimeoutExpired>(cause) || code == Code::DeadlineExceeded {
        let message = late(address);
        return Lost { code: Code::DeadlineExceeded, message, was_sent: true, is_permanent: false };
    }
    let address = shown(address);
    let why = error_chain(cause);
    if contains::<rustls::Error>(cause) {
        let message = format!(
            "no TLS connection to {address}: {why}. Check --address, --ca-file, --cert-file and --key-file"
        );
        return Lost { code: Code::Unavailable, message, was_sent: false, is_permanent: true };
    }
    if contains::<ConnectError>(cause) {
        let message =
            format!("cannot connect to {address}: {why}. Check --address, and that the service runs");
        return Lost { code: Code::Unavailable, message, was_sent: false, is_permanent: false };
    }
    let mut message = format!("the connection to {address} was lost: {why}. Repeat the command");
    if address.starts_with("https:") {
        // With TLS 1.3 the refusal of a certificate follows after the connection.
        message += "; if the service requires another certificate, correct --cert-file and --key-file";
    }
    // As other clients of gRPC report it.
    Lost { code: Code::Unavailable, message, was_sent: true, is_permanent: false }
}

/// The message of a call without a response in time.
pub(super) fn late(address: &Uri) -> String {
    format!(
        "no response from {} in time. Repeat the command, with a longer --timeout if it is slow",
        shown(address)
    )
}

fn shown(address: &Uri) -> String {
    address.to_string().trim_end_matches('/').to_owned()
}

/// Whether a type of error is in the chain of causes.
fn contains<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source()).any(|error| {
        // The cause of an I/O error is that of the error within it.
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error.is::<E>() || within.is_some_and(|within| within.is::<E>())
    })
}

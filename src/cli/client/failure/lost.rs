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
        return late(address);
    }
    // The connection ended before the call, and there was no other one.
    if contains::<ConnectError>(cause) {
        return not_connected(cause, address);
    }
    let address = shown(address);
    let why = error_chain(cause);
    // With TLS 1.3 the refusal of a certificate follows after the connection. h2 keeps no more of it than its text.
    if why.contains("fatal alert: CertificateRequired") {
        let message =
            format!("{address} requires a certificate: {why}. Name yours with --cert-file and --key-file");
        return Lost { code: Code::Unavailable, message, was_sent: false, is_permanent: true };
    }
    let hint = if address.starts_with("https:") {
        "if the service requires another certificate, correct --cert-file and --key-file"
    } else {
        "if the service has TLS, start the address with https"
    };
    let message = format!("the connection to {address} was lost: {why}; {hint}");
    // As other clients of gRPC report it.
    Lost { code: Code::Unavailable, message, was_sent: true, is_permanent: false }
}

/// No connection.
pub(super) fn not_connected(cause: &(dyn Error + 'static), address: &Uri) -> Lost {
    let address = shown(address);
    let why = error_chain(cause);
    let is_permanent = contains::<rustls::Error>(cause);
    let message = if is_permanent {
        format!(
            "no TLS connection to {address}: {why}. Check --address, --ca-file, --cert-file and --key-file"
        )
    } else {
        format!("cannot connect to {address}: {why}. Check --address, and that the service runs")
    };
    Lost { code: Code::Unavailable, message, was_sent: false, is_permanent }
}

/// No response in time.
pub(super) fn late(address: &Uri) -> Lost {
    let message =
        format!("no response from {} in time; if it is slow, use a longer --timeout", shown(address));
    Lost { code: Code::DeadlineExceeded, message, was_sent: true, is_permanent: false }
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

//! The limits that HTTP/2 itself keeps on a connection.

use std::time::Duration;

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// More calls at once need more connections, which spread over replicas.
const MAX_CONCURRENT_STREAMS: u32 = 256;
/// What a call may have sent that is not read yet: about the largest message.
const STREAM_WINDOW: u32 = 65_535;
/// The same for all calls of a connection, which bounds its memory. h2 allows half of it for the overhead of small
/// unread frames, at 256 bytes each: two for each call.
const CONNECTION_WINDOW: u32 = 2 * 2 * 256 * MAX_CONCURRENT_STREAMS;
/// Stream errors that a peer may cause (hyper's own default).
const MAX_LOCAL_RESETS: usize = 1024;
/// Beyond it HTTP/2 refuses a call with the status 431, which no gRPC client can explain. The service's own limit is
/// well below.
const MAX_HEADER_LIST_SIZE: u32 = 64 * 1024;
/// Find peers that are gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn server() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .max_header_list_size(MAX_HEADER_LIST_SIZE)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

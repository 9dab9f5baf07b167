//! Logging.

use std::io;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{ParseError, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{LogConfig, LogFormat};

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output: for a service, whose output the log is.
    Stdout,
    /// Standard error: for a command that prints something else.
    Stderr,
}

/// Starts logging, once per process.
///
/// # Errors
/// When the filter does not parse.
pub fn start(config: &LogConfig, output: LogOutput) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let writer = move || -> Box<dyn io::Write> {
        match output {
            LogOutput::Stdout => Box::new(io::stdout()),
            LogOutput::Stderr => Box::new(io::stderr()),
        }
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match config.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(lines.with_filter(filter_fn(is_loggable))).init();
    log_panics();
    Ok(())
}

/// Below `info`, only this crate's own events are logged, whatever the filter says: HTTP libraries
/// print headers and bodies at `debug` and `trace`, and here those are credentials.
fn is_loggable(metadata: &Metadata<'_>) -> bool {
    let own = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
    own || *metadata.level() <= Level::INFO
}

/// Logs the place of a panic and not its message, which can hold the value that caused it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked: a bug in this service");
    }));
}

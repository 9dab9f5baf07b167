//! The log, and the export of traces.

mod export;
mod json;
pub(crate) mod propagation;
pub(crate) mod spans;
mod writer;

use std::{
    error::Error,
    fmt,
    io::{self, IsTerminal as _, Write},
    sync::OnceLock,
};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt as _, ParseError, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub(crate) use self::export::SPANS_LOST;
pub use self::export::{BatchConfig, Export, TracesConfig, TracesProtocol};
use self::{json::Json, writer::Writer};
use crate::version::{REVISION, VERSION};

#[derive(Clone, Debug)]
pub struct LogConfig {
    /// In the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    /// One object per line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde::Serialize::serialize(self, f)
    }
}

/// The target of audit lines.
pub(crate) const AUDIT: &str = "audit";
/// The filter directive that turns the audit trail off.
const NO_AUDIT: &str = "audit=off";

/// The writer of this process.
static WRITER: OnceLock<Writer> = OnceLock::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    Stdout,
    /// For a command that prints something else.
    Stderr,
}

/// Starts logging, once per process. Call [`finish`] before the process ends.
///
/// # Errors
/// When the filter is malformed, or the writing thread cannot be started.
pub fn start(config: &LogConfig, output: LogOutput) -> Result<(), Box<dyn Error>> {
    let (output, is_terminal): (Box<dyn Write + Send>, _) = match output {
        LogOutput::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
        LogOutput::Stderr => (Box::new(io::stderr()), io::stderr().is_terminal()),
    };
    let writer = Writer::start(output)?;
    subscriber(config, writer.clone(), is_terminal)?.init();
    let _ = WRITER.set(writer);
    hide_panics();
    tracing::info!(version = VERSION, revision = REVISION, "starting");
    Ok(())
}

/// Waits until the log is written, but not for ever.
pub fn finish() {
    if let Some(writer) = WRITER.get() {
        writer.flush();
    }
}

/// Turns events into lines.
pub(crate) fn subscriber(
    config: &LogConfig,
    writer: impl for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
    is_terminal: bool,
) -> Result<impl Subscriber + Send + Sync + 'static, ParseError> {
    // The level does not apply to the audit trail: only its own directive turns it off.
    let is_audited =
        !config.filter.split(',').any(|directive| directive.trim().eq_ignore_ascii_case(NO_AUDIT));
    let audit = filter_fn(|metadata| metadata.target() == AUDIT);
    let filter = EnvFilter::builder().parse(&config.filter)?.or(audit.with_max_level_hint(Level::INFO));
    let lines = match config.format {
        LogFormat::Text => {
            let mut lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
            if !is_terminal {
                // On a terminal NO_COLOR decides.
                lines.set_ansi(false);
            }
            lines.boxed()
        }
        LogFormat::Json => Json(writer).boxed(),
    };
    Ok(tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(filter_fn(move |metadata| is_loggable(metadata) && (is_audited || metadata.target() != AUDIT))))
}

/// Below `info` only this crate is logged, whatever the filter allows: HTTP libraries log headers and bodies at
/// `debug` and `trace`, and those hold credentials.
fn is_loggable(metadata: &Metadata<'_>) -> bool {
    let is_own = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
    is_own || *metadata.level() <= Level::INFO
}

/// Logs the place of a panic without its message, which can hold the value that caused it.
pub(crate) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked: a bug in this service");
    }));
}

#[cfg(test)]
pub(crate) mod testing {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
            let captured = self.clone();
            move || captured.clone()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::Captured, *};

    #[test]
    fn text_has_no_colours_outside_a_terminal() {
        let captured = Captured::default();
        let config = LogConfig { filter: "info".to_owned(), format: LogFormat::Text };
        let subscriber = subscriber(&config, captured.writer(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || tracing::info!(answer = 42, "a line"));
        let text = captured.text();
        assert!(text.contains("a line answer=42") && !text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn only_its_own_directive_turns_the_audit_trail_off() {
        for (filter, is_logged) in [
            ("warn", true),
            ("error", true),
            ("off", true),
            ("warn,auditor=off", true),
            ("aud=off", true),
            ("warn,audit=warn", true),
            ("info,audit::x=off", true),
            ("info,audit[call]=off", true),
            ("info,hubspot_connection_service::grpc::audit=off", true),
            ("audit=info", true),
            ("debug,audit=off", false),
            ("debug,audit=OFF", false),
            ("audit=off,info", false),
        ] {
            let captured = Captured::default();
            let config = LogConfig { filter: filter.to_owned(), format: LogFormat::Json };
            let subscriber = subscriber(&config, captured.writer(), false).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: "audit", "one event");
            });
            assert_eq!(captured.text().contains("one event"), is_logged, "{filter}");
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_without_its_message() {
        let captured = Captured::default();
        let config = LogConfig { filter: "trace".to_owned(), format: LogFormat::Json };
        let subscriber = subscriber(&config, captured.writer(), false).unwrap();
        let before = std::panic::take_hook();
        hide_panics();
        let panics = move || tracing::subscriber::with_default(subscriber, || panic!("canary"));
        let panicked = std::thread::spawn(panics).join();
        std::panic::set_hook(before);
        assert!(panicked.is_err());
        let text = captured.text();
        assert!(text.contains("telemetry.rs") && text.contains("panicked"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

//! `serve`: runs the service until a signal stops it.

use std::{ffi::OsString, io, process, process::ExitCode, sync::OnceLock};

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::{BAD_USAGE, failed, load};
use crate::{
    app::{ABORT_TIMEOUT, App, Drained},
    config::{Flags, Loaded},
    error::error_chain,
    hardening,
    telemetry::{self, Export, LogOutput, TracesConfig},
};

/// Runs the service. The exit status is 0 if every call finished in time, 64 for a bad configuration, and 1
/// otherwise.
pub(super) fn run(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> ExitCode {
    // Before any secret is read.
    let protected = hardening::protect_memory();
    telemetry::hide_panics();
    let Some(loaded) = load(environment, flags) else { return ExitCode::from(BAD_USAGE) };
    // Dropped after a panic as well.
    let _last_lines = LastLines;
    match serve(&loaded, protected) {
        Ok(Drained::Completely) => ExitCode::SUCCESS,
        Ok(Drained::TimedOut) => ExitCode::FAILURE,
        Err(error) => failed(&*error),
    }
}

fn serve(loaded: &Loaded, protected: io::Result<()>) -> Result<Drained, Box<dyn std::error::Error>> {
    let Loaded { config, warnings, .. } = loaded;
    telemetry::start(&config.log, LogOutput::Stdout)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = protected {
        tracing::warn!(%error, "cannot keep this process from leaving core dumps");
    }
    if let Err(error) = hardening::raise_file_limit() {
        tracing::warn!(%error, "cannot raise the number of open files: fewer connections are accepted");
    }
    let runtime = match config.worker_threads.get() {
        // With one thread, work stealing would only cost.
        1 => Builder::new_current_thread().enable_all().build()?,
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
    };
    let drained = runtime.block_on(async {
        let stop = StopSignals::listen()?;
        let export = config.traces.as_ref().and_then(export);
        let app = App::bind(config).await?;
        tracing::info!(grpc = %app.grpc_address()?, admin = %app.admin_address()?, "serving");
        let stopped_at = OnceLock::new();
        let stopped = async {
            stop.received().await;
            stopped_at.get_or_init(Instant::now);
        };
        let drained = app.run(stopped).await;
        if let Some(export) = export {
            let drain = config.drain.delay + config.drain.timeout;
            export.finish(*stopped_at.get_or_init(Instant::now) + drain).await;
        }
        Ok(drained)
    });
    // Gives tasks that end with the runtime the time to log; a name lookup still in progress must not delay the
    // end for longer.
    runtime.shutdown_timeout(ABORT_TIMEOUT);
    drained
}

/// Starts the export of traces. A failure is logged: the service works without traces.
fn export(config: &TracesConfig) -> Option<Export> {
    let started = Export::start(config).inspect_err(|error| {
        let collector = config.endpoint.as_str();
        tracing::warn!(collector, error = error_chain(&**error), "traces cannot be exported");
    });
    started.ok()
}

/// Flushes the log when it is dropped.
struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        telemetry::finish();
    }
}

/// SIGTERM, which Kubernetes sends, and SIGINT, which Ctrl-C sends.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Handles both signals from here on.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal. A second one ends the process at once.
    pub(super) async fn received(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped by a second signal: calls in progress are lost");
            telemetry::finish();
            process::exit(1);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

//! The programs that are compared, and how each of them is started.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    arguments::Arguments,
    bare,
    calls::Workload,
    certificates::Certificates,
    drive::{self, CallResult, Run},
    go,
    process::{Core, Process},
    target::Target,
    upstream::Upstream,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Service,
    Bare,
    Go,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Bare => "bare",
            Self::Go => "go",
        })
    }
}

/// The programs and their environment.
pub(crate) struct Bench {
    pub(crate) arguments: Arguments,
    /// This program, which also runs as bare and as direct.
    pub(crate) own: PathBuf,
    go: Result<PathBuf, String>,
    pub(crate) certificates: Certificates,
    pub(crate) directory: PathBuf,
}

/// How a server is run.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) mutual_tls: bool,
    /// Settings of the service.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

impl<'a> Setup<'a> {
    pub(crate) fn plain(upstream: &'a Upstream) -> Self {
        Self { upstream, mutual_tls: false, settings: &[] }
    }
}

/// A server, and the connections to it.
pub(crate) struct Server {
    pub(crate) contender: Contender,
    pub(crate) process: Process,
    pub(crate) target: Target,
}

/// Enough connections that none of them is the limit.
pub(crate) const CONNECTIONS: usize = 8;

impl Bench {
    pub(crate) fn new(arguments: Arguments) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../bench");
        let go = if !arguments.go {
            Err("not requested".to_owned())
        } else if arguments.quick {
            Err("skipped in a quick run".to_owned())
        } else {
            go::build(&directory.join("go"))
        };
        Self {
            arguments,
            own: std::env::current_exe().unwrap(),
            go,
            certificates: Certificates::create(directory.join("certificates")),
            directory,
        }
    }

    pub(crate) fn go_is_absent(&self) -> Option<&str> {
        self.go.as_ref().err().map(String::as_str)
    }

    /// Those of these that are available.
    pub(crate) fn present(&self, contenders: &[Contender]) -> Vec<Contender> {
        let is_there = |contender: &&Contender| **contender != Contender::Go || self.go.is_ok();
        contenders.iter().filter(is_there).copied().collect()
    }

    pub(crate) async fn upstream(&self, delay_ms: u64) -> Upstream {
        Upstream::start(Duration::from_millis(delay_ms)).await
    }

    /// Starts the process without connecting to it.
    pub(crate) async fn process(&self, contender: Contender, setup: Setup<'_>) -> Process {
        let url = format!("http://{}/data/foundation/flowservice", setup.upstream.address);
        match contender {
            Contender::Service => {
                let environment = self.settings(&url, setup);
                Process::start(&self.arguments.service, &["serve"], &environment, Core::Measured).await
            }
            Contender::Bare => {
                let environment = self.environment(url, setup);
                Process::start(&self.own, &["bare"], &environment, Core::Measured).await
            }
            Contender::Go => {
                let environment = self.environment(url, setup);
                Process::start(self.go.as_ref().unwrap(), &[], &environment, Core::Measured).await
            }
        }
    }

    /// The service as it runs by default: with its log, its metrics and its store in memory. Two settings
    /// differ. It accepts more concurrent calls, because calls pile up while the machine pauses and bare
    /// has no limit. It never searches first, like a store that has run for long, and it forgets ids soon
    /// that it would keep for a day, because the store holds 100,000 of them: as soon as `check-config` allows.
    fn settings(&self, url: &str, setup: Setup<'_>) -> Vec<(String, String)> {
        let [ttl, create, settle, request] = if setup.upstream.delay.is_zero() {
            ["6500ms", "500ms", "100ms", "900ms"]
        } else {
            ["10s", "2s", "500ms", "2500ms"]
        };
        let mut settings = vec![
            ("HCS_LISTEN", "127.0.0.1:0"),
            ("HCS_ADMIN_LISTEN", "127.0.0.1:0"),
            ("HCS_FLOW_SERVICE_URL", url),
            ("HCS_ORG_ID", "1234@AdobeOrg"),
            ("HCS_CLIENT_ID", "bench"),
            ("HCS_ACCESS_TOKEN", "bench"),
            ("HCS_MAX_IN_FLIGHT", "100000"),
            ("HCS_SEARCH_FIRST", "never"),
            ("HCS_REQUEST_ID_TTL", ttl),
            ("HCS_CREATE_TIMEOUT", create),
            ("HCS_SETTLE_WINDOW", settle),
            ("HCS_REQUEST_TIMEOUT", request),
        ];
        settings.retain(|(name, _)| setup.settings.iter().all(|(other, _)| other != name));
        settings.extend(setup.settings);
        let mut settings: Vec<_> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if setup.mutual_tls {
            for (name, file) in [
                ("HCS_TLS_CERT_FILE", "server.pem"),
                ("HCS_TLS_KEY_FILE", "server-key.pem"),
                ("HCS_TLS_CLIENT_CA_FILE", "ca.pem"),
            ] {
                let path = self.certificates.directory().join(file);
                settings.push((name.to_owned(), path.display().to_string()));
            }
        }
        settings
    }

    fn environment(&self, url: String, setup: Setup<'_>) -> Vec<(String, String)> {
        let mut environment = vec![(bare::UPSTREAM.to_owned(), url)];
        if setup.mutual_tls {
            let directory = self.certificates.directory().display().to_string();
            environment.push((bare::TLS.to_owned(), directory));
        }
        environment
    }

    /// Starts a server and connects to it.
    pub(crate) async fn server(&self, contender: Contender, setup: Setup<'_>, workload: Workload) -> Server {
        let process = self.process(contender, setup).await;
        let target = self.connect(&process, setup, CONNECTIONS, workload).await;
        Server { contender, process, target }
    }

    pub(crate) async fn connect(
        &self,
        process: &Process,
        setup: Setup<'_>,
        connections: usize,
        workload: Workload,
    ) -> Target {
        let tls = setup.mutual_tls.then_some(&self.certificates);
        Target::connect(process.address, tls, connections, workload).await.unwrap()
    }

    /// Starts a server for each available contender, and warms it up.
    pub(crate) async fn servers(
        &self,
        contenders: &[Contender],
        setup: Setup<'_>,
        workload: Workload,
    ) -> Vec<Server> {
        let mut servers = Vec::new();
        for contender in self.present(contenders) {
            let server = self.server(contender, setup, workload).await;
            self.warm_up(&server.target).await;
            servers.push(server);
        }
        servers
    }

    pub(crate) async fn warm_up(&self, target: &Target) {
        let target = target.clone();
        let in_flight = IN_FLIGHT.try_into().unwrap();
        assert_all_good(&drive::closed(in_flight, self.arguments.time(0.5), move || target.call()).await);
    }
}

/// Concurrent calls where throughput is measured.
pub(crate) const IN_FLIGHT: usize = 64;

/// A failed call costs something else than a successful one.
pub(crate) fn assert_all_good(run: &Run) {
    let (calls, good) = (run.calls(), run.count(CallResult::Ok));
    assert!(calls > 0 && good == calls, "{} of {calls} calls failed", calls - good);
}

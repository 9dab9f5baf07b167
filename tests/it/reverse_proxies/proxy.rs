//! nginx and HAProxy with the configurations that `deploy/proxies` has.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Duration, interval},
};

use crate::{
    optional::skip,
    rolling::replica::Ports,
    support::{Mount, certificates::Pair, in_time},
};

const NGINX: &str = include_str!("../../../deploy/proxies/nginx.conf");
const HAPROXY: &str = include_str!("../../../deploy/proxies/haproxy.cfg");
/// What an operator replaces in them.
const SERVICE: &str = "hubspot-connection-service.hubspot.svc.cluster.local";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
}

impl Kind {
    /// Both; none, after a message, if one is missing and not required.
    pub(crate) fn installed() -> Vec<Self> {
        let kinds = vec![Self::Nginx, Self::HaProxy];
        let missing: Vec<_> = kinds.iter().filter(|kind| kind.program().is_none()).collect();
        if missing.is_empty() {
            return kinds;
        }
        let cause = format!("these are missing, which tests/tools/install.sh installs: {missing:?}");
        skip("HCS_TEST_TOOLS", "the tests with reverse proxies", &cause);
        Vec::new()
    }

    fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
        };
        let path = env::var_os("PATH").unwrap_or_default();
        // The path of users other than root need not have this directory.
        let directories = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        directories.map(|directory| directory.join(name)).find(|file| file.exists())
    }

    /// The configuration in the repository.
    pub(crate) fn documented(self) -> Config {
        let text = match self {
            Self::Nginx => NGINX,
            Self::HaProxy => HAPROXY,
        };
        Config { kind: self, text: text.to_owned() }
    }
}

/// A configuration of `deploy/proxies`, with changes.
#[derive(Clone)]
pub(crate) struct Config {
    kind: Kind,
    text: String,
}

impl Config {
    /// Replaces a text that exists.
    #[must_use]
    pub(crate) fn replace(self, from: &str, to: &str) -> Self {
        assert!(self.text.contains(from), "{:?} has no {from:?}", self.kind);
        Self { text: self.text.replace(from, to), ..self }
    }

    /// Removes the lines that begin with this directive.
    #[must_use]
    pub(crate) fn without(self, directive: &str) -> Self {
        let is_other = |line: &&str| !line.trim_start().starts_with(directive);
        let text: Vec<_> = self.text.lines().filter(is_other).collect();
        assert!(text.len() < self.text.lines().count(), "{:?} has no {directive}", self.kind);
        Self { text: text.join("\n") + "\n", ..self }
    }

    /// Removes TLS on both sides.
    fn plaintext(self) -> Self {
        match self.kind {
            Kind::Nginx => self
                .replace("443 ssl http2", "443 http2")
                .replace("grpcs://", "grpc://")
                .without("ssl_")
                .without("grpc_ssl_"),
            Kind::HaProxy => {
                let lines = self.text.lines().map(|line| match line.split_once(" ssl ") {
                    Some((before, _)) => format!("{before} proto h2"),
                    None => line.to_owned(),
                });
                let text: Vec<_> = lines.collect();
                Self { text: text.join("\n") + "\n", ..self }
            }
        }
    }

    /// Puts these servers in the place of the service.
    fn before(self, servers: &[SocketAddr]) -> Self {
        let service = format!("{SERVICE}:50051");
        let line = self.text.lines().find(|line| line.contains(&service)).unwrap().to_owned();
        let numbered = |(number, server): (usize, &SocketAddr)| {
            let line = line.replace(&service, &server.to_string());
            // HAProxy's servers have names.
            line.replace("server service ", &format!("server service-{number} "))
        };
        let lines: Vec<_> = servers.iter().enumerate().map(numbered).collect();
        self.replace(&line, &lines.join("\n"))
    }

    /// Starts the proxy without TLS on either side.
    pub(crate) async fn start(self, servers: &[SocketAddr]) -> Proxy {
        self.plaintext().run(servers, &[]).await
    }

    /// Starts the proxy with its own certificates and those that it trusts.
    pub(crate) async fn start_with_tls(self, servers: &[SocketAddr], tls: &Tls) -> Proxy {
        let Tls { callers, service, authority } = tls;
        let (kind, combined) = (self.kind, |pair: &Pair| format!("{}{}", pair.certificate_pem, pair.key_pem));
        let [of_callers, of_service] = [combined(callers), combined(service)];
        let files: &[_] = match kind {
            Kind::Nginx => &[
                ("callers/tls.crt", &*callers.certificate_pem),
                ("callers/tls.key", &*callers.key_pem),
                ("service/tls.crt", &*service.certificate_pem),
                ("service/tls.key", &*service.key_pem),
                ("service/ca.crt", &**authority),
            ],
            Kind::HaProxy => &[
                ("callers/tls.pem", &*of_callers),
                ("service/tls.pem", &*of_service),
                ("service/ca.crt", &**authority),
            ],
        };
        self.run(servers, files).await
    }

    async fn run(self, servers: &[SocketAddr], certificates: &[(&str, &str)]) -> Proxy {
        let (kind, held) = (self.kind, Ports::hold());
        let address = held.grpc;
        let (listens, folder) = match kind {
            Kind::Nginx => ("listen 443 ", "/etc/nginx/"),
            Kind::HaProxy => ("bind :443 ", "/etc/haproxy/"),
        };
        let own = listens.replace(":443", "443").replace("443", &address.to_string());
        let mut config = self.before(servers).replace(listens, &own);
        // What remains is the name in the certificate of the service.
        config.text = config.text.replace(SERVICE, "localhost");
        let flat = |file: &str| file.replace('/', "-");
        let mut files: Vec<_> = certificates.iter().map(|(file, pem)| (flat(file), *pem)).collect();
        files.push(("proxy".to_owned(), ""));
        let mount = |files: &[(String, &str)]| {
            Mount::new(&files.iter().map(|(file, text)| (&**file, *text)).collect::<Vec<_>>())
        };
        let directory = mount(&files);
        for (file, _) in certificates {
            config = config.replace(&format!("{folder}{file}"), &directory.path(&flat(file)));
        }
        let text = match kind {
            Kind::Nginx => whole(&directory, &config.text),
            Kind::HaProxy => config.text,
        };
        let (file, log) = (directory.path("proxy"), directory.path("log"));
        fs::write(&file, text).unwrap();
        let mut command = Command::new(kind.program().unwrap());
        match kind {
            Kind::Nginx => command.args(["-e", "stderr", "-c", &file]),
            Kind::HaProxy => command.args(["-db", "-f", &file]),
        };
        let printed = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
        let process = command.kill_on_drop(true).spawn().unwrap();
        let mut proxy = Proxy { address, process, log: log.into(), _directory: directory, _held: held };
        proxy.listens().await;
        proxy
    }
}

/// A complete configuration of nginx, in one process that writes only to this directory.
fn whole(directory: &Mount, block: &str) -> String {
    let temporary = ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"].map(|of| {
        let path = directory.path(&format!("temporary-{of}"));
        format!("{of}_temp_path {path};\n")
    });
    format!(
        "daemon off;\nmaster_process off;\npid {};\nevents {{}}\nhttp {{\naccess_log off;\n{}{block}}}\n",
        directory.path("pid"),
        temporary.concat(),
    )
}

/// The certificates of a proxy.
pub(crate) struct Tls {
    /// What it presents to callers.
    pub(crate) callers: Pair,
    /// What it presents to the service.
    pub(crate) service: Pair,
    /// The authority of the service's certificate, in PEM.
    pub(crate) authority: String,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    process: Child,
    log: PathBuf,
    _directory: Mount,
    _held: Ports,
}

impl Proxy {
    /// Waits until the proxy accepts connections.
    async fn listens(&mut self) {
        let mut ticks = interval(Duration::from_millis(10));
        in_time("the proxy", async {
            while TcpStream::connect(self.address).await.is_err() {
                let ended = self.process.try_wait().unwrap();
                assert!(ended.is_none(), "{}", self.printed());
                ticks.tick().await;
            }
        })
        .await;
    }

    /// What it has reported.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(Path::new(&self.log)).unwrap()
    }
}

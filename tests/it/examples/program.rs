//! The programs, and how `proto/README.md` runs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, Command};

use crate::optional::skip;

/// A language: its heading in `proto/README.md`, and its directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Language {
    pub(super) heading: &'static str,
    directory: &'static str,
}

pub(super) const LANGUAGES: [Language; 5] = [
    Language { heading: "Go", directory: "go" },
    Language { heading: "Java", directory: "java" },
    Language { heading: "Python", directory: "python" },
    Language { heading: "Rust", directory: "rust" },
    Language { heading: "TypeScript", directory: "typescript" },
];

/// Longer than any example takes, with a lease and the retries of a library.
const PATIENCE: Duration = Duration::from_secs(90);
const ADDRESS: &str = "localhost:50051";

/// A built example.
pub(super) struct Program {
    heading: &'static str,
    pub(super) directory: PathBuf,
    /// With the address of the documentation.
    command: String,
}

/// What it has done.
pub(super) struct Ran {
    pub(super) program: &'static str,
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Program {
    /// `None`, after a message, if it was not built and is not required.
    pub(super) fn of(language: &Language) -> Option<Self> {
        let Language { heading, directory } = language;
        if *heading == "Rust" {
            // Built with this crate's dependencies: see `manifest.rs`.
            let binary = Path::new(env!("CARGO_BIN_EXE_hubspot-connection-service"));
            let binary = binary.with_file_name("examples").join("hubspot-client");
            if !binary.exists() {
                let cause = "`cargo build --example hubspot-client` did not run";
                skip("HCS_TEST_TOOLS", "the test of the example in Rust", cause);
                return None;
            }
            let command = format!("{} {ADDRESS}", binary.display());
            return Some(Self { heading, directory: root().to_owned(), command });
        }
        let folder = root().join("target/test-tools/examples").join(directory);
        if !folder.join("installed").exists() {
            let cause = "tests/tools/install.sh, which builds them, has not run";
            skip("HCS_TEST_TOOLS", "the tests of the example clients", cause);
            return None;
        }
        let command = last_command(heading);
        assert!(command.ends_with(&format!(" {ADDRESS}")), "{command}");
        Some(Self { heading, directory: folder.join("client"), command })
    }

    pub(super) fn start(&self, address: &str, variables: &[(&str, &str)]) -> Running {
        let command = self.command.replace(ADDRESS, address);
        Running { program: self.heading, child: shell(&self.directory, &command, variables) }
    }

    /// Runs another command in its folder.
    pub(super) fn run(&self, command: &str, variables: &[(&str, &str)]) -> Running {
        Running { program: self.heading, child: shell(&self.directory, command, variables) }
    }
}

/// The command that runs a program: the last line of the commands below its heading.
fn last_command(heading: &str) -> String {
    let page = fs::read_to_string(root().join("proto/README.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, block) = section.split_once("\n```sh\n").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    block.lines().last().unwrap().to_owned()
}

fn shell(directory: &Path, command: &str, variables: &[(&str, &str)]) -> Child {
    // tests/tools/install.sh installs Go there if it is missing.
    let own = root().join("target/test-tools/go/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .current_dir(directory)
        .env("PATH", format!("{path}:{}", own.display()))
        // The service is not behind a proxy. Some libraries read only one of these.
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "localhost,127.0.0.1")))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A program that is running; it is killed when this is dropped.
pub(super) struct Running {
    program: &'static str,
    child: Child,
}

impl Running {
    pub(super) async fn ran(self) -> Ran {
        let Self { program, child } = self;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("the example in {program} does not end")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Ran { program, success: output.status.success(), stdout, stderr }
    }
}

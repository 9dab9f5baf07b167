//! The tools that render and check manifests, and check metrics.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::optional::skip;

/// Their directory.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools")
}

/// Whether they are installed; prints a message if they are not and need not be.
pub(super) fn are_installed() -> bool {
    let installed = ["render", "manifests/installed", "crds/installed", "promtool"]
        .iter()
        .all(|file| directory().join(file).exists());
    if !installed {
        skip("HCS_TEST_TOOLS", "the tests of manifests", "the tools of tests/tools/install.sh are missing");
    }
    installed
}

pub(super) fn render(kustomization: &Path) -> String {
    let output = Command::new(directory().join("render")).arg(kustomization).output().unwrap();
    assert!(output.status.success(), "{}: {}", kustomization.display(), text(&output.stderr));
    // A warning about something deprecated counts as well.
    assert_eq!(text(&output.stderr), "", "{}", kustomization.display());
    text(&output.stdout)
}

/// Runs a program of the virtual environment.
pub(super) fn run(program: &str, arguments: &[&str]) -> Output {
    let program = directory().join("manifests/bin").join(program);
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a script of `tests/tools` with this stdin, and returns its output.
pub(super) fn script(name: &str, stdin: &str) -> String {
    let output = python(name, &[], stdin);
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Validates the custom resources of manifests with the definitions of their projects. Returns their kinds and names,
/// or an error.
pub(super) fn custom_resources(manifests: &str) -> Result<Vec<String>, String> {
    let output = python("custom_resources.py", &[&directory().join("crds")], manifests);
    let validated = text(&output.stdout).lines().map(str::to_owned).collect();
    if output.status.success() { Ok(validated) } else { Err(text(&output.stderr)) }
}

fn python(script: &str, arguments: &[&Path], stdin: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(script);
    fed(Command::new(directory().join("manifests/bin/python")).arg(script).args(arguments), stdin)
}

/// Runs promtool, which must report nothing.
pub(super) fn promtool(arguments: &[&str], stdin: &str) {
    let output = fed(Command::new(directory().join("promtool")).args(arguments), stdin);
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && printed.is_empty(), "{printed}");
}

fn fed(command: &mut Command, stdin: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // Each script reads all input before it writes.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! The tools that render and check manifests.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Once,
};

/// Where they are installed.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools")
}

/// Whether they are there; where they are not and must not be, a word about it.
pub(super) fn are_installed() -> bool {
    let installed = ["render", "manifests/installed"].iter().all(|file| directory().join(file).exists());
    if !installed {
        assert!(
            env::var_os("HCS_TEST_TOOLS").is_none_or(|value| value != "required"),
            "HCS_TEST_TOOLS=required, and what tests/tools/install.sh installs is not there"
        );
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            // Past the capture of the test harness, which hides what passing tests print.
            let _ = writeln!(io::stderr(), "SKIPPED: the tests of manifests; their tools are not installed");
        });
    }
    installed
}

/// Renders a kustomization.
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

/// Runs a script of `tests/tools` with this on stdin; its output comes back.
pub(super) fn script(name: &str, stdin: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name);
    let mut child = Command::new(directory().join("manifests/bin/python"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Each script reads everything before it writes anything.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

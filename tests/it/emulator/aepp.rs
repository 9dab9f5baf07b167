//! A client that is not ours: aepp, which others use with Adobe Experience Platform.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use hubspot_connection_service::emulator::Ledger;
use tokio::process::Command;

use super::Caller;
use crate::optional::skip;

/// The interpreter for which `tests/run.sh` installs aepp. `None`, after a message, if it is missing and not required.
fn python() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/aepp");
    if directory.join("installed").exists() {
        return Some(directory.join("bin/python"));
    }
    let cause = format!("there is no {}, which tests/run.sh installs", directory.display());
    skip("HCS_TEST_TOOLS", "the test with aepp", &cause);
    None
}

#[tokio::test]
async fn another_client_builds_a_dataflow_and_takes_it_down_again() {
    let Some(python) = python() else { return };
    let caller = Caller::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aepp/dataflow.py");
    let output = Command::new(python)
        .arg(script)
        .arg(format!("http://{}", caller.emulator.addr()))
        // No proxy of the environment, and no configuration of matplotlib in the home directory.
        .env_clear()
        .env("MPLCONFIGDIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&printed));
    // Had it not been installed with all it imports, it could have ended before its first request.
    assert!(caller.emulator.received().len() > 20);
    assert_eq!(caller.emulator.ledger(), Ledger::default());
}

//! The contract tests of `proto/contract-tests.md`, with the commands of that page.

use std::fs;

use hubspot_connection_service::emulator::Options;

use super::program::{LANGUAGES, Program};
use crate::support::{ServiceProcess, start_emulator};

/// The commands of the page: the language, and what runs its tests.
const COMMANDS: [(&str, &str); 2] =
    [("Python", ".venv/bin/python -m unittest test_contract.py"), ("Go", "go test -count=1 .")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_tests_pass_with_each_fault() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/contract-tests.md")).unwrap();
    for (heading, command) in COMMANDS {
        assert!(page.contains(&format!("\n{command}\n")), "{command}");
        let language = LANGUAGES.iter().find(|language| language.heading == heading).unwrap();
        let Some(program) = Program::of(language) else { continue };
        let emulator = start_emulator(Options::default()).await;
        let platform = format!("http://{}", emulator.addr());
        let service = ServiceProcess::start(&emulator, &[("HCS_PLATFORM_URL", &*platform)]).await;
        let variables = [("SERVICE", &*service.grpc.to_string()), ("EMULATOR", &*platform)];
        let ran = program.run(command, &variables).ran().await;
        assert!(ran.success, "{heading}:\n{}\n{}", ran.stdout, ran.stderr);
        // Had no test run, it would have succeeded as well.
        assert!(ran.stdout.contains("ok") || ran.stderr.contains("Ran 4 tests"), "{}", ran.stderr);
    }
}

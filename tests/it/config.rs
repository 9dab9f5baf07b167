//! The configuration, as `check-config` of the real binary reports it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hubspot_connection_service::{
    config::SETTINGS,
    secret::{Secret, SecretError},
};
use secrecy::ExposeSecret as _;

const GOOD: [(&str, &str); 2] = [("HCS_ORG_ID", "1234@AdobeOrg"), ("HCS_CLIENT_ID", "client")];

#[test]
fn a_good_configuration_is_printed_without_its_secrets() {
    let outcome = check_config(
        &[("HCS_CLIENT_SECRET", "canary-1"), ("HCS_UPSTREAM_PROXY", "http://me:canary-2@proxy:3128")],
        &["--drain-delay=7s", "--reflection", "false"],
    );
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    for line in [
        "HCS_LISTEN = 127.0.0.1:50051 (default)",
        "HCS_ORG_ID = 1234@AdobeOrg",
        "HCS_CLIENT_SECRET = [redacted]",
        "HCS_ACCESS_TOKEN = unset (default)",
        "HCS_UPSTREAM_PROXY = http://[redacted]@proxy:3128",
        "HCS_REFLECTION = false (from --reflection)",
        "HCS_DRAIN_DELAY = 7s (from --drain-delay)",
        "HCS_LOG_FORMAT = json (default)",
    ] {
        assert!(outcome.stdout.lines().any(|printed| printed == line), "no {line:?} in {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("canary"), "{}", outcome.stdout);
}

#[test]
fn five_mistakes_are_listed_together() {
    let outcome = check_config(
        &[
            ("HCS_CLIENT_SECRET", "canary"),
            ("HCS_ACCESS_TOKEN", "canary"),
            ("HCS_ORGID", "1234@AdobeOrg"),
            ("HCS_LISTEN", "0.0.0.0:50051"),
            ("HCS_CREATE_TIMEOUT", "65"),
        ],
        &["--upstream-http=h3"],
    );
    assert_eq!((outcome.status, outcome.stdout.as_str()), (64, ""));
    let mut lines = outcome.stderr.lines();
    assert_eq!(lines.next(), Some("error: 5 problems in the configuration:"));
    let problems: Vec<_> = lines.collect();
    assert_eq!(problems.len(), 5, "{problems:#?}");
    for problem in [
        "  HCS_LISTEN: an address beyond loopback needs TLS",
        "  HCS_CLIENT_SECRET: set together with HCS_ACCESS_TOKEN",
        "  HCS_CREATE_TIMEOUT: the unit is missing",
        "  HCS_UPSTREAM_HTTP (given as --upstream-http): must be http1 or http2",
        "  HCS_ORGID: unknown variable; did you mean HCS_ORG_ID?",
    ] {
        assert!(problems.iter().any(|line| line.starts_with(problem)), "no {problem:?} in {problems:#?}");
    }
    assert!(!outcome.stderr.contains("canary"), "{}", outcome.stderr);
}

#[test]
fn urls_of_adobe_without_their_path_or_with_more_are_refused_with_the_fix() {
    let secret = ("HCS_CLIENT_SECRET", "canary");
    for (name, url, fix) in [
        ("HCS_FLOW_SERVICE_URL", "https://platform.adobe.io", "add /data/foundation/flowservice"),
        ("HCS_FLOW_SERVICE_URL", "https://platform.adobe.io/data/foundation", "/data/foundation/flowservice"),
        (
            "HCS_FLOW_SERVICE_URL",
            "https://platform.adobe.io/data/foundation/flowservice/connections",
            "delete what follows",
        ),
        ("HCS_IMS_URL", "https://ims-na1.adobelogin.com/", "add /ims/token/v3"),
        ("HCS_IMS_URL", "https://ims-na1.adobelogin.com/ims/token/v3/x", "delete what follows"),
    ] {
        let outcome = check_config(&[secret, (name, url)], &[]);
        assert_eq!(outcome.status, 64, "{url}");
        let problem = outcome.stderr.lines().nth(1).unwrap();
        assert!(problem.starts_with(&format!("  {name}: ")) && problem.contains(fix), "{problem}");
    }
    let prefixed = [
        secret,
        ("HCS_FLOW_SERVICE_URL", "https://proxy.example.com/adobe/data/foundation/flowservice/"),
        ("HCS_IMS_URL", "http://127.0.0.1:8080/ims/token/v3"),
    ];
    let outcome = check_config(&prefixed, &[]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
}

#[test]
fn a_secret_can_come_from_a_file() {
    let path = file("good-secret", b"canary\n");
    let outcome = check_config(&[("HCS_CLIENT_SECRET_FILE", path.to_str().unwrap())], &[]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    let line = format!("HCS_CLIENT_SECRET = [redacted] (from {}, by HCS_CLIENT_SECRET_FILE)", path.display());
    assert!(outcome.stdout.contains(&line), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("canary"));
}

#[test]
fn a_file_that_holds_no_secret_is_refused() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    for (path, reason) in [
        (file("blank-secret", b" \n"), "is empty"),
        (file("empty-secret", b""), "is empty"),
        (file("binary-secret", &[b'c', 0xff]), "visible ASCII"),
        (file("two-secrets", b"one\ntwo"), "visible ASCII"),
        (file("large-secret", &[b'c'; (64 << 10) + 1]), "larger than 64 KiB"),
        (Path::new(directory).join("no-such-file"), "must exist"),
        (PathBuf::from(directory), "not a regular file"),
        (named_pipe("pipe-for-a-secret"), "not a regular file"),
        (PathBuf::from("/dev/zero"), "not a regular file"),
    ] {
        let outcome = check_config(&[("HCS_CLIENT_SECRET_FILE", path.to_str().unwrap())], &[]);
        assert_eq!(outcome.status, 64, "{}", path.display());
        let problem = outcome.stderr.lines().nth(1).unwrap();
        assert!(problem.starts_with("  HCS_CLIENT_SECRET_FILE: "), "{problem}");
        assert!(problem.contains(reason), "{problem} does not contain {reason:?}");
    }
}

/// As editors and shells of Windows write files.
#[test]
fn a_byte_order_mark_and_the_ends_of_lines_are_no_part_of_a_secret() {
    for (name, content) in [
        ("secret-with-a-mark", &b"\xef\xbb\xbfcanary"[..]),
        ("secret-with-a-line", b"canary\r\n"),
        ("secret-with-both", b"\xef\xbb\xbfcanary\r\n"),
    ] {
        let path = file(name, content);
        assert_eq!(Secret::File(path.clone()).read().unwrap().expose_secret(), "canary", "{name}");
        let outcome = check_config(&[("HCS_CLIENT_SECRET_FILE", path.to_str().unwrap())], &[]);
        assert_eq!(outcome.status, 0, "{name}: {}", outcome.stderr);
    }
    let wide = file("secret-in-utf-16", b"\xff\xfec\0a\0n\0a\0r\0y\0");
    let outcome = check_config(&[("HCS_CLIENT_SECRET_FILE", wide.to_str().unwrap())], &[]);
    assert_eq!(outcome.status, 64);
    assert!(outcome.stderr.contains("save it as UTF-8"), "{}", outcome.stderr);
}

#[test]
fn a_file_that_holds_a_placeholder_holds_no_secret() {
    let path = file("placeholder-secret", b"$(CANARY)\n");
    let outcome = check_config(&[("HCS_CLIENT_SECRET_FILE", path.to_str().unwrap())], &[]);
    assert_eq!(outcome.status, 64);
    assert!(
        outcome.stderr.contains("HCS_CLIENT_SECRET_FILE: holds an unexpanded $(NAME)"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_file_that_can_hold_no_certificates_is_refused_and_not_waited_for() {
    let large = file("large-ca.pem", b"");
    fs::File::options().write(true).open(&large).unwrap().set_len((1 << 20) + 1).unwrap();
    for (path, reason) in [
        (large, "larger than 1 MiB"),
        (named_pipe("pipe-for-certificates"), "not a regular file"),
        (PathBuf::from("/dev/zero"), "not a regular file"),
    ] {
        let path = path.to_str().unwrap();
        let outcome = check_config(&[("HCS_CLIENT_SECRET", "canary"), ("HCS_UPSTREAM_CA_FILE", path)], &[]);
        assert_eq!(outcome.status, 64, "{path}");
        let problem = outcome.stderr.lines().nth(1).unwrap();
        assert!(problem.starts_with("  HCS_UPSTREAM_CA_FILE: ") && problem.contains(reason), "{problem}");
    }
}

#[test]
fn a_secret_set_instead_of_its_path_is_not_printed() {
    let outcome = check_config(&[("HCS_CLIENT_SECRET_FILE", "canary")], &[]);
    assert_eq!(outcome.status, 64);
    assert!(!outcome.stderr.contains("canary"), "{}", outcome.stderr);
}

#[test]
fn a_secret_file_is_read_again_each_time() {
    let path = file("rotated-secret", b"first");
    let secret = Secret::File(path.clone());
    assert_eq!(secret.read().unwrap().expose_secret(), "first");
    fs::write(&path, "second\n").unwrap();
    assert_eq!(secret.read().unwrap().expose_secret(), "second");
    fs::remove_file(&path).unwrap();
    assert!(matches!(secret.read(), Err(SecretError::Unreadable(_))));
}

#[test]
fn a_secret_on_the_command_line_is_explained_on_stderr_and_not_printed() {
    for arguments in [
        &["--client-secret=canary"][..],
        &["serve", "--client-secret", "canary"],
        &["check-config", "HCS_REDIS_URL=redis://:canary@redis"],
    ] {
        let outcome = run(&[], arguments);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (64, ""), "{arguments:?}");
        assert!(
            outcome.stderr.starts_with("error: a secret is not given as an argument"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.ends_with('\n'), "{:?}", outcome.stderr);
        assert!(!outcome.stderr.contains("canary"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("--client-id"), "{}", outcome.stderr);
    }
}

#[test]
fn a_service_link_of_kubernetes_is_explained() {
    let links = [("HCS_CLIENT_SECRET", "canary"), ("HCS_PORT", "tcp://10.0.0.1:50051")];
    let outcome = check_config(&links, &[]);
    assert_eq!(outcome.status, 64);
    let problem = outcome.stderr.lines().nth(1).unwrap();
    assert!(problem.starts_with("  HCS_PORT: no setting: Kubernetes adds it"), "{problem}");
    assert!(problem.contains("enableServiceLinks: false"), "{problem}");
}

#[test]
fn a_bad_command_line_exits_with_64_and_help_with_0() {
    for (arguments, status) in
        [(["--no-such-flag"], 64), (["no-such-command"], 64), (["--help"], 0), (["--version"], 0)]
    {
        assert_eq!(run(&[], &arguments).status, status, "{arguments:?}");
    }
}

/// Messages name settings in words of their own.
#[test]
fn every_setting_that_the_code_names_exists() {
    let mut unknown = Vec::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        for (start, _) in code.match_indices("HCS_") {
            let is_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let name: String = code[start..].chars().take_while(|c| is_of_name(*c)).collect();
            let is_known = SETTINGS.iter().any(|setting| {
                setting.name == name || setting.file_variable().is_some_and(|file| file == name)
            });
            // Beginnings of names, and examples of variables that are none.
            let is_other = name.ends_with('_')
                || ["HCS_CLIENT_ADDRESS", "HCS_NAME", "HCS_X", "HCS_PORT_50051_TCP_ADDR"].contains(&&*name);
            if !is_known && !is_other {
                unknown.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// The files of a folder, without those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code = entries.filter(|path| path.file_stem().is_some_and(|stem| stem != "tests"));
    code.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

struct Outcome {
    status: i32,
    stdout: String,
    stderr: String,
}

/// Runs `check-config` with valid variables and these.
fn check_config(variables: &[(&str, &str)], flags: &[&str]) -> Outcome {
    run(&[&GOOD, variables].concat(), &[&["check-config"], flags].concat())
}

fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_hubspot-connection-service"))
        .env_clear()
        .envs(variables.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    Outcome {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A pipe without a writer.
fn named_pipe(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // A pipe of an earlier run may exist.
    let _ = fs::remove_file(&path);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

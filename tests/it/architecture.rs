//! Imports point in one direction, and each rule of the layers holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The modules of `src`, each above those that it may import. Modules on one line do not import each other.
const LAYERS: &[&[&str]] = &[
    &["main", "fuzz"],
    &["cli"],
    &["app", "emulator"],
    &["config", "admin"],
    &["readiness"],
    &["grpc"],
    &["service"],
    &["exactly_once"],
    &["adobe", "hubspot"],
    &["upstream"],
    &["proto", "server", "health", "jwt"],
    &["tls"],
    &["metrics"],
    &["telemetry", "hardening"],
    &["http_client", "version"],
    &["domain"],
    &["secret", "error", "json", "backoff"],
];

fn layer(module: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.unwrap_or_else(|| panic!("src/{module} has no layer: add it to tests/it/architecture.rs"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Each file of `src`: its path from there, its top-level module, and its code without comments.
fn files() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src)
        .into_iter()
        .map(|path| {
            let code = fs::read_to_string(&path).unwrap();
            let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            let module = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            (name, module, code.join("\n"))
        })
        .collect()
}

/// The top-level modules that a text names after `crate::`, alone or in braces.
fn imports(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (start, prefix) in code.match_indices("crate::") {
        let rest = &code[start + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(identifier(rest));
            continue;
        };
        let mut depth = 0;
        let mut entry = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(identifier(&std::mem::take(&mut entry))),
                _ => {}
            }
            if c != ',' || depth > 0 {
                entry.push(c);
            }
        }
        names.push(identifier(&entry));
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn a_module_imports_only_what_is_below_it() {
    let mut wrong = Vec::new();
    let files = files();
    let modules: Vec<_> = files.iter().map(|(_, module, _)| module.as_str()).collect();
    for (file, module, code) in files.iter().filter(|(_, module, _)| module != "lib") {
        for import in imports(code).iter().filter(|import| modules.contains(&import.as_str())) {
            if import != module && layer(import) <= layer(module) {
                wrong.push(format!("src/{file} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_grpc_status_builds_a_status() {
    let constructors =
        ["new(", "with_", "ok(", "cancelled(", "unknown(", "invalid_argument(", "deadline_exceeded("];
    let more = ["not_found(", "already_exists(", "permission_denied(", "resource_exhausted(", "aborted("];
    let rest = [
        "failed_precondition(",
        "out_of_range(",
        "unimplemented(",
        "internal(",
        "unavailable(",
        "data_loss(",
    ];
    for (file, module, code) in files() {
        if module == "emulator" || module == "cli" || file.starts_with("grpc/status") {
            continue;
        }
        for constructor in constructors.iter().chain(&more).chain(&rest).chain(&["unauthenticated("]) {
            let built = code.match_indices(&format!("Status::{constructor}")).find(|(start, _)| {
                // Another type whose name ends in Status.
                !code[..*start].ends_with(char::is_alphanumeric)
            });
            assert!(built.is_none(), "src/{file} calls Status::{constructor}…: grpc/status does that");
        }
    }
}

#[test]
fn nothing_below_grpc_uses_its_messages() {
    let grpc = layer("grpc");
    for (file, module, code) in
        files().into_iter().filter(|(_, module, _)| module != "lib" && module != "proto")
    {
        if layer(&module) <= grpc {
            continue;
        }
        for word in ["prost", "crate::proto", "tonic::Request", "tonic::Response"] {
            assert!(!code.contains(word), "src/{file} uses {word}");
        }
        assert!(!imports(&code).contains(&"proto".to_owned()), "src/{file} uses crate::proto");
    }
}

/// The client works with any running service, as every other caller does.
#[test]
fn the_client_knows_no_more_of_the_service_than_a_caller() {
    const ALLOWED: [&str; 9] =
        ["backoff", "cli", "config", "domain", "error", "grpc", "hardening", "proto", "secret"];
    let mut imported = Vec::new();
    for (file, _, code) in files().into_iter().filter(|(file, _, _)| file.starts_with("cli/client")) {
        for import in imports(&code) {
            assert!(ALLOWED.contains(&&*import), "src/{file} imports {import}");
            imported.push(import);
        }
        // Of these two it needs a few names, and no code.
        for (prefix, names) in
            [("grpc::", "{DATAFLOW_SERVICE_NAME, SERVICE_NAME}"), ("config::", "CLIENT_ADDRESS")]
        {
            let uses = code.matches(prefix).count();
            assert_eq!(uses, code.matches(&format!("{prefix}{names}")).count(), "src/{file} uses {prefix}");
        }
    }
    assert!(imported.contains(&"proto".to_owned()), "{imported:?}");
}

#[test]
fn nothing_depends_on_how_modules_are_nested() {
    for (file, _, code) in files() {
        assert!(!code.contains("super::super::"), "src/{file} has super::super::: begin with crate::");
    }
}

#[test]
fn no_file_has_more_than_400_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in
        ["src", "tests", "benches", "fuzz/fuzz_targets"].iter().flat_map(|folder| sources(&root.join(folder)))
    {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines: split it by job", file.display());
    }
}

//! The files in `deploy/`, compared with the code: manifests, image, dashboards and alerts.
//!
//! `tests/tools/install.sh` installs the tools that render and check them.

mod alerts;
mod compose;
mod create_connection;
mod custom_resources;
mod disruptions;
mod hardening;
mod image;
mod manifests;
mod monitoring;
mod proxies;
pub(crate) mod queries;
mod redis_users;
mod rotation;
mod scanners;
mod settings;
mod tools;

use std::{
    fs,
    path::{Path, PathBuf},
};

const README: &str = include_str!("../../deploy/README.md");

/// Every kustomization that can be rendered: the base with what it needs to start, each overlay, and each
/// component that no overlay contains.
const VARIANTS: [&str; 9] = [
    "demo",
    "production",
    "production-external-redis",
    "external-redis",
    "hubspot",
    "otel",
    "cluster-issuer",
    "approver-policy",
    "service-account-tokens",
];

/// The examples of callers, which are not parts of the service.
const CALLERS: [&str; 2] = ["certificate", "token"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn subdirectories(of: &str) -> Vec<String> {
    let entries = fs::read_dir(deploy().join(of)).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_deploy_readme_names_every_overlay_and_component_and_no_other() {
    for kind in ["overlays", "components", "callers"] {
        let of_kind = format!("{kind}/");
        let mut named: Vec<_> = README
            .match_indices(&of_kind)
            .map(|(at, _)| {
                let name = &README[at + of_kind.len()..];
                let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(name.len());
                name[..end].to_owned()
            })
            .filter(|name| !name.is_empty())
            .collect();
        named.sort_unstable();
        named.dedup();
        let mut existing = subdirectories(kind);
        // Of callers, this is a part of the others.
        existing.retain(|name| name != "base");
        assert_eq!(named, existing);
    }
}

#[test]
fn every_overlay_component_and_caller_is_checked() {
    for overlay in subdirectories("overlays") {
        assert!(VARIANTS.contains(&&*overlay), "{overlay}");
    }
    let kustomizations: String = ["overlays", "components"]
        .into_iter()
        .flat_map(|kind| subdirectories(kind).into_iter().map(move |name| deploy().join(kind).join(name)))
        .map(|directory| fs::read_to_string(directory.join("kustomization.yaml")).unwrap())
        .collect();
    for component in subdirectories("components") {
        let is_part = [format!("- ../../components/{component}\n"), format!("- ../{component}\n")]
            .iter()
            .any(|line| kustomizations.contains(&**line));
        assert!(is_part || VARIANTS.contains(&&*component), "{component}");
    }
    let callers = subdirectories("callers");
    assert!(callers.iter().filter(|name| *name != "base").eq(&CALLERS));
}

//! The files in `deploy/`, compared with the code: manifests, image, dashboards and alerts.
//!
//! `tests/tools/install.sh` installs the tools that render and check them.

mod alerts;
mod compose;
mod create_connection;
mod hardening;
mod image;
mod manifests;
mod monitoring;
pub(crate) mod queries;
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
const VARIANTS: [&str; 5] = ["demo", "production", "external-redis", "hubspot", "otel"];

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
    for kind in ["overlays", "components"] {
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
        assert_eq!(named, subdirectories(kind));
    }
}

#[test]
fn every_overlay_is_checked() {
    for overlay in subdirectories("overlays") {
        assert!(VARIANTS.contains(&&*overlay), "{overlay}");
    }
}

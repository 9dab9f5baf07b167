//! The package of the example in Rust. Its program is built as an example of this crate, so that CI does not compile its
//! dependencies twice; therefore its manifest has to name the same versions.

use std::collections::BTreeMap;

const OURS: &str = include_str!("../../../Cargo.toml");
const READERS: &str = include_str!("../../../proto/examples/rust/Cargo.toml");
const BUILD: &str = include_str!("../../../proto/examples/rust/build.rs");

/// The sections of dependencies of a manifest, each with the version of each package.
fn versions<'a>(manifest: &'a str, section: &str) -> BTreeMap<&'a str, &'a str> {
    let (_, rest) = manifest.split_once(&format!("\n[{section}]\n")).unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    let dependencies = lines.filter_map(|line| line.split_once(" = "));
    dependencies
        .map(|(name, value)| {
            let value = value.strip_prefix("{ version = ").unwrap_or(value);
            (name, value.split('"').nth(1).unwrap())
        })
        .collect()
}

#[test]
fn the_manifest_for_readers_has_the_versions_of_this_crate() {
    for section in ["dependencies", "build-dependencies"] {
        let ours = versions(OURS, section);
        let readers = versions(READERS, section);
        assert!(readers.len() >= 2, "{readers:?}");
        for (name, version) in readers {
            assert_eq!(ours.get(name), Some(&version), "{name}");
        }
    }
    assert!(OURS.contains("path = \"proto/examples/rust/src/main.rs\""));
    // Without it, Debug would be there twice, and would print secrets.
    assert!(BUILD.contains(".skip_debug([\"hubspot_connection.v1.HubSpotCredentials\"])"));
}

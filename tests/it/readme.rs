//! The documentation names only what exists, and documents everything that exists.

mod links;
#[cfg(feature = "emulator")]
mod metrics;
pub(crate) mod names;

use std::{fs, path::Path};

/// A file with documentation: its path in the repository, and its text. Of Rust sources, only the module
/// documentation.
struct Document {
    path: String,
    text: String,
}

/// All of them: Markdown files, proto files, and the modules whose documentation is part of it.
fn documents() -> Vec<Document> {
    let mut paths = vec!["src/exactly_once.rs".to_owned(), "src/emulator.rs".to_owned()];
    files(root(), &mut |path| {
        if path.ends_with(".md") || path.ends_with(".proto") {
            paths.push(path.to_owned());
        }
    });
    paths.sort_unstable();
    let documents = paths.into_iter().map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = if path.ends_with(".rs") { module_documentation(&text) } else { text };
        Document { path, text }
    });
    documents.collect()
}

fn document(path: &str) -> String {
    documents().into_iter().find(|document| document.path == path).unwrap().text
}

fn module_documentation(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory of the repository, but for build output and hidden files.
fn files(directory: &Path, found: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found(path.strip_prefix(root()).unwrap().to_str().unwrap());
        }
    }
}

/// Everything but the changelog, which also names what was removed.
fn current_documents() -> Vec<Document> {
    documents().into_iter().filter(|document| document.path != "CHANGELOG.md").collect()
}

/// The words of a text that could be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What is between backticks, outside of blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn the_readme_is_short() {
    assert!(document("README.md").len() <= 12 * 1024);
}

#[test]
fn the_commands_for_developers_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let readme = document("README.md");
    for command in ["tests/run.sh", ".ci/run"] {
        assert!(readme.contains(&format!("\n{command} ")), "{command}");
        let mode = fs::metadata(root().join(command)).unwrap().permissions().mode();
        assert_ne!(mode & 0o111, 0, "{command}");
    }
}

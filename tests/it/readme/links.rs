//! Links and paths lead somewhere.

use std::{collections::BTreeSet, path::Path};

use super::{Document, document, documents, quoted, root};

/// The anchors of a Markdown file, as GitHub forms them from its headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |heading: String| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of the links of a Markdown file, outside of blocks of code.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    let prose = markdown.split("```").step_by(2);
    prose.flat_map(|prose| prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
}

/// `a/b/../c` is `a/c`.
fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        match part {
            ".." => assert!(parts.pop().is_some(), "{}", path.display()),
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut checked = 0;
    for Document { path, text } in documents().iter().filter(|document| document.path.ends_with(".md")) {
        for link in links(text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let directory = Path::new(path).parent().unwrap();
            let target = if file.is_empty() { path.clone() } else { normal(&directory.join(file)) };
            assert!(root().join(&target).exists(), "{path}: {link}");
            if !anchor.is_empty() {
                assert!(anchors(&document(&target)).contains(anchor), "{path}: {link}");
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn every_path_that_documentation_names_exists() {
    const DIRECTORIES: [&str; 8] =
        [".ci/", "benches/", "deploy/", "fuzz/", "proto/", "src/", "tests/", "target/"];
    let mut missing = BTreeSet::new();
    for Document { path, text } in documents() {
        for word in quoted(&text) {
            let is_path = DIRECTORIES.iter().any(|directory| word.starts_with(directory));
            let is_generated = word.starts_with("target/") || word.contains(['*', ' ', '{']);
            if is_path && !is_generated && !root().join(word).exists() {
                missing.insert(format!("{path}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

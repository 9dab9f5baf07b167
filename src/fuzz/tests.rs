//! Every fuzz target with its corpus and with mutations of it: the same inputs each time. cargo-fuzz goes
//! further.

use std::{fs, path::Path};

use super::{SECRETS, TARGETS};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{RngSeed, TestError, TestRunner},
};

/// The number of inputs per target. All targets together take some seconds in a debug build.
const INPUTS: u32 = 2000;

/// Inputs that often break parsers.
const PIECES: [&str; 28] = [
    "",
    "null",
    "true",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"a\":",
    "\"",
    "\\",
    "\\\"",
    "\\u0000",
    "\\u0085",
    "\\ud800",
    "\u{85}",
    "\u{202e}",
    "\0",
    "\r\n",
    "0",
    "-1",
    "1.5",
    "1e999",
    "18446744073709551616",
    "99999999999999999999999999",
    "%00",
    "%ff",
    "=",
    "**",
    ",",
];

/// The files of a target in one of its folders.
fn files(folder: &str, target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    // Sorted, so that the same seed makes the same inputs.
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Mutations of a corpus: each is a member in which some positions are overwritten by a piece of another
/// member, by an input that often breaks parsers, by a secret, or by random bytes.
fn near(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let slice = (select(corpus.clone()), any::<Index>(), 0..64usize).prop_map(|(member, start, length)| {
        let rest = &member[start.index(member.len() + 1)..];
        rest[..length.min(rest.len())].to_vec()
    });
    let text = |texts: &'static [&'static str]| select(texts).prop_map(|text| text.as_bytes().to_vec());
    let piece = prop_oneof![text(&PIECES), text(&SECRETS), slice, vec(any::<u8>(), 0..4)];
    let edit = (any::<Index>(), 0..16usize, piece);
    (select(corpus), vec(edit, 0..8)).prop_map(|(mut input, edits)| {
        for (start, length, piece) in edits {
            let start = start.index(input.len() + 1);
            let end = (start + length).min(input.len());
            input.splice(start..end, piece);
        }
        input
    })
}

#[test]
fn every_target_holds_for_its_corpus_and_its_regressions() {
    for (name, target) in TARGETS {
        let corpus = files("corpus", name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        corpus.iter().chain(&files("regressions", name)).for_each(|input| target(input));
    }
}

#[test]
fn every_target_holds_for_mutations_of_its_corpus() {
    for (name, target) in TARGETS {
        let config = ProptestConfig {
            cases: INPUTS,
            rng_seed: RngSeed::Fixed(5),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let result = TestRunner::new(config).run(&near(files("corpus", name)), |input| {
            target(&input);
            Ok(())
        });
        if let Err(TestError::Fail(reason, input)) = result {
            panic!("{name}: {reason}: for the folder of regressions: b\"{}\"", input.escape_ascii());
        }
    }
}

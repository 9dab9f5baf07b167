//! Many interleavings: every fault at every step, pairs of faults, and random ones.

use std::{collections::BTreeMap, env, fmt::Write as _};

use super::{
    faults::{Fault, Script, StepKind},
    interleaving::{Broken, Run, run},
    random::{Random, RandomFaults},
    setting::Setting,
    world::Faults,
};

/// The number of steps after the last fault that get a fault. Callers wait as long as they are asked to,
/// so that this covers the end of a lease and of a settle window.
const DEPTH: usize = 30;

/// This many broken promises of one setting are enough to diagnose it.
const ENOUGH: usize = 20;

/// The findings.
#[derive(Default)]
pub(super) struct Findings {
    runs: usize,
    /// Those that broke more of the promise than the responses to the callers.
    broken: usize,
    /// By the broken part and the necessary faults.
    found: BTreeMap<(Broken, String), (usize, String)>,
}

impl Findings {
    fn of(&mut self, setting: Setting, source: &str, run: &Run) {
        self.runs += 1;
        self.broken += usize::from(run.broken.iter().any(|(broken, _)| *broken != Broken::Denied));
        for (broken, why) in &run.broken {
            let faults: Vec<_> = run.fired.values().map(|fault| format!("{fault:?}")).collect();
            let how = format!("{} [{}] {why}", faults.join(" + "), setting.summary());
            let (times, _) = self.found.entry((*broken, how)).or_insert_with(|| {
                let mut example = String::new();
                let _ = write!(example, "{why}\n{setting:?}\n{source}{:?}\n{}", run.fired, run.trace);
                (0, example)
            });
            *times += 1;
        }
    }

    /// Returns the number of interleavings; fails if one of them broke the promise.
    #[expect(clippy::print_stdout, reason = "the number of runs is a result of the test")]
    pub(super) fn none_of(self, at_least: usize) {
        let Self { runs, found, .. } = self;
        println!("ran {runs} interleavings of faults");
        if found.is_empty() {
            assert!(runs >= at_least, "only {runs}");
            return;
        }
        let mut text = String::new();
        for ((broken, faults), (times, _)) in &found {
            let _ = writeln!(text, "{broken:?} {times} times by {faults}");
        }
        // The simplest example of each kind.
        let mut simplest: BTreeMap<Broken, (&String, &String)> = BTreeMap::new();
        for ((broken, faults), (_, example)) in &found {
            let entry = simplest.entry(*broken).or_insert((faults, example));
            if faults.len() < entry.0.len() {
                *entry = (faults, example);
            }
        }
        for (broken, (_, example)) in simplest {
            let _ = writeln!(text, "\n=== {broken:?}: {example}");
        }
        panic!("of {runs} interleavings:\n{text}");
    }

    /// Runs the interleaving of this script.
    pub(super) fn script(&mut self, setting: Setting, script: &Script) -> Vec<StepKind> {
        let run = run(setting, Faults::Script(script.clone()));
        self.of(setting, "", &run);
        run.steps
    }

    /// Runs every step of a successful run with every fault.
    pub(super) fn singles(&mut self, setting: Setting) {
        self.pairs(setting, 0, |_| true);
    }

    /// The same, and also adds a fault to the steps of the resulting runs: one in this many of them,
    /// where the first fault is of this kind. With 0 to none of them.
    pub(super) fn pairs(&mut self, setting: Setting, sample: usize, is_first: fn(Fault) -> bool) {
        let before = self.broken;
        let steps = self.script(setting, &Script::new());
        for (number, script) in extended(setting, &Script::new(), &steps).into_iter().enumerate() {
            if self.broken - before > ENOUGH {
                return;
            }
            let steps = self.script(setting, &script);
            if sample == 0 || !script.values().all(|fault| is_first(*fault)) {
                continue;
            }
            let scripts = extended(setting, &script, &steps);
            for script in scripts.iter().skip(number % sample).step_by(sample) {
                self.script(setting, script);
            }
        }
    }

    /// Lets seeds choose a setting, and up to this many faults each.
    pub(super) fn random(
        &mut self,
        seeds: std::ops::Range<u64>,
        faults: usize,
        setting: fn(&mut Random) -> Setting,
    ) {
        // To reproduce one, or to try more.
        let number = |name| env::var(name).ok().and_then(|number| number.parse().ok());
        let seeds = match (number("MODEL_SEED"), number("MODEL_SEEDS")) {
            (Some(seed), _) => seed..seed + 1,
            (None, Some(end)) => 0..end,
            (None, None) => seeds,
        };
        for seed in seeds {
            let mut random = Random::new(seed);
            let setting = setting(&mut random);
            let faults = 1 + random.below(faults);
            let found = run(setting, Faults::Random(RandomFaults::new(random, faults)));
            let source = format!("MODEL_SEED={seed} ");
            if found.broken.is_empty() {
                self.of(setting, &source, &found);
            } else {
                let simplest = simplified(setting, found);
                self.of(setting, &source, &simplest);
            }
        }
    }
}

/// A run that breaks the same with fewer faults, if there is one.
fn simplified(setting: Setting, found: Run) -> Run {
    for index in found.fired.keys() {
        let mut script = found.fired.clone();
        script.remove(index);
        let fewer = run(setting, Faults::Script(script));
        if fewer.broken.iter().any(|(broken, _)| found.broken.iter().any(|(other, _)| broken == other)) {
            return simplified(setting, fewer);
        }
    }
    found
}

/// Adds one more fault to a script, in every possible way.
fn extended(setting: Setting, script: &Script, steps: &[StepKind]) -> Vec<Script> {
    let first = script.keys().last().map_or(0, |last| last + 1);
    let mut scripts = Vec::new();
    for (index, kind) in steps.iter().enumerate().skip(first).take(DEPTH) {
        for fault in kind.faults(setting.optional_faults) {
            let mut script = script.clone();
            script.insert(index, fault);
            scripts.push(script);
        }
    }
    scripts
}

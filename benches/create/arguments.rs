//! The command line.

use std::{path::PathBuf, time::Duration};

/// The measurements, in the order of their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Cpu,
    Workloads,
    Throughput,
    P99,
    SlowUpstream,
    Overload,
    Memory,
    Idle,
    Start,
    Ids,
    SearchFirst,
    Dataflow,
    Soak,
}

const ROWS: [(&str, Row); 13] = [
    ("cpu", Row::Cpu),
    ("workloads", Row::Workloads),
    ("throughput", Row::Throughput),
    ("p99", Row::P99),
    ("slow-upstream", Row::SlowUpstream),
    ("overload", Row::Overload),
    ("memory", Row::Memory),
    ("idle", Row::Idle),
    ("start", Row::Start),
    ("ids", Row::Ids),
    ("search-first", Row::SearchFirst),
    ("dataflow", Row::Dataflow),
    ("soak", Row::Soak),
];

pub(crate) const USAGE: &str = "\
usage: cargo bench --bench create -- [OPTIONS]
  --only ROW,…     some of cpu, workloads, throughput, p99, slow-upstream, overload, memory, idle,
                   start, ids, search-first, dataflow, soak; default: all but soak
  --soak           the soak as well, which takes ten minutes
  --quick          tries everything in little time; the figures mean nothing
  --rounds N       rounds of each comparison, five times as many of those that are short; default 9
  --service PATH   another binary of the service
  --no-go          without the comparison with Go
or, for a server that runs under a profiler:
       create upstream, with BENCH_DELAY_MS in the environment
       create bare, with BENCH_UPSTREAM=http://ADDRESS of it
       create load ADDRESS CALLS IN_FLIGHT [without-id]";

/// The parsed command line.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    rows: Vec<Row>,
    pub(crate) quick: bool,
    rounds: Option<usize>,
    pub(crate) service: PathBuf,
    pub(crate) go: bool,
}

impl Arguments {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// Describes what is wrong with the arguments.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            rows: ROWS.map(|(_, row)| row).into_iter().filter(|row| *row != Row::Soak).collect(),
            quick: false,
            rounds: None,
            service: env!("CARGO_BIN_EXE_hubspot-connection-service").into(),
            go: true,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                // Cargo adds this argument.
                "--bench" => {}
                "--quick" => parsed.quick = true,
                "--soak" => parsed.rows.push(Row::Soak),
                "--no-go" => parsed.go = false,
                "--service" => parsed.service = value()?.into(),
                "--rounds" => parsed.rounds = Some(value()?.parse().map_err(|_| "--rounds needs a number")?),
                "--only" => parsed.rows = value()?.split(',').map(row).collect::<Result<_, _>>()?,
                other => return Err(format!("{other} means nothing\n{USAGE}")),
            }
        }
        Ok(parsed)
    }

    pub(crate) fn has(&self, row: Row) -> bool {
        self.rows.contains(&row)
    }

    /// The number of rounds of each comparison.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 9 })
    }

    /// The number of rounds of a comparison whose rounds are short.
    pub(crate) fn short_rounds(&self) -> usize {
        5 * self.rounds()
    }

    /// A duration, reduced to almost nothing in a quick run.
    pub(crate) fn time(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { seconds.min(0.25) } else { seconds })
    }

    /// A count, reduced to a few in a quick run.
    pub(crate) fn count(&self, count: usize, few: usize) -> usize {
        if self.quick { few } else { count }
    }
}

fn row(name: &str) -> Result<Row, String> {
    let found = ROWS.iter().find(|(known, _)| *known == name);
    found.map(|(_, row)| *row).ok_or_else(|| format!("there is no row {name}\n{USAGE}"))
}

//! The table that is printed, and the same data in JSON.

use std::{fmt, fs, path::Path};

use serde_json::{Value, json};

/// The values of all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    fn quantile(&self, quantile: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * quantile).round() as usize).copied().unwrap_or(f64::NAN)
    }

    fn json(&self) -> Value {
        json!({ "median": self.median(), "rounds": self.sorted })
    }
}

/// The median and the interquartile range: a short pause of the machine spoils the rounds outside it.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |value: f64| {
            if value.abs() < 10.0 {
                2
            } else if value.abs() < 100.0 {
                1
            } else {
                0
            }
        };
        let median = self.median();
        write!(f, "{median:.*}", digits(median))?;
        if self.sorted.len() < 2 {
            return Ok(());
        }
        let (lower, upper) = (self.quantile(0.25), self.quantile(0.75));
        write!(f, " ({lower:.*} to {upper:.*})", digits(lower), digits(upper))
    }
}

/// The ratios of the rounds of one program to those of the other.
pub(crate) fn ratio(one: &[f64], other: &[f64]) -> Spread {
    Spread::of(one.iter().zip(other).map(|(one, other)| one / other))
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// The results.
#[derive(Debug)]
pub(crate) struct Report {
    targets: Vec<(String, Limit, Spread)>,
    figures: Vec<(String, Spread)>,
    notes: Vec<String>,
    is_quick: bool,
}

impl Report {
    /// An empty report. A quick run proves nothing, so its report has no verdicts.
    pub(crate) fn new(is_quick: bool) -> Self {
        Self { targets: Vec::new(), figures: Vec::new(), notes: Vec::new(), is_quick }
    }

    /// Adds a figure that has a target.
    pub(crate) fn target(&mut self, what: impl Into<String>, limit: Limit, reached: Spread) {
        let what = what.into();
        println!("  {what}: {reached} (target {limit})");
        self.targets.push((what, limit, reached));
    }

    /// Adds another figure.
    pub(crate) fn figure(&mut self, what: impl Into<String>, value: Spread) {
        let what = what.into();
        println!("  {what}: {value}");
        self.figures.push((what, value));
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("  {note}");
        self.notes.push(note);
    }

    pub(crate) fn print(&self) {
        println!(
            "\n| what | target | reached: median (middle half of the rounds) | |\n| --- | --- | --- | --- |"
        );
        for (what, limit, reached) in &self.targets {
            let verdict = match limit.holds(reached.median()) {
                _ if self.is_quick => "tried",
                true => "met",
                false => "missed",
            };
            println!("| {what} | {limit} | {reached} | {verdict} |");
        }
        for note in &self.notes {
            println!("\n{note}");
        }
    }

    pub(crate) fn write(&self, file: &Path) {
        let targets = self.targets.iter().map(|(what, limit, reached)| {
            let is_met = limit.holds(reached.median());
            json!({ "what": what, "target": limit.to_string(), "reached": reached.json(), "is_met": is_met })
        });
        let figures = self.figures.iter().map(|(what, value)| json!({ "what": what, "value": value.json() }));
        let report = json!({
            "targets": targets.collect::<Vec<_>>(),
            "figures": figures.collect::<Vec<_>>(),
            "notes": self.notes,
        });
        fs::write(file, format!("{report:#}\n")).unwrap();
    }
}

//! The process, under the names that every Prometheus client library uses; `prometheus-client` has no collector for it.

use std::{fmt, fs, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use rustix::{
    io::Errno,
    param::{clock_ticks_per_second, page_size},
};

use crate::hardening::file_limit;

/// Reads `/proc` at each scrape. A number that is missing there is omitted.
#[derive(Debug)]
pub(super) struct Process {
    /// When the machine started, in Unix time.
    boot: Option<f64>,
}

impl Process {
    pub(super) fn new() -> Self {
        // Read once: it is long on a machine with many cores, and does not change.
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        Self { boot }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let stat = stat.as_deref().and_then(Stat::parse);
        let of_stat = |field: fn(&Stat) -> f64| stat.as_ref().map(field);
        let start = of_stat(|stat| stat.start.as_secs_f64()).zip(self.boot).map(|(start, boot)| boot + start);
        let limit = file_limit().map(float);
        for (name, help, value) in [
            ("process_start_time_seconds", "Start of the process, in Unix time.", start),
            ("process_resident_memory_bytes", "Resident memory.", of_stat(|stat| stat.resident)),
            ("process_virtual_memory_bytes", "Virtual memory.", of_stat(|stat| stat.virtual_memory)),
            ("process_threads", "Threads.", of_stat(|stat| stat.threads)),
            ("process_max_fds", "Limit of open files.", limit),
            ("process_open_fds", "Open files.", open_files(limit)),
        ] {
            if let Some(gauge) = value.map(ConstGauge::new) {
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        if let Some(cpu) = of_stat(|stat| stat.cpu.as_secs_f64()).map(ConstCounter::new) {
            let (name, help) = ("process_cpu_seconds", "User and system CPU time.");
            cpu.encode(encoder.encode_descriptor(name, help, None, cpu.metric_type())?)?;
        }
        Ok(())
    }
}

/// Without a file descriptor left to read the folder with, all are open.
fn open_files(limit: Option<f64>) -> Option<f64> {
    match fs::read_dir("/proc/self/fd") {
        // Not the one that reads the folder.
        Ok(files) => Some(float(u64::try_from(files.count()).ok()?.saturating_sub(1))),
        Err(error) => limit.filter(|_| error.raw_os_error() == Some(Errno::MFILE.raw_os_error())),
    }
}

/// A number of `/proc`: none is so large that it would lose precision.
fn float(number: u64) -> f64 {
    number as f64
}

/// The parts of `/proc/self/stat` that are exported.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu: Duration,
    threads: f64,
    /// From the start of the machine to that of the process.
    start: Duration,
    virtual_memory: f64,
    resident: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name comes before, and can contain spaces and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        // As proc(5) numbers them; the rest begins with the third one.
        let field = |number: usize| -> Option<u64> { fields.get(number - 3)?.parse().ok() };
        let time = |ticks: u64| {
            let per_second = clock_ticks_per_second();
            Duration::from_secs(ticks / per_second)
                + Duration::from_secs(ticks % per_second) / u32::try_from(per_second).unwrap_or(u32::MAX)
        };
        Some(Self {
            cpu: time(field(14)? + field(15)?),
            threads: float(field(20)?),
            start: time(field(22)?),
            virtual_memory: float(field(23)?),
            resident: float(field(24)?.saturating_mul(u64::try_from(page_size()).ok()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process_are_found_whatever_it_is_called() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 10 0 0 0 150 50 0 0 20 0 9 0 1234 4096000 100 18446744073709551615 1";
        let ticks = clock_ticks_per_second();
        let (seconds, page) = (200.0 / ticks as f64, page_size() as f64);
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.cpu.as_secs_f64(), stat.threads), (seconds, 9.0));
        assert_eq!((stat.virtual_memory, stat.resident), (4_096_000.0, 100.0 * page));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }
}

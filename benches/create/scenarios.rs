//! The rows of the table, each measured separately.

#[cfg(feature = "emulator")]
mod dataflow;
mod ids;
mod memory;
mod overload;
mod peak;
mod search_first;
mod slow_upstream;
mod soak;
mod start;
mod workloads;

use crate::{Bench, Report, Row};

/// Measures the requested rows.
pub(crate) async fn run(bench: &Bench, report: &mut Report) {
    let has = |row| bench.arguments.has(row);
    if has(Row::Cpu) || has(Row::P99) || has(Row::Workloads) {
        workloads::run(bench, report).await;
    }
    if has(Row::Throughput) {
        peak::run(bench, report).await;
    }
    if has(Row::SlowUpstream) {
        slow_upstream::run(bench, report).await;
    }
    if has(Row::Overload) {
        overload::run(bench, report).await;
    }
    if has(Row::Memory) {
        memory::run(bench, report).await;
    }
    if has(Row::Idle) {
        memory::idle(bench, report).await;
    }
    if has(Row::Start) {
        start::run(bench, report).await;
    }
    if has(Row::Ids) {
        ids::run(bench, report).await;
    }
    if has(Row::SearchFirst) {
        search_first::run(bench, report).await;
    }
    if has(Row::Dataflow) {
        #[cfg(feature = "emulator")]
        dataflow::run(bench, report).await;
        #[cfg(not(feature = "emulator"))]
        report.note("dataflow is absent: this build has no emulator");
    }
    if has(Row::Soak) {
        soak::run(bench, report).await;
    }
}

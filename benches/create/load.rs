//! Sends a number of creations to a server that was started by hand, under a profiler.

use crate::{
    calls::Workload,
    contender::{CONNECTIONS, assert_all_good},
    drive,
    target::Target,
};

/// Runs until the last call is complete.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) {
    let mut argument = || arguments.next().expect("ADDRESS CALLS IN_FLIGHT");
    let address = argument().parse().unwrap();
    let (calls, in_flight) = (argument().parse().unwrap(), argument().parse().unwrap());
    let workload = match arguments.next().as_deref() {
        Some("without-id") => Workload::CreateWithoutId,
        _ => Workload::Create,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let target = Target::connect(address, None, CONNECTIONS, workload).await.unwrap();
        let run = drive::times(in_flight, calls, move || target.call()).await;
        assert_all_good(&run);
    });
}

//! The cost of a call compared with the minimal program that could do the job. The service runs in a
//! separate process on its own core, and takes turns with the programs that it is compared with.
//!
//! `cargo bench --bench create`; `benches/README.md` describes what it compares.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics on an unexpected error"
)]

mod arguments;
mod bare;
mod calls;
mod certificates;
mod contender;
mod direct;
mod drive;
mod go;
mod load;
mod process;
mod redis;
mod report;
mod scenarios;
#[cfg(feature = "emulator")]
mod script;
mod target;
mod upstream;

use std::process::ExitCode;

use self::{
    arguments::{Arguments, Row},
    contender::Bench,
    process::{Core, cores, move_to, raise_file_limit},
    report::Report,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    match arguments.peek().map(String::as_str) {
        Some("upstream") => upstream::main(),
        Some("bare") => bare::main(),
        Some("direct") => direct::main(),
        Some("load") => load::main(arguments.skip(1)),
        _ => match Arguments::parse(arguments) {
            Ok(arguments) => measure(arguments),
            Err(problem) => {
                println!("{problem}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn measure(arguments: Arguments) {
    raise_file_limit();
    let mut report = Report::new(arguments.quick);
    let bench = Bench::new(arguments);
    if cores().is_none() {
        report.note("There is one core only: what is measured shares it with everything else.");
    }
    if let Some(reason) = bench.go_is_absent() {
        report.note(format!("go is absent: {reason}"));
    }
    move_to(Core::Rest);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(scenarios::run(&bench, &mut report));
    report.print();
    let file = bench.directory.join("create.json");
    report.write(&file);
    println!("\nwritten to {}", file.display());
}

//! What a process does for itself before it handles secrets and callers.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Keeps the memory of this process to itself: it leaves no core dump, and on Linux no other process of the
/// same user can look into it. Not every copy of a secret can be wiped: TLS and HTTP have buffers of their own.
///
/// # Errors
/// Those of the operating system. What can be done is done all the same.
pub(crate) fn protect_memory() -> io::Result<()> {
    let no_dumps = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(no_dumps?)
}

/// Raises the number of files that this process may open, connections included, as far as it may.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// The number of files that this process may open; `None` for any number.
pub(crate) fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

//! Protects the process before it handles secrets and callers.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Prevents core dumps, and on Linux prevents other processes of the same user from reading this process's memory. Not
/// every copy of a secret can be wiped, because TLS and HTTP have buffers of their own.
///
/// # Errors
/// Those of the operating system. Each protection is tried even if the other fails.
pub(crate) fn protect_memory() -> io::Result<()> {
    let no_dumps = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(no_dumps?)
}

/// Raises the limit of open files, which include connections, as far as allowed.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// The limit of open files; `None` without one.
pub(crate) fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

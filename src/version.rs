//! What was built.

/// The version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision of its source, `unknown` where the build could not find it out.
pub(crate) const REVISION: &str = env!("BUILD_REVISION");
/// Both, for people.
pub(crate) const VERSION_AND_REVISION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("BUILD_REVISION"), ")");

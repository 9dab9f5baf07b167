//! The version and the revision of this build.

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision of the source, `unknown` if the build could not determine it.
pub(crate) const REVISION: &str = env!("BUILD_REVISION");
/// Both, for people.
pub(crate) const VERSION_AND_REVISION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("BUILD_REVISION"), ")");

//! Causes of errors in every layer: a cause of any type, and its chain in the log.

mod chain;

use std::error::Error;

pub(crate) use self::chain::error_chain;

/// The cause of a failure, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

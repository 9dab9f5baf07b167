//! The end of a list: its number, or the token of the next page.

use std::io::{self, Write as _};

use super::{
    Problem,
    output::{self, Format},
    rpc::Rpc,
};

/// What a list has beside its items.
pub(super) struct Page<'a> {
    /// Set where only the number was asked for.
    pub(super) count: Option<i64>,
    /// Empty on the last page.
    pub(super) next: &'a str,
}

impl Page<'_> {
    pub(super) fn print<Q: Rpc>(&self, format: Format, response: &Q::Response) -> Result<(), Problem> {
        match (format, self.count) {
            (Format::Table, Some(count)) => writeln!(io::stdout(), "{count}")?,
            (Format::Table, None) => {
                output::print::<Q>(format, response, "none found")?;
                if !self.next.is_empty() {
                    writeln!(io::stderr(), "There are more: --page-token {}", self.next)?;
                }
            }
            (Format::Json, _) => output::print::<Q>(format, response, "")?,
        }
        Ok(())
    }
}

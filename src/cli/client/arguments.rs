//! Arguments that several subcommands have.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use prost_types::Timestamp;

use super::EXIT_STATUSES;
use crate::{cli::option, domain::RequestId};

/// A subcommand of `connections` or `dataflows`.
pub(super) fn subcommand(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).after_help(EXIT_STATUSES)
}

pub(super) fn id(help: &'static str) -> Arg {
    Arg::new("id").value_name("ID").help(help).required(true)
}

pub(super) fn name(help: &'static str) -> Arg {
    option("name", "NAME", help)
}

pub(super) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(super) fn request_id() -> Arg {
    let help = "Request id: the same one creates the same resource. A new one if it is left out";
    option("request-id", "UUID", help).value_parser(RequestId::parse)
}

pub(super) fn paging() -> [Arg; 2] {
    [
        option("page-size", "NUMBER", "Longest list to print").value_parser(value_parser!(i32)),
        option("page-token", "TOKEN", "Continue a list, with the token that it printed"),
    ]
}

pub(super) fn deletion() -> [Arg; 2] {
    [
        flag("allow-missing", "Succeed if there is no such resource"),
        Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help("Delete without asking"),
    ]
}

/// The text of an argument, empty if it is left out.
pub(super) fn text(matches: &ArgMatches, argument: &str) -> String {
    optional_text(matches, argument).unwrap_or_default()
}

pub(super) fn optional_text(matches: &ArgMatches, argument: &str) -> Option<String> {
    matches.get_one::<String>(argument).cloned()
}

pub(super) fn page_size(matches: &ArgMatches) -> i32 {
    matches.get_one("page-size").copied().unwrap_or_default()
}

/// A point in time.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "must be a time as in 2030-01-31T12:00:00Z")
}

/// The text of an argument for a shell, in quotes where it needs them.
pub(super) fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_survives_the_shell() {
        for (argument, expected) in [
            ("--name=a", "--name=a"),
            ("HubSpot EU", "'HubSpot EU'"),
            ("it's", r"'it'\''s'"),
            ("$(rm)", "'$(rm)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(argument), expected);
        }
    }

    #[test]
    fn a_time_is_in_the_form_of_rfc_3339() {
        assert_eq!(timestamp("1970-01-01T00:01:00Z").unwrap().seconds, 60);
        for wrong in ["tomorrow", "", "12:00"] {
            assert!(timestamp(wrong).is_err(), "{wrong}");
        }
    }
}

//! HubSpot credentials: from a file or a prompt, and never from the arguments, which others can see.

mod prompt;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
    value_parser,
};
use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value};

pub(super) use self::prompt::from_prompt;
use super::Problem;
use crate::{cli::option, proto::HubSpotCredentials};

/// The names of Adobe's tutorial.
const NAMES: [&str; 4] = ["clientId", "clientSecret", "accessToken", "refreshToken"];
/// More than any request may have.
const MAX_BYTES: u64 = 64 << 10;

pub(super) fn file_option() -> Arg {
    let help = "JSON file with clientId, clientSecret, accessToken and refreshToken; - is the standard input";
    option("credentials-file", "FILE", help).value_parser(value_parser!(PathBuf))
}

/// Reads the file that the arguments name.
pub(super) fn from_file(matches: &ArgMatches) -> Result<Option<HubSpotCredentials>, Problem> {
    let Some(path) = matches.get_one::<PathBuf>("credentials-file") else { return Ok(None) };
    // The path is not repeated: it could be the credentials themselves.
    let usage = |problem: String| Problem::Usage(format!("--credentials-file: {problem}"));
    let content = read(path).map_err(usage)?;
    parse(&content).map(Some).map_err(usage)
}

/// Any file, also the pipe of `<(…)`.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    // A growing buffer would leave copies behind that are not wiped.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 1));
    source.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_BYTES {
        return Err("it is larger than 64 KiB: it must hold the credentials and nothing else".to_owned());
    }
    Ok(content)
}

/// The errors never have a part of the content.
fn parse(content: &[u8]) -> Result<HubSpotCredentials, String> {
    let form = format!("it must be a JSON object with the texts {}", NAMES.join(", "));
    let mut object: Map<String, Value> = serde_json::from_slice(content)
        .map_err(|error| format!("{form}; line {}, column {} is not", error.line(), error.column()))?;
    let mut missing = Vec::new();
    let values = NAMES.map(|name| match object.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => text,
        _ => {
            missing.push(name);
            String::new()
        }
    });
    if !missing.is_empty() {
        return Err(format!("{form}; missing: {}", missing.join(", ")));
    }
    if !object.is_empty() {
        return Err(format!("{form}, and nothing else"));
    }
    let [client_id, client_secret, access_token, refresh_token] = values;
    Ok(HubSpotCredentials { client_id, client_secret, access_token, refresh_token })
}

/// The error about a secret among the arguments, if this error is about one. It replaces the error of clap, which may
/// repeat the secret.
pub(in crate::cli) fn misplaced(
    arguments: &[OsString],
    error: &clap::Error,
    command: &Command,
) -> Option<clap::Error> {
    let of_client = arguments.get(1).is_some_and(|name| name == "connections" || name == "dataflows");
    if !of_client || !matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) {
        return None;
    }
    let unexpected =
        match error.get(ContextKind::InvalidArg).or_else(|| error.get(ContextKind::InvalidSubcommand)) {
            Some(ContextValue::String(text)) => text.to_ascii_lowercase(),
            _ => return None,
        };
    let of_secrets = ["secret", "token", "passw", "credential"];
    if !of_secrets.iter().any(|word| unexpected.contains(word)) {
        return None;
    }
    let message = "a secret is not given as an argument, as others can see the command line: write the HubSpot \
                   credentials to a JSON file and name it with --credentials-file, or leave that out and type them \
                   when asked; name a file with the caller's token with --token-file. If it was a real one, replace \
                   it\n";
    Some(clap::Error::raw(ErrorKind::UnknownArgument, message).with_cmd(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_four_names_of_the_tutorial() {
        let json = br#"{"clientId": "a", "clientSecret": "b", "accessToken": "c", "refreshToken": "d"}"#;
        let HubSpotCredentials { client_id, client_secret, access_token, refresh_token } =
            parse(json).unwrap();
        assert_eq!([client_id, client_secret, access_token, refresh_token], ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_explained_without_its_content() {
        for (content, problem) in [
            (r#"{"clientSecret": "canary"}"#, "missing: clientId, accessToken, refreshToken"),
            (r#"{"clientSecret": ["canary"]}"#, "missing: clientId, clientSecret, accessToken"),
            ("canary", "line 1, column 1 is not"),
            (r#""canary""#, "line 1"),
            (r#"{"clientId": "canary" "b"}"#, "line 1, column"),
            (
                r#"{"clientId": "a", "clientSecret": "b", "accessToken": "c", "refreshToken": "d", "canary": 1}"#,
                "and nothing else",
            ),
            ("\u{0}", "line 1"),
        ] {
            let message = parse(content.as_bytes()).unwrap_err();
            assert!(message.contains(problem) && !message.contains("canary"), "{message}");
        }
    }
}

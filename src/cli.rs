//! The command line: one file per subcommand. `serve` is the default.

mod check_config;
mod client;
mod completions;
#[cfg(feature = "emulator")]
mod demo;
#[cfg(feature = "emulator")]
mod emulator;
mod health;
mod serve;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::{
    Arg, ArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    value_parser,
};
use http::Uri;

use crate::{
    config::{Config, Fallback, Flags, Loaded, SETTINGS, Setting, secret_meant_by},
    error::error_chain,
    telemetry::LogFormat,
    version::VERSION_AND_REVISION,
};

/// Runs the subcommand that the arguments name, of which the first one is the name of the program. Returns the
/// exit status: 64 for bad usage or a bad configuration.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let matches = match parse(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // If printing fails, no output is left to report it on.
            let _ = error.print();
            // Help and the version are errors of clap, too.
            return if error.use_stderr() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match matches.subcommand() {
        Some(("check-config", matches)) => check_config::run(environment, flags(matches)),
        Some(("health", matches)) => health::run(matches),
        Some(("connections" | "dataflows", _)) => client::run(&matches, &arguments, environment),
        Some(("completions", matches)) => completions::run(matches),
        #[cfg(feature = "emulator")]
        Some(("demo", matches)) => {
            let program =
                arguments.first().map_or_else(Default::default, |program| program.to_string_lossy());
            demo::run(&program, environment, matches)
        }
        #[cfg(feature = "emulator")]
        Some(("emulator", matches)) => emulator::run(matches),
        Some((_, matches)) => serve::run(environment, flags(matches)),
        None => serve::run(environment, flags(&matches)),
    }
}

fn parse(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    command().try_get_matches_from(arguments).map_err(|error| {
        let of_client = client::misplaced_secret(arguments, &error, &command());
        of_client.or_else(|| misplaced_secret(arguments, &error)).unwrap_or(error)
    })
}

/// The error about a secret among the arguments, if there is one. It replaces the error of clap, which suggests a
/// similar flag and may repeat the secret.
fn misplaced_secret(arguments: &[OsString], error: &clap::Error) -> Option<clap::Error> {
    let given = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    let variables = match given.filter_map(|argument| secret_meant_by(&argument)).next() {
        Some(Setting { name, .. }) => format!("set the variable {name}, or {name}_FILE"),
        None if is_about_a_secret(error) => {
            let secrets: Vec<_> = secrets().map(|secret| secret.name).collect();
            format!("set its variable ({}), or the same with _FILE at its end", secrets.join(", "))
        }
        None => return None,
    };
    let message = format!(
        "a secret is not given as an argument, as others can see the command line: {variables} to the path of a file \
         with it. If it was a real one, replace it\n"
    );
    Some(clap::Error::raw(ErrorKind::UnknownArgument, message).with_cmd(&command()))
}

/// Whether an unknown flag has the name of a secret of any kind.
fn is_about_a_secret(error: &clap::Error) -> bool {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return false };
    let unknown = unknown.to_ascii_lowercase();
    error.kind() == ErrorKind::UnknownArgument
        && unknown.starts_with('-')
        && ["secret", "token", "passw", "credential"].iter().any(|word| unknown.contains(word))
}

/// `EX_USAGE` of sysexits.h: the command line or the configuration has to be corrected.
const BAD_USAGE: u8 = 64;

/// Loads the configuration for a subcommand, or prints every problem.
fn load(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> Option<Loaded> {
    let log_format = if io::stdout().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let loaded = Config::load(environment, flags, log_format);
    loaded.inspect_err(|problems| drop(writeln!(io::stderr(), "error: {problems}"))).ok()
}

/// Prints an error with its causes and returns the exit status.
fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {}", error_chain(error));
    ExitCode::FAILURE
}

/// Runs an asynchronous subcommand to its end.
#[cfg(feature = "emulator")]
fn block_on(subcommand: impl Future<Output = Result<(), Box<dyn Error>>>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(subcommand)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn command() -> clap::Command {
    let about = "Check the configuration and print it without its secrets";
    let command = with_settings(clap::Command::new(env!("CARGO_PKG_NAME")))
        .version(VERSION_AND_REVISION)
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .args_conflicts_with_subcommands(true)
        .subcommand(with_settings(clap::Command::new("serve").about("Run the service (the default)")))
        .subcommand(with_settings(clap::Command::new("check-config").about(about)))
        .subcommand(health::command())
        .subcommands(client::commands())
        .subcommand(completions::command());
    #[cfg(feature = "emulator")]
    let command = command.subcommands([demo::command(), emulator::command()]);
    command
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn secrets() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.secret)
}

/// Adds a flag for each setting that can have one, and a text about the secrets, which cannot.
fn with_settings(command: clap::Command) -> clap::Command {
    let flags = SETTINGS.iter().filter_map(|setting| {
        let flag = Arg::new(setting.name).long(setting.flag()?).value_name("VALUE");
        let flag = flag.value_parser(value_parser!(OsString)).help_heading("Settings");
        Some(flag.help(format!("{} [{}, {}]", setting.help, setting.name, default(setting))))
    });
    let secrets = secrets().map(|Setting { name, help, .. }| format!("  {name:<17}  {help}\n"));
    command.args(flags).after_help(format!(
        "Secrets are variables only, as arguments can be seen by others.\n\
         Each may be a path instead, in the variable with _FILE at its end:\n{}",
        secrets.collect::<String>()
    ))
}

fn default(setting: &Setting) -> String {
    match setting.fallback {
        Fallback::Required => "required".to_owned(),
        Fallback::Text(text) | Fallback::Derived(text) => format!("default: {text}"),
        Fallback::Unset => "default: unset".to_owned(),
    }
}

fn flags(matches: &ArgMatches) -> Flags {
    let with_flag = SETTINGS.iter().filter(|setting| !setting.secret);
    with_flag
        .filter_map(|setting| Some((setting.name, matches.get_one::<OsString>(setting.name)?.clone())))
        .collect()
}

/// The value of an argument that has a default.
fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, argument: &str) -> T {
    matches.get_one::<T>(argument).cloned().expect("clap fills in the default")
}

/// The URL of a plaintext port.
fn http_url(text: &str) -> Result<Uri, &'static str> {
    let url = text.parse().ok();
    let is_http = |url: &Uri| url.scheme_str() == Some("http") && url.host().is_some();
    url.filter(is_http).ok_or("must be an http URL, as in http://127.0.0.1:9090")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<ArgMatches, clap::Error> {
        let words = ["hubspot-connection-service"].into_iter().chain(words.split_whitespace());
        parse(&words.map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_but_the_secrets_is_a_flag_of_serve_and_of_check_config() {
        for setting in SETTINGS {
            let Some(flag) = setting.flag() else {
                assert!(setting.secret, "{}", setting.name);
                continue;
            };
            let expected = Flags::from_iter([(setting.name, OsString::from("x"))]);
            for subcommand in ["", "serve", "check-config"] {
                let parsed = parse_words(&format!("{subcommand} --{flag}=x")).unwrap();
                let (name, matches) = parsed.subcommand().unwrap_or(("", &parsed));
                assert_eq!((name, flags(matches)), (subcommand, expected.clone()));
            }
        }
    }

    #[test]
    fn help_tells_the_variable_the_default_and_the_meaning_of_each_setting() {
        let help = command().term_width(0).render_help().to_string();
        for setting in SETTINGS {
            for expected in [setting.name, setting.help] {
                assert!(help.contains(expected), "{expected}");
            }
        }
        assert!(help.contains("[HCS_DRAIN_DELAY, default: 5s]"), "{help}");
    }

    #[test]
    fn serve_is_the_default() {
        assert_eq!(parse_words("").unwrap().subcommand_name(), None);
        assert_eq!(parse_words("serve").unwrap().subcommand_name(), Some("serve"));
        assert!(parse_words("--org-id=x check-config").is_err());
    }

    /// The value of an option of a subcommand.
    fn value_of<T: Clone + Send + Sync + 'static>(words: &str, option: &str) -> T {
        let matches = parse_words(words).unwrap();
        value(matches.subcommand().unwrap().1, option)
    }

    #[test]
    fn health_asks_the_admin_port_unless_told_otherwise() {
        for (words, expected) in
            [("health", "http://127.0.0.1:9090/"), ("health --address http://a:1", "http://a:1/")]
        {
            assert_eq!(value_of::<Uri>(words, "address"), expected);
        }
        for not_http in ["127.0.0.1:9090", "https://127.0.0.1:9090"] {
            assert!(parse_words(&format!("health --address {not_http}")).is_err(), "{not_http}");
        }
    }

    #[cfg(feature = "emulator")]
    #[test]
    fn the_emulator_has_its_own_subcommands() {
        assert!(value_of::<bool>("demo --once", "once"));
        for port in ["listen", "admin-listen", "emulator-listen"] {
            let address = value_of::<std::net::SocketAddr>(&format!("demo --{port} 127.0.0.1:1"), port);
            assert_eq!(address.to_string(), "127.0.0.1:1");
            assert!(parse_words(&format!("demo --{port} 0.0.0.0:1")).is_err(), "{port}");
        }
        let listen = value_of::<std::net::SocketAddr>("emulator", "listen");
        assert_eq!(listen.to_string(), "127.0.0.1:8080");
    }

    #[cfg(feature = "emulator")]
    #[test]
    fn the_help_of_the_emulator_lists_its_controls() {
        let mut command = command();
        let emulator = command.find_subcommand_mut("emulator").unwrap();
        let help = emulator.clone().term_width(0).render_help().to_string();
        for control in crate::emulator::CONTROLS {
            let (method, path) = control.route.split_once(' ').unwrap();
            let line = help.lines().find(|line| line.split_whitespace().take(2).eq([method, path]));
            assert!(line.is_some_and(|line| line.contains(control.does)), "{}: {help}", control.route);
            assert!(help.contains(control.body), "{help}");
        }
    }

    #[test]
    fn a_secret_among_the_arguments_is_explained_and_not_repeated() {
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            let flag = setting.name.trim_start_matches("HCS_").to_ascii_lowercase().replace('_', "-");
            for words in [
                format!("--{flag}=canary"),
                format!("--{flag} canary"),
                format!("-{flag}=canary"),
                format!("serve --{flag} canary"),
                format!("check-config --org-id=x --{flag}=canary"),
                format!("--{flag}-file /canary"),
                format!("{}=canary", setting.name),
                format!("serve {}=canary", setting.name),
                format!("--{flag}s=canary"),
            ] {
                let error = parse_words(&words).unwrap_err();
                assert!(error.use_stderr());
                let text = error.to_string();
                assert!(!text.contains("canary"), "{words}: {text}");
                assert!(text.contains(&format!("set the variable {}, or", setting.name)), "{words}: {text}");
                assert!(!text.contains("--client-id") && !text.contains("similar"), "{words}: {text}");
            }
        }
        for words in ["--secret=canary", "--token canary", "serve --password=canary", "--api-token canary"] {
            let text = parse_words(words).unwrap_err().to_string();
            assert!(text.contains("HCS_CLIENT_SECRET, HCS_ACCESS_TOKEN"), "{words}: {text}");
            assert!(!text.contains("canary") && !text.contains("similar"), "{words}: {text}");
        }
        let other = parse_words("--no-such-flag").unwrap_err().to_string();
        assert!(other.contains("--no-such-flag"), "{other}");
    }
}

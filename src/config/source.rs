//! Where the settings come from: flags, then variables, then the defaults of the table.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Config, Loaded, Problem, Problems,
    effective::{Effective, Origin, REDACTED},
    placeholder, service_link,
    setting::{self, Fallback, Parser, SETTINGS, Setting},
    traces,
};
use crate::{domain::Invalid, secret::Secret};

/// What the command line sets, by the name of the setting.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<&'static str, OsString>);

impl FromIterator<(&'static str, OsString)> for Flags {
    fn from_iter<I: IntoIterator<Item = (&'static str, OsString)>>(flags: I) -> Self {
        Self(flags.into_iter().collect())
    }
}

/// Prints the names alone: the URL of a proxy may hold a password.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A setting is unusable, and its problem has been reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// A struct of results, as a result. It evaluates every field before it returns the first error, so that each
/// problem is reported and not only the first one.
macro_rules! all_of {
    ($type:ident { $($field:ident $(: $value:expr)?),+ $(,)? }) => {{
        $($(let $field = $value;)?)+
        (|| Ok::<_, $crate::config::source::Reported>($type { $($field: $field?),+ }))()
    }};
}
pub(super) use all_of;

/// The settings as they were given, what was read of them, and every problem.
#[derive(Default)]
pub(super) struct Source {
    variables: BTreeMap<String, OsString>,
    flags: BTreeMap<&'static str, OsString>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    effective: Effective,
}

impl Source {
    pub(super) fn new(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> Self {
        let is_read = |name: &str| setting::is_ours(name) || name.starts_with(traces::PREFIX);
        let variables = environment.into_iter();
        let variables = variables.map(|(name, value)| (name.to_string_lossy().into_owned(), value));
        let mut variables: BTreeMap<_, _> = variables.filter(|(name, _)| is_read(name)).collect();
        // Unset and empty mean the same.
        variables.retain(|_, value| !value.is_empty());
        Self {
            variables,
            flags: flags.0.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            ..Self::default()
        }
    }

    /// Reads a setting that must be set, or has its default in the table.
    pub(super) fn read<T>(&mut self, setting: Setting<Parser<T>>) -> Result<T, Reported> {
        let default = if let Fallback::Text(text) = setting.fallback { Some(text.to_owned()) } else { None };
        self.read_or(setting, default)
    }

    /// Reads a setting whose default has been worked out.
    pub(super) fn read_or<T>(
        &mut self,
        setting: Setting<Parser<T>>,
        default: impl Into<Option<String>>,
    ) -> Result<T, Reported> {
        let value = self.parse(setting, default.into())?;
        value.ok_or_else(|| self.report(setting.name, "required but not set"))
    }

    /// Reads a setting that may stay unset.
    pub(super) fn read_optional<T>(&mut self, setting: Setting<Parser<T>>) -> Result<Option<T>, Reported> {
        self.parse(setting, None)
    }

    fn parse<T>(
        &mut self,
        setting: Setting<Parser<T>>,
        default: Option<String>,
    ) -> Result<Option<T>, Reported> {
        let given = self.given(&setting)?.or_else(|| Some((default?, Origin::Default)));
        let Some((text, origin)) = given else {
            self.effective.record(setting.name, None);
            return Ok(None);
        };
        let parsed = (setting.parse)(&text);
        self.effective.record(setting.name, Some((text, origin)));
        parsed.map(Some).map_err(|Invalid { sentence, .. }| self.report(setting.name, sentence))
    }

    /// Reads a secret from its variable or from the file that its `…_FILE` variable names. The secret is
    /// returned together with what it was parsed into.
    pub(super) fn read_secret<T>(
        &mut self,
        setting: Setting<Parser<T>>,
    ) -> Result<Option<(Secret, T)>, Reported> {
        let name = setting.name;
        let file_variable = format!("{name}_FILE");
        let (value, path) = (self.variable(name)?, self.variable(&file_variable)?);
        if let Some(problem) = path.as_deref().and_then(placeholder::problem) {
            self.problems.push(Problem::of(file_variable, problem));
            return Err(Reported);
        }
        let (secret, origin) = match (value, path.map(PathBuf::from)) {
            (None, None) => {
                self.effective.record(name, None);
                return Ok(None);
            }
            (Some(_), Some(_)) => {
                let message = format!("set together with {file_variable}: unset one of the two");
                return Err(self.report(name, message));
            }
            (Some(value), None) => (Secret::Value(SecretString::from(value)), Origin::Variable),
            (None, Some(path)) => (Secret::File(path.clone()), Origin::File(file_variable, path)),
        };
        self.effective.record(name, Some((REDACTED.to_owned(), origin)));
        // Checked before the form of the secret, which would suggest another fix.
        if let Some(problem) = placeholder::problem_of_secret(&secret, name) {
            return Err(self.report(name, problem));
        }
        let text = secret.read().map_err(|error| self.report(name, error.to_string()))?;
        match (setting.parse)(text.expose_secret()) {
            Ok(parsed) => Ok(Some((secret, parsed))),
            Err(Invalid { sentence, .. }) => Err(self.report(name, sentence)),
        }
    }

    /// Reads two settings that are set together or not at all.
    pub(super) fn read_both<T>(
        &mut self,
        one: Setting<Parser<T>>,
        other: Setting<Parser<T>>,
    ) -> Result<Option<(T, T)>, Reported> {
        let (first, second) = (self.read_optional(one), self.read_optional(other));
        let (name, missing) = match (first?, second?) {
            (Some(first), Some(second)) => return Ok(Some((first, second))),
            (None, None) => return Ok(None),
            (Some(_), None) => (one.name, other.name),
            (None, Some(_)) => (other.name, one.name),
        };
        Err(self.report(name, format!("set without {missing}: set both or neither")))
    }

    /// The text of a setting, from its flag or its variable.
    fn given<P>(&mut self, setting: &Setting<P>) -> Result<Option<(String, Origin)>, Reported> {
        let flag = setting.flag().zip(self.flags.remove(setting.name));
        let (value, origin) = match (flag, self.variables.get(setting.name)) {
            (Some((flag, value)), _) => (value, Origin::Flag(flag)),
            (None, Some(value)) => (value.clone(), Origin::Variable),
            (None, None) => return Ok(None),
        };
        let text = value.into_string().map_err(|_| NOT_UTF_8.into());
        match text.and_then(|text| placeholder::problem(&text).map_or(Ok(text), Err)) {
            Ok(text) => Ok(Some((text, origin))),
            Err(problem) => {
                self.effective.record(setting.name, Some((String::new(), origin)));
                Err(self.report(setting.name, problem))
            }
        }
    }

    fn variable(&mut self, name: &str) -> Result<Option<String>, Reported> {
        let Some(value) = self.variables.get(name) else { return Ok(None) };
        value.to_str().map(|text| Some(text.to_owned())).ok_or_else(|| {
            self.problems.push(Problem::of(name, NOT_UTF_8));
            Reported
        })
    }

    /// The trimmed text of a variable of another standard, if it is set to anything that can be read.
    pub(super) fn standard(&mut self, name: &'static str) -> Option<String> {
        let text = self.variables.get(name)?.to_str().map(|text| text.trim().to_owned());
        let problem = text.as_deref().map_or_else(|| Some(NOT_UTF_8.into()), placeholder::problem);
        if let Some(problem) = problem {
            self.ignore(name, &problem);
            return None;
        }
        text.filter(|text| !text.is_empty())
    }

    /// Warns that a variable of another standard has no effect.
    pub(super) fn ignore(&mut self, name: &'static str, why: &str) {
        self.warn(name, format!("ignored: {why}"));
    }

    pub(super) fn warn(&mut self, name: &'static str, message: impl Into<String>) {
        self.warnings.push(Problem::of(name, message));
    }

    /// Whether a variable is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// Shows this text for a variable of another standard, or for a setting instead of the text that was given.
    pub(super) fn show(&mut self, name: &'static str, text: String) {
        let origin = self.effective.origin(name).cloned();
        self.effective.record(name, Some((text, origin.unwrap_or(Origin::Variable))));
    }

    /// Reports that a setting cannot be used.
    pub(super) fn report(&mut self, name: &'static str, message: impl Into<String>) -> Reported {
        let setting = match self.effective.origin(name) {
            Some(Origin::Flag(flag)) => format!("{name} (given as --{flag})"),
            Some(Origin::File(variable, _)) => variable.clone(),
            Some(Origin::Variable | Origin::Default) | None => name.to_owned(),
        };
        self.problems.push(Problem::of(setting, message));
        Reported
    }

    /// Ends reading and reports unknown variables.
    pub(super) fn finish(mut self, config: Result<Config, Reported>) -> Result<Loaded, Problems> {
        let is_known = |name: &str| {
            name == setting::CLIENT_ADDRESS || SETTINGS.iter().any(|setting| setting.is_set_by(name))
        };
        let unknown = self.variables.iter().filter(|(name, _)| setting::is_ours(name) && !is_known(name));
        let mut links = Vec::new();
        for (name, value) in unknown {
            match service_link::service_of(name, &value.to_string_lossy()) {
                Some(service) => links.push((&**name, service)),
                None => {
                    let fix = setting::nearest(name).map(|meant| format!("did you mean {meant}?"));
                    let fix = fix.as_deref().unwrap_or("unset it, or see --help for those there are");
                    self.problems.push(Problem::of(&**name, format!("unknown variable; {fix}")));
                }
            }
        }
        self.problems.extend(service_link::problems(links.into_iter()));
        match config {
            Ok(config) if self.problems.is_empty() => {
                Ok(Loaded { config, effective: self.effective, warnings: self.warnings })
            }
            Ok(_) | Err(Reported) => Err(Problems(self.problems)),
        }
    }
}

const NOT_UTF_8: &str = "not valid UTF-8: set it to plain text";

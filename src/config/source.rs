//! Where the settings come from: flags, then variables, then the defaults of the table.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

use secrecy::SecretString;

use crate::domain::Invalid;
use crate::{
    config::{
        Problem,
        effective::{Effective, Origin},
        placeholder, service_link,
        setting::{self, Fallback, SETTINGS, Setting},
        traces,
    },
    secret::Secret,
};

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

/// A setting is unusable, and the problem has been reported. Reading goes on all the same, so that
/// every problem is found at once.
#[derive(Debug)]
pub(super) struct Reported;

/// The settings as they were given. It remembers what was read, and all that was wrong with it.
pub(super) struct Source {
    variables: BTreeMap<OsString, OsString>,
    flags: BTreeMap<&'static str, OsString>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    read: Effective,
}

impl Source {
    pub(super) fn new(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> Self {
        let is_ours = |name: &OsStr| {
            let name = name.to_string_lossy();
            setting::is_ours(&name) || name.starts_with(traces::PREFIX)
        };
        let mut variables: BTreeMap<_, _> =
            environment.into_iter().filter(|(name, _)| is_ours(name)).collect();
        let Flags(mut flags) = flags;
        // Unset and empty mean the same.
        variables.retain(|_, value| !value.is_empty());
        flags.retain(|_, value| !value.is_empty());
        Self { variables, flags, problems: Vec::new(), warnings: Vec::new(), read: Effective::default() }
    }

    /// Reads a setting that always has a value: it is required, or the table holds its default.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<T, Reported> {
        match (self.given(name)?, Setting::named(name).fallback) {
            (Some((text, origin)), _) => self.parse(name, text, origin, parse),
            (None, Fallback::Text(default)) => self.parse(name, default.to_owned(), Origin::Default, parse),
            (None, Fallback::Required | Fallback::Derived(_) | Fallback::Unset) => {
                Err(self.report(name, "required but not set"))
            }
        }
    }

    /// Reads a setting whose default has been worked out.
    pub(super) fn read_or<T>(
        &mut self,
        name: &'static str,
        default: String,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<T, Reported> {
        let (text, origin) = self.given(name)?.unwrap_or((default, Origin::Default));
        self.parse(name, text, origin, parse)
    }

    /// Reads a setting that may stay unset.
    pub(super) fn read_optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Reported> {
        match self.given(name)? {
            Some((text, origin)) => self.parse(name, text, origin, parse).map(Some),
            None => {
                self.read.record_unset(name);
                Ok(None)
            }
        }
    }

    /// Reads a secret from its variable or from the file that its `…_FILE` variable names.
    pub(super) fn read_secret(&mut self, name: &'static str) -> Result<Option<Secret>, Reported> {
        let file_variable = format!("{name}_FILE");
        let (value, path) = (self.variable(name)?, self.variable(&file_variable)?);
        if let Some(problem) = path.as_deref().and_then(placeholder::problem) {
            self.problems.push(Problem { setting: file_variable, message: problem.into_owned() });
            return Err(Reported);
        }
        let (secret, origin) = match (value, path) {
            (None, None) => {
                self.read.record_unset(name);
                return Ok(None);
            }
            (Some(_), Some(_)) => {
                return Err(
                    self.report(name, format!("set together with {file_variable}: unset one of the two"))
                );
            }
            (Some(value), None) => (Secret::Value(SecretString::from(value)), Origin::Variable),
            (None, Some(path)) => {
                let path = PathBuf::from(path);
                (Secret::File(path.clone()), Origin::File(file_variable, path))
            }
        };
        self.read.record(name, "[redacted]".to_owned(), origin);
        // Before it is called no word: the fix is another one.
        if let Some(problem) = placeholder::problem_of_secret(&secret, name) {
            return Err(self.report(name, problem));
        }
        match secret.read() {
            Ok(_) => Ok(Some(secret)),
            Err(error) => Err(self.report(name, error.to_string())),
        }
    }

    /// Reads a variable that is not this service's own, where it is set. One that cannot be used is ignored:
    /// it may be there for others.
    pub(super) fn read_standard<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.read_standard_or_warn(name, |text| parse(text).map(|value| (value, None)))
    }

    /// The same where there can be a warning about a value that is used all the same.
    pub(super) fn read_standard_or_warn<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<(T, Option<&'static str>), Invalid>,
    ) -> Option<T> {
        let text = self.standard(name)?;
        match parse(&text) {
            Ok((value, warning)) => {
                self.read.record(name, text, Origin::Variable);
                self.warnings.extend(warning.map(|warning| Problem::of(name, warning)));
                Some(value)
            }
            Err(Invalid { sentence, .. }) => {
                self.ignore(name, &sentence);
                None
            }
        }
    }

    /// The same where nothing of it may be shown.
    pub(super) fn read_standard_secret<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> (T, Option<&'static str>),
    ) -> Option<T> {
        let value = self.read_standard_or_warn(name, |text| Ok(parse(text)));
        self.show(name, "[redacted]".to_owned());
        value
    }

    /// Warns that a variable which is not this service's own does not count.
    pub(super) fn ignore(&mut self, name: &'static str, why: &str) {
        self.warnings.push(Problem::of(name, format!("ignored: {why}")));
    }

    /// The text of a variable that is not this service's own. White space does not set it.
    fn standard(&mut self, name: &'static str) -> Option<String> {
        let Some(text) = self.variables.get(OsStr::new(name))?.to_str() else {
            self.ignore(name, NOT_UTF_8);
            return None;
        };
        let text = text.trim();
        if let Some(problem) = placeholder::problem(text) {
            self.ignore(name, &problem);
            return None;
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether a variable is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.variables.contains_key(OsStr::new(name))
    }

    /// Whether a variable is set to something of this kind.
    pub(super) fn has_with(&self, name: &str, is_so: impl FnOnce(&str) -> bool) -> bool {
        self.variables.get(OsStr::new(name)).and_then(|text| text.to_str()).is_some_and(is_so)
    }

    /// Shows another text for a setting than the one it was read from.
    pub(super) fn show(&mut self, name: &'static str, text: String) {
        self.read.change(name, text);
    }

    /// Reports that a setting cannot be used.
    pub(super) fn report(&mut self, name: &'static str, message: impl Into<String>) -> Reported {
        let setting = match self.read.origin(name) {
            Some(Origin::Flag(flag)) => format!("{name} (given as --{flag})"),
            Some(Origin::File(variable, _)) => variable.clone(),
            Some(Origin::Variable | Origin::Default) | None => name.to_owned(),
        };
        self.problems.push(Problem { setting, message: message.into() });
        Reported
    }

    /// Ends reading: reports the variables that nobody knows and hands over what was found: the problems,
    /// and after them the warnings.
    pub(super) fn finish(mut self) -> (Effective, Vec<Problem>, Vec<Problem>) {
        let is_known = |name: &str| {
            name == setting::CLIENT_ADDRESS
                || SETTINGS.iter().any(|setting| {
                    setting.name == name || setting.file_variable().is_some_and(|variable| variable == name)
                })
        };
        let ours =
            self.variables.iter().map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()));
        let unknown: Vec<_> = ours.filter(|(name, _)| setting::is_ours(name) && !is_known(name)).collect();
        let mut links = Vec::new();
        for (name, value) in &unknown {
            match service_link::service_of(name, value) {
                Some(service) => links.push((&**name, service)),
                None => {
                    let message = format!("unknown variable; {}", cure(name));
                    self.problems.push(Problem { setting: name.to_string(), message });
                }
            }
        }
        let links = service_link::problems(links.into_iter());
        self.problems.extend(links.map(|(name, message)| Problem { setting: name.to_owned(), message }));
        (self.read, self.problems, self.warnings)
    }

    /// The text that was given for a setting, and where.
    fn given(&mut self, name: &'static str) -> Result<Option<(String, Origin)>, Reported> {
        let given = self.given_as_it_is(name)?;
        match given.as_ref().and_then(|(text, _)| placeholder::problem(text)) {
            None => Ok(given),
            Some(problem) => {
                if let Some((_, origin)) = given {
                    self.read.record(name, String::new(), origin);
                }
                Err(self.report(name, problem))
            }
        }
    }

    fn given_as_it_is(&mut self, name: &'static str) -> Result<Option<(String, Origin)>, Reported> {
        let setting = Setting::named(name);
        let Some((flag, value)) = setting.flag().zip(self.flags.remove(name)) else {
            return Ok(self.variable(name)?.map(|text| (text, Origin::Variable)));
        };
        value.into_string().map(|text| Some((text, Origin::Flag(flag.clone())))).map_err(|_| {
            self.read.record(name, String::new(), Origin::Flag(flag));
            self.report(name, NOT_UTF_8)
        })
    }

    fn variable(&mut self, variable: &str) -> Result<Option<String>, Reported> {
        let Some(value) = self.variables.get(OsStr::new(variable)) else { return Ok(None) };
        value.to_str().map(|text| Some(text.to_owned())).ok_or_else(|| {
            self.problems.push(Problem { setting: variable.to_owned(), message: NOT_UTF_8.to_owned() });
            Reported
        })
    }

    fn parse<T>(
        &mut self,
        name: &'static str,
        text: String,
        origin: Origin,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<T, Reported> {
        let parsed = parse(&text);
        self.read.record(name, text, origin);
        parsed.map_err(|Invalid { sentence, .. }| self.report(name, sentence))
    }
}

/// What to do about a variable that nobody knows.
fn cure(name: &str) -> String {
    match setting::nearest(name) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "unset it, or see --help for those there are".to_owned(),
    }
}

const NOT_UTF_8: &str = "not valid UTF-8: set it to plain text";

//! Placeholders that templates, manifests and examples leave in a value.

use std::borrow::Cow;

use secrecy::ExposeSecret as _;

use crate::secret::{Secret, small_file};

/// The problem and its fix, if the text of a setting contains a placeholder.
pub(super) fn problem(text: &str) -> Option<Cow<'static, str>> {
    let is_any = |text: &str| is_variable(text) || text.split(DELIMITERS).any(is_loud_variable);
    let problem = find(text, encloses, is_any)?;
    Some(if text.contains("://") && text.contains('@') {
        let encode = "; where it belongs to a password, percent-encode it (%24 for $, %3C for <, %7B for {)";
        format!("{problem}{encode}").into()
    } else {
        problem.into()
    })
}

/// The same if the whole text is a placeholder.
fn problem_of_all(text: &str) -> Option<Cow<'static, str>> {
    find(text, is_between, |text| is_variable(text) || is_loud_variable(text)).map(Cow::from)
}

/// The same for the value of a secret setting, or the content of its file.
pub(super) fn problem_of_secret(secret: &Secret, setting: &str) -> Option<Cow<'static, str>> {
    // A part of a random secret may look like one.
    let is_url = setting.ends_with("_URL");
    let problem = if is_url { problem } else { problem_of_all };
    match secret {
        Secret::Value(value) => problem(value.expose_secret()),
        Secret::File(path) => {
            let content = small_file::read(path, Secret::MAX_BYTES).ok()?;
            problem(str::from_utf8(&content).ok()?)
        }
    }
}

type Is = fn(&str) -> bool;

fn find(
    text: &str,
    encloses: impl Fn(&str, &str, &str, Is) -> bool,
    is_variable: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    let text = text.trim();
    if encloses(text, "$(", ")", is_name) {
        return Some(
            "holds an unexpanded $(NAME), which Kubernetes leaves where no variable of that name is defined \
             before this one: define it, or set the value itself",
        );
    }
    if encloses(text, "{{", "}}", |_| true) {
        return Some(
            "holds a template expression, {{ … }}, that nothing has rendered: render the template first",
        );
    }
    let in_braces = |inner: &str| is_name(inner.split([':', '-', '?', '=']).next().unwrap_or_default());
    if encloses(text, "${", "}", in_braces) || is_variable(text) {
        return Some(
            "holds an unexpanded variable, as in $NAME or ${NAME}, which nothing expands here: set the value itself \
             (in a Kubernetes manifest it is $(NAME))",
        );
    }
    // Adobe's documentation writes {ORG_ID}.
    if encloses(text, "<", ">", is_description) || encloses(text, "{", "}", is_loud_name) {
        return Some("holds a placeholder, as in <value> or {VALUE}: put the value in its place");
    }
    if is_between(text, "\"", "\"", |_| true) || is_between(text, "'", "'", |_| true) {
        return Some("is in quotes, which are taken for a part of the value: remove them");
    }
    None
}

/// The separators of the parts of a URL or a list.
const DELIMITERS: [char; 7] = [':', '/', '@', ',', '=', '?', '&'];

/// Whether the text contains something of this kind between the two.
fn encloses(text: &str, open: &str, close: &str, is_so: Is) -> bool {
    text.split(open).skip(1).any(|rest| rest.split_once(close).is_some_and(|(inner, _)| is_so(inner)))
}

/// Whether the text is something of this kind between the two and nothing else.
fn is_between(text: &str, open: &str, close: &str, is_so: Is) -> bool {
    text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(is_so)
}

/// The name of a variable, as Kubernetes allows it.
fn is_name(text: &str) -> bool {
    let is_first = |first: char| first.is_ascii_alphabetic() || first == '_';
    text.starts_with(is_first) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn is_variable(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.strip_prefix('$').is_some_and(|name| is_name(name) && name.chars().all(is_of_name))
}

fn is_loud_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// In a part of a text, only capitals count as a variable: a password may begin with a `$`.
fn is_loud_variable(part: &str) -> bool {
    part.strip_prefix('$').is_some_and(|name| is_loud_name(name.trim_start_matches('_')))
}

/// Words, as in `<your client id>`. Without a leading letter it is more likely a part of a password.
fn is_description(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " _-.…".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_has_replaced_is_no_value() {
        for (text, fix) in [
            ("$(CLIENT_ID)", "unexpanded $(NAME)"),
            ("redis://:$(redis.password)@redis:6379", "unexpanded $(NAME)"),
            ("https://$(HOST)/data", "unexpanded $(NAME)"),
            ("${CLIENT_ID}", "unexpanded variable"),
            ("redis://:${PASSWORD:-none}@redis", "unexpanded variable"),
            ("$CLIENT_ID", "unexpanded variable"),
            ("$token", "unexpanded variable"),
            ("redis://:$PASSWORD@redis", "unexpanded variable"),
            ("redis://$HOST:6379", "unexpanded variable"),
            ("openid,$SCOPES", "unexpanded variable"),
            ("{{ .Values.clientId }}", "render the template"),
            ("redis://{{host}}:6379", "render the template"),
            ("{{CLIENT_ID}}", "render the template"),
            ("<client-id>", "put the value in its place"),
            ("<your client id>", "put the value in its place"),
            ("<ORG>@AdobeOrg", "put the value in its place"),
            ("https://<host>/x", "put the value in its place"),
            ("{CLIENT_ID}", "put the value in its place"),
            ("{ORG_ID}@AdobeOrg", "put the value in its place"),
            ("redis://:{PASSWORD}@redis", "put the value in its place"),
            ("\"1234@AdobeOrg\"", "in quotes"),
            ("'p8e-1' \n", "in quotes"),
        ] {
            let problem = problem(text).unwrap_or_else(|| panic!("{text} is taken for a value"));
            assert!(problem.contains(fix), "{text}: {problem}");
            let is_of_url = text.contains("://") && text.contains('@');
            assert_eq!(problem.contains("percent-encode it (%24"), is_of_url, "{text}: {problem}");
            // A secret is drawn at random, and a part of it may look like anything.
            let is_all = !text.contains("://") && !text.contains(',') && !text.ends_with("@AdobeOrg");
            assert_eq!(problem_of_all(text).is_some(), is_all, "{text}");
        }
        for secret in ["kG7<aB>x9", "kG7{AB}x9", "a$(b)c", "a${B}c", "a{{b}}c", "a:$AB", "a=$AB"] {
            assert!(problem(secret).is_some() && problem_of_all(secret).is_none(), "{secret}");
        }
    }

    #[test]
    fn values_that_look_a_little_like_it_are_values() {
        for text in [
            "p8e-1",
            "1234@AdobeOrg",
            "redis://:pa$$word@redis:6379",
            "redis://:$ecret@redis:6379",
            "redis://:a$b(c)d@redis",
            "redis://:<1>x@redis",
            "$",
            "$1",
            "{a}",
            "\"",
            "jwt:system:serviceaccount:*:onboarding=write",
            "info,[call{method=x}]=debug",
        ] {
            assert_eq!(problem(text), None, "{text}");
        }
    }
}

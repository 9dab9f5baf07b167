//! Text that should have been replaced before it got here: what templates, manifests and examples leave.

/// What is wrong with the text of a setting, and what to do, where it is no value yet.
pub(super) fn problem(text: &str) -> Option<&'static str> {
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
    if encloses(text, "${", "}", in_braces)
        || is_variable(text)
        || text.split(DELIMITERS).any(is_loud_variable)
    {
        return Some(
            "holds an unexpanded variable, as in $NAME or ${NAME}, which nothing expands here: set the value itself \
             (in a Kubernetes manifest it is $(NAME))",
        );
    }
    // Adobe's documentation writes {ORG_ID}.
    if encloses(text, "<", ">", is_description) || encloses(text, "{", "}", is_loud_name) {
        return Some("holds a placeholder, as in <value> or {VALUE}: put the value in its place");
    }
    let is_quoted = |quote| text.len() >= 2 && text.starts_with(quote) && text.ends_with(quote);
    if is_quoted('"') || is_quoted('\'') {
        return Some("is in quotes, which are taken for a part of the value: remove them");
    }
    None
}

/// What stands between the parts of a URL or a list.
const DELIMITERS: [char; 7] = [':', '/', '@', ',', '=', '?', '&'];

/// Whether something of this kind stands between the two.
fn encloses(text: &str, open: &str, close: &str, is_so: impl Fn(&str) -> bool) -> bool {
    text.split(open).skip(1).any(|rest| rest.split_once(close).is_some_and(|(inner, _)| is_so(inner)))
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

/// A part of a text must be written as variables are, in capitals: a password may begin with a `$`.
fn is_loud_variable(part: &str) -> bool {
    part.strip_prefix('$').is_some_and(|name| is_loud_name(name.trim_start_matches('_')))
}

/// Words, as in `<your client id>`. Without a letter in front it is more likely a part of a password.
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

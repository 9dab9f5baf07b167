//! Who calls, and what they may do.

use std::fmt;

use super::Invalid;

/// Who calls, as a credential names them: never what a caller says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A URI or DNS name in the certificate of the caller.
    Certificate(String),
    /// The subject of the caller's token.
    Jwt(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(name) => write!(f, "cert:{name}"),
            Self::Jwt(subject) => write!(f, "jwt:{subject}"),
        }
    }
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Whatever changes nothing.
    Read,
    /// Everything.
    Write,
}

/// The callers that are allowed, and what each may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callers(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kind: Kind,
    pattern: Vec<Part>,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Certificate,
    Jwt,
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// This character.
    One(char),
    /// `*`: anything within a segment.
    Segment,
    /// `**`: anything.
    Any,
}

const RULE: &str = "must be IDENTITY=read or IDENTITY=write, comma separated, where IDENTITY is cert: and a URI or \
                    DNS name, or jwt: and a subject; * stands for a part without / : and ., ** for anything";

impl Callers {
    /// Parses rules such as `cert:spiffe://prod/ns/*/sa/onboarding=write,jwt:system:**=read`.
    ///
    /// # Errors
    /// [`Invalid`] where one of them is no rule.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(|rule| Rule::parse(rule.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a rule is about certificates, or about tokens.
    pub fn name_certificates(&self) -> bool {
        self.0.iter().any(|rule| rule.kind == Kind::Certificate)
    }

    /// Whether a rule is about tokens.
    pub fn name_tokens(&self) -> bool {
        self.0.iter().any(|rule| rule.kind == Kind::Jwt)
    }

    /// The most that any rule allows; `None` where none is about this caller.
    pub fn access(&self, identity: &Identity) -> Option<Access> {
        let (kind, name) = match identity {
            Identity::Certificate(name) => (Kind::Certificate, name),
            Identity::Jwt(subject) => (Kind::Jwt, subject),
        };
        let name: Vec<char> = name.chars().collect();
        let is_about = |rule: &&Rule| rule.kind == kind && matches(&rule.pattern, &name);
        self.0.iter().filter(is_about).map(|rule| rule.access).max()
    }
}

impl Rule {
    fn parse(rule: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::from(RULE);
        let (identity, access) = rule.rsplit_once('=').ok_or_else(invalid)?;
        let access = match access {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => return Err(invalid()),
        };
        let (kind, name) = match identity.split_once(':').ok_or_else(invalid)? {
            ("cert", name) => (Kind::Certificate, name),
            ("jwt", name) => (Kind::Jwt, name),
            _ => return Err(invalid()),
        };
        if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid());
        }
        Ok(Self { kind, pattern: parts(name), access })
    }
}

fn parts(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for c in name.chars() {
        match (c, parts.last()) {
            ('*', Some(Part::Segment | Part::Any)) => {
                parts.pop();
                parts.push(Part::Any);
            }
            ('*', _) => parts.push(Part::Segment),
            (c, _) => parts.push(Part::One(c)),
        }
    }
    parts
}

/// Whether a pattern covers the whole of a name, in the product of their lengths and no more: a name
/// comes from outside.
fn matches(pattern: &[Part], name: &[char]) -> bool {
    // After each part: which beginnings of the name the parts so far can cover.
    let mut covers = vec![false; name.len() + 1];
    covers[0] = true;
    for part in pattern {
        let mut next = vec![false; name.len() + 1];
        for end in 0..=name.len() {
            next[end] = match part {
                Part::One(c) => end > 0 && covers[end - 1] && name[end - 1] == *c,
                Part::Any => covers[end] || (end > 0 && next[end - 1]),
                Part::Segment => covers[end] || (end > 0 && next[end - 1] && !separates(name[end - 1])),
            };
        }
        covers = next;
    }
    covers[name.len()]
}

fn separates(c: char) -> bool {
    matches!(c, '/' | ':' | '.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(name: &str) -> Identity {
        Identity::Certificate(name.to_owned())
    }

    fn jwt(subject: &str) -> Identity {
        Identity::Jwt(subject.to_owned())
    }

    fn access(rules: &str, identity: &Identity) -> Option<Access> {
        Callers::parse(rules).unwrap().access(identity)
    }

    #[test]
    fn a_rule_is_about_one_kind_of_credential() {
        let rules = "cert:spiffe://prod/onboarding=write,jwt:system:serviceaccount:crm:reader=read";
        assert_eq!(access(rules, &certificate("spiffe://prod/onboarding")), Some(Access::Write));
        assert_eq!(access(rules, &jwt("spiffe://prod/onboarding")), None);
        assert_eq!(access(rules, &jwt("system:serviceaccount:crm:reader")), Some(Access::Read));
        assert_eq!(access(rules, &certificate("system:serviceaccount:crm:reader")), None);
    }

    #[test]
    fn an_identity_may_hold_the_sign_that_ends_it() {
        assert_eq!(access("jwt:a=b=c=write", &jwt("a=b=c")), Some(Access::Write));
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_do_not() {
        for (pattern, name, covers) in [
            ("spiffe://prod/ns/*/sa/crm", "spiffe://prod/ns/eu/sa/crm", true),
            ("spiffe://prod/ns/*/sa/crm", "spiffe://prod/ns/eu/x/sa/crm", false),
            ("spiffe://prod/**", "spiffe://prod/ns/eu/sa/crm", true),
            ("*.example.com", "crm.example.com", true),
            ("*.example.com", "a.crm.example.com", false),
            ("*.example.com", ".example.com", true),
            ("**.example.com", "a.crm.example.com", true),
            ("system:serviceaccount:*:crm", "system:serviceaccount:eu:crm", true),
            ("system:serviceaccount:*:crm", "system:serviceaccount:eu:x:crm", false),
            ("*", "crm", true),
            ("*", "a.b", false),
            ("**", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("crm", "crm2", false),
        ] {
            assert_eq!(
                access(&format!("jwt:{pattern}=read"), &jwt(name)).is_some(),
                covers,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn the_most_that_is_allowed_counts() {
        assert_eq!(access("jwt:**=read,jwt:crm=write", &jwt("crm")), Some(Access::Write));
        assert_eq!(access("jwt:crm=write,jwt:**=read", &jwt("crm")), Some(Access::Write));
    }

    #[test]
    fn anything_else_is_no_rule() {
        for text in [
            "",
            "crm=write",
            "cert:crm",
            "cert:crm=admin",
            "cert:=read",
            "x:crm=read",
            "jwt:a=read,,jwt:b=read",
            "jwt:a b=read",
            "=read",
        ] {
            assert!(Callers::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_without_stars_matches_itself_alone(name in "[a-z/:.]{1,20}", other in "[a-z/:.]{0,20}") {
            let rules = format!("jwt:{name}=read");
            prop_assert!(access(&rules, &jwt(&name)).is_some());
            prop_assert_eq!(access(&rules, &jwt(&other)).is_some(), name == other);
        }

        #[test]
        fn no_pattern_and_no_name_takes_long(pattern in "[a*]{1,60}", name in "a{0,200}b") {
            let _ = access(&format!("jwt:{pattern}=read"), &jwt(&name));
        }
    }
}

//! Identities of callers, and the rules that allow them to call.

use std::fmt;

use super::Invalid;

/// The identity of a caller, from a verified credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A URI of the caller's certificate.
    Uri(String),
    /// A DNS name of the certificate, in lower case and without a dot at its end.
    Dns(String),
    /// The fingerprint of a certificate without a name: `sha256:` and hexadecimal digits.
    Fingerprint(String),
    /// The subject of the caller's token.
    Jwt(String),
}

impl Identity {
    fn parts(&self) -> (Kind, &str) {
        match self {
            Self::Uri(name) => (Kind::Uri, name),
            Self::Dns(name) => (Kind::Dns, name),
            Self::Fingerprint(name) => (Kind::Fingerprint, name),
            Self::Jwt(name) => (Kind::Jwt, name),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{}:{name}", if kind == Kind::Jwt { "jwt" } else { "cert" })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    Read,
    /// Includes [`Access::Read`].
    Write,
}

/// The rules of `HCS_CALLERS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callers(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kind: Kind,
    pattern: Vec<Part>,
    access: Access,
}

/// The kind of identity that a rule matches. An authority that controls names of one kind may not control
/// the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Uri,
    Dns,
    Fingerprint,
    /// Any name in a certificate.
    Certificate,
    Jwt,
}

impl Kind {
    /// The kind of identity that the pattern of a `cert:` rule matches.
    fn of_certificate(pattern: &str) -> Self {
        if pattern.len() > 1 && pattern.chars().all(|c| c == '*') {
            Self::Certificate
        } else if after_fingerprint_prefix(pattern).is_some() {
            Self::Fingerprint
        } else if pattern.contains([':', '/']) {
            Self::Uri
        } else {
            Self::Dns
        }
    }

    fn matches(self, identity: Self) -> bool {
        self == identity || self == Self::Certificate && identity != Self::Jwt
    }
}

/// The prefix of a certificate's fingerprint.
pub const FINGERPRINT: &str = "sha256:";

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// This character.
    One(char),
    /// `*`: any part of a segment that is not empty.
    Segment,
    /// `**`: anything.
    Any,
}

const RULE: &str = "must be IDENTITY=read or IDENTITY=write, comma separated, where IDENTITY is cert: and a URI or \
                    DNS name, or jwt: and a subject; * stands for a part without / : and . that is not empty, ** for \
                    anything";

impl Callers {
    /// Parses rules such as `cert:spiffe://prod/ns/*/sa/onboarding=write,jwt:system:**=read`.
    ///
    /// # Errors
    /// [`Invalid`] when one of them is not a rule.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(|rule| Rule::parse(rule.trim())).collect::<Result<_, _>>().map(Self)
    }

    pub fn name_certificates(&self) -> bool {
        self.0.iter().any(|rule| rule.kind != Kind::Jwt)
    }

    pub fn name_tokens(&self) -> bool {
        self.0.iter().any(|rule| rule.kind == Kind::Jwt)
    }

    /// The most that any rule allows; `None` if no rule matches the caller.
    pub fn access(&self, identity: &Identity) -> Option<Access> {
        let (kind, name) = identity.parts();
        let name: Vec<char> = name.chars().collect();
        let separators = separators(&name);
        let applies = |rule: &&Rule| rule.kind.matches(kind) && covers(&rule.pattern, &name, &separators);
        self.0.iter().filter(applies).map(|rule| rule.access).max()
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
            ("cert", name) => (Kind::of_certificate(name), name),
            ("jwt", name) => (Kind::Jwt, name),
            _ => return Err(invalid()),
        };
        if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid());
        }
        let pattern = match kind {
            Kind::Dns => parts(&dns_name(name)),
            Kind::Fingerprint => parts(&fingerprint(name)?),
            Kind::Uri | Kind::Certificate | Kind::Jwt => parts(name),
        };
        Ok(Self { kind, pattern, access })
    }
}

fn after_fingerprint_prefix(name: &str) -> Option<&str> {
    let (prefix, rest) = name.split_at_checked(FINGERPRINT.len())?;
    prefix.eq_ignore_ascii_case(FINGERPRINT).then_some(rest)
}

/// A pattern of fingerprints in the form in which they are compared. Some tools write upper-case digits, or
/// colons between them.
fn fingerprint(name: &str) -> Result<String, Invalid> {
    const DIGITS: usize = 64;
    let digits = after_fingerprint_prefix(name).unwrap_or(name).replace(':', "").to_ascii_lowercase();
    let has_star = digits.contains('*');
    let is_one = digits.chars().all(|c| c.is_ascii_hexdigit() || c == '*')
        && if has_star { digits.len() <= DIGITS } else { digits.len() == DIGITS };
    is_one.then(|| format!("{FINGERPRINT}{digits}")).ok_or_else(|| {
        "must have the 64 hexadecimal digits of a SHA-256 fingerprint after cert:sha256:, as openssl x509 -fingerprint \
         -sha256 shows them, or * for some of them"
            .into()
    })
}

/// A DNS name in the form in which names are compared.
pub fn dns_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
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

/// Whether a pattern matches a whole name. Takes time in proportion to the product of their lengths: callers
/// choose their names.
fn covers(pattern: &[Part], name: &[char], separators: &[bool]) -> bool {
    // Whether the segment at this position is not empty.
    let is_in_segment =
        |at: usize| (at > 0 && !separators[at - 1]) || separators.get(at).is_some_and(|separates| !separates);
    // After each part: which prefixes of the name the parts so far can match.
    let mut matched = vec![false; name.len() + 1];
    matched[0] = true;
    for part in pattern {
        let mut next = vec![false; name.len() + 1];
        for end in 0..=name.len() {
            next[end] = match part {
                Part::One(c) => end > 0 && matched[end - 1] && name[end - 1] == *c,
                Part::Any => matched[end] || (end > 0 && next[end - 1]),
                Part::Segment => {
                    (matched[end] && is_in_segment(end)) || (end > 0 && next[end - 1] && !separators[end - 1])
                }
            };
        }
        matched = next;
    }
    matched[name.len()]
}

/// Which characters of a name separate its segments, or belong to an escape of such a character: another
/// reader of the name may decode it, and `%25` may be the first half of another escape.
fn separators(name: &[char]) -> Vec<bool> {
    const ENCODED: [[char; 2]; 4] = [['2', 'F'], ['3', 'A'], ['2', 'E'], ['2', '5']];
    let mut separators: Vec<_> = name.iter().map(|c| matches!(c, '/' | ':' | '.')).collect();
    for at in 0..name.len().saturating_sub(2) {
        let digits = [name[at + 1].to_ascii_uppercase(), name[at + 2].to_ascii_uppercase()];
        if name[at] == '%' && ENCODED.contains(&digits) {
            separators[at..at + 3].fill(true);
        }
    }
    separators
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(name: &str) -> Identity {
        Identity::Uri(name.to_owned())
    }

    fn dns(name: &str) -> Identity {
        Identity::Dns(name.to_owned())
    }

    fn jwt(subject: &str) -> Identity {
        Identity::Jwt(subject.to_owned())
    }

    fn access(rules: &str, identity: &Identity) -> Option<Access> {
        Callers::parse(rules).unwrap().access(identity)
    }

    #[test]
    fn a_rule_matches_one_kind_of_credential() {
        let rules = "cert:spiffe://prod/onboarding=write,jwt:system:serviceaccount:crm:reader=read";
        assert_eq!(access(rules, &uri("spiffe://prod/onboarding")), Some(Access::Write));
        assert_eq!(access(rules, &jwt("spiffe://prod/onboarding")), None);
        assert_eq!(access(rules, &jwt("system:serviceaccount:crm:reader")), Some(Access::Read));
        assert_eq!(access(rules, &uri("system:serviceaccount:crm:reader")), None);
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
            ("*.example.com", ".example.com", false),
            ("spiffe://prod/ns/*/sa/crm", "spiffe://prod/ns//sa/crm", false),
            ("spiffe://prod/ns/*", "spiffe://prod/ns/", false),
            ("spiffe://prod/ns/*", "spiffe://prod/ns", false),
            ("spiffe://prod/*/crm", "spiffe://prod/a%2Fb/crm", false),
            ("spiffe://prod/*/crm", "spiffe://prod/a%2fb/crm", false),
            ("spiffe://prod/*/crm", "spiffe://prod/%2F/crm", false),
            ("spiffe://prod/*/crm", "spiffe://prod/a%3Ab/crm", false),
            ("spiffe://prod/*/crm", "spiffe://prod/a%2eb/crm", false),
            ("spiffe://prod/*/crm", "spiffe://prod/%2E%2E/crm", false),
            ("spiffe://prod/*/crm", "spiffe://prod/a%252Fb/crm", false),
            ("spiffe://prod/a%*/crm", "spiffe://prod/a%2Fb/crm", false),
            ("spiffe://prod/*%2Fb/crm", "spiffe://prod/a%2Fb/crm", true),
            ("spiffe://prod/*/crm", "spiffe://prod/a%20b/crm", true),
            ("spiffe://prod/**/crm", "spiffe://prod/a%2Fb/crm", true),
            ("system:serviceaccount:*:crm", "system:serviceaccount::crm", false),
            ("crm*", "crm", true),
            ("crm.*", "crm.", false),
            ("*crm", "crm", true),
            ("*", "", false),
            ("a**", "a", true),
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
    fn a_rule_for_one_kind_of_name_in_a_certificate_is_not_about_another() {
        let fingerprint = |name: &str| Identity::Fingerprint(name.to_owned());
        let digits = "00ab".repeat(16);
        let (full, colons) = (format!("sha256:{digits}"), ["00:AB"; 16].join(":"));
        for (rule, identity, matches) in [
            (&*full, fingerprint(&full), true),
            (&*full, uri(&full), false),
            (&*format!("SHA256:{}", digits.to_uppercase()), fingerprint(&full), true),
            (&*format!("sha256:{colons}"), fingerprint(&full), true),
            ("sha256:00:AB:*", fingerprint(&full), true),
            ("sha256:00:AC:*", fingerprint(&full), false),
            ("*.example.com", dns("crm.example.com"), true),
            ("*.example.com", uri("crm.example.com"), false),
            ("**.example.com", uri("spiffe://evil/x.example.com"), false),
            ("**", uri("spiffe://prod/crm"), true),
            ("**", dns("crm.example.com"), true),
            ("**", fingerprint("sha256:00"), true),
            ("spiffe://prod/**", uri("spiffe://prod/crm"), true),
            ("spiffe://prod/**", dns("spiffe://prod/crm"), false),
            ("**/crm", uri("spiffe://prod/crm"), true),
            ("urn:uuid:*", uri("urn:uuid:1"), true),
            ("sha256:AB*", fingerprint("sha256:abc"), true),
            ("**:00", fingerprint("sha256:00"), false),
            ("CRM.Example.com.", dns("crm.example.com"), true),
            ("spiffe://prod/CRM", uri("spiffe://prod/crm"), false),
        ] {
            assert_eq!(
                access(&format!("cert:{rule}=read"), &identity).is_some(),
                matches,
                "{rule} {identity:?}"
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
            "cert:sha256:=read",
            "cert:sha256:00=read",
            "cert:SHA256:xy*=read",
            &format!("cert:sha256:{}=read", "g".repeat(64)),
            &format!("cert:sha256:{}=read", "0".repeat(65)),
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

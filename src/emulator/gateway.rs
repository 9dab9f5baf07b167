//! The checks before every route of an Adobe service: the gateway's, then the sandbox.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::{Method, StatusCode, header};
use uuid::{Builder, Uuid};

use super::{Options, ims::Tokens, problem::Problem, received::ReceivedRequest};

/// The owner of a resource. Resources never cross organizations or sandboxes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tenant {
    pub(super) org: String,
    pub(super) sandbox: String,
}

impl Tenant {
    /// The same id for the same sandbox.
    pub(super) fn sandbox_id(&self) -> Uuid {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let first = hasher.finish();
        first.hash(&mut hasher);
        let bytes = u128::from(first) << 64 | u128::from(hasher.finish());
        Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }
}

/// Makes the checks that precede a route's own, and returns the tenant of the request.
///
/// # Errors
/// For the first check that fails.
pub(super) fn admit(
    request: &ReceivedRequest,
    options: &Options,
    tokens: &Tokens,
) -> Result<Tenant, Problem> {
    check_credentials(request, options, tokens)?;
    // An action has no body, and therefore no type.
    let has_body =
        matches!(request.method, Method::POST | Method::PUT | Method::PATCH) && !request.body.is_empty();
    if has_body && request.media_type().as_deref() != Some("application/json") {
        return Err(Problem::unreadable("A valid content-type must be specified"));
    }
    tenant(request, options)
}

/// Checks credentials and organization, in the gateway's order.
///
/// # Errors
/// The gateway's, for the first check that fails.
pub(super) fn check_credentials(
    request: &ReceivedRequest,
    options: &Options,
    tokens: &Tokens,
) -> Result<(), Problem> {
    let gateway = |status, code| Err(Problem::gateway(status, code));
    let Some(authorization) = request.header(header::AUTHORIZATION) else {
        return gateway(StatusCode::FORBIDDEN, 403_010);
    };
    let is_valid = |token: &str| token == options.access_token || tokens.is_valid(token);
    if !bearer(authorization).is_some_and(is_valid) {
        return gateway(StatusCode::UNAUTHORIZED, 401_013);
    }
    match request.header("x-api-key") {
        None => return gateway(StatusCode::FORBIDDEN, 403_000),
        Some(key) if key != options.client_id => return gateway(StatusCode::FORBIDDEN, 403_003),
        Some(_) => {}
    }
    let Some(org) = request.header("x-gw-ims-org-id") else {
        return gateway(StatusCode::BAD_REQUEST, 400_003);
    };
    if org.strip_suffix("@AdobeOrg").is_none_or(str::is_empty) {
        return gateway(StatusCode::FORBIDDEN, 403_027);
    }
    if options.org_id.as_ref().is_some_and(|entitled| entitled != org) {
        return gateway(StatusCode::FORBIDDEN, 403_025);
    }
    Ok(())
}

/// 2105-400 without a sandbox name, 2100-404 for one that does not exist.
fn tenant(request: &ReceivedRequest, options: &Options) -> Result<Tenant, Problem> {
    let org = request.header("x-gw-ims-org-id").unwrap_or_default().to_owned();
    let Some(sandbox) = request.header("x-sandbox-name") else {
        let detail = "The header x-sandbox-name is missing in the request. \
                      Please add the header in the request and try again.";
        return Err(Problem::invalid(2105, detail));
    };
    let is_known = match &options.sandboxes {
        Some(sandboxes) => sandboxes.iter().any(|known| known == sandbox),
        None => is_sandbox_name(sandbox),
    };
    if !is_known {
        let detail = format!(
            "The sandbox with the name '{sandbox}' could not be found. \
             Please ensure that the sandbox name is correct and try again."
        );
        return Err(Problem::report(StatusCode::NOT_FOUND, 2100, detail));
    }
    Ok(Tenant { org, sandbox: sandbox.to_owned() })
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Up to 256 lower case letters, digits and hyphens, the first one a letter.
fn is_sandbox_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= 256 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{CLIENT_ID, DEMO_ACCESS_TOKEN, ORG_ID, received::tests::request};
    use serde_json::{Value, json};

    /// The gateway's error code for a good request with these headers replaced. An empty value removes the
    /// header.
    fn error_code(replaced: &[(&str, &str)], options: &Options) -> Option<Value> {
        let bearer = format!("Bearer {DEMO_ACCESS_TOKEN}");
        let good = [("authorization", &*bearer), ("x-api-key", CLIENT_ID), ("x-gw-ims-org-id", ORG_ID)];
        let headers: Vec<_> = good
            .into_iter()
            .map(|(name, value)| {
                let other = replaced.iter().find(|(replaced, _)| *replaced == name);
                (name, other.map_or(value, |(_, value)| *value))
            })
            .collect();
        let request = request("GET", "/", &headers, "");
        match check_credentials(&request, options, &Tokens::default()) {
            Ok(()) => None,
            Err(Problem::Gateway { code, status, .. }) => {
                assert!(code.to_string().contains(status.as_str()), "{code}");
                Some(code)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_check_has_its_error_and_its_turn() {
        let options = Options::default();
        assert_eq!(error_code(&[], &options), None);
        for (replaced, code) in [
            (&[("authorization", ""), ("x-api-key", "")][..], "403010"),
            (&[("authorization", "Bearer other"), ("x-api-key", "")], "401013"),
            (&[("authorization", "Basic eA==")], "401013"),
            (&[("x-api-key", ""), ("x-gw-ims-org-id", "")], "403000"),
            (&[("x-api-key", "other"), ("x-gw-ims-org-id", "")], "403003"),
            (&[("x-gw-ims-org-id", "")], "400003"),
            (&[("x-gw-ims-org-id", "ORG")], "403027"),
            (&[("x-gw-ims-org-id", "@AdobeOrg")], "403027"),
        ] {
            assert_eq!(error_code(replaced, &options), Some(json!(code)), "{replaced:?}");
        }
        let entitled = Options { org_id: Some("OTHER@AdobeOrg".to_owned()), ..Options::default() };
        assert_eq!(error_code(&[], &entitled), Some(json!("403025")));
    }

    #[test]
    fn a_sandbox_must_be_named_and_known() {
        let tenant_of = |sandbox: &str, options: &Options| {
            let headers = [("x-gw-ims-org-id", ORG_ID), ("x-sandbox-name", sandbox)];
            match tenant(&request("GET", "/", &headers, ""), options) {
                Ok(tenant) => Ok(tenant.sandbox),
                Err(Problem::Report { code, .. }) => Err(code),
                Err(other) => panic!("{other:?}"),
            }
        };
        let any = Options::default();
        assert_eq!(tenant_of("dev-1", &any), Ok("dev-1".to_owned()));
        assert_eq!(tenant_of("", &any), Err("2105".to_owned()));
        for name in ["Prod", "1st", "a_b", "*", &"a".repeat(257)] {
            assert_eq!(tenant_of(name, &any), Err("2100".to_owned()), "{name}");
        }
        let some = Options { sandboxes: Some(vec!["prod".to_owned()]), ..Options::default() };
        assert_eq!(tenant_of("prod", &some), Ok("prod".to_owned()));
        assert_eq!(tenant_of("dev", &some), Err("2100".to_owned()));
    }
}

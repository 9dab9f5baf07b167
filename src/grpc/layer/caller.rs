//! Finds out who calls, and refuses whoever may not: before anything of the request is looked at.
//!
//! The health of the service is open to everyone. Everything else, reflection included, needs a caller
//! where callers are checked.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};

use super::{Request, Response};
use crate::{
    domain::{Access, Callers, Identity},
    grpc::{
        SERVICE_NAME,
        audit::{Audit, UNKNOWN_CALLER},
        layer::deadline::Deadline,
        status,
    },
    jwt::{BadToken, NotAccepted, TokenCheck},
    metrics::Metrics,
    server::PeerCertificate,
};

/// The methods that change nothing. Whatever else there is may.
const READS: [&str; 5] = [
    "GetHubSpotConnection",
    "ListHubSpotConnections",
    "TestHubSpotConnection",
    "ListHubSpotTables",
    "GetHubSpotTable",
];

/// How callers are checked.
#[derive(Clone, Debug, Default)]
pub struct CallerCheck {
    /// The check of their tokens, where they must send one.
    pub tokens: Option<Arc<TokenCheck>>,
    /// Whether they must show a certificate, which the handshake has checked.
    pub certificates: bool,
    /// Those that are allowed; `None` is everyone who is authenticated.
    pub allowed: Option<Arc<Callers>>,
    /// Where refusals are counted.
    pub metrics: Metrics,
}

/// Why a call is refused for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no token.
    NoToken,
    /// There is no certificate.
    NoCertificate,
    BadToken(BadToken),
    /// Nobody can tell: the keys for it could not be read.
    KeysUnavailable,
    /// Nobody has allowed the caller anything.
    Unknown(Vec<Identity>),
    /// The caller may read.
    ReadOnly(Identity),
}

impl Refused {
    /// One word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::KeysUnavailable => "keys_unavailable",
            Self::NoToken => "no_token",
            Self::NoCertificate => "no_certificate",
            Self::BadToken(error) => error.name(),
            Self::Unknown(_) => "not_allowed",
            Self::ReadOnly(_) => "read_only",
        }
    }
}

pub(crate) async fn caller(
    check: &CallerCheck,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let path = request.uri().path();
    if path.starts_with("/grpc.health.v1.Health/") {
        return next(request).await;
    }
    let certificate = request.extensions().get::<PeerCertificate>();
    match check.identify(needed(path), request.headers(), certificate).await {
        Ok(identity) => {
            if let Some(identity) = identity {
                note(&request, &identity.to_string());
                if let Some(Deadline { progress, .. }) = request.extensions().get() {
                    progress.called_by(identity);
                }
            }
            next(request).await
        }
        Err(refused) => {
            // Where the keys are missing, the caller is not the reason.
            if !matches!(refused, Refused::KeysUnavailable) {
                check.metrics.callers_refused.get_or_create(&refused.name().into()).inc();
            }
            match &refused {
                Refused::Unknown(identities) => note(&request, &status::names(identities)),
                Refused::ReadOnly(identity) => note(&request, &identity.to_string()),
                Refused::NoToken
                | Refused::NoCertificate
                | Refused::BadToken(_)
                | Refused::KeysUnavailable => note(&request, UNKNOWN_CALLER),
            }
            status::caller_refused(&refused).into_http()
        }
    }
}

/// Puts a caller into the lines of its call and into the audit trail.
fn note(request: &Request, caller: &str) {
    tracing::Span::current().record("caller", caller);
    if let Some(audit) = request.extensions().get::<Audit>() {
        audit.called_by(caller);
    }
}

/// The method of the service that a path names.
fn method(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.strip_prefix(SERVICE_NAME)?.strip_prefix('/')
}

/// What a method that writes is called in the audit trail.
pub(crate) fn write(path: &str) -> Option<&'static str> {
    match method(path)? {
        "CreateHubSpotConnection" => Some("create"),
        "UpdateHubSpotConnection" => Some("update"),
        "DeleteHubSpotConnection" => Some("delete"),
        _ => None,
    }
}

fn needed(path: &str) -> Access {
    match method(path) {
        Some(method) if READS.contains(&method) => Access::Read,
        Some(_) => Access::Write,
        // Reflection.
        None => Access::Read,
    }
}

impl From<NotAccepted> for Refused {
    fn from(not_accepted: NotAccepted) -> Self {
        match not_accepted {
            NotAccepted::Bad(error) => Self::BadToken(error),
            NotAccepted::KeysUnavailable => Self::KeysUnavailable,
        }
    }
}

impl CallerCheck {
    /// Whether callers must say who they are.
    pub(crate) fn asks(&self) -> bool {
        self.tokens.is_some() || self.certificates
    }

    async fn identify(
        &self,
        needed: Access,
        headers: &HeaderMap,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Option<Identity>, Refused> {
        let identities = match &self.tokens {
            Some(tokens) => {
                let token = bearer(headers).ok_or(Refused::NoToken)?;
                vec![Identity::Jwt(tokens.subject(token).await?)]
            }
            None if self.certificates => {
                let PeerCertificate(names) = certificate.ok_or(Refused::NoCertificate)?;
                names.to_vec()
            }
            None => return Ok(None),
        };
        let Some(allowed) = &self.allowed else {
            return Ok(identities.into_iter().next());
        };
        let with_access = |identity: &Identity| Some((allowed.access(identity)?, identity.clone()));
        match identities.iter().filter_map(with_access).max_by_key(|(access, _)| *access) {
            Some((access, identity)) if access >= needed => Ok(Some(identity)),
            Some((_, identity)) => Err(Refused::ReadOnly(identity)),
            None => Err(Refused::Unknown(identities)),
        }
    }
}

/// The token in the one header that has it.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

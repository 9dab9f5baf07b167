//! Authenticates the caller, and rejects callers that are not allowed, before anything else is read of the request.
//!
//! Health is open to everyone. Where callers are checked, every other method needs one, reflection too.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};

use super::{Request, Response};
use crate::{
    domain::{Access, Callers, Identity},
    grpc::{audit::UNKNOWN_CALLER, call::Call, status},
    jwt::{NotAccepted, TokenCheck},
    metrics::Metrics,
    server::PeerCertificate,
};

/// How callers are checked.
#[derive(Clone, Debug, Default)]
pub struct CallerCheck {
    /// Checks their tokens, where they must send one.
    pub tokens: Option<Arc<TokenCheck>>,
    /// Whether they must have a certificate, which the TLS handshake verifies.
    pub certificates: bool,
    /// `None`: every authenticated caller may do everything.
    pub allowed: Option<Arc<Callers>>,
    pub metrics: Metrics,
}

/// Why a caller is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoToken,
    NoCertificate,
    Token(NotAccepted),
    /// No rule allows the caller.
    Unknown(Vec<Identity>),
    /// The caller may only read.
    ReadOnly(Identity),
}

impl Refused {
    /// The label in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Token(NotAccepted::KeysUnavailable) => "keys_unavailable",
            Self::NoToken => "no_token",
            Self::NoCertificate => "no_certificate",
            Self::Token(NotAccepted::Bad(error)) => error.name(),
            Self::Unknown(_) => "not_allowed",
            Self::ReadOnly(_) => "read_only",
        }
    }
}

pub(crate) async fn caller(
    check: &CallerCheck,
    call: &Call,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    // Also a method of Health that this server does not have.
    if request.uri().path().starts_with("/grpc.health.v1.Health/") {
        return next(request).await;
    }
    let certificate = request.extensions().get::<PeerCertificate>();
    let needed = match call.method {
        Some(method) => method.access,
        // A method of a later version, which may write.
        None if request.uri().path().starts_with("/hubspot_connection.") => Access::Write,
        // Reflection.
        None => Access::Read,
    };
    match check.identify(needed, request.headers(), certificate).await {
        Ok(identity) => {
            if let Some(identity) = identity {
                tracing::Span::current().record("caller", tracing::field::display(&identity));
                call.progress.called_by(identity);
            }
            next(request).await
        }
        Err(refused) => {
            // Missing keys are not the caller's fault.
            if refused != Refused::Token(NotAccepted::KeysUnavailable) {
                check.metrics.callers_refused.get_or_create(&refused.name().into()).inc();
            }
            let name = match &refused {
                Refused::Unknown(names) => status::identities(names),
                Refused::ReadOnly(identity) => identity.to_string(),
                Refused::NoToken | Refused::NoCertificate | Refused::Token(_) => UNKNOWN_CALLER.to_owned(),
            };
            tracing::Span::current().record("caller", &*name);
            call.audited().rejected = Some(name);
            let tokens = check.tokens.as_deref().map(TokenCheck::config);
            status::caller_refused(&refused, tokens).into_response()
        }
    }
}

impl CallerCheck {
    /// Whether callers must authenticate.
    pub(crate) fn is_on(&self) -> bool {
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
                vec![Identity::Jwt(tokens.subject(token).await.map_err(Refused::Token)?)]
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

/// The bearer token, if there is exactly one authorization header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

//! The settings that decide who may call.

use std::net::SocketAddr;

use crate::{
    config::{
        CallersConfig, parse,
        source::{Reported, Source},
    },
    jwt::{JwksSource, JwtConfig},
    tls::TlsConfig,
};
use crate::{domain::Callers, error::error_chain, tls::ServerTls};

/// Reads them.
pub(super) fn callers(source: &mut Source) -> Result<CallersConfig, Reported> {
    let tls = tls(source);
    let jwt = jwt(source);
    let allowed = source.read_optional("HCS_CALLERS", Callers::parse);
    let (tls, jwt, allowed) = (tls?, jwt?, allowed?);
    let by_certificate = tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    match &allowed {
        None if jwt.is_some() => {
            return Err(source.report(
                "HCS_CALLERS",
                "required with HCS_JWT_ISSUER: say which subjects may call, as in \
                 jwt:system:serviceaccount:crm:onboarding=write",
            ));
        }
        // Where both are asked for, the token names the caller.
        Some(callers) if callers.name_certificates() && (jwt.is_some() || !by_certificate) => {
            return Err(source.report(
                "HCS_CALLERS",
                if jwt.is_some() {
                    "names a caller by cert:, and with HCS_JWT_ISSUER the token names the caller: write jwt: and \
                     its subject"
                } else {
                    "names a caller by cert:, which needs HCS_TLS_CLIENT_CA_FILE"
                },
            ));
        }
        Some(callers) if callers.name_tokens() && jwt.is_none() => {
            return Err(source.report("HCS_CALLERS", "names a caller by jwt:, which needs HCS_JWT_ISSUER"));
        }
        Some(_) | None => {}
    }
    Ok(CallersConfig { tls, jwt, allowed })
}

/// Reports a gRPC port that everybody could reach and use.
pub(super) fn check_exposure(
    source: &mut Source,
    listen: SocketAddr,
    callers: &CallersConfig,
    insecure: bool,
) {
    let is_checked =
        callers.jwt.is_some() || callers.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    let is_private = listen.ip().to_canonical().is_loopback();
    if is_private || insecure || (callers.tls.is_some() && is_checked) {
        return;
    }
    let lacks = match (&callers.tls, is_checked) {
        (None, false) => "no TLS and no check of callers",
        (None, true) => "no TLS",
        (Some(_), _) => "no check of callers",
    };
    source.report(
        "HCS_LISTEN",
        format!(
            "an address beyond loopback needs TLS and a check of callers, and there is {lacks}: set \
             HCS_TLS_CERT_FILE and HCS_TLS_KEY_FILE, and HCS_TLS_CLIENT_CA_FILE or HCS_JWT_ISSUER; or listen on \
             loopback, as in 127.0.0.1:50051; or set HCS_INSECURE=true where the network itself keeps others out"
        ),
    );
}

fn tls(source: &mut Source) -> Result<Option<TlsConfig>, Reported> {
    let cert_file = source.read_optional("HCS_TLS_CERT_FILE", parse::pem_file);
    let key_file = source.read_optional("HCS_TLS_KEY_FILE", parse::pem_file);
    let client_ca_file = source.read_optional("HCS_TLS_CLIENT_CA_FILE", parse::ca_file);
    match (cert_file?, key_file?, client_ca_file?) {
        (Some(cert_file), Some(key_file), client_ca_file) => {
            let tls = TlsConfig { cert_file, key_file, client_ca_file };
            match ServerTls::load(&tls) {
                Ok(_) => Ok(Some(tls)),
                Err(error) => Err(source.report(error.setting(), error_chain(&error))),
            }
        }
        (None, None, None) => Ok(None),
        (Some(_), None, _) => {
            Err(source.report("HCS_TLS_CERT_FILE", "set without HCS_TLS_KEY_FILE: set both or neither"))
        }
        (None, Some(_), _) => {
            Err(source.report("HCS_TLS_KEY_FILE", "set without HCS_TLS_CERT_FILE: set both or neither"))
        }
        (None, None, Some(_)) => Err(source.report(
            "HCS_TLS_CLIENT_CA_FILE",
            "callers show certificates within TLS alone: set HCS_TLS_CERT_FILE and HCS_TLS_KEY_FILE as well",
        )),
    }
}

fn jwt(source: &mut Source) -> Result<Option<JwtConfig>, Reported> {
    let allow_http = source.read("HCS_JWT_ALLOW_HTTP", parse::boolean);
    // Where it is unusable, the URL is not blamed for it.
    let http_is_allowed = *allow_http.as_ref().unwrap_or(&true);
    let issuer = source.read_optional("HCS_JWT_ISSUER", parse::word);
    let audience = source.read_optional("HCS_JWT_AUDIENCE", parse::word);
    let url = source.read_optional("HCS_JWT_JWKS_URL", |text| parse::jwks_url(text, http_is_allowed));
    let file = source.read_optional("HCS_JWT_JWKS_FILE", parse::jwks_file);
    allow_http?;
    let jwks = match (url?, file?) {
        (Some(url), None) => Some(JwksSource::Url(url)),
        (None, Some(file)) => Some(JwksSource::File(file)),
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err(source
                .report("HCS_JWT_JWKS_URL", "set together with HCS_JWT_JWKS_FILE: unset one of the two"));
        }
    };
    match (issuer?, audience?, jwks) {
        (Some(issuer), Some(audience), Some(jwks)) => Ok(Some(JwtConfig { issuer, audience, jwks })),
        (None, None, None) => Ok(None),
        (issuer, audience, _) => {
            let name = match (issuer, audience) {
                (None, _) => "HCS_JWT_ISSUER",
                (Some(_), None) => "HCS_JWT_AUDIENCE",
                (Some(_), Some(_)) => "HCS_JWT_JWKS_URL",
            };
            Err(source.report(
                name,
                "required but not set: tokens are checked with HCS_JWT_ISSUER, HCS_JWT_AUDIENCE, and \
                 HCS_JWT_JWKS_URL or HCS_JWT_JWKS_FILE together",
            ))
        }
    }
}

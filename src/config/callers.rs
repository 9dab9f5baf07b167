//! The settings that decide who may call.

use std::net::SocketAddr;

use super::{
    CallersConfig, parse,
    setting::*,
    source::{Reported, Source, all_of},
};
use crate::{
    jwt::{JwksSource, JwtConfig},
    tls::{ServerTls, TlsConfig},
};

pub(super) fn callers(source: &mut Source) -> Result<CallersConfig, Reported> {
    let config = all_of!(CallersConfig {
        tls: tls(source),
        jwt: jwt(source),
        allowed: source.read_optional(HCS_CALLERS),
    })?;
    let by_certificate = config.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    let by_token = config.jwt.is_some();
    let problem = match &config.allowed {
        None if by_token => {
            "required with HCS_JWT_ISSUER: say which subjects may call, as in \
             jwt:system:serviceaccount:crm:onboarding=write"
        }
        // If both are required, the token names the caller.
        Some(callers) if callers.name_certificates() && by_token => {
            "names a caller by cert:, and with HCS_JWT_ISSUER the token names the caller: write jwt: and its subject"
        }
        Some(callers) if callers.name_certificates() && !by_certificate => {
            "names a caller by cert:, which needs HCS_TLS_CLIENT_CA_FILE"
        }
        Some(callers) if callers.name_tokens() && !by_token => {
            "names a caller by jwt:, which needs HCS_JWT_ISSUER"
        }
        Some(_) | None => return Ok(config),
    };
    Err(source.report(HCS_CALLERS.name, problem))
}

/// Reports a gRPC port that anybody could reach and use.
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
        HCS_LISTEN.name,
        format!(
            "an address beyond loopback needs TLS and a check of callers, and there is {lacks}: set \
             HCS_TLS_CERT_FILE and HCS_TLS_KEY_FILE, and HCS_TLS_CLIENT_CA_FILE or HCS_JWT_ISSUER; or listen on \
             loopback, as in 127.0.0.1:50051; or set HCS_INSECURE=true where the network itself keeps others out"
        ),
    );
}

fn tls(source: &mut Source) -> Result<Option<TlsConfig>, Reported> {
    let files = source.read_both(HCS_TLS_CERT_FILE, HCS_TLS_KEY_FILE);
    let client_ca_file = source.read_optional(HCS_TLS_CLIENT_CA_FILE);
    let (files, client_ca_file) = (files?, client_ca_file?);
    match files {
        Some((cert_file, key_file)) => {
            let tls = TlsConfig { cert_file, key_file, client_ca_file };
            match ServerTls::load(&tls) {
                Ok(_) => Ok(Some(tls)),
                Err(error) => Err(source.report(error.setting, error.to_string())),
            }
        }
        None if client_ca_file.is_none() => Ok(None),
        None => Err(source.report(
            HCS_TLS_CLIENT_CA_FILE.name,
            "callers show certificates within TLS alone: set HCS_TLS_CERT_FILE and HCS_TLS_KEY_FILE as well",
        )),
    }
}

fn jwt(source: &mut Source) -> Result<Option<JwtConfig>, Reported> {
    let allow_http = source.read(HCS_JWT_ALLOW_HTTP);
    let (issuer, audience) = (source.read_optional(HCS_JWT_ISSUER), source.read_optional(HCS_JWT_AUDIENCE));
    let jwks = jwks(source, allow_http);
    allow_http?;
    let missing = match (issuer?, audience?, jwks?) {
        (Some(issuer), Some(audience), Some(jwks)) => return Ok(Some(JwtConfig { issuer, audience, jwks })),
        (None, None, None) => return Ok(None),
        (None, ..) => HCS_JWT_ISSUER.name,
        (Some(_), None, _) => HCS_JWT_AUDIENCE.name,
        (Some(_), Some(_), None) => HCS_JWT_JWKS_URL.name,
    };
    Err(source.report(
        missing,
        "required but not set: tokens are checked with HCS_JWT_ISSUER, HCS_JWT_AUDIENCE, and HCS_JWT_JWKS_URL or \
         HCS_JWT_JWKS_FILE together",
    ))
}

fn jwks(source: &mut Source, allow_http: Result<bool, Reported>) -> Result<Option<JwksSource>, Reported> {
    let url = source.read_optional(HCS_JWT_JWKS_URL);
    let file = source.read_optional(HCS_JWT_JWKS_FILE);
    // If the permission is unusable, its own problem is enough.
    let must_be_https = matches!(allow_http, Ok(false));
    let problem = match (url?, file?) {
        (Some(url), _) if must_be_https && parse::is_exposed(&url) => {
            "must be https beyond loopback; HCS_JWT_ALLOW_HTTP=true allows plain http, with which the network can \
             put other keys in the place of the issuer's"
        }
        (Some(_), Some(_)) => "set together with HCS_JWT_JWKS_FILE: unset one of the two",
        (Some(url), None) => return Ok(Some(JwksSource::Url(url))),
        (None, file) => return Ok(file.map(JwksSource::File)),
    };
    Err(source.report(HCS_JWT_JWKS_URL.name, problem))
}

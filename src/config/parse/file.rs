//! The paths of files. A file is checked when its setting is read.

use std::path::PathBuf;

use crate::{domain::Invalid, jwt::KeySet, secret::read_for_setting};

/// The path of a file that is checked together with others.
pub(in crate::config) fn path(text: &str) -> Result<PathBuf, Invalid> {
    Ok(text.into())
}

/// The path of a file in PEM form, of which the content is checked together with others.
pub(in crate::config) fn pem_file(text: &str) -> Result<PathBuf, Invalid> {
    read_for_setting(text.as_ref())?;
    path(text)
}

/// The path of a file with the keys of a token issuer.
pub(in crate::config) fn jwks_file(text: &str) -> Result<PathBuf, Invalid> {
    KeySet::parse(&read_for_setting(text.as_ref())?).map_err(|error| {
        format!("the file must hold a JSON Web Key Set with at least one key that can be used: {error}")
    })?;
    path(text)
}

/// The path of a file with certificates that a TLS client accepts as authorities.
pub(in crate::config) fn ca_file(text: &str) -> Result<PathBuf, Invalid> {
    let certificates =
        reqwest::Certificate::from_pem_bundle(&read_for_setting(text.as_ref())?).unwrap_or_default();
    // Decoding PEM does not look into the certificates; building a client does.
    let is_usable = !certificates.is_empty()
        && reqwest::Client::builder().no_proxy().tls_certs_only(certificates).build().is_ok();
    is_usable.then_some(()).ok_or("the file must hold at least one certificate in PEM form")?;
    path(text)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::refused, *};

    #[test]
    fn a_certificate_authority_is_a_pem_file_with_a_certificate() {
        let fixture = |name| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        assert!(ca_file(&fixture("ca.pem")).is_ok());
        refused(ca_file(&fixture("ca-with-a-broken-certificate.pem")), "certificate in PEM form");
        refused(ca_file(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), "certificate in PEM form");
        refused(ca_file(&fixture("no-such-file.pem")), "must exist");
    }
}

//! The TLS files, as `check-config` reports them.

use crate::support::{
    Mount, Process,
    certificates::{Authority, Pair},
};

/// The exit status of `check-config` with these files, and its errors.
async fn check(files: &Mount, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let is_file = |value: &str| [".crt", ".key", ".pem"].iter().any(|end| value.ends_with(end));
    let path = |value: &str| if is_file(value) { files.path(value) } else { value.to_owned() };
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, path(value))).collect();
    let settings = settings.iter().map(|(name, value)| (*name, &**value));
    let others = [("HCS_ORG_ID", "1@AdobeOrg"), ("HCS_CLIENT_ID", "id"), ("HCS_CLIENT_SECRET", "s")];
    let environment: Vec<_> = others.into_iter().chain(settings).collect();
    let (status, output) = Process::run(&["check-config"], &environment).await;
    (status.code(), output.stderr().into_owned())
}

fn mount() -> Mount {
    let authority = Authority::new("servers");
    let (server, other): (Pair, Pair) = (authority.server(1), authority.server(2));
    Mount::new(&[
        ("tls.crt", &server.certificate_pem),
        ("tls.key", &server.key_pem),
        ("other.key", &other.key_pem),
        ("ca.crt", &authority.pem),
        ("junk.pem", "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n"),
        ("text.pem", "canary"),
        ("empty.pem", ""),
    ])
}

const CERTIFICATE: &str = "HCS_TLS_CERT_FILE";
const KEY: &str = "HCS_TLS_KEY_FILE";
const CLIENT_CA: &str = "HCS_TLS_CLIENT_CA_FILE";

#[tokio::test]
async fn good_files_are_accepted() {
    let files = mount();
    let tls = [(CERTIFICATE, "tls.crt"), (KEY, "tls.key")];
    assert_eq!(check(&files, &tls).await, (Some(0), String::new()));
    let with_client_ca = [&tls[..], &[(CLIENT_CA, "ca.crt"), ("HCS_CALLERS", "cert:crm=write")]].concat();
    let with_client_ca: Vec<_> = with_client_ca.into_iter().collect();
    assert_eq!(check(&files, &with_client_ca).await, (Some(0), String::new()));
}

#[tokio::test]
async fn each_bad_file_is_reported_under_its_own_variable() {
    let files = mount();
    for (certificate, key, client_ca, variable) in [
        ("missing.crt", "tls.key", "ca.crt", CERTIFICATE),
        ("text.pem", "tls.key", "ca.crt", CERTIFICATE),
        ("empty.pem", "tls.key", "ca.crt", CERTIFICATE),
        ("junk.pem", "tls.key", "ca.crt", CERTIFICATE),
        ("tls.key", "tls.key", "ca.crt", CERTIFICATE),
        ("tls.crt", "missing.key", "ca.crt", KEY),
        ("tls.crt", "text.pem", "ca.crt", KEY),
        ("tls.crt", "tls.crt", "ca.crt", KEY),
        ("tls.crt", "tls.key", "missing.crt", CLIENT_CA),
        ("tls.crt", "tls.key", "text.pem", CLIENT_CA),
        ("tls.crt", "tls.key", "junk.pem", CLIENT_CA),
        ("tls.crt", "tls.key", "tls.key", CLIENT_CA),
    ] {
        let tls = [(CERTIFICATE, certificate), (KEY, key), (CLIENT_CA, client_ca)];
        let (status, errors) = check(&files, &tls).await;
        assert_eq!(status, Some(64), "{tls:?} {errors}");
        assert!(errors.contains(variable) && !errors.contains("canary"), "{tls:?} {errors}");
        for other in [CERTIFICATE, KEY, CLIENT_CA].iter().filter(|other| **other != variable) {
            assert!(!errors.lines().any(|line| line.trim_start().starts_with(other)), "{tls:?} {errors}");
        }
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let (status, errors) = check(&mount(), &[(CERTIFICATE, "tls.crt"), (KEY, "other.key")]).await;
    assert_eq!(status, Some(64));
    assert!(errors.contains(CERTIFICATE) && errors.contains("cannot be used together"), "{errors}");
}

#[tokio::test]
async fn files_that_need_others_are_refused_without_them() {
    let files = mount();
    for (settings, words) in [
        (&[(CERTIFICATE, "tls.crt")][..], KEY),
        (&[(KEY, "tls.key")], CERTIFICATE),
        (&[(CLIENT_CA, "ca.crt")], "set HCS_TLS_CERT_FILE and HCS_TLS_KEY_FILE"),
        (
            &[(CERTIFICATE, "tls.crt"), (KEY, "tls.key"), ("HCS_CALLERS", "cert:crm=read")],
            "HCS_TLS_CLIENT_CA_FILE",
        ),
    ] {
        let (status, errors) = check(&files, settings).await;
        assert_eq!(status, Some(64), "{settings:?} {errors}");
        assert!(errors.contains(words), "{settings:?} {errors}");
    }
}

#[tokio::test]
async fn a_public_port_needs_tls_and_a_check_of_callers() {
    let files = mount();
    let everywhere = ("HCS_LISTEN", "[::]:50051");
    let tls = [(CERTIFICATE, "tls.crt"), (KEY, "tls.key")];
    for (settings, lacks) in [(&[][..], "no TLS and no check"), (&tls, "no check of callers")] {
        let (status, errors) = check(&files, &[&[everywhere], settings].concat()).await;
        assert_eq!(status, Some(64), "{settings:?}");
        for part in
            ["HCS_LISTEN", lacks, "127.0.0.1", "HCS_TLS_CLIENT_CA_FILE", "HCS_JWT_ISSUER", "HCS_INSECURE"]
        {
            assert!(errors.contains(part), "{settings:?} {part} {errors}");
        }
    }
    for settings in [&[&tls[..], &[(CLIENT_CA, "ca.crt")]].concat()[..], &[("HCS_INSECURE", "true")]] {
        assert_eq!(check(&files, &[&[everywhere], settings].concat()).await, (Some(0), String::new()));
    }
}

#[tokio::test]
async fn a_list_of_callers_must_fit_the_way_in_which_they_are_checked() {
    let files = mount();
    let tls = [(CERTIFICATE, "tls.crt"), (KEY, "tls.key"), (CLIENT_CA, "ca.crt")];
    let jwt = [
        ("HCS_JWT_ISSUER", "https://issuer"),
        ("HCS_JWT_AUDIENCE", "here"),
        ("HCS_JWT_JWKS_URL", "http://127.0.0.1:1/jwks"),
    ];
    let both = [tls, jwt].concat();
    for (settings, callers, words) in [
        // A name in a certificate must not be mistaken for a subject, and vice versa.
        (&both[..], "cert:crm=write", "the token names the caller"),
        (&both, "jwt:crm=write,cert:crm=read", "the token names the caller"),
        (&jwt, "cert:crm=write", "the token names the caller"),
        (&jwt, "", "required with HCS_JWT_ISSUER"),
        (&tls, "jwt:crm=write", "needs HCS_JWT_ISSUER"),
        (&tls, "crm=write", "must be IDENTITY=read"),
    ] {
        let (status, errors) = check(&files, &[settings, &[("HCS_CALLERS", callers)]].concat()).await;
        assert_eq!(status, Some(64), "{callers} {errors}");
        assert!(errors.contains("HCS_CALLERS") && errors.contains(words), "{callers} {errors}");
    }
    let (status, errors) = check(&files, &[&both[..], &[("HCS_CALLERS", "jwt:crm=write")]].concat()).await;
    assert_eq!((status, &*errors), (Some(0), ""));
}

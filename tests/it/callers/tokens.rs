//! Callers that send a token.

use prost::Message as _;
use serde_json::{Value, json};
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};

use super::{NOT_ALLOWED, UNAUTHENTICATED, create, list, write_all};
use crate::support::{
    Failure, Mount, TestService, framed, listen, post, request,
    tokens::{
        AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims, in_seconds, key_set, signed_with_secret,
        unsigned,
    },
    until_counted,
};

const WRITER: &str = "system:serviceaccount:crm:onboarding";
const READER: &str = "system:serviceaccount:crm:reader";
/// The allowed callers.
pub(super) const CALLERS: &str =
    "jwt:system:serviceaccount:crm:onboarding=write,jwt:system:serviceaccount:crm:reader=read";

/// The settings of a service that fetches the keys of the issuer from this URL.
pub(super) fn with_keys_at(url: &str) -> [(&str, &str); 4] {
    [
        ("HCS_JWT_ISSUER", ISSUER),
        ("HCS_JWT_AUDIENCE", AUDIENCE),
        ("HCS_JWT_JWKS_URL", url),
        ("HCS_CALLERS", CALLERS),
    ]
}

/// A service that reads the keys of the issuer from `jwks.json`.
pub(super) async fn with_keys_in(files: &Mount) -> TestService {
    TestService::with([
        ("HCS_JWT_ISSUER", ISSUER),
        ("HCS_JWT_AUDIENCE", AUDIENCE),
        ("HCS_JWT_JWKS_FILE", &*files.path("jwks.json")),
        ("HCS_CALLERS", CALLERS),
    ])
    .await
}

/// A service that requires tokens, and the keys of their issuer.
struct WithTokens {
    service: TestService,
    rsa: TokenKey,
    ec: TokenKey,
    _keys: KeyEndpoint,
}

impl WithTokens {
    async fn start() -> Self {
        let (rsa, ec) = (TokenKey::rs256("rsa-1"), TokenKey::es256("ec-1"));
        let keys = KeyEndpoint::start(listen().await, &[&rsa, &ec]);
        let service = TestService::with(with_keys_at(&keys.url)).await;
        Self { service, rsa, ec, _keys: keys }
    }

    async fn assert_refuses(&self, token: &str, reason: &str) {
        let mut client = self.service.client().await;
        let refused =
            self.service.assert_refuses(UNAUTHENTICATED, reason, create(&mut client, Some(token))).await;
        assert!(refused.contains(ISSUER) && refused.contains(AUDIENCE), "{refused}");
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!refused.contains(part), "{refused}");
        }
    }
}

/// Claims of which one is replaced or missing.
fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims(WRITER);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

#[tokio::test]
async fn tokens_of_either_key_name_the_caller() {
    let jwt = WithTokens::start().await;
    let mut client = jwt.service.client().await;
    for key in [&jwt.rsa, &jwt.ec] {
        let writer = key.sign(&claims(WRITER));
        let id = create(&mut client, Some(&writer)).await.unwrap();
        for (method, response) in write_all(&mut client, Some(&writer), &id).await {
            response.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        }
    }
}

#[tokio::test]
async fn a_subject_that_may_read_does_not_write_and_another_may_nothing() {
    let jwt = WithTokens::start().await;
    let mut client = jwt.service.client().await;
    let writer = jwt.rsa.sign(&claims(WRITER));
    let id = create(&mut client, Some(&writer)).await.unwrap();
    let reader = jwt.ec.sign(&claims(READER));
    list(&mut client, Some(&reader)).await.unwrap();
    let sent = jwt.service.sent();
    for (method, response) in write_all(&mut client, Some(&reader), &id).await {
        assert_eq!(Failure::from(response.unwrap_err()).row(), NOT_ALLOWED, "{method}");
    }
    assert_eq!(jwt.service.sent(), sent);
    until_counted(jwt.service.admin, &super::refused("read_only"), 3).await;

    let other = jwt.ec.sign(&claims("system:serviceaccount:crm:other"));
    jwt.service.assert_refuses(NOT_ALLOWED, "not_allowed", list(&mut client, Some(&other))).await;
}

#[tokio::test]
async fn a_service_account_token_of_kubernetes_works() {
    let jwt = WithTokens::start().await;
    let token = jwt.rsa.sign_with_header(
        &json!({"alg": "RS256", "kid": "rsa-1"}),
        &json!({
            "aud": [AUDIENCE, "another"],
            "exp": in_seconds(3607),
            "iat": in_seconds(0),
            "iss": ISSUER,
            "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
            "kubernetes.io": {
                "namespace": "crm",
                "node": {"name": "127.0.0.1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced"},
                "pod": {"name": "onboarding-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33"},
                "serviceaccount": {"name": "onboarding", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af"},
                "warnafter": in_seconds(3607),
            },
            "nbf": in_seconds(0),
            "sub": WRITER,
        }),
    );
    create(&mut jwt.service.client().await, Some(&token)).await.unwrap();
}

#[tokio::test]
async fn clocks_may_differ_a_little() {
    let jwt = WithTokens::start().await;
    let mut client = jwt.service.client().await;
    for claims in [claims_but("exp", json!(in_seconds(-15))), claims_but("nbf", json!(in_seconds(15)))] {
        list(&mut client, Some(&jwt.rsa.sign(&claims))).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_refused() {
    let jwt = WithTokens::start().await;
    let mut client = jwt.service.client().await;
    let refused = jwt.service.assert_refuses(UNAUTHENTICATED, "no_token", list(&mut client, None)).await;
    assert!(refused.contains(ISSUER) && refused.contains(AUDIENCE), "{refused}");
    jwt.service.assert_refuses(UNAUTHENTICATED, "no_token", create(&mut client, None)).await;
    // Before anything else of the request is checked.
    let token = jwt.rsa.sign(&claims(WRITER));
    let body = framed(&request().encode_to_vec());
    let bearer = format!("Bearer {token}");
    for (headers, body) in [
        (&[][..], b"junk".to_vec()),
        (&[("authorization", "Basic abc")], body.clone()),
        (&[("authorization", "Bearer")], body.clone()),
        (&[("authorization", "Bearer ")], body.clone()),
        (&[("authorization", &*token)], body.clone()),
        (&[("authorization", "bearer\u{e9} x")], body.clone()),
        (&[("authorization-bin", &*bearer), ("x-authorization", &bearer)], body),
    ] {
        let (_, failure) = jwt.service.post(headers, body).await;
        assert_eq!(failure.unwrap().row(), UNAUTHENTICATED, "{headers:?}");
    }
    assert!(jwt.service.emulator.connections().is_empty());
}

#[tokio::test]
async fn health_is_open_and_reflection_is_not() {
    let jwt = WithTokens::start().await;
    assert_eq!(crate::server::health(jwt.service.grpc, "").await.unwrap(), "SERVING");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", jwt.service.grpc)).unwrap();
    let mut client = ServerReflectionClient::new(endpoint.connect().await.unwrap());
    let asked = || futures_util::stream::iter([ServerReflectionRequest::default()]);
    let refused = client.server_reflection_info(asked()).await.unwrap_err();
    assert_eq!(Failure::from(refused).row(), UNAUTHENTICATED);
    let reader = jwt.ec.sign(&claims(READER));
    client.server_reflection_info(bearing(&reader, asked())).await.unwrap();
}

#[tokio::test]
async fn a_call_with_two_tokens_is_refused() {
    let jwt = WithTokens::start().await;
    let bearer = format!("Bearer {}", jwt.rsa.sign(&claims(WRITER)));
    let body = framed(&request().encode_to_vec());
    let header = ("authorization", &*bearer);
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let method = "hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection";
    let twice = client
        .post(format!("http://{}/{method}", jwt.service.grpc))
        .header("content-type", "application/grpc")
        .header(header.0, header.1)
        .header(header.0, header.1)
        .body(body.clone());
    let response = twice.send().await.unwrap();
    let failure = Failure::from(tonic::Status::from_header_map(response.headers()).unwrap());
    assert_eq!(failure.row(), UNAUTHENTICATED);
    until_counted(jwt.service.admin, &super::refused("no_token"), 1).await;
    assert!(jwt.service.emulator.connections().is_empty());
    // Any spelling of the scheme is accepted, but only once.
    let lower = bearer.replacen("Bearer", "bearer", 1);
    let response = post(jwt.service.grpc, &[("authorization", &lower)], body).await;
    assert!(
        tonic::Status::from_header_map(response.headers())
            .is_none_or(|status| status.code() == tonic::Code::Ok)
    );
    assert_eq!(jwt.service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn text_that_is_not_a_token_is_refused() {
    let jwt = WithTokens::start().await;
    let valid = jwt.rsa.sign(&claims(WRITER));
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let header = json!({"alg": "RS256", "kid": "rsa-1"});
    for token in [
        "abc".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{valid}.{signature}"),
        signed.to_owned(),
        unsigned(&json!("text"), &claims(WRITER)) + "." + signature,
        jwt.rsa.sign_with_header(&header, &json!("text")),
        jwt.rsa.sign_with_header(&header, &json!([])),
        jwt.rsa.sign(&claims_but("sub", json!(null))),
        jwt.rsa.sign(&claims_but("sub", json!(""))),
        jwt.rsa.sign(&claims_but("sub", json!(7))),
        jwt.rsa.sign(&claims_but("sub", json!("x".repeat(2000)))),
        jwt.rsa.sign(&claims_but("sub", json!(format!("{WRITER}\nanother line")))),
        jwt.rsa.sign(&claims_but("exp", json!(null))),
        jwt.rsa.sign(&claims_but("exp", json!("tomorrow"))),
    ] {
        jwt.assert_refuses(&token, "malformed_token").await;
    }
}

#[tokio::test]
async fn the_claims_must_match() {
    let jwt = WithTokens::start().await;
    for (claims, reason) in [
        (claims_but("iss", json!("https://other")), "token_issuer"),
        (claims_but("iss", json!(null)), "token_issuer"),
        (claims_but("iss", json!(format!("{ISSUER}/"))), "token_issuer"),
        (claims_but("aud", json!("other")), "token_audience"),
        (claims_but("aud", json!(["other", "another"])), "token_audience"),
        (claims_but("aud", json!([])), "token_audience"),
        (claims_but("aud", json!(null)), "token_audience"),
        (claims_but("exp", json!(in_seconds(-60))), "token_expired"),
        (claims_but("exp", json!(0)), "token_expired"),
        (claims_but("nbf", json!(in_seconds(60))), "token_not_yet_valid"),
    ] {
        for key in [&jwt.rsa, &jwt.ec] {
            jwt.assert_refuses(&key.sign(&claims), reason).await;
        }
    }
}

#[tokio::test]
async fn the_signature_must_be_that_of_the_key() {
    let jwt = WithTokens::start().await;
    let valid = claims(WRITER);
    for (stranger, reason) in [
        (TokenKey::rs256("rsa-1"), "token_signature"),
        (TokenKey::es256("ec-1"), "token_signature"),
        (TokenKey::rs256("rsa-9"), "unknown_key"),
        // An RS256 token that names the EC key, and vice versa.
        (TokenKey::rs256("ec-1"), "token_algorithm"),
        (TokenKey::es256("rsa-1"), "token_algorithm"),
    ] {
        jwt.assert_refuses(&stranger.sign(&valid), reason).await;
    }
    let with_kid =
        |key: &TokenKey, alg: &str, kid: &str| key.sign_with_header(&json!({"alg": alg, "kid": kid}), &valid);
    jwt.assert_refuses(&with_kid(&jwt.rsa, "RS256", "ec-1"), "token_algorithm").await;
    jwt.assert_refuses(&with_kid(&jwt.rsa, "ES256", "ec-1"), "token_signature").await;
    jwt.assert_refuses(&with_kid(&jwt.rsa, "RS512", "rsa-1"), "token_algorithm").await;
    // The claims of one token under the signature of another.
    let (_, signature) =
        jwt.rsa.sign(&claims(READER)).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let header = json!({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"});
    jwt.assert_refuses(&format!("{}.{signature}", unsigned(&header, &valid)), "token_signature").await;
}

#[tokio::test]
async fn a_token_that_names_no_key_is_tried_with_each() {
    let jwt = WithTokens::start().await;
    let mut client = jwt.service.client().await;
    for (key, algorithm) in [(&jwt.rsa, "RS256"), (&jwt.ec, "ES256")] {
        let token = key.sign_with_header(&json!({"alg": algorithm}), &claims(WRITER));
        list(&mut client, Some(&token)).await.unwrap();
    }
    let stranger = TokenKey::es256("x").sign_with_header(&json!({"alg": "ES256"}), &claims(WRITER));
    jwt.assert_refuses(&stranger, "token_signature").await;
    let expired = claims_but("exp", json!(in_seconds(-60)));
    let expired = jwt.rsa.sign_with_header(&json!({"alg": "RS256"}), &expired);
    jwt.assert_refuses(&expired, "token_expired").await;
}

#[tokio::test]
async fn tokens_without_a_signature_or_with_a_shared_secret_are_refused() {
    let jwt = WithTokens::start().await;
    let valid = claims(WRITER);
    for key in ["rsa-1", "ec-1"] {
        for algorithm in ["none", "None", "NONE", "nOnE"] {
            let text = unsigned(&json!({"alg": algorithm, "kid": key}), &valid);
            jwt.assert_refuses(&format!("{text}."), "token_algorithm").await;
            jwt.assert_refuses(&format!("{text}.AAAA"), "token_algorithm").await;
        }
        let published = if key == "rsa-1" { &jwt.rsa } else { &jwt.ec };
        let as_json = published.jwk().to_string().into_bytes();
        for secret in [published.public_bytes(), &as_json, b""] {
            for algorithm in ["HS256", "HS384", "HS512"] {
                let header = json!({"alg": algorithm, "kid": key});
                jwt.assert_refuses(&signed_with_secret(&header, &valid, secret), "token_algorithm").await;
            }
        }
    }
}

#[tokio::test]
async fn keys_in_a_file_are_used_and_reloaded() {
    let (old, new) = (TokenKey::rs256("old"), TokenKey::es256("new"));
    let files = Mount::new(&[("jwks.json", &key_set(&[&old]).to_string())]);
    let service = with_keys_in(&files).await;
    let mut client = service.client().await;
    let (old, new) = (old.sign(&claims(WRITER)), {
        let token = new.sign(&claims(WRITER));
        list(&mut client, Some(&old.sign(&claims(WRITER)))).await.unwrap();
        service.assert_refuses(UNAUTHENTICATED, "unknown_key", list(&mut client, Some(&token))).await;
        files.replace(&[("jwks.json", &key_set(&[&new]).to_string())]);
        token
    });
    // The next fetch drops the withdrawn key and adds the new one.
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
    crate::support::in_time("the new key", async {
        while list(&mut client, Some(&new)).await.is_err() {
            ticks.tick().await;
        }
    })
    .await;
    service.assert_refuses(UNAUTHENTICATED, "unknown_key", list(&mut client, Some(&old))).await;
}

/// The subject of a token and the name in a certificate are different identities.
#[tokio::test]
async fn a_token_subject_never_matches_a_rule_for_certificates() {
    let jwt = WithTokens::start().await;
    let mut client = jwt.service.client().await;
    for subject in
        ["cert:system", "spiffe://prod/crm", "system:serviceaccount:crm:onboarding=write", "jwt:system"]
    {
        let token = jwt.rsa.sign(&claims(subject));
        jwt.service.assert_refuses(NOT_ALLOWED, "not_allowed", list(&mut client, Some(&token))).await;
    }
}

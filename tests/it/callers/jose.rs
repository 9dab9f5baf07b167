//! Tokens and keys according to the JOSE standards, and violations of them.

use serde_json::{Value, json};

use super::{UNAUTHENTICATED, list, tokens::with_keys_at};
use crate::support::{
    ServiceProcess, TestService, listen, start_emulator,
    tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, claims, in_seconds},
    until,
};

const READER: &str = "system:serviceaccount:crm:reader";

/// A service and the one key that it knows.
struct Signed {
    key: TokenKey,
    service: TestService,
    keys: KeyEndpoint,
}

impl Signed {
    async fn start() -> Self {
        let key = TokenKey::es256("key");
        let keys = KeyEndpoint::start(listen().await, &[&key]);
        let service = TestService::with(with_keys_at(&keys.url)).await;
        Self { key, service, keys }
    }

    async fn accepts(&self, token: &str) {
        list(&mut self.service.client().await, Some(token)).await.unwrap();
    }

    /// Fails unless a token is refused with a message that contains these words.
    async fn refuses(&self, token: &str, reason: &str, words: &str) {
        let mut client = self.service.client().await;
        let refused =
            self.service.assert_refuses(UNAUTHENTICATED, reason, list(&mut client, Some(token))).await;
        assert!(refused.contains(words), "{refused:?} does not contain {words:?}");
    }

    fn with_header(&self, member: &str, value: Value) -> String {
        let mut header = json!({"alg": "ES256", "kid": "key"});
        header[member] = value;
        self.key.sign_with_header(&header, &claims(READER))
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = claims(READER);
        claims[name] = value;
        self.key.sign(&claims)
    }
}

#[tokio::test]
async fn ed25519_by_either_name_and_es512_are_accepted() {
    let (ed, es) = (TokenKey::ed25519("ed"), TokenKey::es512("es"));
    for alg in [json!("Ed25519"), json!("EdDSA"), json!(null)] {
        let keys = KeyEndpoint::start(listen().await, &[]);
        let mut jwk = ed.jwk();
        jwk["alg"] = alg;
        keys.respond(200, json!({"keys": [jwk, es.jwk()]}).to_string());
        let service = TestService::with(with_keys_at(&keys.url)).await;
        let mut client = service.client().await;
        for algorithm in ["Ed25519", "EdDSA"] {
            let header = json!({"alg": algorithm, "kid": "ed"});
            let token = ed.sign_with_header(&header, &claims(READER));
            list(&mut client, Some(&token)).await.unwrap();
            // A signature of another key.
            let token = TokenKey::ed25519("ed").sign_with_header(&header, &claims(READER));
            service.assert_refuses(UNAUTHENTICATED, "token_signature", list(&mut client, Some(&token))).await;
        }
        list(&mut client, Some(&es.sign(&claims(READER)))).await.unwrap();
        let token = TokenKey::es512("es").sign(&claims(READER));
        service.assert_refuses(UNAUTHENTICATED, "token_signature", list(&mut client, Some(&token))).await;
        // Names that are only similar, and keys of another kind.
        for (algorithm, kid) in
            [("ed25519", "ed"), ("Ed448", "ed"), ("ES512", "ed"), ("ES256", "es"), ("Ed25519", "es")]
        {
            let token = ed.sign_with_header(&json!({"alg": algorithm, "kid": kid}), &claims(READER));
            let refused = service
                .assert_refuses(UNAUTHENTICATED, "token_algorithm", list(&mut client, Some(&token)))
                .await;
            assert!(refused.contains("ES512") && refused.contains("Ed25519"), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_published_without_a_name_verifies_tokens_that_have_one() {
    let signed = Signed::start().await;
    let (nameless, stranger) = (TokenKey::es256("nameless"), TokenKey::es256("nameless"));
    let without_name = |key: &TokenKey| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let keys = [signed.key.jwk(), without_name(&nameless)];
    signed.keys.respond(200, json!({"keys": keys}).to_string());
    // Unknown at first, so that the keys are fetched again.
    signed.accepts(&nameless.sign(&claims(READER))).await;
    signed.accepts(&signed.key.sign(&claims(READER))).await;
    // A token that names an unpublished key is not reported as badly signed.
    signed.refuses(&stranger.sign(&claims(READER)), "unknown_key", "does not publish").await;
    let posing = stranger.sign_with_header(&json!({"alg": "ES256", "kid": "key"}), &claims(READER));
    signed.refuses(&posing, "token_signature", "signature").await;
}

#[tokio::test]
async fn a_token_with_critical_extensions_is_refused() {
    let signed = Signed::start().await;
    for critical in
        [json!(["exp"]), json!(["b64"]), json!([]), json!("exp"), json!(null), json!([5]), json!({})]
    {
        signed.refuses(&signed.with_header("crit", critical), "malformed_token", "crit").await;
    }
    for encoded in [json!(false), json!(null), json!("true")] {
        signed.refuses(&signed.with_header("b64", encoded), "malformed_token", "b64").await;
    }
    signed.accepts(&signed.with_header("b64", json!(true))).await;
    signed.accepts(&signed.with_header("x-other", json!(["anything"]))).await;
}

#[tokio::test]
async fn claims_of_another_type_are_refused_by_name() {
    let signed = Signed::start().await;
    for (name, value, words) in [
        ("iss", json!([ISSUER]), "claim iss"),
        ("iss", json!(7), "claim iss"),
        ("iss", json!(null), "claim iss"),
        ("iss", json!({"iss": ISSUER}), "claim iss"),
        ("aud", json!({"0": AUDIENCE}), "claim aud"),
        ("aud", json!(null), "claim aud"),
        ("aud", json!([AUDIENCE, 7]), "claim aud"),
        ("aud", json!([[AUDIENCE]]), "claim aud"),
        ("sub", json!([READER]), "claim sub"),
        ("sub", json!(null), "claim sub"),
        ("exp", json!(in_seconds(600).to_string()), "claim exp"),
        ("exp", json!(null), "claim exp"),
        ("exp", json!(true), "claim exp"),
        ("exp", json!([in_seconds(600)]), "claim exp"),
        ("nbf", json!("now"), "claim nbf"),
        ("nbf", json!(null), "claim nbf"),
        ("iat", json!("now"), "claim iat"),
    ] {
        signed.refuses(&signed.with_claim(name, value), "malformed_token", words).await;
    }
    let without_end = |end| format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"{READER}"{end}}}"#);
    let header = r#"{"alg":"ES256","kid":"key"}"#;
    let endless = signed.key.sign_text(header, &without_end(r#","exp":1e999"#));
    signed.refuses(&endless, "malformed_token", "").await;
    signed.accepts(&signed.with_claim("exp", json!(in_seconds(600) as f64 + 0.5))).await;
}

#[tokio::test]
async fn a_missing_end_an_end_in_the_past_and_a_begin_in_the_future_are_distinguished() {
    let signed = Signed::start().await;
    let mut endless = claims(READER);
    endless.as_object_mut().unwrap().remove("exp");
    signed.refuses(&signed.key.sign(&endless), "malformed_token", "no claim exp").await;
    signed.refuses(&signed.with_claim("exp", json!(in_seconds(-60))), "token_expired", "has expired").await;
    let early = signed.with_claim("nbf", json!(in_seconds(60)));
    signed.refuses(&early, "token_not_yet_valid", "not valid yet").await;
    // RFC 7519 has no rule about the time of issue.
    signed.accepts(&signed.with_claim("iat", json!(in_seconds(60)))).await;
}

#[tokio::test]
async fn a_token_that_two_parsers_could_read_differently_is_refused() {
    let signed = Signed::start().await;
    let header = r#"{"alg":"ES256","kid":"key"}"#;
    let good = claims(READER).to_string();
    signed.accepts(&signed.key.sign_text(header, &good)).await;
    for (header, claims, words) in [
        (r#"{"alg":"none","alg":"ES256","kid":"key"}"#, &*good, "twice"),
        (r#"{"alg":"ES256","kid":"other","kid":"key"}"#, &good, "twice"),
        (header, &good.replacen('{', r#"{"sub":"somebody","#, 1), "twice"),
        (header, &good.replacen('{', r#"{"\u0073ub":"somebody","#, 1), "twice"),
        (header, &good.replacen('{', r#"{"x":1,"x":1,"#, 1), "twice"),
        (header, &format!("[{good}]"), "JSON objects"),
        (header, &format!(r#"["{READER}"]"#), "JSON objects"),
        (header, &format!("{good}{good}"), "JSON objects"),
        (r#"["JWT","ES256",null,null,null,"key"]"#, &good, "JSON objects"),
        (r#"{"alg":["ES256"],"kid":"key"}"#, &good, "alg as a string"),
        (r#"{"alg":{"ES256":null},"kid":"key"}"#, &good, "alg as a string"),
        (r#"{"alg":"ES256","kid":["key"]}"#, &good, "kid as a string"),
        (r#"{"kid":"key"}"#, &good, "alg as a string"),
    ] {
        signed.refuses(&signed.key.sign_text(header, claims), "malformed_token", words).await;
    }
    // A token has exactly one valid encoding.
    let token = signed.key.sign_text(header, &good);
    let (rest, signature) = token.rsplit_once('.').unwrap();
    for other in
        [format!("{token}="), format!("{rest}=.{signature}"), format!("{token}."), format!(".{token}")]
    {
        signed.refuses(&other, "malformed_token", "").await;
    }
}

/// A token with other claims does not cause a fetch of its key: such tokens cost nothing.
#[tokio::test]
async fn a_token_of_another_issuer_does_not_fetch_the_keys() {
    let signed = Signed::start().await;
    signed.accepts(&signed.key.sign(&claims(READER))).await;
    let before = signed.keys.requests();
    let mut claims = claims(READER);
    claims["iss"] = json!("https://other");
    signed.refuses(&TokenKey::es256("unknown").sign(&claims), "token_issuer", "another issuer").await;
    assert_eq!(signed.keys.requests(), before);
}

#[tokio::test]
async fn a_published_key_that_is_not_used_is_logged_once_by_its_name() {
    let good = TokenKey::es256("good");
    let odd = |id: &'static str, member: &str, value: Value| {
        let mut jwk = TokenKey::es256(id).jwk();
        jwk[member] = value;
        jwk
    };
    let of_encryption = odd("of-encryption", "use", json!("enc"));
    let of_signing = odd("of-signing", "key_ops", json!(["sign"]));
    let endpoint = KeyEndpoint::start(listen().await, &[]);
    let mut published = vec![good.jwk(), of_encryption.clone(), of_signing];
    published.extend((0..32).map(|_| odd("surplus", "use", json!("sig"))).take(32));
    endpoint.respond(200, json!({"keys": published}).to_string());
    let emulator = start_emulator(hubspot_connection_service::emulator::Options::default()).await;
    let service = ServiceProcess::start(&emulator, &with_keys_at(&endpoint.url)).await;
    let mut client = service.client().await;
    list(&mut client, Some(&good.sign(&claims(READER)))).await.unwrap();
    let before = endpoint.requests();
    list(&mut client, Some(&TokenKey::es256("stranger").sign(&claims(READER)))).await.unwrap_err();
    until("another fetch of the keys", || endpoint.requests() > before).await;
    let (_, output) = service.stop().await;
    let lines: Vec<_> = output
        .log_lines()
        .into_iter()
        .filter(|line| line["message"] == "a published key is not used")
        .map(|line| format!("{}: {}", line["kid"].as_str().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            "of-encryption: its use is not sig",
            "of-signing: its key_ops lack verify",
            "surplus: it is beyond the first 32",
        ]
    );
}

//! Bearer tokens, and the endpoint where their issuer publishes its keys.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256,
    },
};
use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
pub(crate) const AUDIENCE: &str = "hubspot-connection-service";

/// The key of an issuer of tokens.
pub(crate) struct TokenKey {
    id: &'static str,
    pair: KeyPair,
}

enum KeyPair {
    Rsa(rsa::KeyPair),
    P256(EcdsaKeyPair),
    P521(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl TokenKey {
    pub(crate) fn rs256(id: &'static str) -> Self {
        Self { id, pair: KeyPair::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap()) }
    }

    pub(crate) fn es256(id: &'static str) -> Self {
        Self { id, pair: KeyPair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()) }
    }

    pub(crate) fn es512(id: &'static str) -> Self {
        Self { id, pair: KeyPair::P521(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap()) }
    }

    pub(crate) fn ed25519(id: &'static str) -> Self {
        Self { id, pair: KeyPair::Ed25519(Ed25519KeyPair::generate().unwrap()) }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            KeyPair::Rsa(_) => "RS256",
            KeyPair::P256(_) => "ES256",
            KeyPair::P521(_) => "ES512",
            KeyPair::Ed25519(_) => "Ed25519",
        }
    }

    /// The public key as a JWKS, as Kubernetes and others publish it.
    pub(crate) fn jwk(&self) -> Value {
        let mut key = match &self.pair {
            KeyPair::Rsa(pair) => {
                // SEQUENCE { INTEGER of 257 bytes, the first one 0; INTEGER 65537 }
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
                json!({"kty": "RSA", "n": encoded(&der[9..265]), "e": "AQAB"})
            }
            KeyPair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..])})
            }
            KeyPair::P521(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-521", "x": encoded(&point[1..67]), "y": encoded(&point[67..])})
            }
            KeyPair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref())})
            }
        };
        key["kid"] = json!(self.id);
        key["alg"] = json!(self.algorithm());
        key["use"] = json!("sig");
        key
    }

    /// The public key as bytes, which an algorithm confusion attack uses as a shared secret.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        match &self.pair {
            KeyPair::Rsa(pair) => pair.public_key().as_ref(),
            KeyPair::P256(pair) | KeyPair::P521(pair) => pair.public_key().as_ref(),
            KeyPair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&json!({"alg": self.algorithm(), "kid": self.id, "typ": "JWT"}), claims)
    }

    pub(crate) fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs arbitrary bytes, such as invalid or unusual JSON.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = match &self.pair {
            KeyPair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let rng = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &rng, text.as_bytes(), &mut signature).unwrap();
                signature
            }
            KeyPair::P256(pair) | KeyPair::P521(pair) => {
                pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec()
            }
            KeyPair::Ed25519(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        format!("{text}.{}", encoded(&signature))
    }
}

/// A token signed with a shared secret.
pub(crate) fn signed_with_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = unsigned(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", encoded(signature.as_ref()))
}

/// The header and the claims of a token.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// This many seconds from now, in seconds since 1970.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

/// The claims of a valid token.
pub(crate) fn claims(subject: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": in_seconds(600), "nbf": in_seconds(-10)})
}

/// A request with a token.
pub(crate) fn bearing<T>(token: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A JWKS of these keys.
pub(crate) fn key_set(keys: &[&TokenKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// The endpoint where an issuer publishes its keys.
pub(crate) struct KeyEndpoint {
    pub(crate) url: String,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    response: Mutex<(StatusCode, String)>,
    requests: AtomicUsize,
}

impl KeyEndpoint {
    pub(crate) fn start(listener: TcpListener, keys: &[&TokenKey]) -> Self {
        let url = url(listener.local_addr().unwrap());
        let state = Arc::new(State {
            response: Mutex::new((StatusCode::OK, key_set(keys).to_string())),
            requests: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let handler = move || {
            shared.requests.fetch_add(1, Ordering::SeqCst);
            let response = shared.response.lock().unwrap().clone();
            async move { response }
        };
        let router = Router::new().route("/openid/v1/jwks", get(handler));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, serving }
    }

    /// Publishes these keys; none means that the endpoint is down.
    pub(crate) fn publish(&self, keys: Option<&[&TokenKey]>) {
        match keys {
            Some(keys) => self.respond(200, key_set(keys).to_string()),
            None => self.respond(503, "down".to_owned()),
        }
    }

    /// Sends this response from now on.
    pub(crate) fn respond(&self, status: u16, body: String) {
        *self.state.response.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), body);
    }

    /// The number of requests for the keys.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for KeyEndpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The URL of the endpoint at an address.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}/openid/v1/jwks")
}

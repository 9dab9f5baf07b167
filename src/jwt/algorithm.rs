//! The signature algorithms that are accepted, of RFC 7518 and RFC 9864.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    VerificationAlgorithm,
};

/// An algorithm with public keys, by its name. Neither `none` nor one with a shared secret is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Algorithm(&'static str);

/// The algorithms of RSA keys, and how a signature is verified. A key can be for any of them.
pub(super) static RSA: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm("RS256"), &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm("RS384"), &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm("RS512"), &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm("PS256"), &RSA_PSS_2048_8192_SHA256),
    (Algorithm("PS384"), &RSA_PSS_2048_8192_SHA384),
    (Algorithm("PS512"), &RSA_PSS_2048_8192_SHA512),
];

/// The curves: the name, the algorithm, how a signature is verified, and the bytes of a coordinate.
pub(super) static CURVES: [(&str, Algorithm, &dyn VerificationAlgorithm, usize); 4] = [
    ("P-256", Algorithm("ES256"), &ECDSA_P256_SHA256_FIXED, 32),
    ("P-384", Algorithm("ES384"), &ECDSA_P384_SHA384_FIXED, 48),
    ("P-521", Algorithm("ES512"), &ECDSA_P521_SHA512_FIXED, 66),
    (ED25519_CURVE, Algorithm("Ed25519"), &ED25519, 32),
];
/// The only curve with one coordinate: its keys are of the type OKP, the others of EC.
pub(super) const ED25519_CURVE: &str = "Ed25519";

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        // An older name. Of its curves, only this one is accepted.
        let name = if name == "EdDSA" { "Ed25519" } else { name };
        let curves = CURVES.iter().map(|(_, algorithm, ..)| *algorithm);
        RSA.iter().map(|(algorithm, _)| *algorithm).chain(curves).find(|algorithm| algorithm.0 == name)
    }
}

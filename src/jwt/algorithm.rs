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

/// A curve, with its algorithm.
pub(super) struct Curve {
    name: &'static str,
    pub(super) algorithm: Algorithm,
    pub(super) verification: &'static dyn VerificationAlgorithm,
    /// The bytes of a coordinate.
    pub(super) length: usize,
    /// Whether a point has two coordinates: keys of the type EC, and not of OKP.
    pub(super) has_y: bool,
}

static CURVES: [Curve; 4] = [
    curve("P-256", "ES256", &ECDSA_P256_SHA256_FIXED, 32, true),
    curve("P-384", "ES384", &ECDSA_P384_SHA384_FIXED, 48, true),
    curve("P-521", "ES512", &ECDSA_P521_SHA512_FIXED, 66, true),
    curve("Ed25519", "Ed25519", &ED25519, 32, false),
];

const fn curve(
    name: &'static str,
    algorithm: &'static str,
    verification: &'static dyn VerificationAlgorithm,
    length: usize,
    has_y: bool,
) -> Curve {
    Curve { name, algorithm: Algorithm(algorithm), verification, length, has_y }
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        // An older name. Of its curves, only this one is accepted.
        let name = if name == "EdDSA" { "Ed25519" } else { name };
        let curves = CURVES.iter().map(|curve| curve.algorithm);
        RSA.iter().map(|(algorithm, _)| *algorithm).chain(curves).find(|algorithm| algorithm.0 == name)
    }
}

impl Curve {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        CURVES.iter().find(|curve| curve.name == name)
    }
}

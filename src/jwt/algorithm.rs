//! The signature algorithms that are accepted, of RFC 7518 and RFC 9864.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    VerificationAlgorithm,
};

/// An algorithm of public keys. Neither `none` nor a shared secret is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    /// Also under its older name `EdDSA`, of whose curves this is the only one here.
    Ed25519,
}

/// Those of RSA keys, each of which can be for any of them.
pub(super) const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

impl Algorithm {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "Ed25519" | "EdDSA" => Self::Ed25519,
            _ => return None,
        })
    }

    /// How a signature of an RSA key is verified.
    pub(super) fn of_rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::Es512 | Self::Ed25519 => return None,
        })
    }

    /// The one of a curve, how its signatures are verified, and the bytes of a coordinate.
    pub(super) fn of_curve(curve: &str) -> Option<(Self, &'static dyn VerificationAlgorithm, usize)> {
        Some(match curve {
            "P-256" => (Self::Es256, &ECDSA_P256_SHA256_FIXED, 32),
            "P-384" => (Self::Es384, &ECDSA_P384_SHA384_FIXED, 48),
            "P-521" => (Self::Es512, &ECDSA_P521_SHA512_FIXED, 66),
            "Ed25519" => (Self::Ed25519, &ED25519, 32),
            _ => return None,
        })
    }
}

//! Known causes in HubSpot's text, which Adobe passes on in its replies about a connection.

/// A cause: what went wrong, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceCause {
    pub(super) what: &'static str,
    pub(super) cure: &'static str,
}

const MISSING_SCOPE: SourceCause = SourceCause {
    what: "the HubSpot application lacks a scope",
    cure: "add the scope to the application, have it installed in the HubSpot account again, and replace the \
           credentials with UpdateHubSpotConnection",
};
const UNINSTALLED: SourceCause = SourceCause {
    what: "the HubSpot application is not installed in the account any more",
    cure: "install it again, and replace the credentials with UpdateHubSpotConnection",
};
const CLIENT: SourceCause = SourceCause {
    what: "HubSpot refuses the client ID and the client secret",
    cure: "compare both with the application in HubSpot's developer account, and replace the credentials with \
           UpdateHubSpotConnection",
};
const REVOKED: SourceCause = SourceCause {
    what: "HubSpot does not accept the tokens any more: they have expired or were revoked",
    cure: "install the HubSpot application in the account again, and replace the credentials with \
           UpdateHubSpotConnection",
};
const RATE_LIMIT: SourceCause = SourceCause {
    what: "HubSpot limits the requests for this account",
    cure: "test the connection again later; the credentials are not the cause",
};

/// Each cause with what HubSpot writes about it, in lower case. The more specific ones come first.
const KNOWN: [(SourceCause, &[&str]); 5] = [
    (
        RATE_LIMIT,
        &[
            "rate_limit",
            "rate limit",
            "ten_secondly_rolling",
            "daily limit",
            "secondly limit",
            "too many requests",
        ],
    ),
    (MISSING_SCOPE, &["missing_scopes", "requiredgranularscopes", "requiredscopes", "required scopes"]),
    (UNINSTALLED, &["uninstalled", "not installed", "isn't installed"]),
    (
        CLIENT,
        &[
            "bad_client_id",
            "bad_client_secret",
            "invalid_client",
            "invalid client secret",
            "unknown client id",
        ],
    ),
    (
        REVOKED,
        &[
            "bad_refresh_token",
            "invalid_grant",
            "expired_authentication",
            "refresh token is invalid",
            "token is revoked",
            "token was revoked",
            "token has been revoked",
            "token revoked",
            "revoked token",
            "token used to make this call expired",
        ],
    ),
];

impl SourceCause {
    /// The cause that a text names.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let named = KNOWN.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
        named.map(|(cause, _)| *cause)
    }

    /// Whether it says nothing about the connection.
    pub(super) fn may_pass(self) -> bool {
        self == RATE_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hubspot_writes_names_the_cause() {
        for (text, cause) in [
            ("refresh token is invalid, expired or revoked", Some(REVOKED)),
            (r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or unknown refresh token"}"#, Some(REVOKED)),
            ("category: EXPIRED_AUTHENTICATION", Some(REVOKED)),
            (
                "This app hasn't been granted all required scopes to make this call. MISSING_SCOPES",
                Some(MISSING_SCOPE),
            ),
            (r#"requiredGranularScopes: ["crm.objects.contacts.read"]"#, Some(MISSING_SCOPE)),
            ("the app was uninstalled from this portal", Some(UNINSTALLED)),
            ("missing or invalid client secret", Some(CLIENT)),
            ("You have reached your daily limit. (RATE_LIMIT)", Some(RATE_LIMIT)),
            ("ten_secondly_rolling", Some(RATE_LIMIT)),
            ("the token was revoked", Some(REVOKED)),
            ("certificate revoked", None),
            ("the certificate has expired or was revoked", None),
            ("unauthorized", None),
            ("", None),
        ] {
            assert_eq!(SourceCause::of(text), cause, "{text}");
        }
    }
}

//! How the emulator behaves where the real service leaves it open.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// How the emulator behaves, as `PUT /emulator/settings` takes it: what is left out has its
/// default, and durations are written like `500ms` or `24h`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The state of a connection straight after its creation. Every documented example shows
    /// `enabled`, which is never promised; any string is taken.
    pub initial_state: String,
    /// How long after its creation a connection appears in lists. Reading it by ID does not wait.
    /// The real service documents no lag and no absence of one.
    #[serde(deserialize_with = "duration")]
    pub index_lag: Duration,
    /// Whether reading a connection masks its secret authentication parameters. What the real
    /// service masks is not documented.
    pub mask_auth_params: bool,
    /// How long an access token is valid. Tokens already issued keep theirs.
    #[serde(deserialize_with = "duration")]
    pub token_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_state: "enabled".to_owned(),
            index_lag: Duration::ZERO,
            mask_auth_params: false,
            token_ttl: Duration::from_secs(24 * 60 * 60),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// Parses a duration with a unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("invalid duration {text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_optional() {
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
        let settings: Settings =
            serde_json::from_str(r#"{"index_lag": "90s", "mask_auth_params": true}"#).unwrap();
        assert_eq!(settings.index_lag, Duration::from_secs(90));
        assert!(settings.mask_auth_params);
        assert_eq!(settings.initial_state, "enabled");
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, says) in [
            (r#"{"delete_status": 202}"#, "delete_status"),
            (r#"{"index_lag": "soon"}"#, "soon"),
            (r#"{"token_ttl": 5}"#, "invalid type"),
        ] {
            let error = serde_json::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

//! Fingerprint keys that follow the file that they come from.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{MissedTickBehavior, interval};

use super::FingerprintKeys;
use crate::{
    error::{Cause, error_chain},
    secret::Secret,
};

/// How often the file is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keys, and where they come from.
#[derive(Debug)]
pub struct FollowedKeys {
    keys: FingerprintKeys,
    source: Option<Secret>,
    /// What they were made of.
    last: Option<SecretString>,
}

impl FollowedKeys {
    /// Reads the keys; without a source there is one of this process alone.
    ///
    /// # Errors
    /// Where the source cannot be read.
    pub fn read(source: Option<Secret>) -> Result<Self, Cause> {
        let last = source.as_ref().map(Secret::read).transpose()?;
        let keys = match &last {
            Some(text) => FingerprintKeys::parse(text)?,
            None => FingerprintKeys::random(),
        };
        Ok(Self { keys, source, last })
    }

    /// The keys, which change with the file.
    pub fn keys(&self) -> FingerprintKeys {
        self.keys.clone()
    }

    /// Takes over what the file holds, for ever. Where that cannot be used, the last keys stay.
    pub async fn follow(self) {
        let Self { keys, source: Some(source @ Secret::File(_)), mut last } = self else { return };
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let text = match source.read() {
                Ok(text) => text,
                Err(error) => {
                    // Said once, when it begins.
                    if last.take().is_some() {
                        tracing::error!(
                            error = error_chain(&error),
                            "cannot read HCS_FINGERPRINT_KEY_FILE: continuing with the last keys"
                        );
                    }
                    continue;
                }
            };
            if last.as_ref().is_some_and(|last| last.expose_secret() == text.expose_secret()) {
                continue;
            }
            match FingerprintKeys::parse(&text) {
                Ok(new) => {
                    keys.replace(&new);
                    tracing::info!("took over the keys in HCS_FINGERPRINT_KEY_FILE");
                }
                Err(error) => {
                    tracing::error!(%error, "cannot use HCS_FINGERPRINT_KEY_FILE: continuing with the last keys")
                }
            }
            last = Some(text);
        }
    }
}

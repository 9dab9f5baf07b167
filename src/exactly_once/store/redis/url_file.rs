//! Reports that the file of the URL has another content, as after a rotation of its password. Each new connection reads
//! the file by itself.

use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};

use super::url::RedisUrl;
use crate::secret::Secret;

pub(super) struct UrlFile {
    url: Secret,
    /// The content that was reported last. `None` while the file cannot be read.
    last: Mutex<Option<SecretString>>,
}

impl UrlFile {
    pub(super) fn new(url: Secret) -> Self {
        let last = Mutex::new(url.read().ok());
        Self { url, last }
    }

    /// Logs a change since the last call.
    pub(super) fn report(&self) {
        let Secret::File(_) = self.url else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match self.url.read() {
            Ok(text) => text,
            Err(error) => {
                if last.take().is_some() {
                    tracing::error!(%error, "cannot read HCS_REDIS_URL_FILE: the next connection to Redis needs it");
                }
                return;
            }
        };
        if last.as_ref().is_some_and(|last| last.expose_secret() == text.expose_secret()) {
            return;
        }
        match RedisUrl::parse(text.expose_secret()) {
            Ok(_) => tracing::info!("took over the URL in HCS_REDIS_URL_FILE: new connections use it"),
            Err(error) => {
                tracing::error!(%error, "cannot use HCS_REDIS_URL_FILE: the next connection to Redis needs it");
            }
        }
        *last = Some(text);
    }
}

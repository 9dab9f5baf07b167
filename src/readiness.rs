//! When the service becomes ready: once everything that each call needs has been available.
//!
//! A pod that starts while one of these is missing would fail every call. It stays unready instead, so that a rollout stops
//! and the old pods continue to serve. Once ready, it stays ready: a later outage affects every replica, and restarting or
//! removing one does not end it.
//!
//! The idempotency store is not needed: reads work without it. Neither is the Flow Service, and IMS need not be
//! reachable, as long as it does not reject the credential.

use std::time::Duration;

use futures_util::FutureExt as _;

use crate::{adobe::TokenSource, jwt::Keys};

/// A start takes less than this if nothing is missing.
const ORDINARY_START: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Readiness {
    pub(crate) keys: Option<Keys>,
    pub(crate) tokens: TokenSource,
    pub(crate) needs: Needs,
}

/// One sentence for each need.
#[derive(Clone, Debug)]
pub struct Needs {
    pub(crate) credential: &'static str,
    pub(crate) keys: Option<&'static str>,
}

impl Needs {
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.credential).chain(self.keys)
    }
}

impl Readiness {
    /// Resolves once everything has been available.
    pub async fn reached(&self) {
        tokio::join!(self.keys_available(), self.tokens.not_rejected());
    }

    /// Waits as long as an ordinary start takes. Returns whether everything has been available.
    pub async fn reached_by_an_ordinary_start(&self) -> bool {
        tokio::time::timeout(ORDINARY_START, self.reached()).await.is_ok()
    }

    pub fn missing(&self) -> Vec<&'static str> {
        let credential = self.tokens.not_rejected().now_or_never().is_none().then_some(self.needs.credential);
        let keys = self.keys_available().now_or_never().is_none().then_some(self.needs.keys).flatten();
        credential.into_iter().chain(keys).collect()
    }

    async fn keys_available(&self) {
        if let Some(keys) = &self.keys {
            keys.available().await;
        }
    }
}

//! When the service becomes ready: once everything that each call needs has been available.
//!
//! A pod that starts while one of these is missing would fail every call. It stays unready instead, so that
//! a rollout stops and the pods of before go on serving. Once reached, readiness stays: a later outage meets
//! every replica, and neither restarting nor unlinking one of them ends it.
//!
//! The idempotency store is none of these: reads work without it. Nor is the Flow Service, and IMS need not
//! be reachable: all that is asked of it is that it does not reject the credential.

use std::time::Duration;

use futures_util::FutureExt as _;

use crate::{adobe::TokenSource, jwt::Keys};

/// A start takes this long at the most where everything is there.
const ORDINARY_START: Duration = Duration::from_millis(500);

/// What each call needs.
#[derive(Clone, Debug)]
pub struct Readiness {
    keys: Option<Keys>,
    tokens: TokenSource,
    needs: Needs,
}

/// The sentences about it.
#[derive(Clone, Debug)]
pub struct Needs {
    pub(crate) credential: &'static str,
    pub(crate) keys: Option<&'static str>,
}

impl Needs {
    /// One sentence for each need.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.credential).chain(self.keys)
    }
}

impl Readiness {
    /// Is reached when the keys, where there are to be any, and the tokens are available.
    pub fn new(needs: Needs, keys: Option<Keys>, tokens: TokenSource) -> Self {
        Self { keys, tokens, needs }
    }

    /// Resolves once everything has been available.
    pub async fn reached(&self) {
        tokio::join!(self.keys_available(), self.tokens.not_rejected());
    }

    /// The same, but gives up when an ordinary start would be over. Says whether it is reached.
    pub async fn reached_by_an_ordinary_start(&self) -> bool {
        tokio::time::timeout(ORDINARY_START, self.reached()).await.is_ok()
    }

    /// What is missing at the moment.
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

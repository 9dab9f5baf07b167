//! The state of the process that is read at each scrape.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    adobe::{TokenSource, UpstreamState},
    exactly_once::store::{Outage, Store, Weakness},
    metrics::Metrics,
    tls::ServerTls,
};

/// The state of the process that is read at each scrape.
#[derive(Clone)]
pub(crate) struct Observed {
    pub(crate) store: Arc<dyn Store>,
    /// As the last dry run found Adobe's connection specification.
    pub(crate) spec_has_drifted: Arc<AtomicBool>,
    pub(crate) upstream: UpstreamState,
    pub(crate) tokens: TokenSource,
    pub(crate) tls: Option<ServerTls>,
}

impl Observed {
    pub(super) fn record(&self, metrics: &Metrics) {
        let outage = self.store.outage();
        metrics.idempotency_store_up.set(outage.is_none().into());
        for cause in Outage::ALL {
            let gauge = metrics.idempotency_store_outage.get_or_create(&cause.name().into());
            gauge.set((outage == Some(*cause)).into());
        }
        let weaknesses = self.store.weaknesses();
        for name in Weakness::NAMES {
            let is_there = weaknesses.iter().any(|weakness| weakness.name() == name);
            metrics.idempotency_store_weakness.get_or_create(&name.into()).set(is_there.into());
        }
        let spec_has_drifted = self.spec_has_drifted.load(Ordering::Relaxed);
        metrics.spec_drift.set((spec_has_drifted || self.upstream.are_own_requests_refused()).into());
        metrics.upstream.breaker_open.set(self.upstream.is_breaker_open().into());
        metrics.upstream.throttle_gate_closed.set(self.upstream.is_gate_closed().into());
        metrics.token.age.set(self.tokens.age().unwrap_or_default().as_secs_f64());
        metrics.token.valid.set(self.tokens.has_token().into());
        if let Some(tls) = &self.tls {
            let expiry = tls.expiry();
            for (certificate, expiry) in [("server", expiry.server), ("client_ca", expiry.client_ca)] {
                if let Some(expiry) = expiry {
                    metrics.tls_certificate_expiry.get_or_create(&certificate.into()).set(expiry);
                }
            }
        }
    }
}

//! Figures: percentiles, and the servers' own metrics before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;

use crate::client::Client;

/// Latencies of one kind.
#[derive(Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The latency that `percent` of all do not exceed, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted
            .get(rank)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }
}

/// Sums over all servers of every metric, by its name with labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads `/metrics` of every server and adds them up.
    pub(super) async fn read(clients: &[Client]) -> Result<Self> {
        let mut sums = BTreeMap::new();
        for client in clients {
            let reply = client
                .call(Method::GET, "/metrics", &[], Bytes::new())
                .await?;
            for line in String::from_utf8_lossy(&reply.body).lines() {
                if let Some((name, value)) = line.rsplit_once(' ')
                    && let Ok(value) = value.parse::<f64>()
                    && !name.starts_with('#')
                {
                    *sums.entry(name.to_owned()).or_default() += value;
                }
            }
        }
        Ok(Self(sums))
    }

    /// The value now; 0 for a metric that nobody has.
    pub(super) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// How much a counter has grown since `before`.
    pub(super) fn since(&self, before: &Self, name: &str) -> f64 {
        self.get(name) - before.get(name)
    }

    /// Growth of every counter of this family, by the value of its one label.
    pub(super) fn family_since(&self, before: &Self, family: &str) -> Vec<(String, f64)> {
        let of_family = self
            .0
            .keys()
            .filter(|name| name.starts_with(&format!("{family}{{")));
        of_family
            .map(|name| {
                let label = name.split('"').nth(1).unwrap_or_default();
                (label.to_owned(), self.since(before, name))
            })
            .collect()
    }
}

/// To two digits behind the point.
pub(super) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

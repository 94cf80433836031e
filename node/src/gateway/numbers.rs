//! What the gateway counts.

use std::time::Duration;

use hushlog_ingest::json::TOO_LARGE;
use nix::time::{ClockId, clock_gettime};

use super::Pushed;
use crate::error::Failure;
use crate::metrics::{Counter, Gauge, Latency, Registry, Seconds};

/// The gateway's metrics.
#[derive(Clone)]
pub(super) struct Numbers {
    registry: Registry,
    records: Counter,
    pub(super) bytes: Counter,
    pub(super) memory: Gauge,
    ack: Latency,
    pub(super) commit: Latency,
    pub(super) blocks: Counter,
    pub(super) block_bytes: Counter,
    pub(super) masked_again: Counter,
    pub(super) decode: Seconds,
    pub(super) parse: Seconds,
    pub(super) mask: Seconds,
    pub(super) encode: Seconds,
}

impl Numbers {
    pub(super) fn new(registry: &Registry) -> Self {
        let stage = |name| {
            let help = "CPU time of each stage of taking records in.";
            registry.seconds(
                "hushlog_node_stage_cpu_seconds_total",
                help,
                &[("stage", name)],
            )
        };
        let counter = |name, help| registry.counter(name, help, &[]);
        // It is there from the start: who watches it need not wait for the first.
        rejected(registry, TOO_LARGE);
        Self {
            records: counter("hushlog_node_ingest_records_total", "Records acknowledged."),
            bytes: counter(
                "hushlog_node_ingest_text_bytes_total",
                "Bytes of records' text taken.",
            ),
            memory: registry.gauge(
                "hushlog_node_ingest_memory_bytes",
                "Bytes of requests being taken in.",
                &[],
            ),
            ack: registry.latency(
                "hushlog_node_ack_seconds",
                "Time from a request that has been read to its acknowledgement.",
                &[],
            ),
            commit: registry.latency(
                "hushlog_node_commit_seconds",
                "Time from a block that is sealed to its being on a majority and applied at its shard's leader.",
                &[],
            ),
            blocks: counter("hushlog_node_blocks_total", "Blocks sealed."),
            block_bytes: counter("hushlog_node_block_bytes_total", "Bytes of blocks sealed."),
            masked_again: counter(
                "hushlog_node_masked_again_total",
                "Requests of which records were masked again: the policy changed on their way.",
            ),
            decode: stage("decode"),
            parse: stage("parse"),
            mask: stage("mask"),
            encode: stage("encode"),
            registry: registry.clone(),
        }
    }

    pub(super) fn acknowledged(&self, pushed: &Pushed, time: Duration) {
        self.records.add(pushed.accepted as u64);
        for (reason, count) in &pushed.rejected_by {
            rejected(&self.registry, reason).add(*count);
        }
        self.ack.observe(time);
        for (detector, count) in &pushed.pii {
            let help = "Acknowledged records in which a detector fired.";
            let labels = [("detector", detector.as_str())];
            self.registry
                .counter("hushlog_node_masked_records_total", help, &labels)
                .add(*count);
        }
    }

    pub(super) fn refused(&self, failure: &Failure) {
        let help = "Requests that were not acknowledged.";
        let labels = [("code", failure.kind.code())];
        self.registry
            .counter("hushlog_node_ingest_refused_total", help, &labels)
            .increment();
    }
}

/// Records rejected alone for this reason.
fn rejected(registry: &Registry, reason: &str) -> Counter {
    let name = "hushlog_node_ingest_rejected_total";
    registry.counter(name, "Records rejected alone.", &[("reason", reason)])
}

/// CPU time of this thread in nanoseconds; 0 where the system does not tell.
pub(super) fn cpu_time() -> u64 {
    let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) else {
        return 0;
    };
    u64::try_from(Duration::from(time).as_nanos()).unwrap_or(0)
}

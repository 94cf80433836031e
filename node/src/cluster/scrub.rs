//! The scrub: slowly reads every file of every segment on this node and compares it with its manifest, so
//! that damage is found while another replica is whole. And it has open shards compared with the others' replicas.
//!
//! It repairs no file: what it finds is put under suspicion, and whoever restores files takes it from there.

use std::path::PathBuf;
use std::time::Duration;

use hushlog_record::ShardId;
use hushlog_storage::manifest::{FileMeta, SegmentMeta};

use super::compare::Comparer;
use super::doubts::lacks_descriptors;
use super::held::Held;
use super::replica::Error;
use super::replicas::Replicas;
use super::settings::ScrubSettings;
use crate::metrics::{Counter, Registry};
use crate::offload::Offload;

/// Goes round the files of a node.
pub(crate) struct Scrub {
    pub(crate) replicas: Replicas,
    /// Threads that wait for the disk.
    pub(crate) disk: Offload,
    pub(crate) comparer: Comparer,
    pub(crate) settings: ScrubSettings,
    pub(crate) read: Counter,
}

impl Scrub {
    /// The counter of the bytes that it reads.
    pub(crate) fn counter(registry: &Registry) -> Counter {
        registry.counter(
            "hushlog_node_scrubbed_bytes_total",
            "Bytes of segments and logs that the scrub has read and compared.",
            &[],
        )
    }

    /// Goes round and round; for ever.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(self.settings.pause).await;
            let doubts = self.replicas.doubts();
            let state = self.comparer.meta.state();
            doubts.keep_differing(|shard| {
                let is_sealed = matches!(self.replicas.held(shard), Some(Held::Sealed(_)));
                !is_sealed && state.slot(shard).is_some()
            });
            for held in self.replicas.all_held() {
                if !doubts.is_suspect(held.shard()) {
                    self.look_at(held.clone()).await;
                }
                if let Held::Open(replica) = held {
                    self.comparer.compare(&replica).await;
                }
            }
        }
    }

    /// Puts a shard under suspicion if its files are not as they should be.
    async fn look_at(&self, held: Held) {
        let shard = held.shard();
        match self.scrub(held).await {
            Ok(true) => {}
            Ok(false) => self.replicas.doubts().suspect(shard),
            Err(error) if lacks_descriptors(&error) => {
                tracing::info!(%shard, %error, "the scrub comes back later");
            }
            Err(error) => {
                tracing::warn!(%shard, %error, "the scrub cannot read what the shard should have");
                self.replicas.doubts().suspect(shard);
            }
        }
    }

    /// Reads the files of one shard; whether they are as they should be.
    async fn scrub(&self, held: Held) -> Result<bool, Error> {
        let folder = held.folder().to_path_buf();
        let shard = held.shard();
        let reading = held.clone();
        let manifest = self.disk.run(move || reading.manifest()).await??;
        for segment in manifest.segments {
            let folder = folder.join(segment.folder_name());
            for file in segment.files.clone() {
                if !self.is_whole(folder.clone(), file).await? && self.is_listed(shard, &segment) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Reads one file, and waits until that many bytes may be read at the rate of the scrub.
    async fn is_whole(&self, folder: PathBuf, file: FileMeta) -> Result<bool, Error> {
        let bytes = file.bytes;
        // What cannot be opened for want of descriptors was not looked at.
        let verify = move || {
            let verified = file.verify(&folder);
            verified.is_ok() || verified.is_err_and(|error| lacks_descriptors(&error))
        };
        let whole = self.disk.run(verify).await?;
        self.read.add(bytes);
        let rate = self.settings.rate.max(1);
        tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / rate as f64)).await;
        Ok(whole)
    }

    /// Whether the segment is still one of the shard: it may have been dropped, or merged.
    fn is_listed(&self, shard: ShardId, segment: &SegmentMeta) -> bool {
        let manifest = self.replicas.held(shard).map(|held| held.manifest());
        manifest.is_some_and(|manifest| manifest.is_ok_and(|m| m.segments.contains(segment)))
    }
}

//! Which shards on this node are under suspicion: a question met damage, the scrub did, or files are
//! missing at the start. A suspicion ends when every file was found or made as the manifest says.
//!
//! And which of them were not the same as the others' replicas when that was last looked at (`compare`).
//!
//! It keeps numbers and names of shards only; it reads and repairs nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hushlog_record::ShardId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metrics::{Counter, Kind, Registry};

/// The suspects of a node; a cheap clone.
#[derive(Clone)]
pub(crate) struct Doubts {
    inner: Arc<Inner>,
}

struct Inner {
    suspects: Mutex<BTreeSet<ShardId>>,
    /// Open shards of which something differs, or cannot be read, that could not be mended.
    differing: Mutex<BTreeSet<ShardId>>,
    /// Open shards with log entries that cannot be read, and since when.
    unreadable: Mutex<BTreeMap<ShardId, Instant>>,
    /// Sealed shards of an earlier run whose folders nobody has looked at in this one.
    unseen: Mutex<BTreeSet<ShardId>>,
    found: Counter,
    repaired: Counter,
}

impl Doubts {
    /// No suspect; the numbers go into `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let doubts = Self {
            inner: Arc::new(Inner {
                suspects: Mutex::default(),
                differing: Mutex::default(),
                unreadable: Mutex::default(),
                unseen: Mutex::default(),
                found: counter(
                    "hushlog_node_suspected_shards_total",
                    "Shards in which a question, the scrub or a start met lost or damaged files.",
                ),
                repaired: counter(
                    "hushlog_node_repaired_segments_total",
                    "Segments whose lost or damaged files were replaced by another replica's.",
                ),
            }),
        };
        let counted = doubts.clone();
        registry.probe(
            "hushlog_node_suspected_shards_count",
            Kind::Gauge,
            "Shards whose files are lost, damaged, or not verified yet after a suspicion.",
            &[],
            move || counted.inner.suspects.lock().len() as f64,
        );
        let counted = doubts.clone();
        registry.probe(
            "hushlog_node_differing_shards_count",
            Kind::Gauge,
            "Open shards of which something here differs from the others' replicas, or cannot be read.",
            &[],
            move || counted.inner.differing.lock().len() as f64,
        );
        doubts
    }

    /// Something of the shard could not be read.
    pub(crate) fn suspect(&self, shard: ShardId) {
        if self.inner.suspects.lock().insert(shard) {
            self.inner.found.increment();
            tracing::warn!(%shard, "files of a shard are lost or damaged; they are verified now");
        }
    }

    /// Every file of the shard is as its manifest says; this many segments had to be replaced.
    pub(crate) fn verified(&self, shard: ShardId, replaced: usize) {
        self.inner.repaired.add(replaced as u64);
        if self.inner.suspects.lock().remove(&shard) {
            tracing::info!(%shard, replaced, "all files of a shard are whole again");
        }
    }

    /// Whether the shard is under suspicion.
    pub(crate) fn is_suspect(&self, shard: ShardId) -> bool {
        self.inner.suspects.lock().contains(&shard)
    }

    /// Something of an open shard is not as it is elsewhere, or cannot be read, and could not be mended.
    pub(crate) fn differs(&self, shard: ShardId) {
        if self.inner.differing.lock().insert(shard) {
            tracing::error!(%shard, "this replica is not what the others are");
        }
    }

    /// Entries of the log of an open shard cannot be read; for how long by now.
    pub(crate) fn unreadable(&self, shard: ShardId) -> Duration {
        let mut unreadable = self.inner.unreadable.lock();
        let since = unreadable.entry(shard).or_insert_with(Instant::now);
        since.elapsed()
    }

    /// Shards with entries of their logs that cannot be read: they are not open here until somebody gives these.
    pub(crate) fn all_unreadable(&self) -> Vec<ShardId> {
        self.inner.unreadable.lock().keys().copied().collect()
    }

    /// All entries of the log of an open shard can be read again.
    pub(crate) fn readable(&self, shard: ShardId) {
        self.inner.unreadable.lock().remove(&shard);
    }

    /// A majority has shown all of an open shard, and it is the same.
    pub(crate) fn agrees(&self, shard: ShardId) {
        if self.inner.differing.lock().remove(&shard) {
            tracing::info!(%shard, "this replica is what the others are again");
        }
    }

    /// Nothing of the log of a shard is in doubt any more: the others have given what could not be read, or the shard
    /// is sealed, as was agreed on. Until the next comparison, an hour later perhaps, it would count as damaged, and
    /// keep nodes from leaving.
    pub(crate) fn log_is_right(&self, shard: ShardId) {
        self.readable(shard);
        self.agrees(shard);
    }

    /// Whether anything of the shard is in doubt here.
    pub(crate) fn is_damaged(&self, shard: ShardId) -> bool {
        self.is_suspect(shard) || self.inner.differing.lock().contains(&shard)
    }

    /// Forgets those that differ, or cannot be read, and are not among the open shards any more.
    pub(crate) fn keep_differing(&self, is_open: impl Fn(ShardId) -> bool) {
        let mut differing = self.inner.differing.lock();
        differing.retain(|shard| is_open(*shard));
        let mut unreadable = self.inner.unreadable.lock();
        unreadable.retain(|shard, _| is_open(*shard));
    }

    /// All suspects.
    pub(crate) fn suspects(&self) -> Vec<ShardId> {
        self.inner.suspects.lock().iter().copied().collect()
    }

    /// The folder of this sealed shard should be looked at.
    pub(crate) fn not_seen(&self, shard: ShardId) {
        self.inner.unseen.lock().insert(shard);
    }

    /// Takes up to `count` shards whose folders should be looked at.
    pub(crate) fn take_unseen(&self, count: usize) -> Vec<ShardId> {
        let mut unseen = self.inner.unseen.lock();
        let taken: Vec<ShardId> = unseen.iter().copied().take(count).collect();
        for shard in &taken {
            unseen.remove(shard);
        }
        taken
    }
}

/// Whether something could not be read for want of file descriptors, which says nothing of what lies there.
pub(crate) fn lacks_descriptors(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error())
        .any(|code| [nix::libc::EMFILE, nix::libc::ENFILE].contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

    #[test]
    fn a_doubt_of_the_log_ends_where_the_log_is_right_and_one_of_the_files_does_not() {
        let doubts = Doubts::new(&Registry::default());
        doubts.differs(SHARD);
        doubts.unreadable(SHARD);
        assert!(doubts.is_damaged(SHARD));
        doubts.log_is_right(SHARD);
        assert!(!doubts.is_damaged(SHARD));
        assert_eq!(doubts.all_unreadable(), []);
        doubts.suspect(SHARD);
        doubts.differs(SHARD);
        doubts.log_is_right(SHARD);
        assert!(doubts.is_damaged(SHARD), "its files are still in doubt");
        doubts.verified(SHARD, 0);
        assert!(!doubts.is_damaged(SHARD));
    }

    #[test]
    fn a_want_of_descriptors_is_no_damage() {
        let segment = |code| hushlog_storage::segment::Error::File {
            action: "opening",
            path: "rows.parquet".into(),
            source: std::io::Error::from_raw_os_error(code),
        };
        assert!(lacks_descriptors(&segment(nix::libc::EMFILE)));
        assert!(lacks_descriptors(&segment(nix::libc::ENFILE)));
        assert!(!lacks_descriptors(&segment(nix::libc::ENOENT)));
        assert!(!lacks_descriptors(&std::fmt::Error));
    }
}

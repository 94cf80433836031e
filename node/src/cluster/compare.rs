//! Replicas of an open shard compare what they have: segments of the same range, and pieces of the applied log as
//! they lie on the disks. What differs from a majority's, or cannot be read, is replaced.
//!
//! Each replica looks after itself only: one that finds others in the wrong reports it, and they find it too.
//! One message to each other replica per piece of the log, at the rate of the scrub; a piece in memory at a time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_proto::hushlog::internal::v1::{
    CompareShardReply, CompareShardRequest, LogEntriesRequest, SegmentDigest,
};
use hushlog_raft::{Connect, Lane, LogEntries, LogPiece, MetaGroup};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::manifest::SegmentMeta;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::transport::Channel;

use super::MESSAGE_BYTES_MAX;
use super::files::{Fetcher, Theirs};
use super::replica::{Error, Replica};
use super::replicas::Replicas;
use crate::metrics::{Counter, Registry};

/// How long a node may take to show what it has.
const ASK_DEADLINE: Duration = Duration::from_secs(10);

type Digest = [u8; 32];

/// What the comparing of a node has come to.
#[derive(Clone)]
pub(crate) struct Differences {
    found: Counter,
    mended: Counter,
}

impl Differences {
    /// The numbers go into `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        Self {
            found: counter(
                "hushlog_node_differences_total",
                "Segments and pieces of logs of open shards that differ from another replica's, or of which entries \
                 cannot be read.",
            ),
            mended: counter(
                "hushlog_node_mended_differences_total",
                "Segments and log entries here that were replaced by a majority's.",
            ),
        }
    }

    /// Entries cannot be read.
    pub(crate) fn found(&self) {
        self.found.increment();
    }

    /// So many entries were replaced.
    pub(crate) fn mended(&self, count: u64) {
        self.mended.add(count);
    }
}

/// Compares the open shards of a node with those of the others.
#[derive(Clone)]
pub(crate) struct Comparer {
    pub(crate) replicas: Replicas,
    pub(crate) meta: MetaGroup,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) differences: Differences,
    /// Bytes a second.
    pub(crate) rate: u64,
    pub(crate) read: Counter,
}

/// What others have, by node.
type Answers = BTreeMap<NodeId, CompareShardReply>;

/// What the others' digests say of one here.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody has another.
    Same,
    /// Some have another, a majority has this one.
    TheyDiffer,
    /// A majority has this other one.
    Replace(Digest),
    /// There is no majority for any.
    Undecided,
}

/// Judges a digest by those of other members, of `members` in all.
fn judge(own: Digest, others: &[Digest], members: usize) -> Verdict {
    let majority = members / 2 + 1;
    let count = |digest: Digest| others.iter().filter(|other| **other == digest).count();
    let differing = others.iter().find(|other| **other != own);
    if differing.is_none() {
        return Verdict::Same;
    }
    if count(own) + 1 >= majority {
        return Verdict::TheyDiffer;
    }
    let agreed = others.iter().find(|other| count(**other) >= majority);
    agreed.map_or(Verdict::Undecided, |digest| Verdict::Replace(*digest))
}

/// What replicas compare of entries of the log.
pub(crate) fn digest_of(entries: &LogEntries) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for (index, stored) in entries.range().zip(entries.stored()) {
        hasher.update(&index.to_le_bytes());
        hasher.update(&(stored.len() as u64).to_le_bytes());
        hasher.update(stored);
    }
    *hasher.finalize().as_bytes()
}

/// What replicas compare of segments.
pub(crate) fn digests_of(segments: &[SegmentMeta]) -> Vec<SegmentDigest> {
    let digest = |segment: &SegmentMeta| SegmentDigest {
        from: segment.from,
        to: segment.to,
        digest: segment.digest().to_vec().into(),
    };
    segments.iter().map(digest).collect()
}

impl Comparer {
    /// Compares a shard with what the others have of it, mends what is wrong here, and says how it stands.
    pub(crate) async fn compare(&self, replica: &Arc<Replica>) {
        let shard = replica.shard;
        match self.rounds(replica).await {
            Ok(true) => self.replicas.doubts().agrees(shard),
            Ok(false) => self.replicas.doubts().differs(shard),
            Err(error) => {
                tracing::info!(%shard, %error, "the replicas were not compared");
            }
        }
    }

    /// Compares the segments and all of the log that is applied by now; whether all is as it should be
    /// afterwards.
    async fn rounds(&self, replica: &Arc<Replica>) -> Result<bool, Error> {
        let others = self.others(replica);
        let end = replica.positions().applied_to;
        let answers = self.ask_all(replica, &others, 0..0, true).await;
        let mut good = self.segments(replica, &others, &answers).await?;
        let mut from = 0;
        while let Some(piece) = replica.group.log_piece(from).await? {
            from = piece.range.end;
            let bytes = piece.bytes;
            self.read.add(bytes);
            good &= self.piece(replica, &others, piece).await?;
            let rest = bytes as f64 / self.rate.max(1) as f64;
            sleep(Duration::from_secs_f64(rest)).await;
            if from >= end {
                break;
            }
        }
        Ok(good)
    }

    /// The other members, and how they are reached.
    fn others(&self, replica: &Replica) -> Vec<(NodeId, String)> {
        let state = self.meta.state();
        let slot = state.slot(replica.shard);
        let members = slot.map(|slot| self.replicas.members(slot));
        let others = members.unwrap_or_default().into_iter();
        others
            .filter(|(node, _)| *node != self.replicas.node())
            .map(|(node, peer)| (node, peer.addr))
            .collect()
    }

    /// Compares one piece of the log and mends it; whether it is as it should be afterwards.
    async fn piece(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        piece: LogPiece,
    ) -> Result<bool, Error> {
        let shard = replica.shard;
        let range = piece.range.clone();
        let Some(entries) = piece.entries else {
            self.differences.found.increment();
            let (first, count) = (piece.damaged.first(), piece.damaged.len());
            tracing::warn!(%shard, ?first, count, "entries of the log cannot be read");
            let mut good = true;
            for index in piece.damaged {
                good &= self.bring(replica, others, index..index + 1, None).await?;
            }
            return Ok(good);
        };
        let own = digest_of(&entries);
        drop(entries);
        let answers = self.ask_all(replica, others, range.clone(), false).await;
        let digest = |answer: &CompareShardReply| Digest::try_from(&answer.log[..]).ok();
        let digests: Vec<Digest> = answers.values().filter_map(digest).collect();
        match judge(own, &digests, others.len() + 1) {
            Verdict::Same => Ok(true),
            Verdict::TheyDiffer => {
                self.differences.found.increment();
                tracing::warn!(%shard, ?range, "another replica's log differs");
                Ok(true)
            }
            Verdict::Undecided => {
                self.differences.found.increment();
                tracing::error!(%shard, ?range, "replicas have different logs, and none a majority");
                Ok(false)
            }
            Verdict::Replace(digest) => {
                self.differences.found.increment();
                tracing::error!(%shard, ?range, "the log here is not a majority's");
                self.bring(replica, others, range, Some(digest)).await
            }
        }
    }

    /// Replaces entries of the log by those that another replica has applied: of this digest, where one is
    /// given. Whether that is done, and what was made of the entries that were here is what these say.
    async fn bring(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        range: Range<u64>,
        digest: Option<Digest>,
    ) -> Result<bool, Error> {
        let shard = replica.shard;
        for (node, addr) in others {
            let given = entries_of(&*self.connect, (*node, addr.as_str()), shard, range.clone());
            let entries = match given.await {
                Ok(Some(entries)) if digest.is_none_or(|d| d == digest_of(&entries)) => entries,
                Ok(_) => continue,
                Err(reason) => {
                    tracing::info!(%shard, node, reason, "a node does not give entries of its log");
                    continue;
                }
            };
            let count = replica.group.mend_log(&entries).await?;
            self.differences.mended.add(count as u64);
            tracing::info!(%shard, node, count, "entries of the log were replaced by another replica's");
            if replica.has_applied(&entries) {
                return Ok(true);
            }
            tracing::error!(%shard, ?range, "other entries were applied here: a restart applies what is right");
            return Ok(false);
        }
        Ok(false)
    }

    /// Compares the segments, and replaces those that are not a majority's; whether all are as they should be
    /// afterwards.
    async fn segments(
        &self,
        replica: &Arc<Replica>,
        others: &[(NodeId, String)],
        answers: &Answers,
    ) -> Result<bool, Error> {
        let shard = replica.shard;
        let mut good = true;
        for segment in replica.manifest()?.segments {
            let of_range = |answer: &CompareShardReply| {
                let mut theirs = answer.segments.iter();
                let same = theirs.find(|one| (one.from, one.to) == (segment.from, segment.to))?;
                Digest::try_from(&same.digest[..]).ok()
            };
            let digests: Vec<Digest> = answers.values().filter_map(of_range).collect();
            let (from, to) = (segment.from, segment.to);
            match judge(segment.digest(), &digests, others.len() + 1) {
                Verdict::Same => {}
                Verdict::TheyDiffer => {
                    self.differences.found.increment();
                    tracing::warn!(%shard, from, to, "another replica's segment differs");
                }
                Verdict::Undecided => {
                    self.differences.found.increment();
                    tracing::error!(%shard, from, to, "replicas have different segments, and none a majority");
                    good = false;
                }
                Verdict::Replace(digest) => {
                    self.differences.found.increment();
                    tracing::error!(%shard, from, to, "the segment here is not a majority's");
                    good &= self.replace(replica, others, &segment, digest).await?;
                }
            }
        }
        Ok(good)
    }

    /// Replaces a segment by the one of this digest; whether somebody gave it.
    async fn replace(
        &self,
        replica: &Arc<Replica>,
        others: &[(NodeId, String)],
        segment: &SegmentMeta,
        digest: Digest,
    ) -> Result<bool, Error> {
        let shard = replica.shard;
        let range = segment.from..segment.to;
        for source in others {
            let theirs = self
                .fetcher
                .segment_of(source.0, &source.1, shard, &range)
                .await;
            let meta = match theirs {
                Ok(Theirs::Here(meta)) if meta.digest() == digest => meta,
                Ok(_) => continue,
                Err(reason) => {
                    tracing::info!(%shard, reason, "a node does not say what it has");
                    continue;
                }
            };
            let replaced = replica.replace(segment, meta, &self.fetcher, source).await;
            match replaced {
                Ok(replaced) => {
                    self.differences.mended.add(u64::from(replaced));
                    tracing::info!(%shard, node = source.0, "a segment was replaced by a majority's");
                    return Ok(true);
                }
                Err(Error::Fetch(reason)) => {
                    tracing::info!(%shard, reason, "a majority's segment was not taken");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// What each of these nodes has; of those that do not say, nothing.
    async fn ask_all(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        range: Range<u64>,
        segments: bool,
    ) -> Answers {
        let mut answers = Answers::new();
        for (node, addr) in others {
            let request = CompareShardRequest {
                group: replica.shard.group(),
                from: range.start,
                to: range.end,
                segments,
            };
            let answer = match client(&*self.connect, *node, addr) {
                Ok(mut client) => timeout(ASK_DEADLINE, client.compare_shard(request)).await,
                Err(status) => Ok(Err(status)),
            };
            match answer {
                Ok(Ok(answer)) => {
                    answers.insert(*node, answer.into_inner());
                }
                Ok(Err(status)) => {
                    tracing::debug!(
                        node,
                        reason = status.message(),
                        "it does not show what it has"
                    );
                }
                Err(_) => tracing::debug!(node, "it does not show in time what it has"),
            }
        }
        answers
    }
}

/// Entries of a shard's log that a node has applied; none if it has not, or they are damaged there too.
///
/// # Errors
/// When it does not say.
pub(crate) async fn entries_of(
    connect: &dyn Connect,
    (node, addr): (NodeId, &str),
    shard: ShardId,
    range: Range<u64>,
) -> Result<Option<LogEntries>, String> {
    let request = LogEntriesRequest {
        group: shard.group(),
        from: range.start,
        to: range.end,
    };
    let client = client(connect, node, addr);
    let mut client = client.map_err(|status| status.message().to_owned())?;
    let answer = timeout(ASK_DEADLINE, client.log_entries(request)).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?;
    let stored = answer
        .map_err(|status| status.message().to_owned())?
        .into_inner()
        .entries;
    if stored.is_empty() {
        return Ok(None);
    }
    let entries = LogEntries::new(range.start, stored).map_err(|error| error.to_string())?;
    Ok(Some(entries).filter(|entries| entries.range() == range))
}

fn client(connect: &dyn Connect, node: NodeId, addr: &str) -> Result<NodeClient<Channel>, Status> {
    let channel = connect.channel(node, addr, Lane::Bulk)?;
    Ok(NodeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_decides_and_nothing_is_replaced_without_one() {
        let [a, b, c] = [1, 2, 3].map(|n| [n; 32]);
        assert_eq!(judge(a, &[], 3), Verdict::Same);
        assert_eq!(judge(a, &[], 1), Verdict::Same);
        assert_eq!(judge(a, &[a, a], 3), Verdict::Same);
        assert_eq!(judge(a, &[b, a], 3), Verdict::TheyDiffer);
        assert_eq!(judge(a, &[b, b], 3), Verdict::Replace(b));
        // One that is away may be of either side.
        assert_eq!(judge(a, &[b], 3), Verdict::Undecided);
        assert_eq!(judge(a, &[b], 2), Verdict::Undecided);
        assert_eq!(judge(a, &[b, c], 3), Verdict::Undecided);
        assert_eq!(judge(a, &[a, b, b], 5), Verdict::Undecided);
        assert_eq!(judge(a, &[c, b, b, b], 5), Verdict::Replace(b));
        assert_eq!(judge(a, &[c, a, b, a], 5), Verdict::TheyDiffer);
    }
}

//! Replicas of an open shard compare what they have: segments of the same range, and pieces of the applied log as
//! they lie on the disks. What differs from a majority's is replaced by that; entries that cannot be read are replaced
//! by what all others that have them say, if they are enough. A replica that has applied what was replaced is opened
//! anew.
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
use super::doubts::Doubts;
use super::files::{Fetcher, Theirs};
use super::replica::{Error, Replica};
use super::replicas::Replicas;
use crate::metrics::{Counter, Registry};

/// How long a node may take to show what it has.
const ASK_DEADLINE: Duration = Duration::from_secs(10);
/// Pause before the others are asked again, when too few could show what is new here: they may be a little behind.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long an entry that cannot be read waits for a second node's word, where only one of several others has it.
const LONE_WORD_PATIENCE: Duration = Duration::from_secs(30);

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

/// How what was compared stands, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// A majority has shown the same.
    Good,
    /// Too few have shown what they have, or it was not looked at to its end.
    Unknown,
    /// It is another than elsewhere, or cannot be read.
    Bad,
}

/// What the others' digests say of one here.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// A majority has this one, and nobody another.
    Same,
    /// Nobody has shown another, but too few any at all.
    Unknown,
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
    let has_majority = count(own) + 1 >= majority;
    if count(own) == others.len() {
        return if has_majority {
            Verdict::Same
        } else {
            Verdict::Unknown
        };
    }
    if has_majority {
        return Verdict::TheyDiffer;
    }
    let agreed = others.iter().find(|other| count(**other) >= majority);
    agreed.map_or(Verdict::Undecided, |digest| Verdict::Replace(*digest))
}

/// What replicas compare of entries of the log, which may come in pieces.
#[derive(Default)]
pub(crate) struct Digester {
    hasher: blake3::Hasher,
}

impl Digester {
    /// These entries are next.
    pub(crate) fn add(&mut self, entries: &LogEntries) {
        for (index, stored) in entries.range().zip(entries.stored()) {
            self.hasher.update(&index.to_le_bytes());
            self.hasher.update(&(stored.len() as u64).to_le_bytes());
            self.hasher.update(stored);
        }
    }

    /// Of all of them.
    pub(crate) fn digest(&self) -> Digest {
        *self.hasher.finalize().as_bytes()
    }
}

fn digest_of(entries: &LogEntries) -> Digest {
    let mut digester = Digester::default();
    digester.add(entries);
    digester.digest()
}

/// What others say that something is which cannot be read here.
#[derive(Debug)]
struct Words<T> {
    first: Option<T>,
    count: usize,
    differ: bool,
}

impl<T: PartialEq> Words<T> {
    const fn new() -> Self {
        Self {
            first: None,
            count: 0,
            differ: false,
        }
    }

    fn add(&mut self, word: T) {
        self.count += 1;
        match &self.first {
            Some(first) => self.differ |= *first != word,
            None => self.first = Some(word),
        }
    }

    /// What they agree on, if they are enough of `members` in all after a wait of so long: two, where there are two
    /// others, else one that has been the only one for long.
    fn agreed(self, members: usize, waited: Duration) -> Option<T> {
        let is_enough = self.count >= 2 || members < 3 || waited >= LONE_WORD_PATIENCE;
        self.first.filter(|_| is_enough && !self.differ)
    }
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

/// Whether a replica has applied what its log is made to say. Once all of that is written, and not before, since it is
/// opened anew then, one that has not is not trusted any more.
struct Applied<'a> {
    doubts: &'a Doubts,
    replica: &'a Replica,
    is_right: bool,
}

impl<'a> Applied<'a> {
    fn new(comparer: &'a Comparer, replica: &'a Replica) -> Self {
        Self {
            doubts: comparer.replicas.doubts(),
            replica,
            is_right: true,
        }
    }

    fn note(&mut self, is_right: bool) {
        if !is_right {
            self.doubts.differs(self.replica.shard);
        }
        self.is_right &= is_right;
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        if !self.is_right {
            let shard = self.replica.shard;
            tracing::error!(%shard, "other entries were applied here: the replica is opened anew");
            self.replica.distrust();
        }
    }
}

impl Comparer {
    /// Compares a shard with what the others have of it, mends what is wrong here, and says how it stands.
    pub(crate) async fn compare(&self, replica: &Arc<Replica>) {
        let shard = replica.shard;
        match self.rounds(replica).await {
            Ok(Standing::Good) => self.replicas.doubts().agrees(shard),
            Ok(Standing::Unknown) => {
                tracing::debug!(%shard, "too few nodes show what they have of a shard");
            }
            Ok(Standing::Bad) => self.replicas.doubts().differs(shard),
            Err(error) => {
                tracing::info!(%shard, %error, "the replicas were not compared");
            }
        }
    }

    /// Compares the segments and all of the log that is applied by now; how it stands afterwards. Ends where the
    /// replica turns out to have applied what is wrong: it is to be opened anew before anything else.
    async fn rounds(&self, replica: &Arc<Replica>) -> Result<Standing, Error> {
        let others = self.others(replica);
        let end = replica.positions().applied_to;
        let mut standing = self.segments(replica, &others).await?;
        let mut readable = true;
        let mut from = 0;
        while !replica.is_wrong()
            && let Some(piece) = replica.group.log_piece(from).await?
        {
            from = piece.range.end;
            let bytes = piece.bytes;
            self.read.add(bytes);
            let is_damaged = piece.entries.is_none();
            let of_piece = self.piece(replica, &others, piece).await?;
            standing = standing.max(of_piece);
            readable &= !(is_damaged && of_piece == Standing::Bad);
            let rest = bytes as f64 / self.rate.max(1) as f64;
            sleep(Duration::from_secs_f64(rest)).await;
            if from >= end {
                break;
            }
        }
        if replica.is_wrong() {
            return Ok(Standing::Bad);
        }
        if readable {
            self.replicas.doubts().readable(replica.shard);
        }
        Ok(standing)
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

    /// Compares one piece of the log and mends it; how it stands afterwards.
    async fn piece(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        piece: LogPiece,
    ) -> Result<Standing, Error> {
        let shard = replica.shard;
        let range = piece.range.clone();
        let Some(entries) = piece.entries else {
            self.differences.found.increment();
            let (first, count) = (piece.damaged.first(), piece.damaged.len());
            tracing::warn!(%shard, ?first, count, "entries of the log cannot be read");
            return self.mend(replica, others, piece.damaged).await;
        };
        let own = digest_of(&entries);
        drop(entries);
        match self.verdict(replica, others, &range, own).await {
            Verdict::Same => Ok(Standing::Good),
            Verdict::Unknown => Ok(Standing::Unknown),
            Verdict::TheyDiffer => {
                self.differences.found.increment();
                tracing::warn!(%shard, ?range, "another replica's log differs");
                Ok(Standing::Good)
            }
            Verdict::Undecided => {
                self.differences.found.increment();
                tracing::error!(%shard, ?range, "replicas have different logs, and none a majority");
                Ok(Standing::Bad)
            }
            Verdict::Replace(_) => {
                self.differences.found.increment();
                tracing::error!(%shard, ?range, "the log here is not a majority's");
                self.bring(replica, others, range).await
            }
        }
    }

    /// What the others say of entries of the log that have this digest here.
    async fn verdict(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        range: &Range<u64>,
        own: Digest,
    ) -> Verdict {
        let members = others.len() + 1;
        let answers = self.ask_all(replica, others, range.clone(), false).await;
        let verdict = judge(own, &log_digests(&answers), members);
        if verdict != Verdict::Unknown || answers.is_empty() {
            return verdict;
        }
        sleep(ASK_AGAIN).await;
        let answers = self.ask_all(replica, others, range.clone(), false).await;
        judge(own, &log_digests(&answers), members)
    }

    /// Replaces entries that cannot be read by what all others that have them say. How they stand afterwards: the
    /// rest of their piece is compared the next time.
    async fn mend(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        damaged: Vec<u64>,
    ) -> Result<Standing, Error> {
        let shard = replica.shard;
        let waited = self.replicas.doubts().unreadable(shard);
        let mut standing = Standing::Unknown;
        let mut applied = Applied::new(self, replica);
        for index in damaged {
            let entry = entry_of_all(&*self.connect, shard, others, index, waited).await;
            let Some(entry) = entry else {
                standing = Standing::Bad;
                continue;
            };
            applied.note(replica.has_applied(&entry));
            self.put(replica, &entry).await?;
        }
        Ok(standing)
    }

    /// Replaces whole entries of the log by a majority's, a piece at a time; how they stand afterwards.
    async fn bring(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        range: Range<u64>,
    ) -> Result<Standing, Error> {
        let mut applied = Applied::new(self, replica);
        let mut next = range.start;
        while next < range.end {
            let entries = self.majoritys(replica, others, next..range.end).await;
            let Some(entries) = entries else {
                return Ok(Standing::Bad);
            };
            next = entries.range().end;
            // They were whole: what no segment covers yet was applied as they were.
            let is_segmented = next <= replica.positions().segmented_to;
            applied.note(is_segmented && replica.has_applied(&entries));
            self.put(replica, &entries).await?;
        }
        Ok(Standing::Good)
    }

    /// The first of these entries as a majority of the members, without this one, has applied them.
    async fn majoritys(
        &self,
        replica: &Replica,
        others: &[(NodeId, String)],
        range: Range<u64>,
    ) -> Option<LogEntries> {
        let members = others.len() + 1;
        let majority = members / 2 + 1;
        for (node, addr) in others {
            let from = (*node, addr.as_str());
            let given = entries_of(&*self.connect, from, replica.shard, range.clone()).await;
            let entries = match given {
                Ok(Some(entries)) => entries,
                Ok(None) => continue,
                Err(reason) => {
                    not_given(replica.shard, *node, &reason);
                    continue;
                }
            };
            let digest = digest_of(&entries);
            let answers = self.ask_all(replica, others, entries.range(), false).await;
            let same = log_digests(&answers).into_iter().filter(|d| *d == digest);
            if same.count() >= majority {
                return Some(entries);
            }
        }
        None
    }

    /// Puts entries of others in the place of those that are in the log here.
    async fn put(&self, replica: &Replica, entries: &LogEntries) -> Result<(), Error> {
        let (shard, range) = (replica.shard, entries.range());
        let count = replica.group.mend_log(entries).await?;
        self.differences.mended.add(count as u64);
        tracing::info!(%shard, ?range, count, "entries of the log were replaced by the other replicas'");
        Ok(())
    }

    /// Compares the segments, and replaces those that are not a majority's; how they stand afterwards.
    async fn segments(
        &self,
        replica: &Arc<Replica>,
        others: &[(NodeId, String)],
    ) -> Result<Standing, Error> {
        let shard = replica.shard;
        let (segments, judged) = self.judge_segments(replica, others).await?;
        let mut standing = Standing::Good;
        for (segment, verdict) in segments.into_iter().zip(judged) {
            let (from, to) = (segment.from, segment.to);
            let of_segment = match verdict {
                Verdict::Same => Standing::Good,
                Verdict::Unknown => Standing::Unknown,
                Verdict::TheyDiffer => {
                    self.differences.found.increment();
                    tracing::warn!(%shard, from, to, "another replica's segment differs");
                    Standing::Good
                }
                Verdict::Undecided => {
                    self.differences.found.increment();
                    tracing::error!(%shard, from, to, "replicas have different segments, and none a majority");
                    Standing::Bad
                }
                Verdict::Replace(digest) => {
                    self.differences.found.increment();
                    tracing::error!(%shard, from, to, "the segment here is not a majority's");
                    self.replace(replica, others, &segment, digest).await?
                }
            };
            standing = standing.max(of_segment);
        }
        Ok(standing)
    }

    /// The segments, and what the others say of each.
    async fn judge_segments(
        &self,
        replica: &Arc<Replica>,
        others: &[(NodeId, String)],
    ) -> Result<(Vec<SegmentMeta>, Vec<Verdict>), Error> {
        let judge_all = |answers: &Answers, segments: &[SegmentMeta]| -> Vec<Verdict> {
            let members = others.len() + 1;
            let judged =
                |one: &SegmentMeta| judge(one.digest(), &segment_digests(answers, one), members);
            segments.iter().map(judged).collect()
        };
        let answers = self.ask_all(replica, others, 0..0, true).await;
        let segments = replica.manifest()?.segments;
        let judged = judge_all(&answers, &segments);
        if answers.is_empty() || !judged.contains(&Verdict::Unknown) {
            return Ok((segments, judged));
        }
        sleep(ASK_AGAIN).await;
        let answers = self.ask_all(replica, others, 0..0, true).await;
        let judged = judge_all(&answers, &segments);
        Ok((segments, judged))
    }

    /// Replaces a segment by the one of this digest; how it stands afterwards. One that is not listed any more is
    /// not replaced, and what came of it is not known.
    async fn replace(
        &self,
        replica: &Arc<Replica>,
        others: &[(NodeId, String)],
        segment: &SegmentMeta,
        digest: Digest,
    ) -> Result<Standing, Error> {
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
                Ok(true) => {
                    self.differences.mended.increment();
                    tracing::info!(%shard, node = source.0, "a segment was replaced by a majority's");
                    return Ok(Standing::Good);
                }
                Ok(false) => {
                    let (from, to) = (segment.from, segment.to);
                    tracing::info!(%shard, from, to, "a segment to be replaced is not listed any more");
                    return Ok(Standing::Unknown);
                }
                Err(Error::Fetch(reason)) => {
                    tracing::info!(%shard, reason, "a majority's segment was not taken");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Standing::Bad)
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

/// What these nodes have of a piece of the log; not all may have all of it.
fn log_digests(answers: &Answers) -> Vec<Digest> {
    let digest = |answer: &CompareShardReply| Digest::try_from(&answer.log[..]).ok();
    answers.values().filter_map(digest).collect()
}

/// What these nodes have in the place of a segment.
fn segment_digests(answers: &Answers, segment: &SegmentMeta) -> Vec<Digest> {
    let of_range = |answer: &CompareShardReply| {
        let mut theirs = answer.segments.iter();
        let same = theirs.find(|one| (one.from, one.to) == (segment.from, segment.to))?;
        Digest::try_from(&same.digest[..]).ok()
    };
    answers.values().filter_map(of_range).collect()
}

fn not_given(shard: ShardId, node: NodeId, reason: &str) {
    tracing::info!(%shard, node, reason, "a node does not give entries of its log");
}

/// An entry of a shard's log that cannot be read here, as all of the other members that have it say. None if they do
/// not agree, or are too few after `waited`.
pub(crate) async fn entry_of_all(
    connect: &dyn Connect,
    shard: ShardId,
    others: &[(NodeId, String)],
    index: u64,
    waited: Duration,
) -> Option<LogEntries> {
    let mut words = Words::new();
    for (node, addr) in others {
        let given = entries_of(connect, (*node, addr.as_str()), shard, index..index + 1);
        match given.await {
            Ok(Some(entry)) => words.add(entry),
            Ok(None) => {}
            Err(reason) => not_given(shard, *node, &reason),
        }
    }
    if words.differ {
        tracing::error!(%shard, index, "the other replicas have different entries");
    }
    words.agreed(others.len() + 1, waited)
}

/// The first of these entries of a shard's log that a node has applied, as many as it gives at once; none if it has
/// not applied all, or they are damaged there too.
///
/// # Errors
/// When it does not say.
async fn entries_of(
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
    let entries = LogEntries::new(shard, range.start, stored).map_err(|error| error.to_string())?;
    Ok(Some(entries).filter(|entries| entries.range().end <= range.end))
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
        assert_eq!(judge(a, &[], 1), Verdict::Same);
        assert_eq!(judge(a, &[a], 3), Verdict::Same);
        assert_eq!(judge(a, &[a, a], 5), Verdict::Same);
        // Silence is no agreement.
        assert_eq!(judge(a, &[], 3), Verdict::Unknown);
        assert_eq!(judge(a, &[], 2), Verdict::Unknown);
        assert_eq!(judge(a, &[a], 5), Verdict::Unknown);
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

    #[test]
    fn what_is_not_known_neither_clears_nor_hides_a_difference() {
        assert_eq!(Standing::Good.max(Standing::Unknown), Standing::Unknown);
        assert_eq!(Standing::Unknown.max(Standing::Bad), Standing::Bad);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_on_one_nodes_word() {
        let agreed = |words: &[u8], members, waited| {
            let mut all = Words::new();
            words.iter().for_each(|word| all.add(*word));
            all.agreed(members, waited)
        };
        let (soon, late) = (Duration::ZERO, LONE_WORD_PATIENCE);
        assert_eq!(agreed(&[7, 7], 3, soon), Some(7));
        assert_eq!(agreed(&[7, 8], 3, late), None);
        assert_eq!(agreed(&[7, 7, 8, 7], 5, late), None);
        assert_eq!(agreed(&[7], 3, soon), None);
        assert_eq!(agreed(&[7], 5, late), Some(7));
        assert_eq!(agreed(&[], 3, late), None);
        // Nobody else could say anything.
        assert_eq!(agreed(&[7], 2, soon), Some(7));
    }
}

//! Drives one replica: initialises its group, cuts, makes segments, closes it when its bucket is over,
//! finishes and seals it, hands the lead back to the node that should have it.
//!
//! The leader builds a segment once and the others fetch it; they build only where that takes too long.
//! Both ways lead to the same bytes. A leader that cannot merge takes what another has merged instead.
//!
//! Everything here may be late or repeated without harm; what must be agreed goes through the group.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::{Connect, MetaGroup, Positions, Table, meta};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::manifest::SegmentMeta;
use tokio::time::Instant;

use super::BuildSeconds;
use super::cut::TailSize;
use super::files::{Fetcher, Theirs};
use super::finish::is_together;
use super::hand_back::HandBack;
use super::inherit::Inheritance;
use super::merge;
use super::replica::{Error, Replica};
use super::replicas::Replicas;
use super::restore::Restorer;
use super::settings::ClusterSettings;
use crate::clock::Clock;
use crate::offload::Offload;

/// How often a replica is looked at when nothing wakes its keeper.
const TICK: Duration = Duration::from_millis(200);
/// The same while the group rests and nothing is under way: when there is something to do again, the cluster's facts
/// and the group's positions tell.
const RESTING_TICK: Duration = Duration::from_secs(1);
/// How long the preferred leader has for itself before others may initialise the group.
const INITIALISE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the preferred leader has to say whether it is fit to lead.
const OFFER_PATIENCE: Duration = Duration::from_millis(500);

/// How long a command of the leader to its own group may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(5);
/// The same for the request keys of the bucket before, which may be many megabytes: asked for again
/// too early, they would be stored again and again.
const INHERIT_DEADLINE: Duration = Duration::from_secs(60);
/// How long a follower waits for its leader's segment before it builds its own.
const SEGMENT_PATIENCE: Duration = Duration::from_secs(30);
/// Pause before the leader is asked again for a segment that could not be taken.
const ASK_PAUSE: Duration = Duration::from_secs(5);
/// Pause before a segment that could not be built is tried again.
const BUILD_PAUSE: Duration = Duration::from_secs(10);
/// How long the leader of a shard that has ended waits for the others to have all of it, before it finishes
/// the shard without them.
const FINISH_PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits for merges that are due, and for files under suspicion: one that cannot merge says so, another
/// merges, and it takes that. What is finished with segments that nobody can read cannot be restored.
const MENDING_PATIENCE: Duration = Duration::from_secs(90);
/// How long a replica whose shard is finished tries to get there by itself, before it takes what another
/// has.
const RESTORE_PATIENCE: Duration = Duration::from_secs(10);

/// What a keeper works with.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) replica: Arc<Replica>,
    pub(crate) restorer: Restorer,
    pub(crate) replicas: Replicas,
    pub(crate) meta: MetaGroup,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) builder: Offload,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) settings: ClusterSettings,
    pub(crate) seconds: BuildSeconds,
}

/// What a keeper waits for.
struct Waiting {
    /// When a segment that could not be built is tried again.
    retry_at: Instant,
    /// When the leader is asked again for a segment that could not be taken.
    ask_at: Instant,
    /// The cut whose segment the leader should have, and since when it is waited for.
    cut: Option<(u64, Instant)>,
    /// When merges are looked at again.
    merge_at: Instant,
    /// The range of segments that the leader should have merged, and since when that is waited for.
    merge: Option<(Range<u64>, Instant)>,
}

/// What came of asking the leader for a segment.
enum Leaders {
    /// It is here.
    Taken,
    /// The leader does not have it yet.
    NotYet,
    /// The leader has merged it, and does not have it any more.
    Never,
}

/// What a keeper remembers of its shard's end.
#[derive(Default)]
struct Ending {
    /// Since when all of it is in segments here, at the leader.
    complete: Option<Instant>,
    /// Since when the cluster knows it as finished, while this replica is not what was agreed on.
    finished: Option<Instant>,
}

impl Waiting {
    /// Since when the leader's merged segment of this range is waited for.
    fn merging(&mut self, range: &Range<u64>) -> Instant {
        match &self.merge {
            Some((waited, since)) if waited == range => *since,
            _ => {
                let now = Instant::now();
                self.merge = Some((range.clone(), now));
                now
            }
        }
    }

    /// How much longer the leader's segment of the cut that begins here is waited for.
    fn patience(&mut self, cut_from: u64) -> Duration {
        let now = Instant::now();
        let since = match self.cut {
            Some((from, since)) if from == cut_from => since,
            Some(_) | None => now,
        };
        self.cut = Some((cut_from, since));
        SEGMENT_PATIENCE.saturating_sub(now - since)
    }
}

impl Keeper {
    /// Runs until its shard is sealed or dropped here, or its node stops it.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let started = Instant::now();
        let mut ending = Ending::default();
        let mut watch = HandBack::new(started);
        let mut inheritance = Inheritance::default();
        let mut waiting = Waiting {
            retry_at: started,
            ask_at: started,
            cut: None,
            merge_at: started,
            merge: None,
        };
        let mut positions = self.replica.group.watch();
        let mut facts = self.meta.watch();
        let mut initialised = !self.replica.group.is_pristine();
        loop {
            if self.replica.is_wrong() {
                if self.reopen().await? {
                    return Ok(());
                }
                tokio::time::sleep(TICK).await;
                continue;
            }
            if self.end(&mut ending).await? {
                return Ok(());
            }
            if !initialised {
                initialised = self.initialise(started).await;
            }
            self.segments(&mut waiting).await;
            let merging = self.merges(&mut waiting).await;
            if let Err(error) = self.replica.clear_retired(&self.builder).await {
                tracing::warn!(shard = %self.replica.shard, %error, "merged segments stay until the next start");
            }
            self.replica.group.trim().await?;
            if self.replica.group.is_leader() {
                self.lead(&mut watch, &mut inheritance, &mut ending).await;
            }
            // Waking up early or late is harmless: the loop looks at the state itself.
            let rests = self.replica.group.is_resting() && !merging && self.is_quiet(&ending);
            let tick = if rests { RESTING_TICK } else { TICK };
            tokio::select! {
                biased;
                _ = positions.changed() => {}
                _ = facts.changed(), if rests => {}
                () = tokio::time::sleep(tick) => {}
            }
            tokio::time::sleep(TICK / 4).await;
        }
    }

    /// Whether nothing is under way of which only another look tells.
    fn is_quiet(&self, ending: &Ending) -> bool {
        let is_ending = ending.complete.is_some() || ending.finished.is_some();
        let inherited = self.replica.positions().inherited;
        let is_crowded =
            || self.replicas.tail_bytes().0 >= self.settings.cut.node_tail_bytes_max / 2;
        inherited && !is_ending && self.replica.next_cut().is_none() && !is_crowded()
    }

    /// Turns what is cut into segments. A cut that cannot be built stays in the tail, where it is found;
    /// it must not keep the leader from closing the shard, and is tried again.
    async fn segments(&self, waiting: &mut Waiting) {
        while Instant::now() >= waiting.retry_at
            && !self.replica.is_wrong()
            && let Some((cut, rows)) = self.replica.next_cut()
        {
            match self.segment(cut, rows, waiting).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(shard = %self.replica.shard, %error, "a segment was not built");
                    waiting.retry_at = Instant::now() + BUILD_PAUSE;
                }
            }
        }
    }

    /// Builds the segment of a cut at the leader; takes the leader's anywhere else, as long as it comes
    /// in time. Whether the segment is there.
    async fn segment(
        &self,
        cut: Range<u64>,
        rows: u64,
        waiting: &mut Waiting,
    ) -> Result<bool, Error> {
        if rows > 0 && !self.replica.group.is_leader() {
            let patience = waiting.patience(cut.start);
            let mut is_awaited = true;
            if Instant::now() >= waiting.ask_at {
                match self.leaders(&cut, rows).await {
                    Ok(Leaders::Taken) => return Ok(true),
                    Ok(Leaders::NotYet) => {}
                    Ok(Leaders::Never) => is_awaited = false,
                    Err(reason) => {
                        tracing::info!(shard = %self.replica.shard, reason, "the leader's segment was not taken");
                        waiting.ask_at = Instant::now() + ASK_PAUSE;
                    }
                }
            }
            if is_awaited && !patience.is_zero() {
                return Ok(false);
            }
            tracing::info!(shard = %self.replica.shard, is_awaited, "the leader's segment is late, or merged");
        }
        if let Some(times) = self.replica.build_cut(cut, &self.builder).await? {
            self.seconds.add(times);
            self.seconds.built.increment();
        }
        Ok(true)
    }

    /// Takes the segment that the leader has built of this cut, if it has.
    async fn leaders(&self, cut: &Range<u64>, rows: u64) -> Result<Leaders, String> {
        let (meta, source) = match self.leader_has(cut, rows).await? {
            Some((Theirs::Here(meta), source)) => (meta, source),
            Some((Theirs::Merged, _)) => return Ok(Leaders::Never),
            Some((Theirs::NotYet | Theirs::Failed, _)) | None => return Ok(Leaders::NotYet),
        };
        let taken = self.replica.take_cut(meta, &self.fetcher, &source).await;
        taken.map_err(|error| error.to_string())?;
        self.seconds.fetched.increment();
        Ok(Leaders::Taken)
    }

    /// What the leader has of this range and these many rows, and where it is had; `None` without a leader.
    async fn leader_has(
        &self,
        range: &Range<u64>,
        rows: u64,
    ) -> Result<Option<(Theirs, (NodeId, String))>, String> {
        let Some(leader) = self.replica.group.leader() else {
            return Ok(None);
        };
        let members = self.replicas.all_members();
        let peer = members.get(&leader).ok_or("the leader is unknown")?;
        let source = (leader, peer.addr.clone());
        let theirs = self.has(&source, range, rows).await?;
        Ok(Some((theirs, source)))
    }

    /// What a node has of this range and these many rows.
    async fn has(
        &self,
        source: &(NodeId, String),
        range: &Range<u64>,
        rows: u64,
    ) -> Result<Theirs, String> {
        let shard = self.replica.shard;
        let theirs = self.fetcher.segment_of(source.0, &source.1, shard, range);
        let theirs = theirs.await?;
        if let Theirs::Here(meta) = &theirs
            && meta.rows != rows
        {
            return Err(format!("it has {} rows, the log has {rows}", meta.rows));
        }
        Ok(theirs)
    }

    /// Has some small segments become a larger one, if there are any: one at a time, since cuts come first.
    /// All replicas come to the same ones. Whether there were any.
    async fn merges(&self, waiting: &mut Waiting) -> bool {
        if Instant::now() < waiting.merge_at {
            return false;
        }
        let merged = match self.replica.next_merge(self.settings.merge.bytes) {
            Ok(None) => return false,
            Ok(Some(parts)) => self.merge(parts, waiting).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = merged {
            let shard = self.replica.shard;
            tracing::warn!(%shard, %error, "segments were not merged");
            if error.is_damage() {
                self.replicas.doubts().suspect(shard);
            }
            waiting.merge_at = Instant::now() + BUILD_PAUSE;
        }
        true
    }

    /// Merges these segments at the leader; takes the leader's anywhere else, as long as it comes in time.
    async fn merge(&self, parts: Vec<SegmentMeta>, waiting: &mut Waiting) -> Result<(), Error> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(());
        };
        let range = first.from..last.to;
        let rows = parts.iter().map(|part| part.rows).sum();
        if self.replica.group.is_leader() {
            if self.replica.has_failed_to_merge(&range)
                && self.take_from_any(&parts, &range, rows).await?
            {
                return Ok(());
            }
        } else {
            let since = waiting.merging(&range);
            let mut is_awaited = true;
            match self.leader_has(&range, rows).await {
                Ok(Some((Theirs::Here(meta), source))) => {
                    let (fetcher, parts) = (&self.fetcher, parts.clone());
                    match self
                        .replica
                        .take_merged(parts, meta, fetcher, &source)
                        .await
                    {
                        Ok(()) => return Ok(()),
                        Err(Error::Fetch(reason)) => self.not_taken(&reason, waiting),
                        Err(error) => return Err(error),
                    }
                }
                // It has merged that again by now, or cannot.
                Ok(Some((Theirs::Merged | Theirs::Failed, _))) => is_awaited = false,
                Ok(Some((Theirs::NotYet, _)) | None) => {}
                Err(reason) => self.not_taken(&reason, waiting),
            }
            if is_awaited && since.elapsed() < SEGMENT_PATIENCE {
                return Ok(());
            }
        }
        if let Some(times) = self.replica.merge(parts, &self.builder).await? {
            self.seconds.add(times);
            self.seconds.merged.increment();
        }
        Ok(())
    }

    /// Takes what any other node has merged of these segments, which could not be merged here. Whether one had
    /// it.
    async fn take_from_any(
        &self,
        parts: &[SegmentMeta],
        range: &Range<u64>,
        rows: u64,
    ) -> Result<bool, Error> {
        let shard = self.replica.shard;
        for source in self.others() {
            let meta = match self.has(&source, range, rows).await {
                Ok(Theirs::Here(meta)) => meta,
                Ok(Theirs::NotYet | Theirs::Failed | Theirs::Merged) => continue,
                Err(reason) => {
                    tracing::debug!(%shard, reason, "a node does not say what it has merged");
                    continue;
                }
            };
            let taken = self
                .replica
                .take_merged(parts.to_vec(), meta, &self.fetcher, &source);
            match taken.await {
                Ok(()) => {
                    tracing::info!(%shard, node = source.0, "took what another node has merged");
                    return Ok(true);
                }
                Err(Error::Fetch(reason)) => {
                    tracing::info!(%shard, reason, "what another node has merged was not taken");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The other nodes with a replica of the shard, and how they are reached.
    fn others(&self) -> Vec<(NodeId, String)> {
        let slot = self.slot();
        let members = slot.map(|slot| self.replicas.members(&slot));
        let others = members.unwrap_or_default().into_iter();
        others
            .filter(|(node, _)| *node != self.settings.node)
            .map(|(node, peer)| (node, peer.addr))
            .collect()
    }

    fn not_taken(&self, reason: &str, waiting: &mut Waiting) {
        tracing::info!(shard = %self.replica.shard, reason, "the leader's merged segment was not taken");
        waiting.merge_at = Instant::now() + ASK_PAUSE;
    }

    /// Ends the replica if the cluster has dropped its shard, or placed it on others while this node was away,
    /// which this node must know durably: else a restart could take it for one that was never opened. Whether
    /// it has. Its files are the dropper's.
    async fn discard(&self) -> Result<bool, Error> {
        let shard = self.replica.shard;
        let durable = self.meta.durable_state();
        let node = self.settings.node;
        let not_here =
            |state: Arc<meta::State>| state.is_dropped(shard) || state.is_elsewhere(shard, node);
        if !durable.is_some_and(not_here) {
            return Ok(false);
        }
        let _installing = self.replica.group.installing().await;
        self.replica.group.discard().await?;
        self.replicas.forget(shard);
        tracing::info!(%shard, "a replica was left behind when its shard was dropped, or moved");
        Ok(true)
    }

    /// Closes a replica that has applied what is not right, after it has offered its lead to the others, so that
    /// it is opened anew; whether it is closed.
    async fn reopen(&self) -> Result<bool, Error> {
        let (shard, group) = (self.replica.shard, &self.replica.group);
        if group.is_leader() && self.leave_the_lead_to_another().await {
            let deadline = Instant::now() + OFFER_PATIENCE;
            while group.is_leader() && Instant::now() < deadline {
                tokio::time::sleep(TICK / 10).await;
            }
        }
        let closed = self.replicas.reopen(&self.replica).await?;
        if closed {
            tracing::warn!(%shard, "a replica that has applied other entries is opened anew");
        }
        Ok(closed)
    }

    /// Seals the replica once the cluster knows its shard as finished; whether it has ended.
    async fn end(&self, ending: &mut Ending) -> Result<bool, Error> {
        if self.discard().await? {
            return Ok(true);
        }
        let state = self.meta.state();
        let Some(seal) = state.sealed.get(&self.replica.shard) else {
            return Ok(false);
        };
        if self.replicas.seal(&self.replica, seal).await? {
            tracing::info!(shard = %self.replica.shard, rows = seal.rows, "sealed");
            return Ok(true);
        }
        let since = *ending.finished.get_or_insert_with(Instant::now);
        if since.elapsed() < RESTORE_PATIENCE {
            return Ok(false);
        }
        match self.restorer.replace(&self.replica, seal).await {
            Ok(()) => Ok(true),
            Err(error @ Error::Fetch(_)) => {
                tracing::info!(shard = %self.replica.shard, %error, "not restored yet");
                ending.finished = Some(Instant::now());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Has the cluster know the shard as finished, once the others have all of it.
    async fn finish(&self, ending: &mut Ending) -> Result<(), Error> {
        let shard = self.replica.shard;
        if self.meta.state().sealed.contains_key(&shard) {
            return Ok(());
        }
        let since = *ending.complete.get_or_insert_with(Instant::now);
        let members = self.replica.group.status().members;
        let together = is_together(&members, &self.meta.state());
        let manifest = self.replica.manifest()?;
        // What cannot be merged, or mended, must not keep the shard open for ever.
        let merged = merge::next_tier(&manifest.segments, self.settings.merge.bytes).is_none();
        if self.replica.is_wrong() {
            return Ok(());
        }
        let suspect = self.replicas.doubts().is_damaged(shard);
        let patience = if (merged && !suspect) || self.others().is_empty() {
            FINISH_PATIENCE
        } else {
            MENDING_PATIENCE
        };
        if !(together && merged && !suspect) && since.elapsed() < patience {
            return Ok(());
        }
        if suspect && since.elapsed() < 2 * patience && self.leave_the_lead_to_another().await {
            return Ok(());
        }
        let (time_min, time_max) = manifest.time_bounds().unwrap_or_default();
        let seal = meta::Seal {
            digest: manifest.digest(),
            segmented_to: self.replica.positions().segmented_to,
            rows: manifest.rows(),
            bytes: manifest.bytes(),
            time_min,
            time_max,
        };
        let command = meta::Command::Finish { shard, seal };
        let deadline = Instant::now() + COMMAND_DEADLINE;
        match self.meta.propose(command, deadline).await {
            Ok(meta::Answer::Conflict(reason)) => {
                tracing::error!(%shard, reason, "the shard cannot be finished");
            }
            Ok(_) => tracing::debug!(%shard, "finished"),
            Err(error) => tracing::debug!(%shard, %error, "not finished yet"),
        }
        Ok(())
    }

    /// Offers the lead to the others, since what is here is lost, damaged or wrong and theirs may be whole. Whether
    /// one has taken it.
    async fn leave_the_lead_to_another(&self) -> bool {
        let (shard, group) = (self.replica.shard, &self.replica.group);
        for (node, _) in self.others() {
            match group.offer_lead(node, OFFER_PATIENCE).await {
                Ok(true) => {
                    tracing::info!(%shard, node, "this replica is damaged: another node leads the shard");
                    return true;
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%shard, %error, "the lead stays"),
            }
        }
        false
    }

    /// Gives a new group its members: the preferred leader at once, the others if it does not.
    /// Whether nothing is left to do.
    async fn initialise(&self, started: Instant) -> bool {
        let Some(slot) = self.slot() else {
            return false;
        };
        if slot.preferred_leader != self.settings.node && started.elapsed() < INITIALISE_PATIENCE {
            return self.replica.group.leader().is_some();
        }
        let outcome = self
            .replica
            .group
            .initialize(self.replicas.members(&slot))
            .await;
        if let Err(error) = &outcome {
            tracing::debug!(shard = %self.replica.shard, %error, "the group was not initialised here");
        }
        outcome.is_ok()
    }

    fn slot(&self) -> Option<meta::Slot> {
        self.meta.state().slot(self.replica.shard).cloned()
    }

    async fn lead(&self, watch: &mut HandBack, inheritance: &mut Inheritance, ending: &mut Ending) {
        let shard = self.replica.shard;
        let state = self.meta.state();
        let Some(bucket) = state.buckets.get(&shard.bucket) else {
            return;
        };
        let deadline = Instant::now() + COMMAND_DEADLINE;
        let group = &self.replica.group;
        let positions = self.replica.positions();
        if positions.inherited {
            // What was gathered for it is not needed any more.
            *inheritance = Inheritance::default();
        }
        // A shard that closed before it inherited would hand on less than it owes.
        let outcome = if !positions.inherited {
            match self.predecessors(&state, inheritance).await {
                Some(table) => {
                    let deadline = Instant::now() + INHERIT_DEADLINE;
                    group.inherit(table, deadline).await.map(|()| "inherited")
                }
                None if self.cut_is_due(&positions) => group.cut(deadline).await.map(|_| "cut"),
                None => return,
            }
        } else if bucket.closed_at.is_some() && !positions.closed {
            group.close(deadline).await.map(|()| "closed")
        } else if self.cut_is_due(&positions) || (positions.closed && positions.uncut_bytes > 0) {
            group.cut(deadline).await.map(|_| "cut")
        } else if positions.closed && positions.segmented_to == positions.cut_to {
            if let Err(error) = self.finish(ending).await {
                tracing::error!(%shard, %error, "the shard cannot be finished");
            }
            return;
        } else {
            return self.hand_back(&state, watch).await;
        };
        match outcome {
            Ok(step) => tracing::debug!(%shard, step, "shard moved on"),
            Err(error) => tracing::debug!(%shard, %error, "shard could not move on yet"),
        }
    }

    /// The request keys of the bucket before, once all its shards are closed.
    async fn predecessors(
        &self,
        state: &meta::State,
        inheritance: &mut Inheritance,
    ) -> Option<Table> {
        let bucket = self.replica.shard.bucket;
        let Some(before) = state.buckets.get(&(bucket - 1)) else {
            return Some(Table::default());
        };
        inheritance
            .gather(before, &self.replicas, &self.connect)
            .await
    }

    fn cut_is_due(&self, positions: &Positions) -> bool {
        let view = self.replica.group.view();
        let oldest = view.tail.iter().find(|block| block.seq >= positions.cut_to);
        let now = self.clock.now();
        let age = oldest.map_or(0, |block| {
            now.nanos() - block.block.header().admitted_at.nanos()
        });
        let (node_bytes, largest) = self.replicas.tail_bytes();
        self.settings.cut.is_due(TailSize {
            bytes: positions.uncut_bytes,
            age: Duration::from_nanos(u64::try_from(age).unwrap_or(0)),
            largest: largest == Some(self.replica.shard),
            node_bytes,
        })
    }

    /// Gives the lead to the node that should have it, when that node follows without delay.
    async fn hand_back(&self, state: &meta::State, watch: &mut HandBack) {
        let Some(slot) = state.slot(self.replica.shard) else {
            return;
        };
        let preferred = slot.preferred_leader;
        if preferred == self.settings.node {
            return;
        }
        if state.standing(preferred) != Some(meta::Standing::Active) {
            // It gives up what it leads.
            return;
        }
        let group = &self.replica.group;
        if !watch.is_due(&group.status(), preferred, Instant::now()) {
            return;
        }
        watch.handed(Instant::now());
        let shard = self.replica.shard;
        match group.offer_lead(preferred, OFFER_PATIENCE).await {
            Ok(true) => tracing::info!(%shard, preferred, "handing the lead back"),
            Ok(false) => tracing::debug!(%shard, preferred, "not fit to lead: the lead stays"),
            Err(error) => tracing::debug!(%shard, %error, "the lead stays"),
        }
    }
}

/// The shard that a keeper's task is named after.
pub(crate) fn task_name(shard: ShardId) -> String {
    format!("shard {shard}")
}

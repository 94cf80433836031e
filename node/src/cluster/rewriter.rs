//! Gives back the space of rows whose retention is over while others of their shard stay: one node builds the
//! segments without them, has the cluster agree on it, and the others fetch them (`restore`).
//!
//! No answer changes by it: only what every question hides already is left out, after the rules have been the same
//! for a while and with some time to spare, so that questions that were asked before, and clocks that are a little
//! behind, do not see it either. Who does it when is as with merging (`merger`): the preferred leader first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::limits::REWRITES_MAX;
use hushlog_raft::meta;
use hushlog_record::{ShardId, Timestamp};
use tokio::time::Instant;

use super::Cluster;
use super::merger::{self, Turns, turn};
use super::replica::Error;
use super::retention::{LATE_MAX, Periods, nanos};
use super::rewrite::{self, Contents, Fates};
use super::sealed::SealedReplica;

/// How often shards are looked for of which enough is past.
pub(crate) const TICK: Duration = Duration::from_secs(2);
/// Shards whose summaries are read at one look.
const LOOKS_PER_TICK: usize = 64;
/// How long the meta group may take to say how the facts are.
const FACTS_DEADLINE: Duration = Duration::from_secs(3);
/// How long the cluster may take to agree.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Pause after a shard that was not written anew after all.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// What was seen of a shard.
#[derive(Clone, Copy)]
struct Looked {
    /// Of these segments.
    digest: [u8; 32],
    /// When enough of it is past; `None` if that never is.
    due_at: Option<Timestamp>,
}

/// Writes shards anew on one node.
pub(crate) struct Rewriter {
    cluster: Cluster,
    /// The rules by which all is seen, by their revision, and since when they hold.
    rules: Option<(u64, Instant)>,
    looked: BTreeMap<ShardId, Looked>,
    /// Shards that could not be written anew, and when they are tried again.
    again_at: BTreeMap<ShardId, Instant>,
    turns: Turns,
}

impl Rewriter {
    /// Of this node's shards.
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            rules: None,
            looked: BTreeMap::new(),
            again_at: BTreeMap::new(),
            turns: Turns::default(),
        }
    }

    /// How long what is left out was past at least, and how long the rules were the same.
    fn margin(&self) -> Duration {
        self.cluster.settings().rewrite_delay
    }

    /// Looks once: writes one shard anew, if it is this node's turn with any.
    pub(crate) async fn tick(&mut self) {
        let now = Instant::now();
        self.again_at.retain(|_, at| now < *at);
        let periods = self.cluster.periods();
        if self
            .rules
            .is_none_or(|(revision, _)| revision != periods.revision())
        {
            self.rules = Some((periods.revision(), now));
            self.looked.clear();
        }
        let shards = self.look(&periods).await;
        let time = self.cluster.clock().now();
        let is_due = |replica: &Arc<SealedReplica>| {
            let looked = self.looked.get(&replica.shard);
            let due_at = looked.and_then(|looked| looked.due_at);
            due_at.is_some_and(|at| at <= time)
        };
        let due: Vec<_> = shards.into_iter().filter(is_due).collect();
        let state = self.cluster.meta().state();
        let first = |shard| state.slot(shard).map(|slot| slot.preferred_leader);
        let shards = due.iter().map(|replica| replica.shard);
        let shards = shards.filter_map(|shard| Some((shard, first(shard)?)));
        self.turns.see(now, shards);
        let settled = self
            .rules
            .is_some_and(|(_, since)| now - since >= self.margin());
        let mine = due.into_iter().find(|replica| {
            settled
                && !self.again_at.contains_key(&replica.shard)
                && self.is_my_turn(&state, replica.shard, now)
        });
        if let Some(replica) = mine {
            self.try_with(&replica).await;
        }
    }

    async fn try_with(&mut self, replica: &Arc<SealedReplica>) {
        let shard = replica.shard;
        match self.rewrite(replica).await {
            Ok(Some(rows)) => {
                // By this node: it says nothing of the one whose turn was before.
                self.turns.forget(shard);
                tracing::info!(%shard, rows, "rows whose retention is over were left out");
                return;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%shard, %error, "rows whose retention is over were not left out");
                if error.is_damage() {
                    self.cluster.replicas().doubts().suspect(shard);
                }
            }
        }
        self.again_at.insert(shard, Instant::now() + RETRY_PAUSE);
    }

    fn is_my_turn(&self, state: &meta::State, shard: ShardId, now: Instant) -> bool {
        let slot = state.slot(shard);
        let turn = slot.and_then(|slot| turn(slot, self.cluster.replicas().node()));
        turn.is_some_and(|turn| self.turns.waited(shard, now) >= self.margin() * turn)
    }

    /// The shards here that could be written anew, after a look at some of those that were not seen yet.
    async fn look(&mut self, periods: &Periods) -> Vec<Arc<SealedReplica>> {
        let now = self.cluster.clock().now();
        // Once for all of them: there may be many rules, and many shards.
        let bounds = (periods.shortest(), periods.longest());
        let sealed = self.cluster.replicas().all_sealed().into_iter();
        let shards: Vec<_> = sealed
            .filter(|replica| may_pay(replica, periods, &bounds, now))
            .collect();
        self.looked
            .retain(|shard, _| shards.binary_search_by_key(shard, |one| one.shard).is_ok());
        let is_new = |replica: &&Arc<SealedReplica>| {
            let looked = self.looked.get(&replica.shard);
            let seen = looked.is_some_and(|looked| looked.digest == replica.digest);
            !seen && !self.again_at.contains_key(&replica.shard)
        };
        let new: Vec<_> = shards.iter().filter(is_new).take(LOOKS_PER_TICK).collect();
        for replica in new {
            match self.contents(replica, periods).await {
                Ok(contents) => {
                    let looked = Looked {
                        digest: replica.digest,
                        due_at: contents.due_at(periods, self.margin()),
                    };
                    self.looked.insert(replica.shard, looked);
                }
                // The scrub, or a question, says whether it is damaged: here it may just have been replaced.
                Err(error) => {
                    tracing::debug!(shard = %replica.shard, %error, "what is past is not known");
                    let again_at = Instant::now() + RETRY_PAUSE;
                    self.again_at.insert(replica.shard, again_at);
                }
            }
        }
        shards
    }

    async fn contents(
        &self,
        replica: &Arc<SealedReplica>,
        periods: &Periods,
    ) -> Result<Contents, Error> {
        let bucket = periods.facts().buckets.get(&replica.shard.bucket);
        let closed_at = bucket.and_then(|bucket| bucket.closed_at);
        let closed_at = closed_at.ok_or(Error::Gone(replica.shard))?;
        let latest = closed_at.saturating_add(nanos(LATE_MAX));
        let replica = Arc::clone(replica);
        let read = move || {
            let manifest = replica.manifest()?;
            Ok(Contents::read(replica.folder(), &manifest, latest)?)
        };
        self.cluster.builder().run(read).await?
    }

    /// Writes a shard anew; how many rows were left out. `None` if somebody else works on it, it has become another
    /// one, or it does not pay.
    async fn rewrite(&mut self, replica: &Arc<SealedReplica>) -> Result<Option<u64>, Error> {
        let shard = replica.shard;
        let (replicas, meta) = (self.cluster.replicas(), self.cluster.meta());
        let Some(_claim) = replicas.claim(shard) else {
            return Ok(None);
        };
        // What is built for facts that are over is built in vain.
        let barrier = meta.read_barrier(Instant::now() + FACTS_DEADLINE);
        if let Err(error) = barrier.await {
            tracing::debug!(%shard, %error, "whether it is still to be rewritten is not known");
            return Ok(None);
        }
        let Some(now) = self.cluster.agreed_time().await else {
            tracing::info!(%shard, "it is kept: a majority of the nodes did not tell their time");
            return Ok(None);
        };
        // The rules as of now: whoever changes one from here on stops it.
        let periods = self.cluster.periods();
        let (Some(manifest), Some(seal)) = (
            replicas.agreed(replica, meta)?,
            periods.facts().sealed.get(&shard),
        ) else {
            return Ok(None);
        };
        let contents = self.contents(replica, &periods).await?;
        let due_at = contents.due_at(&periods, self.margin());
        if due_at.is_none_or(|at| at > now) {
            return Ok(None);
        }
        let mut cutoffs = contents.cutoffs(&periods, now, self.margin());
        if let Some(known) = periods.facts().rewrites.get(&shard) {
            cutoffs = known.cutoffs.or(&cutoffs);
        }
        let folder = replicas.folder(shard);
        let (reading, by, of) = (folder.clone(), cutoffs.clone(), manifest.clone());
        let builder = self.cluster.builder();
        let fates = builder
            .run(move || Fates::read(&reading, &of, &by))
            .await??;
        if !cutoffs.fits() || !rewrite::pays(fates.rows(), seal.rows) {
            // It will not, as long as neither the shard nor the rules change.
            if let Some(looked) = self.looked.get_mut(&shard) {
                looked.due_at = None;
            }
            return Ok(None);
        }
        let (rows, services) = (fates.rows(), fates.left_out.clone());
        let with = (builder, self.cluster.build_seconds());
        let left = match rewrite::rewritten(folder, &manifest, fates, &cutoffs, with).await {
            Ok(left) => left,
            Err(error) => {
                replicas.sweep_sealed(replica).await?;
                return Err(error);
            }
        };
        let bounds = left.time_bounds().unwrap_or_default();
        let leave = meta::Leave {
            shard,
            before: seal.digest,
            rules: periods.revision(),
            seal: meta::Seal {
                digest: left.digest(),
                segmented_to: seal.segmented_to,
                rows: left.rows(),
                bytes: left.bytes(),
                time_min: bounds.0,
                time_max: bounds.1,
            },
            cutoffs,
            services: super::expire::largest(services),
        };
        let digest = leave.seal.digest;
        let deadline = Instant::now() + PROPOSE_DEADLINE;
        match meta.propose(meta::Command::Rewrite(leave), deadline).await {
            Ok(meta::Answer::Conflict(reason)) => {
                tracing::debug!(%shard, reason, "written anew in vain");
                replicas.sweep_sealed(replica).await?;
                return Ok(None);
            }
            Ok(_) => {}
            Err(error) if !merger::is_agreed(meta, shard, digest).await => {
                return Err(Error::Undecided(error.to_string()));
            }
            Err(_) => {}
        }
        let freed = replicas.take_merged(replica, &left).await?;
        self.cluster.build_seconds().freed(freed);
        Ok(Some(rows))
    }
}

/// Whether some of a shard may be past, and it stays for long enough, as far as the facts say, where records are kept
/// from the shortest to the longest of these times.
fn may_pay(
    replica: &SealedReplica,
    periods: &Periods,
    (shortest, longest): &(Duration, Duration),
    now: Timestamp,
) -> bool {
    let facts = periods.facts();
    let Some(seal) = facts.sealed.get(&replica.shard) else {
        return false;
    };
    let known = facts.rewrites.get(&replica.shard);
    if known.is_some_and(|known| known.before.len() >= REWRITES_MAX) {
        return false;
    }
    let past_at = |first: Timestamp| first.saturating_add(nanos(*shortest));
    if seal.digest != replica.digest || seal.time_bounds().is_none_or(|b| past_at(b.0) > now) {
        return false;
    }
    let bucket = facts.buckets.get(&replica.shard.bucket);
    let last = bucket.and_then(|bucket| periods.last_of(bucket));
    let over_at = last.map(|last| last.saturating_add(nanos(*longest)));
    over_at.is_some_and(|at| rewrite::stays(at, now, *longest))
}

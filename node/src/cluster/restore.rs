//! Brings a sealed shard to this node from another one that has it, whole and as it was agreed on.
//!
//! For a replica that fell behind when the others finished, for one that is new, and for files that were
//! lost or damaged since: of open shards too, as far as they have segments. Everything is verified against
//! the seal in the meta group, or the replica's own manifest, before it counts. What is damaged is found by
//! starts, by questions and by the scrub; it is not looked for here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_proto::hushlog::internal::v1::SealedShardRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane, MetaGroup, Table, meta};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::manifest::{Manifest, SegmentMeta};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::doubts::lacks_descriptors;
use super::files::Fetcher;
use super::held::Held;
use super::merger;
use super::replica::{Error, Replica, decode_manifest};
use super::replicas::Replicas;
use super::rewrite::{Fates, rewritten};
use super::sealed::{Received, SealedReplica};
use super::settings::MergeSettings;
use super::sources::in_turn;
use super::{BuildSeconds, MESSAGE_BYTES_MAX};

/// How often shards that are missing here are looked for.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Pause before a shard that could not be restored is tried again: what was fetched is read whole then.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// The same where no other node could have it.
const ALONE_PAUSE: Duration = Duration::from_secs(3_600);
/// Folders of sealed shards looked at in one tick after a start.
const FOLDERS_PER_TICK: usize = 256;
/// How long the meta group may take to say how the facts are.
const FACTS_DEADLINE: Duration = Duration::from_secs(3);
/// How long the cluster may take to agree on other segments.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a node may take for its next piece.
const PIECE_DEADLINE: Duration = Duration::from_secs(5);

/// Brings sealed shards here; a cheap clone.
#[derive(Clone)]
pub(crate) struct Restorer {
    pub(crate) replicas: Replicas,
    pub(crate) meta: MetaGroup,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) connect: Arc<dyn Connect>,
    /// When shards that could not be restored are tried again.
    pub(crate) again_at: Arc<Mutex<BTreeMap<ShardId, Instant>>>,
    /// Since when the others have merged segments that are still apart here.
    pub(crate) unmerged: Arc<Mutex<BTreeMap<ShardId, Instant>>>,
    pub(crate) merge: MergeSettings,
    pub(crate) seconds: BuildSeconds,
    /// As of when nothing was left to do here.
    pub(crate) settled: Arc<Mutex<Option<Settled>>>,
}

/// What must not have changed for a tick to have nothing to do: the facts by their log index, and how many
/// sealed shards are here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    applied: u64,
    sealed_here: usize,
}

impl Restorer {
    /// Looks once: restores the sealed shards that this node should hold and does not, and files under
    /// suspicion, one after the other.
    pub(crate) async fn tick(&self) {
        self.look_at_folders().await;
        for shard in self.replicas.doubts().suspects() {
            if !self.is_due(shard) {
                continue;
            }
            let mended = if self.is_behind(shard) {
                // Nobody may have the files any more that it should have had.
                self.renew(shard).await
            } else {
                self.mend(shard).await
            };
            if let Err(error) = mended {
                tracing::info!(%shard, %error, "not mended yet");
            }
            // Whatever came of it: all files of the shard were read.
            let alone = self.sources(shard).is_empty();
            self.pause(shard, if alone { ALONE_PAUSE } else { RETRY_PAUSE });
        }
        let state = self.meta.state();
        let now = Settled {
            applied: state.applied,
            sealed_here: self.replicas.sealed_count(),
        };
        if *self.settled.lock() != Some(now) {
            let settled = self.tend_sealed(&state).await;
            *self.settled.lock() = settled.then_some(now);
        }
    }

    /// Whether a sealed shard here is not yet what the cluster has agreed on since.
    fn is_behind(&self, shard: ShardId) -> bool {
        let state = self.meta.state();
        let (Some(seal), Some(Held::Sealed(replica))) =
            (state.sealed.get(&shard), self.replicas.held(shard))
        else {
            return false;
        };
        seal.digest != replica.digest && state.belongs(shard, self.replicas.node())
    }

    /// Goes through the finished shards; whether there is nothing left to do until something changes.
    async fn tend_sealed(&self, state: &meta::State) -> bool {
        let mut settled = true;
        // A merge that failed long ago must not shorten the patience with the next one.
        self.unmerged
            .lock()
            .retain(|shard, _| self.is_behind(*shard));
        for (shard, seal) in &state.sealed {
            let here = state.belongs(*shard, self.replicas.node());
            let outcome = match self.replicas.held(*shard) {
                None if !here => continue,
                None => {
                    settled = false;
                    if !self.is_due(*shard) {
                        continue;
                    }
                    self.restore_missing(*shard, seal).await
                }
                Some(Held::Sealed(replica)) if here && replica.digest != seal.digest => {
                    settled = false;
                    if !self.is_due(*shard) {
                        continue;
                    }
                    self.renew(*shard).await
                }
                Some(_) => continue,
            };
            settled &= outcome.is_ok();
            self.note(*shard, outcome);
        }
        settled
    }

    fn note(&self, shard: ShardId, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            tracing::info!(%shard, %error, "not restored yet");
            self.pause(shard, RETRY_PAUSE);
        }
    }

    fn pause(&self, shard: ShardId, pause: Duration) {
        let again_at = Instant::now() + pause;
        self.again_at.lock().insert(shard, again_at);
    }

    fn is_due(&self, shard: ShardId) -> bool {
        let mut again_at = self.again_at.lock();
        let due = again_at.get(&shard).is_none_or(|at| Instant::now() >= *at);
        if due {
            again_at.remove(&shard);
        }
        due
    }

    /// Looks, after a start, whether the files of sealed shards are there, and deletes what no manifest
    /// lists: here and not while the node starts, since there may be thousands.
    async fn look_at_folders(&self) {
        let shards = self.replicas.doubts().take_unseen(FOLDERS_PER_TICK);
        if shards.is_empty() {
            return;
        }
        let replicas = self.replicas.clone();
        let look = move || {
            for shard in shards {
                // What is being fetched or merged is in no manifest yet.
                let Some(_claim) = replicas.claim(shard) else {
                    replicas.doubts().not_seen(shard);
                    continue;
                };
                let Some(Held::Sealed(replica)) = replicas.held(shard) else {
                    continue;
                };
                match replicas.look_at_folder(&replica) {
                    Ok(()) => {}
                    Err(error) if lacks_descriptors(&error) => replicas.doubts().not_seen(shard),
                    Err(error) => {
                        tracing::warn!(%shard, %error, "the folder of a sealed shard cannot be looked at");
                        replicas.doubts().suspect(shard);
                    }
                }
            }
        };
        if let Err(error) = self.fetcher.disk.run(look).await {
            tracing::warn!(%error, "the folders of sealed shards were not looked at");
        }
    }

    async fn restore_missing(&self, shard: ShardId, seal: &meta::Seal) -> Result<(), Error> {
        let Some(_claim) = self.replicas.claim(shard) else {
            return Ok(());
        };
        let facts = self.meta.state();
        if self.replicas.held(shard).is_some() || !self.replicas.is_absent(shard, &facts)? {
            return Ok(());
        }
        let (received, fetched) = self.fetch(shard, seal, &[]).await?;
        self.replicas.install(shard, received).await?;
        self.replicas.doubts().verified(shard, fetched);
        tracing::info!(%shard, "a sealed shard was restored");
        Ok(())
    }

    /// Takes the segments that another node has merged, or written anew without some rows, instead of those that are
    /// here. Should nobody have them any more, they are built here: the same parts give the same bytes.
    async fn renew(&self, shard: ShardId) -> Result<(), Error> {
        let Some(_claim) = self.replicas.claim(shard) else {
            return Ok(());
        };
        // Both may have changed until the shard was claimed.
        let state = self.meta.state();
        let (Some(seal), Some(Held::Sealed(replica))) =
            (state.sealed.get(&shard), self.replicas.held(shard))
        else {
            return Ok(());
        };
        if seal.digest == replica.digest {
            self.unmerged.lock().remove(&shard);
            return Ok(());
        }
        let since = *self
            .unmerged
            .lock()
            .entry(shard)
            .or_insert_with(Instant::now);
        let fetched = match self.fetch_newer(&replica, seal).await {
            // What is here may have been agreed on since, which the facts show in a moment.
            Ok(None) => {
                self.pause(shard, RETRY_PAUSE);
                return Ok(());
            }
            Ok(Some((merged, fetched))) => {
                let freed = self.replicas.take_merged(&replica, &merged).await?;
                self.seconds.freed(freed);
                fetched
            }
            Err(error) => {
                let alone = self.sources(shard).is_empty();
                if !alone && since.elapsed() < self.merge.delay {
                    return Err(error);
                }
                let known = state.rewrites.get(&shard);
                self.build_here(&replica, seal, known).await?;
                0
            }
        };
        self.unmerged.lock().remove(&shard);
        tracing::info!(%shard, fetched, "merged segments were taken");
        Ok(())
    }

    /// Fetches the segments that the facts name, unless these are behind and what is here was agreed on since. How
    /// often the segments have changed here says nothing of that: where a node builds them itself it may be more
    /// often than elsewhere. So unless they have fewer rows the meta group is asked.
    async fn fetch_newer(
        &self,
        replica: &SealedReplica,
        seal: &meta::Seal,
    ) -> Result<Option<(Manifest, usize)>, Error> {
        let shard = replica.shard;
        let sources = self.sources(shard);
        let received = self.ask_all(&sources, shard, seal).await?;
        let mut merged = decode_manifest(&received.sealed.manifest)?;
        let here = replica.manifest()?;
        // Only rows that were left out say by themselves which of the two is newer.
        let may_be_older = merged.rows() >= here.rows();
        if may_be_older && !self.is_agreed_now(shard, seal).await {
            return Ok(None);
        }
        // It only ever grows here.
        merged.generation = merged.generation.max(here.generation + 1);
        let known = self.known(shard, here);
        let fetched = self
            .fetcher
            .complete(shard, &sources, &merged, &known)
            .await;
        Ok(Some((merged, fetched.map_err(Error::Fetch)?)))
    }

    /// Whether this is what the cluster has agreed on by now; false where the meta group does not say.
    async fn is_agreed_now(&self, shard: ShardId, seal: &meta::Seal) -> bool {
        let barrier = self.meta.read_barrier(Instant::now() + FACTS_DEADLINE);
        barrier.await.is_ok() && self.meta.state().sealed.get(&shard) == Some(seal)
    }

    /// Builds what was agreed on of what is here: the rows that it has, in segments as this node makes them.
    async fn build_here(
        &self,
        replica: &SealedReplica,
        seal: &meta::Seal,
        left_out: Option<&meta::Rewrite>,
    ) -> Result<(), Error> {
        let shard = replica.shard;
        let folder = self.replicas.folder(shard);
        let (disk, seconds) = (&self.fetcher.disk, &self.seconds);
        let mut parts = replica.manifest()?;
        if let Some(left_out) = left_out.filter(|_| parts.rows() != seal.rows) {
            let (reading, of) = (folder.clone(), parts.clone());
            let cutoffs = left_out.cutoffs.clone();
            let fates = disk.run(move || Fates::read(&reading, &of, &cutoffs));
            let (fates, cutoffs) = (fates.await??, &left_out.cutoffs);
            let with = (disk, seconds);
            parts = rewritten(folder.clone(), &parts, fates, cutoffs, with).await?;
        }
        let mut merged = merger::merged(folder, &parts, self.merge.bytes, disk, seconds).await?;
        if merged.rows() != seal.rows || merged.time_bounds() != seal.time_bounds() {
            let reason = "what is here does not give the rows that were agreed on";
            return Err(Error::Undecided(reason.into()));
        }
        if merged.digest() != seal.digest {
            // Another build, or other settings: the cluster takes what there is.
            let command = meta::Command::Merge {
                shard,
                before: seal.digest,
                seal: meta::Seal {
                    digest: merged.digest(),
                    bytes: merged.bytes(),
                    ..seal.clone()
                },
            };
            let deadline = Instant::now() + PROPOSE_DEADLINE;
            match self.meta.propose(command, deadline).await {
                Ok(meta::Answer::Conflict(reason)) => return Err(Error::Undecided(reason)),
                Ok(_) => {}
                Err(error) => return Err(Error::Undecided(error.to_string())),
            }
            // Newer than what was agreed on before, wherever that still is.
            merged.generation += 1;
        }
        let freed = self.replicas.take_merged(replica, &merged).await?;
        self.seconds.freed(freed);
        Ok(())
    }

    /// Verifies every file of a shard on this node, and replaces what is lost or damaged.
    async fn mend(&self, shard: ShardId) -> Result<(), Error> {
        let Some(held) = self.replicas.held(shard) else {
            // Nothing of it is here: what is restored is verified on the way, and what was dropped is gone.
            let state = self.meta.state();
            if state.slot(shard).is_none() || state.is_elsewhere(shard, self.replicas.node()) {
                self.replicas.doubts().verified(shard, 0);
            }
            return Ok(());
        };
        // What has moved away is deleted under the same claim, and must not come back.
        let _claim = match &held {
            Held::Open(_) => None,
            Held::Sealed(_) => match self.replicas.claim(shard) {
                Some(claim) if self.meta.state().belongs(shard, self.replicas.node()) => {
                    Some(claim)
                }
                Some(_) | None => return Ok(()),
            },
        };
        let sources = self.sources(shard);
        let fetched = match &held {
            Held::Open(replica) => {
                // Reading all files takes long, and the replica goes on cutting and merging meanwhile.
                let damaged = self.fetcher.damaged(shard, &replica.manifest()?, &[]).await;
                let mut damaged = damaged.map_err(Error::Fetch)?;
                let _installing = replica.group.installing().await;
                let is_it = |now: Arc<Replica>| Arc::ptr_eq(&now, replica);
                if !self.replicas.get(shard).is_some_and(is_it) {
                    // Opened anew, or sealed: it is looked at as what it is then.
                    return Ok(());
                }
                let listed = replica.manifest()?.segments;
                damaged.retain(|segment| listed.contains(segment));
                let fetched = self.fetcher.fetch_all(shard, &sources, &damaged).await;
                fetched.map(|()| damaged.len())
            }
            Held::Sealed(replica) => match self.verifiable(replica)? {
                Some(manifest) => {
                    let completed = self.fetcher.complete(shard, &sources, &manifest, &[]);
                    completed.await
                }
                None => return self.install_anew(shard).await,
            },
        };
        let fetched = fetched.map_err(Error::Fetch)?;
        held.close();
        self.replicas.doubts().verified(shard, fetched);
        Ok(())
    }

    /// The manifest of a sealed shard whose files can be looked at: the one that was agreed on, or the one before a
    /// merge. Blocks on the disk.
    fn verifiable(&self, replica: &SealedReplica) -> Result<Option<Manifest>, Error> {
        if let Some(agreed) = self.replicas.agreed(replica, &self.meta)? {
            return Ok(Some(agreed));
        }
        let stored = replica.manifest().ok();
        Ok(stored.filter(|manifest| manifest.digest() == replica.digest))
    }

    /// Replaces what the store has of a sealed shard, which is damaged.
    async fn install_anew(&self, shard: ShardId) -> Result<(), Error> {
        let state = self.meta.state();
        let seal = state.sealed.get(&shard).ok_or(Error::Gone(shard))?;
        let (received, fetched) = self.fetch(shard, seal, &[]).await?;
        self.replicas.install(shard, received).await?;
        self.replicas.doubts().verified(shard, fetched);
        Ok(())
    }

    /// Ends the group of a replica that is not what was agreed on, with what another node has.
    pub(crate) async fn replace(
        &self,
        replica: &Arc<Replica>,
        seal: &meta::Seal,
    ) -> Result<(), Error> {
        let _installing = replica.group.installing().await;
        let known = self.known(replica.shard, replica.manifest()?);
        let (received, fetched) = self.fetch(replica.shard, seal, &known).await?;
        self.replicas.replace(replica, received).await?;
        tracing::info!(shard = %replica.shard, fetched, "a replica that fell behind was restored");
        Ok(())
    }

    /// The segments that need not be read again to know that they are whole: those that are here were verified
    /// when they came, and the scrub goes round them. None of a shard that is under suspicion.
    fn known(&self, shard: ShardId, here: Manifest) -> Vec<SegmentMeta> {
        let is_suspect = self.replicas.doubts().is_suspect(shard);
        if is_suspect {
            Vec::new()
        } else {
            here.segments
        }
    }

    /// Fetches what the shard is and the files that this node lacks, without those of segments that are `known`
    /// to be here; how many segments those were of.
    async fn fetch(
        &self,
        shard: ShardId,
        seal: &meta::Seal,
        known: &[SegmentMeta],
    ) -> Result<(Received, usize), Error> {
        let sources = self.sources(shard);
        let received = self.ask_all(&sources, shard, seal).await?;
        let manifest = decode_manifest(&received.sealed.manifest)?;
        let fetched = self
            .fetcher
            .complete(shard, &sources, &manifest, known)
            .await;
        Ok((received, fetched.map_err(Error::Fetch)?))
    }

    /// What the first of these nodes that has the shard as agreed says of it.
    async fn ask_all(
        &self,
        sources: &[(NodeId, String)],
        shard: ShardId,
        seal: &meta::Seal,
    ) -> Result<Received, Error> {
        let mut reasons = Vec::new();
        for (node, addr) in sources {
            match self.ask(*node, addr, shard, seal).await {
                Ok(received) => return Ok(received),
                Err(reason) => reasons.push(format!("node {node}: {reason}")),
            }
        }
        Err(Error::Fetch(format!(
            "no node gave the shard: {}",
            reasons.join("; ")
        )))
    }

    fn sources(&self, shard: ShardId) -> Vec<(NodeId, String)> {
        let state = self.meta.state();
        let members = state.slot(shard).map(|slot| self.replicas.members(slot));
        let others = members.unwrap_or_default().into_iter();
        let others = others
            .filter(|(node, _)| *node != self.replicas.node())
            .map(|(node, peer)| (node, peer.addr));
        in_turn(&state, others.collect())
    }

    async fn ask(
        &self,
        node: NodeId,
        addr: &str,
        shard: ShardId,
        seal: &meta::Seal,
    ) -> Result<Received, String> {
        let channel = self.connect.channel(node, addr, Lane::Bulk);
        let channel = channel.map_err(|status| status.to_string())?;
        let mut client = NodeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let late = |_| "no answer in time".to_owned();
        let group = shard.group();
        let answer = client.sealed_shard(SealedShardRequest { group });
        let answer = timeout(PIECE_DEADLINE, answer).await.map_err(late)?;
        let mut pieces = answer
            .map_err(|status| status.message().to_owned())?
            .into_inner();
        let mut first = None;
        let mut keys = Vec::new();
        loop {
            let piece = timeout(PIECE_DEADLINE, pieces.message()).await;
            let piece = piece
                .map_err(late)?
                .map_err(|status| status.message().to_owned())?;
            let Some(piece) = piece else { break };
            if keys.len() + piece.keys.len() > Table::BYTES_MAX {
                return Err("more keys than a shard remembers".into());
            }
            keys.extend_from_slice(&piece.keys);
            first.get_or_insert((piece.segmented_to, piece.manifest));
        }
        let (segmented_to, manifest) = first.ok_or("the answer is empty")?;
        Received::new(segmented_to, manifest, &keys, &seal.digest)
    }
}

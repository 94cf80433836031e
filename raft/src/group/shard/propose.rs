//! Blocks on their way into a shard: one attempt after the other until the outcome is known.
//!
//! Never stores what a request key says was stored, and never takes an unknown outcome for a refusal.

use std::sync::Arc;
use std::time::Duration;

use hushlog_record::block::Block;
use hushlog_record::museum::{Bug, planted};
use tokio::time::{Instant, sleep, timeout_at};

use super::ShardGroup;
use crate::ProposeError;
use crate::command::{Applied, Command, Data};
use crate::group::attempts::{Attempts, Verdict};
use crate::group::{Attempt, Receipt};
use crate::limits::DEPOSED_PATIENCE;
use crate::network::Remote;
use crate::shard::{PartAnswer, counts_without, parts_of, skipped};

impl ShardGroup {
    /// Stores a block: here if this node leads, else by one hop to the leader. Tries again through
    /// elections until `deadline`, or until it is plain that no leader comes
    /// ([`Settings::patience`](crate::Settings::patience)). On success a majority has the block
    /// synced, and it is applied at the leader.
    ///
    /// # Errors
    /// As [`ProposeError`] says.
    pub async fn propose(
        &self,
        block: Block,
        deadline: Instant,
    ) -> Result<Vec<Receipt>, ProposeError> {
        // Boxed, as it is large, and would lie twice in the future of every caller.
        let attempts = Box::pin(self.attempts(&block, deadline));
        self.core().watched(attempts).await
    }

    async fn attempts(
        &self,
        block: &Block,
        deadline: Instant,
    ) -> Result<Vec<Receipt>, ProposeError> {
        let give_up = Instant::now() + self.core().patience();
        let mut attempts = Attempts::new(is_keyed(block), give_up, deadline);
        loop {
            match attempts.judge(self.attempt(block, deadline).await) {
                Verdict::Ended(end) => {
                    // Whoever refuses for a reason of its own is there.
                    if !matches!(end, Err(ProposeError::OutcomeUnknown(_))) {
                        self.core().set_stalled(false);
                    }
                    return end;
                }
                Verdict::Again(until, otherwise) => {
                    if !self.core().pause(until).await {
                        if matches!(otherwise, ProposeError::Unavailable(_)) {
                            self.core().set_stalled(true);
                        }
                        return Err(otherwise);
                    }
                }
            }
        }
    }

    async fn attempt(&self, block: &Block, deadline: Instant) -> Result<Vec<Receipt>, Attempt> {
        let core = self.core();
        if core.context.groups.is_finished(core.group) {
            return Err(Attempt::Final(ProposeError::Closed));
        }
        let Some((leader, peer)) = core.remote_leader() else {
            return self.propose_here(block, deadline).await;
        };
        // What is sent to a leader that is gone has no end for long, and then it is not known which.
        if core.is_cut_off() {
            let why = format!("node {leader} leads, and has not been heard for a while");
            return Err(Attempt::Retry(why));
        }
        let remote = Remote::new(&core.context, leader, &peer);
        let deposed = async {
            core.deposed(leader).await;
            sleep(DEPOSED_PATIENCE).await;
        };
        tokio::select! {
            biased;
            answer = remote.propose_block(core.group, block.bytes().clone(), deadline) => answer,
            () = deposed => {
                Err(Attempt::Unknown("its leader was replaced and does not answer".into()))
            }
        }
    }

    /// One attempt at this node, which must lead.
    pub(crate) async fn propose_here(
        &self,
        block: &Block,
        deadline: Instant,
    ) -> Result<Vec<Receipt>, Attempt> {
        if block.header().shard != self.inner.shard {
            let why = format!(
                "a block of {} came to {}",
                block.header().shard,
                self.inner.shard
            );
            return Err(Attempt::Final(ProposeError::Invalid(why)));
        }
        let _claim = self.inner.in_flight.claim(block, deadline).await?;
        // Looked at before the keys: what an earlier attempt has stored under an older policy came before
        // the change, and is known by now.
        let positions = self.inner.shared.positions();
        let known = self.known_parts(block);
        if !known.is_empty() && known.iter().all(|answer| answer.duplicate) && is_keyed(block) {
            return Ok(self.receipts(known));
        }
        if !self.core().is_leader() {
            return Err(Attempt::Retry("this node does not lead".into()));
        }
        if positions.closed {
            return Err(Attempt::Final(ProposeError::Closed));
        }
        if block.header().policy_epoch < positions.policy_epoch {
            let lowest = positions.policy_epoch;
            return Err(Attempt::Final(ProposeError::Outdated { lowest }));
        }
        if let Some(hold) = self.core().context.intake.hold() {
            return Err(Attempt::Final(hold.into()));
        }
        if has_keys(block) && !positions.inherited {
            // A retry could be stored twice: the shards before this one may know the key.
            let why = "the request keys of the bucket before are not known here yet";
            return Err(Attempt::Retry(why.into()));
        }
        let skip = skipped(&known);
        let counts = counts_without(block, &skip).map(Arc::new);
        let data = Data {
            block: block.clone(),
            skip: skip.into(),
            counts,
        };
        let written = self.core().write(Command::Data(data), deadline);
        if planted(Bug::AckWithoutQuorum) {
            return self.accept_unheard(written, known).await;
        }
        match written.await? {
            (_, Applied::Stored(answers)) => Ok(self.receipts(answers)),
            (_, Applied::Closed) => Err(Attempt::Final(ProposeError::Closed)),
            (_, Applied::Outdated(lowest)) => {
                Err(Attempt::Final(ProposeError::Outdated { lowest }))
            }
            (_, other) => Err(Attempt::Final(ProposeError::Invalid(other.to_string()))),
        }
    }

    /// [`Bug::AckWithoutQuorum`]: takes the end of the leader's own log for the block's position.
    async fn accept_unheard(
        &self,
        written: impl Future<Output = Result<(u64, Applied), Attempt>>,
        mut parts: Vec<PartAnswer>,
    ) -> Result<Vec<Receipt>, Attempt> {
        // Long enough for the entry to be logged here, mostly too short for a majority.
        match timeout_at(Instant::now() + Duration::from_millis(1), written).await {
            Ok(Ok((_, Applied::Stored(answers)))) => return Ok(self.receipts(answers)),
            Ok(Ok((_, other))) => {
                return Err(Attempt::Final(ProposeError::Invalid(other.to_string())));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        let seq = self.status().appended_to.saturating_sub(1);
        for part in parts.iter_mut().filter(|part| !part.duplicate) {
            part.origin.seq = seq;
        }
        Ok(self.receipts(parts))
    }

    /// The parts, those marked that are applied already.
    fn known_parts(&self, block: &Block) -> Vec<PartAnswer> {
        let here = crate::Origin {
            shard: self.inner.shard,
            seq: 0,
        };
        let policy_epoch = block.header().policy_epoch;
        let answer = |part: hushlog_record::block::Part| {
            let shared = &self.inner.shared;
            let known = part.key.and_then(|key| shared.known(&key, part.content));
            PartAnswer {
                rows: part.rows,
                origin: known.map_or(here, |known| known.origin),
                policy_epoch: known.map_or(policy_epoch, |known| known.policy_epoch),
                duplicate: known.is_some(),
                conflict: known.is_some_and(|known| known.conflict),
            }
        };
        parts_of(block.header()).into_iter().map(answer).collect()
    }

    fn receipts(&self, answers: Vec<PartAnswer>) -> Vec<Receipt> {
        let copies = self.core().copies();
        let receipt = |answer: PartAnswer| Receipt {
            rows: answer.rows,
            origin: answer.origin,
            copies,
            policy_epoch: answer.policy_epoch,
            duplicate: answer.duplicate,
            conflict: answer.conflict,
        };
        answers.into_iter().map(receipt).collect()
    }
}

/// Whether any row of the block is under a request key.
fn has_keys(block: &Block) -> bool {
    block.header().parts.iter().any(|part| part.key.is_some())
}

/// Whether every row of the block is under a request key.
pub(in crate::group) fn is_keyed(block: &Block) -> bool {
    let header = block.header();
    let keyed = header.parts.iter().filter(|part| part.key.is_some());
    keyed
        .map(|part| part.rows.end - part.rows.start)
        .sum::<u32>()
        == header.rows
}

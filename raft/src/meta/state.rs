//! What the cluster knows of itself: nodes, and which nodes hold which slot of which bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_record::{NodeId, ShardId, Timestamp};

use super::expired::{Expired, put_expired, take_expired};
use super::limits::{Limits, put_limits, take_limits};
use super::nodes::{Roster, put_roster, take_roster};
use super::plan::{Plan, put_classes, put_plan, take_classes, take_plan};
use super::policy::{Policy, put_policy, take_policy};
use super::retention::{Retention, put_retention, take_retention};
use super::rewrite::{Form, Leave, Rewrite, put_rewrite, take_rewrite};
use super::seal::{Seal, put_seal, take_seal};
use super::{Answer, Command};
use crate::codec::{Decoder, Encoder, Error};

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number, never 0.
    pub id: NodeId,
    /// `host:port` of its gRPC listener.
    pub grpc: String,
    /// `host:port` of its HTTP listener.
    pub http: String,
    /// Where it stands; empty when not told.
    pub region: String,
    /// Failure domain in the region; empty when not told.
    pub zone: String,
}

/// A part of the service space in one bucket, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number in the bucket.
    pub slot: u16,
    /// Nodes that vote in its group, ascending.
    pub voters: Vec<NodeId>,
    /// The node that should lead while it can.
    pub preferred_leader: NodeId,
}

/// A span of admission time, planned as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Number, from 1, never used again.
    pub bucket: u64,
    /// When the meta leader opened it.
    pub opened_at: Timestamp,
    /// When the next one took over; `None` while it is the open one.
    pub closed_at: Option<Timestamp>,
    /// Epoch of the policy when it was opened: its shards never take blocks masked under an older one.
    pub policy_epoch: u64,
    /// Its slots, ascending.
    pub slots: Vec<Slot>,
    /// What else was planned.
    pub plan: Plan,
}

impl Bucket {
    /// The shards of this bucket with their slots.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, &Slot)> {
        self.slots.iter().map(|slot| {
            (
                ShardId {
                    bucket: self.bucket,
                    slot: slot.slot,
                },
                slot,
            )
        })
    }

    /// How many slots are for services that are in no class: the first ones.
    pub fn common_slots(&self) -> usize {
        self.slots.len().saturating_sub(self.plan.classed_slots())
    }

    /// Whether all its shards are among the finished ones.
    fn is_sealed(&self, sealed: &BTreeMap<ShardId, Seal>) -> bool {
        self.shards().all(|(shard, _)| sealed.contains_key(&shard))
    }
}

/// The cluster's facts at one log index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The cluster's id; 0 until it is set.
    pub cluster: u128,
    /// Voters per shard that a plan should have.
    pub replication: u32,
    /// Nodes by number.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Buckets by number.
    pub buckets: BTreeMap<u64, Bucket>,
    /// Shards that are finished, each with what it holds for ever.
    pub sealed: BTreeMap<ShardId, Seal>,
    /// What was left out of some of them since.
    pub rewrites: BTreeMap<ShardId, Rewrite>,
    /// What records are masked by.
    pub policy: Policy,
    /// How long records are kept.
    pub retention: Retention,
    /// How the nodes take part.
    pub roster: Roster,
    /// How much services may send. Shared, since every request looks at it.
    pub limits: Arc<Limits>,
    /// Rows that were dropped, with their buckets or by rewriting, since the facts have had version 4.
    pub expired: Expired,
    /// Log index of the last entry applied; 0 before any.
    pub applied: u64,
}

/// 2 has the sealed shards behind the buckets of 1; 3 the policy and the retention rules behind those, and the policy's epoch in
/// buckets; 4 the rate limits and the rows of dropped buckets behind those; 5 how the nodes take part behind all of it; 6 the plan
/// of each bucket behind its slots; 7 what was left out of finished shards behind all of it; 8 the classes of each
/// bucket behind its plan.
const VERSION: u8 = 8;
const WHAT: &str = "cluster facts";

impl State {
    /// The bucket that takes new data, once there is one.
    pub fn open_bucket(&self) -> Option<&Bucket> {
        self.buckets
            .values()
            .next_back()
            .filter(|bucket| bucket.closed_at.is_none())
    }

    /// Who holds this shard.
    pub fn slot(&self, shard: ShardId) -> Option<&Slot> {
        let bucket = self.buckets.get(&shard.bucket)?;
        bucket.slots.iter().find(|slot| slot.slot == shard.slot)
    }

    /// Whether a finished shard held these rows at some time, in whatever segments: a replica that does need not have
    /// heard of what was left out since, and lacks nothing.
    pub fn has_held(&self, shard: ShardId, segmented_to: u64, form: Form) -> bool {
        let Some(seal) = self.sealed.get(&shard) else {
            return false;
        };
        let rewrite = self.rewrites.get(&shard).into_iter();
        let mut forms = rewrite.flat_map(|rewrite| rewrite.before.iter());
        let known = form == Form::of(seal) || forms.any(|before| *before == form);
        known && seal.segmented_to == segmented_to
    }

    /// Whether a finished shard may hold these rows by facts that are later than these: a node that starts has what it
    /// took last, and hears of it again.
    pub fn may_come_to(&self, shard: ShardId, segmented_to: u64, form: Form) -> bool {
        let seal = self.sealed.get(&shard);
        seal.is_some_and(|seal| {
            seal.segmented_to == segmented_to && form.is_part_of(&Form::of(seal))
        })
    }

    /// Whether the shard was here once and its time is over: nothing of it is needed any more. False for
    /// one that these facts do not know of yet.
    pub fn is_dropped(&self, shard: ShardId) -> bool {
        shard.bucket <= self.last_bucket() && self.slot(shard).is_none()
    }

    /// Whether the shards of the next bucket remember the request keys of this one: they do when they are
    /// finished themselves.
    pub fn is_inherited(&self, bucket: u64) -> bool {
        match self.buckets.get(&(bucket + 1)) {
            Some(next) => next.is_sealed(&self.sealed),
            // It was dropped, so it was finished before.
            None => bucket + 1 < self.last_bucket(),
        }
    }

    /// Whether nobody needs the bucket, as soon as the retention of all its records is over.
    pub fn may_be_dropped(&self, bucket: &Bucket) -> bool {
        bucket.is_sealed(&self.sealed) && self.is_inherited(bucket.bucket)
    }

    /// Number of the last bucket; 0 for none. It is never dropped, so that no number comes again.
    fn last_bucket(&self) -> u64 {
        self.buckets.keys().next_back().copied().unwrap_or(0)
    }

    /// Makes a change, as every member does; `applied` is the change's log index by then. Changes go through
    /// the group: this is for the group itself, and for trying plans out.
    pub fn apply(&mut self, command: &Command) -> Answer {
        match command {
            Command::SetCluster {
                cluster,
                replication,
            } => self.set_cluster(*cluster, *replication),
            Command::RegisterNode(node) => match self.register(node) {
                Ok(()) => Answer::Done,
                Err(reason) => Answer::Conflict(reason),
            },
            Command::OpenBucket {
                expected,
                opened_at,
                slots,
                plan,
            } => self.open(*expected, *opened_at, slots, plan),
            Command::SetReplication(replication) => {
                self.replication = *replication;
                Answer::Done
            }
            Command::Finish { shard, seal } => self.finish(*shard, seal),
            Command::Merge {
                shard,
                before,
                seal,
            } => self.merge(*shard, before, seal),
            Command::Rewrite(leave) => self.rewrite(leave),
            Command::SetPolicy(policy) => self.set_policy(policy),
            Command::SetRetention(rule) => match self.retention.apply(rule) {
                Ok(()) => Answer::Done,
                Err(reason) => Answer::Conflict(reason),
            },
            Command::SetLimit(rule) => match Arc::make_mut(&mut self.limits).apply(rule) {
                Ok(()) => Answer::Done,
                Err(reason) => Answer::Conflict(reason),
            },
            Command::DropBucket {
                bucket,
                rules,
                services,
            } => self.drop_bucket(*bucket, *rules, services),
            Command::Nodes(change) => self.change(change),
        }
    }

    /// Epochs have no gaps, and what has an epoch never changes.
    fn set_policy(&mut self, policy: &Policy) -> Answer {
        if policy.epoch == self.policy.epoch + 1 {
            self.policy = policy.clone();
        }
        if self.policy == *policy {
            Answer::Done
        } else {
            Answer::Conflict("the policy has been changed meanwhile".into())
        }
    }

    /// Shards that may still take data masked under a policy before this epoch, unless they say
    /// otherwise, with who holds them.
    pub fn shards_before_policy(&self, epoch: u64) -> impl Iterator<Item = (ShardId, &Slot)> {
        let earlier = self.buckets.values();
        earlier
            .filter(move |bucket| bucket.policy_epoch < epoch)
            .flat_map(Bucket::shards)
            .filter(|(shard, _)| !self.sealed.contains_key(shard))
    }

    /// The first seal of a shard is the one that holds.
    fn finish(&mut self, shard: ShardId, seal: &Seal) -> Answer {
        let bucket = self.buckets.get(&shard.bucket);
        let is_over = bucket.is_some_and(|bucket| bucket.closed_at.is_some());
        if !is_over || self.slot(shard).is_none() {
            return Answer::Conflict("the shard is of no bucket that is over".into());
        }
        let held = self.sealed.entry(shard).or_insert_with(|| seal.clone());
        if held == seal {
            Answer::Done
        } else {
            Answer::Conflict("the shard is sealed with other segments".into())
        }
    }

    /// Whoever merges first is right; the others take what it has made.
    fn merge(&mut self, shard: ShardId, before: &[u8; 32], seal: &Seal) -> Answer {
        let Some(held) = self.sealed.get_mut(&shard) else {
            return Answer::Conflict("the shard is not finished, or is no more".into());
        };
        if held == seal {
            return Answer::Done;
        }
        if held.digest != *before {
            return Answer::Conflict("the shard has other segments by now".into());
        }
        if !held.holds_the_same(seal) {
            return Answer::Conflict("a merge keeps all rows".into());
        }
        *held = seal.clone();
        Answer::Done
    }

    /// Once it is agreed on, the rows are gone: no rule that is set later brings them back.
    fn rewrite(&mut self, leave: &Leave) -> Answer {
        let Some(held) = self.sealed.get(&leave.shard) else {
            return Answer::Conflict("the shard is not finished, or is no more".into());
        };
        let known = self.rewrites.get(&leave.shard);
        let is_done = known.is_some_and(|known| known.cutoffs == leave.cutoffs);
        if *held == leave.seal && is_done {
            return Answer::Done;
        }
        if held.digest != leave.before {
            return Answer::Conflict("the shard has other segments by now".into());
        }
        if self.retention.revision != leave.rules {
            return Answer::Conflict("the rules have changed since".into());
        }
        let mut rewrite = known.cloned().unwrap_or_default();
        if let Err(reason) = rewrite.check(held, leave) {
            return Answer::Conflict(reason);
        }
        rewrite.before.push(Form::of(held));
        rewrite.cutoffs = leave.cutoffs.clone();
        self.expired
            .add(&leave.services, held.rows - leave.seal.rows);
        self.rewrites.insert(leave.shard, rewrite);
        self.sealed.insert(leave.shard, leave.seal.clone());
        Answer::Done
    }

    /// The whole bucket at once: which slot a service has depends on how many there are.
    fn drop_bucket(&mut self, number: u64, rules: u64, services: &BTreeMap<String, u64>) -> Answer {
        let Some(bucket) = self.buckets.get(&number) else {
            return if number <= self.last_bucket() {
                Answer::Done
            } else {
                Answer::Conflict("there is no such bucket yet".into())
            };
        };
        if !self.may_be_dropped(bucket) {
            return Answer::Conflict("the bucket is needed".into());
        }
        if self.retention.revision != rules {
            return Answer::Conflict("the rules have changed since".into());
        }
        let shards: Vec<ShardId> = bucket.shards().map(|(shard, _)| shard).collect();
        let mut rows = 0u64;
        for shard in shards {
            let seal = self.sealed.remove(&shard);
            self.rewrites.remove(&shard);
            rows = rows.saturating_add(seal.map_or(0, |seal| seal.rows));
            self.roster.moves.remove(&shard);
        }
        self.expired.add(services, rows);
        self.buckets.remove(&number);
        Answer::Done
    }

    fn set_cluster(&mut self, cluster: u128, replication: u32) -> Answer {
        if self.cluster == 0 {
            self.cluster = cluster;
            self.replication = replication;
        }
        if self.cluster == cluster {
            Answer::Done
        } else {
            Answer::Conflict("the cluster has another id".into())
        }
    }

    fn open(&mut self, expected: u64, opened_at: Timestamp, slots: &[Slot], plan: &Plan) -> Answer {
        let last = self.last_bucket();
        if last != expected {
            return Answer::Bucket(last);
        }
        let known = |node: &NodeId| self.nodes.contains_key(node);
        if slots.is_empty() || !slots.iter().all(|slot| slot.voters.iter().all(known)) {
            return Answer::Conflict("a slot has no voters, or one that is not known".into());
        }
        if let Err(reason) = plan.check(slots) {
            return Answer::Conflict(reason);
        }
        if let Some(before) = self.buckets.get_mut(&last) {
            before.closed_at.get_or_insert(opened_at);
        }
        let bucket = last + 1;
        let (slots, plan) = (slots.to_vec(), plan.clone());
        self.buckets.insert(
            bucket,
            Bucket {
                bucket,
                opened_at,
                closed_at: None,
                policy_epoch: self.policy.epoch,
                slots,
                plan,
            },
        );
        Answer::Bucket(bucket)
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.u8(VERSION)
            .u128(self.cluster)
            .u32(self.replication)
            .u64(self.applied);
        out.len(self.nodes.len());
        for node in self.nodes.values() {
            put_node(out, node);
        }
        out.len(self.buckets.len());
        for bucket in self.buckets.values() {
            out.u64(bucket.bucket).i64(bucket.opened_at.nanos());
            match bucket.closed_at {
                None => out.u8(0),
                Some(at) => out.u8(1).i64(at.nanos()),
            };
            out.u64(bucket.policy_epoch);
            put_slots(out, &bucket.slots);
            put_plan(out, &bucket.plan);
            put_classes(out, &bucket.plan.classes);
        }
        out.len(self.sealed.len());
        for (shard, seal) in &self.sealed {
            out.u64(shard.group());
            put_seal(out, seal);
        }
        put_policy(out, &self.policy);
        put_retention(out, &self.retention);
        put_limits(out, &self.limits);
        put_expired(out, &self.expired);
        put_roster(out, &self.roster);
        out.len(self.rewrites.len());
        for (shard, rewrite) in &self.rewrites {
            out.u64(shard.group());
            put_rewrite(out, rewrite);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Decoder::new(WHAT, bytes);
        let version = input.version_up_to(VERSION)?;
        let mut state = Self {
            cluster: input.u128()?,
            replication: input.u32()?,
            applied: input.u64()?,
            ..Self::default()
        };
        for _ in 0..input.count(24)? {
            let node = take_node(&mut input)?;
            state.nodes.insert(node.id, node);
        }
        for _ in 0..input.count(21)? {
            let bucket = input.u64()?;
            let opened_at = Timestamp::from_nanos(input.i64()?);
            let closed = input.flag()?;
            let closed_at = closed
                .then(|| input.i64().map(Timestamp::from_nanos))
                .transpose()?;
            let policy_epoch = if version >= 3 { input.u64()? } else { 0 };
            let slots = take_slots(&mut input)?;
            let mut plan = if version >= 6 {
                take_plan(&mut input)?
            } else {
                Plan::default()
            };
            if version >= 8 {
                plan.classes = take_classes(&mut input)?;
            }
            state.buckets.insert(
                bucket,
                Bucket {
                    bucket,
                    opened_at,
                    closed_at,
                    policy_epoch,
                    slots,
                    plan,
                },
            );
        }
        if version >= 2 {
            for _ in 0..input.count(8 + Seal::BYTES)? {
                let shard = take_shard(&mut input)?;
                state.sealed.insert(shard, take_seal(&mut input)?);
            }
        }
        if version >= 3 {
            state.policy = take_policy(&mut input)?;
            state.retention = take_retention(&mut input)?;
        }
        if version >= 4 {
            state.limits = Arc::new(take_limits(&mut input)?);
            state.expired = take_expired(&mut input)?;
        }
        if version >= 5 {
            state.roster = take_roster(&mut input)?;
        }
        if version >= 7 {
            for _ in 0..input.count(8 + 12 + 4)? {
                let shard = take_shard(&mut input)?;
                state.rewrites.insert(shard, take_rewrite(&mut input)?);
            }
        }
        input.end()?;
        Ok(state)
    }
}

pub(super) fn take_shard(input: &mut Decoder<'_>) -> Result<ShardId, Error> {
    let group = input.u64()?;
    ShardId::from_group(group).ok_or_else(|| input.invalid(format!("group {group} is no shard")))
}

pub(super) fn put_node(out: &mut Encoder, node: &Node) {
    out.u64(node.id)
        .text(&node.grpc)
        .text(&node.http)
        .text(&node.region)
        .text(&node.zone);
}

pub(super) fn take_node(input: &mut Decoder<'_>) -> Result<Node, Error> {
    Ok(Node {
        id: input.u64()?,
        grpc: input.text()?,
        http: input.text()?,
        region: input.text()?,
        zone: input.text()?,
    })
}

pub(super) fn put_slots(out: &mut Encoder, slots: &[Slot]) {
    out.len(slots.len());
    for slot in slots {
        out.u32(u32::from(slot.slot))
            .u64(slot.preferred_leader)
            .len(slot.voters.len());
        for voter in &slot.voters {
            out.u64(*voter);
        }
    }
}

pub(super) fn take_slots(input: &mut Decoder<'_>) -> Result<Vec<Slot>, Error> {
    let mut slots = Vec::new();
    for _ in 0..input.count(16)? {
        let number = input.u32()?;
        let slot = u16::try_from(number).map_err(|_| input.invalid(format!("slot {number}")))?;
        let preferred_leader = input.u64()?;
        let mut voters = Vec::new();
        for _ in 0..input.count(8)? {
            voters.push(input.u64()?);
        }
        slots.push(Slot {
            slot,
            voters,
            preferred_leader,
        });
    }
    Ok(slots)
}

//! Changes of the cluster's facts, and what the group answers to each.

use std::collections::BTreeMap;

use hushlog_record::{ShardId, Timestamp};

use super::expired::{put_services, take_services};
use super::limits::{LimitRule, put_rule as put_limit_rule, take_rule as take_limit_rule};
use super::nodes::{Change, put_change, take_change};
use super::plan::{Plan, put_classes, put_plan, take_classes, take_plan};
use super::policy::{Policy, put_policy, take_policy};
use super::retention::{RetentionRule, put_rule, take_rule};
use super::rewrite::{Leave, put_cutoffs, take_cutoffs};
use super::seal::{Seal, put_seal, take_digest, take_seal};
use super::state::{Node, Slot, put_node, put_slots, take_node, take_shard, take_slots};
use crate::codec::{Decoder, Encoder, Error};

const KIND_SET_CLUSTER: u8 = 1;
const KIND_REGISTER_NODE: u8 = 2;
const KIND_OPEN_BUCKET: u8 = 3;
const KIND_SET_REPLICATION: u8 = 4;
const KIND_FINISH: u8 = 5;
const KIND_SET_POLICY: u8 = 6;
const KIND_SET_RETENTION: u8 = 8;
const KIND_DROP_BUCKET: u8 = 9;
const KIND_NODES: u8 = 14;
const KIND_MERGE: u8 = 15;
const KIND_OPEN_PLANNED: u8 = 16;
const KIND_REWRITE: u8 = 17;
const KIND_OPEN_CLASSED: u8 = 18;
const KIND_SET_LIMIT: u8 = 12;
const KIND_DROP_COUNTED: u8 = 13;

const ANSWER_DONE: u8 = 1;
const ANSWER_BUCKET: u8 = 2;
const ANSWER_CONFLICT: u8 = 3;

/// A change. Applying one twice leaves the same state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Names the cluster, once.
    SetCluster {
        /// The cluster's id.
        cluster: u128,
        /// Voters per shard.
        replication: u32,
    },
    /// Adds a node or changes its addresses.
    RegisterNode(Node),
    /// Opens the bucket after `expected`, which ends there. If `expected` is not the last one any
    /// more nothing changes.
    OpenBucket {
        /// Number of the last bucket as the proposer knows it; 0 for none.
        expected: u64,
        /// When.
        opened_at: Timestamp,
        /// The new bucket's slots.
        slots: Vec<Slot>,
        /// What else is planned.
        plan: Plan,
    },
    /// Sets the number of voters that plans should have.
    SetReplication(u32),
    /// Ends a shard of a bucket that is over: from then on its replicas stop its group.
    Finish {
        /// The shard; closed, and all of it in segments.
        shard: ShardId,
        /// What it holds.
        seal: Seal,
    },
    /// Replaces the segments of a finished shard by larger ones of the same rows, if it has those still.
    Merge {
        /// The shard.
        shard: ShardId,
        /// Digest of the segments that were merged.
        before: [u8; 32],
        /// What it holds from then on.
        seal: Seal,
    },
    /// Replaces the segments of a finished shard by such without the rows that no rule shows any more, if it has
    /// those still, and the rules are the same.
    Rewrite(Leave),
    /// Replaces the policy, if it is the one before this.
    SetPolicy(Policy),
    /// Sets or removes a rule of retention.
    SetRetention(RetentionRule),
    /// Sets or removes a rate limit.
    SetLimit(LimitRule),
    /// Forgets a bucket whose shards are all finished: from then on its replicas are deleted.
    DropBucket {
        /// Its number.
        bucket: u64,
        /// The revision of the rules by which it is over: any change of a rule since keeps the bucket.
        rules: u64,
        /// Rows of its services, as far as the proposer knew.
        services: BTreeMap<String, u64>,
    },
    /// Changes who takes part, and where replicas are.
    Nodes(Change),
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds.
    Done,
    /// The last bucket is now this one: opened by this command, or by an earlier one.
    Bucket(u64),
    /// It contradicts what holds; nothing has changed.
    Conflict(String),
}

impl Command {
    /// The command's name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetCluster { .. } => "set cluster",
            Self::RegisterNode(_) => "register node",
            Self::OpenBucket { .. } => "open bucket",
            Self::SetReplication(_) => "set replication",
            Self::Finish { .. } => "finish",
            Self::Merge { .. } => "merge",
            Self::Rewrite(_) => "rewrite",
            Self::SetPolicy(_) => "set policy",
            Self::SetRetention(_) => "set retention",
            Self::SetLimit(_) => "set limit",
            Self::DropBucket { .. } => "drop bucket",
            Self::Nodes(change) => change.name(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::SetCluster { .. } => 21,
            Self::RegisterNode(node) => 32 + node.grpc.len() + node.http.len(),
            Self::OpenBucket { slots, plan, .. } => 20 + 64 * slots.len() + plan.bytes(),
            Self::SetReplication(_) => 5,
            Self::Finish { .. } => 9 + Seal::BYTES,
            Self::Merge { .. } => 41 + Seal::BYTES,
            Self::Rewrite(leave) => {
                49 + Seal::BYTES + leave.cutoffs.bytes() + services_bytes(&leave.services)
            }
            Self::SetPolicy(policy) => 13 + policy.bytes.len(),
            Self::SetRetention(rule) => rule.bytes(),
            Self::Nodes(change) => change.bytes(),
            Self::SetLimit(rule) => rule.bytes(),
            Self::DropBucket { services, .. } => 21 + services_bytes(services),
        }
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::SetCluster {
                cluster,
                replication,
            } => {
                out.u8(KIND_SET_CLUSTER).u128(*cluster).u32(*replication);
            }
            Self::RegisterNode(node) => {
                out.u8(KIND_REGISTER_NODE);
                put_node(out, node);
            }
            Self::OpenBucket {
                expected,
                opened_at,
                slots,
                plan,
            } => {
                out.u8(KIND_OPEN_CLASSED)
                    .u64(*expected)
                    .i64(opened_at.nanos());
                put_slots(out, slots);
                put_plan(out, plan);
                put_classes(out, &plan.classes);
            }
            Self::SetReplication(replication) => {
                out.u8(KIND_SET_REPLICATION).u32(*replication);
            }
            Self::Finish { shard, seal } => {
                out.u8(KIND_FINISH).u64(shard.group());
                put_seal(out, seal);
            }
            Self::Merge {
                shard,
                before,
                seal,
            } => {
                out.u8(KIND_MERGE).u64(shard.group()).raw(before);
                put_seal(out, seal);
            }
            Self::Rewrite(leave) => {
                out.u8(KIND_REWRITE)
                    .u64(leave.shard.group())
                    .raw(&leave.before)
                    .u64(leave.rules);
                put_seal(out, &leave.seal);
                put_cutoffs(out, &leave.cutoffs);
                put_services(out, &leave.services);
            }
            Self::SetPolicy(policy) => {
                out.u8(KIND_SET_POLICY);
                put_policy(out, policy);
            }
            Self::SetRetention(rule) => {
                out.u8(KIND_SET_RETENTION);
                put_rule(out, rule);
            }
            Self::SetLimit(rule) => {
                out.u8(KIND_SET_LIMIT);
                put_limit_rule(out, rule);
            }
            Self::DropBucket {
                bucket,
                rules,
                services,
            } => {
                out.u8(KIND_DROP_COUNTED).u64(*bucket).u64(*rules);
                put_services(out, services);
            }
            Self::Nodes(change) => {
                out.u8(KIND_NODES);
                put_change(out, change);
            }
        }
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, Error> {
        match input.u8()? {
            KIND_SET_CLUSTER => Ok(Self::SetCluster {
                cluster: input.u128()?,
                replication: input.u32()?,
            }),
            KIND_REGISTER_NODE => Ok(Self::RegisterNode(take_node(input)?)),
            KIND_OPEN_BUCKET => Ok(Self::OpenBucket {
                expected: input.u64()?,
                opened_at: Timestamp::from_nanos(input.i64()?),
                slots: take_slots(input)?,
                plan: Plan::default(),
            }),
            KIND_OPEN_PLANNED => Ok(Self::OpenBucket {
                expected: input.u64()?,
                opened_at: Timestamp::from_nanos(input.i64()?),
                slots: take_slots(input)?,
                plan: take_plan(input)?,
            }),
            KIND_OPEN_CLASSED => Ok(Self::OpenBucket {
                expected: input.u64()?,
                opened_at: Timestamp::from_nanos(input.i64()?),
                slots: take_slots(input)?,
                plan: {
                    let plan = take_plan(input)?;
                    Plan {
                        classes: take_classes(input)?,
                        ..plan
                    }
                },
            }),
            KIND_SET_REPLICATION => Ok(Self::SetReplication(input.u32()?)),
            KIND_FINISH => Ok(Self::Finish {
                shard: take_shard(input)?,
                seal: take_seal(input)?,
            }),
            KIND_MERGE => Ok(Self::Merge {
                shard: take_shard(input)?,
                before: take_digest(input)?,
                seal: take_seal(input)?,
            }),
            KIND_REWRITE => Ok(Self::Rewrite(Leave {
                shard: take_shard(input)?,
                before: take_digest(input)?,
                rules: input.u64()?,
                seal: take_seal(input)?,
                cutoffs: take_cutoffs(input)?,
                services: take_services(input)?,
            })),
            KIND_SET_POLICY => Ok(Self::SetPolicy(take_policy(input)?)),
            KIND_SET_RETENTION => Ok(Self::SetRetention(take_rule(input)?)),
            KIND_SET_LIMIT => Ok(Self::SetLimit(take_limit_rule(input)?)),
            KIND_DROP_BUCKET => Ok(Self::DropBucket {
                bucket: input.u64()?,
                rules: input.u64()?,
                services: BTreeMap::new(),
            }),
            KIND_DROP_COUNTED => Ok(Self::DropBucket {
                bucket: input.u64()?,
                rules: input.u64()?,
                services: take_services(input)?,
            }),
            KIND_NODES => Ok(Self::Nodes(take_change(input)?)),
            other => Err(input.invalid(format!("meta command {other}"))),
        }
    }
}

fn services_bytes(services: &BTreeMap<String, u64>) -> usize {
    services.keys().map(|name| 12 + name.len()).sum()
}

impl Answer {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Done => out.u8(ANSWER_DONE),
            Self::Bucket(bucket) => out.u8(ANSWER_BUCKET).u64(*bucket),
            Self::Conflict(why) => out.u8(ANSWER_CONFLICT).text(why),
        };
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, Error> {
        match input.u8()? {
            ANSWER_DONE => Ok(Self::Done),
            ANSWER_BUCKET => Ok(Self::Bucket(input.u64()?)),
            ANSWER_CONFLICT => Ok(Self::Conflict(input.text()?)),
            other => Err(input.invalid(format!("answer {other}"))),
        }
    }
}

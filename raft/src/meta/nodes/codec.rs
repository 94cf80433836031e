//! How the nodes' standings, moves and changes are written; drawn in `docs/formats.md`.

use hushlog_record::NodeId;

use super::{Change, Move, Roster, Standing};
use crate::codec::{Decoder, Encoder, Error};
use crate::meta::state::{put_node, take_node, take_shard};

const KIND_ADMIT: u8 = 1;
const KIND_STAND: u8 = 2;
const KIND_REMOVE: u8 = 3;
const KIND_BEGIN: u8 = 4;
const KIND_END: u8 = 5;
const KIND_LEAVE: u8 = 6;
const KIND_REBALANCE: u8 = 7;

impl Standing {
    const fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Joining => 1,
            Self::Draining => 2,
            Self::Dead => 3,
        }
    }

    fn take(input: &mut Decoder<'_>) -> Result<Self, Error> {
        match input.u8()? {
            0 => Ok(Self::Active),
            1 => Ok(Self::Joining),
            2 => Ok(Self::Draining),
            3 => Ok(Self::Dead),
            other => Err(input.invalid(format!("standing {other}"))),
        }
    }
}

impl Change {
    /// How many bytes it takes, about.
    pub(in crate::meta) fn bytes(&self) -> usize {
        match self {
            Self::Admit(node) => 34 + node.grpc.len() + node.http.len(),
            Self::Stand { .. } => 12,
            Self::Remove(_) => 10,
            Self::Begin { voters, .. } | Self::Leave { voters, .. } => 40 + 8 * voters.len(),
            Self::End { .. } => 19,
            Self::Rebalance(_) => 3,
        }
    }
}

/// 0 stands for none: no node has this number.
fn put_option(out: &mut Encoder, node: Option<NodeId>) {
    out.u64(node.unwrap_or(0));
}

fn take_option(input: &mut Decoder<'_>) -> Result<Option<NodeId>, Error> {
    Ok(Some(input.u64()?).filter(|node| *node != 0))
}

fn put_voters(out: &mut Encoder, voters: &[NodeId]) {
    out.len(voters.len());
    for voter in voters {
        out.u64(*voter);
    }
}

fn take_voters(input: &mut Decoder<'_>) -> Result<Vec<NodeId>, Error> {
    (0..input.count(8)?).map(|_| input.u64()).collect()
}

pub(in crate::meta) fn put_roster(out: &mut Encoder, roster: &Roster) {
    out.len(roster.standings.len());
    for (node, standing) in &roster.standings {
        out.u64(*node).u8(standing.number());
    }
    out.len(roster.removed.len());
    for node in &roster.removed {
        out.u64(*node);
    }
    out.len(roster.moves.len());
    for (shard, going) in &roster.moves {
        out.u64(shard.group());
        put_option(out, going.from);
        out.u64(going.to).u64(going.since);
    }
    out.u8(u8::from(roster.rebalancing));
}

pub(in crate::meta) fn take_roster(input: &mut Decoder<'_>) -> Result<Roster, Error> {
    let mut roster = Roster::default();
    for _ in 0..input.count(9)? {
        let node = input.u64()?;
        roster.standings.insert(node, Standing::take(input)?);
    }
    for _ in 0..input.count(8)? {
        roster.removed.insert(input.u64()?);
    }
    for _ in 0..input.count(4 * 8)? {
        let shard = take_shard(input)?;
        let going = Move {
            from: take_option(input)?,
            to: input.u64()?,
            since: input.u64()?,
        };
        roster.moves.insert(shard, going);
    }
    roster.rebalancing = input.flag()?;
    Ok(roster)
}

pub(in crate::meta) fn put_change(out: &mut Encoder, change: &Change) {
    match change {
        Change::Admit(node) => {
            out.u8(KIND_ADMIT);
            put_node(out, node);
        }
        Change::Stand { node, from, to } => {
            let kind = out.u8(KIND_STAND).u64(*node);
            kind.u8(from.number()).u8(to.number());
        }
        Change::Remove(node) => {
            out.u8(KIND_REMOVE).u64(*node);
        }
        Change::Begin {
            shard,
            voters,
            from,
            to,
        } => {
            out.u8(KIND_BEGIN).u64(shard.group());
            put_voters(out, voters);
            put_option(out, *from);
            out.u64(*to);
        }
        Change::End {
            shard,
            since,
            arrived,
        } => {
            let kind = out.u8(KIND_END).u64(shard.group());
            kind.u64(*since).u8(u8::from(*arrived));
        }
        Change::Leave {
            shard,
            voters,
            node,
        } => {
            out.u8(KIND_LEAVE).u64(shard.group());
            put_voters(out, voters);
            out.u64(*node);
        }
        Change::Rebalance(on) => {
            out.u8(KIND_REBALANCE).u8(u8::from(*on));
        }
    }
}

pub(in crate::meta) fn take_change(input: &mut Decoder<'_>) -> Result<Change, Error> {
    Ok(match input.u8()? {
        KIND_ADMIT => Change::Admit(take_node(input)?),
        KIND_STAND => Change::Stand {
            node: input.u64()?,
            from: Standing::take(input)?,
            to: Standing::take(input)?,
        },
        KIND_REMOVE => Change::Remove(input.u64()?),
        KIND_BEGIN => Change::Begin {
            shard: take_shard(input)?,
            voters: take_voters(input)?,
            from: take_option(input)?,
            to: input.u64()?,
        },
        KIND_END => Change::End {
            shard: take_shard(input)?,
            since: input.u64()?,
            arrived: input.flag()?,
        },
        KIND_LEAVE => Change::Leave {
            shard: take_shard(input)?,
            voters: take_voters(input)?,
            node: input.u64()?,
        },
        KIND_REBALANCE => Change::Rebalance(input.flag()?),
        other => return Err(input.invalid(format!("change of nodes {other}"))),
    })
}

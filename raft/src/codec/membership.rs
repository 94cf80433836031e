//! Memberships: the joint configurations and the address of every node in them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Decoder, Encoder, Error};
use crate::types::{LogId, Membership, Peer, StoredMembership, log_id};

const VERSION: u8 = 1;

pub(super) fn put_membership(out: &mut Encoder, membership: &Membership) {
    let configs = membership.get_joint_config();
    out.len(configs.len());
    for config in configs {
        out.len(config.len());
        for node in config {
            out.u64(*node);
        }
    }
    let nodes: Vec<(&u64, &Peer)> = membership.nodes().collect();
    out.len(nodes.len());
    for (id, peer) in nodes {
        out.u64(*id).text(&peer.addr);
    }
}

pub(super) fn take_membership(input: &mut Decoder<'_>) -> Result<Membership, Error> {
    let mut configs = Vec::new();
    for _ in 0..input.count(4)? {
        let mut config = BTreeSet::new();
        for _ in 0..input.count(8)? {
            config.insert(input.u64()?);
        }
        configs.push(config);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..input.count(12)? {
        nodes.insert(
            input.u64()?,
            Peer {
                addr: input.text()?,
            },
        );
    }
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|error| input.invalid(error.to_string()))
}

pub(crate) fn put_log_id(out: &mut Encoder, id: Option<&LogId>) {
    match id {
        None => out.u8(0),
        Some(id) => out.u8(1).u64(*id.leader_id).u64(id.index),
    };
}

pub(crate) fn take_log_id(input: &mut Decoder<'_>) -> Result<Option<LogId>, Error> {
    if !input.flag()? {
        return Ok(None);
    }
    Ok(Some(log_id(input.u64()?, input.u64()?)))
}

/// A membership with the log id of the entry that set it.
pub(crate) fn encode_stored_membership(stored: &StoredMembership) -> Vec<u8> {
    let mut out = Encoder::versioned(VERSION);
    put_log_id(&mut out, stored.log_id().as_ref());
    put_membership(&mut out, stored.membership());
    out.finish_with_crc()
}

pub(crate) fn decode_stored_membership(bytes: &[u8]) -> Result<StoredMembership, Error> {
    let mut input = Decoder::checked("membership", VERSION, bytes)?;
    let id = take_log_id(&mut input)?;
    let membership = take_membership(&mut input)?;
    input.end()?;
    Ok(StoredMembership::new(id, membership))
}

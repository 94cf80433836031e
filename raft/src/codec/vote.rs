//! Votes and log ids as stored: version, numbers, CRC32.

use super::{Decoder, Encoder, Error};
use crate::types::{LeaderId, LogId, Vote, log_id};

const VERSION: u8 = 1;

pub(crate) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut out = Encoder::versioned(VERSION);
    out.u64(vote.leader_id.term)
        .u64(vote.leader_id.voted_for)
        .u8(u8::from(vote.committed));
    out.finish_with_crc()
}

pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Vote, Error> {
    let mut input = Decoder::checked("vote", VERSION, bytes)?;
    let leader_id = LeaderId {
        term: input.u64()?,
        voted_for: input.u64()?,
    };
    let committed = input.flag()?;
    input.end()?;
    Ok(Vote {
        leader_id,
        committed,
    })
}

pub(crate) fn encode_log_id(id: &LogId) -> Vec<u8> {
    let mut out = Encoder::versioned(VERSION);
    out.u64(*id.leader_id).u64(id.index);
    out.finish_with_crc()
}

pub(crate) fn decode_log_id(bytes: &[u8]) -> Result<LogId, Error> {
    let mut input = Decoder::checked("log id", VERSION, bytes)?;
    let id = log_id(input.u64()?, input.u64()?);
    input.end()?;
    Ok(id)
}

//! What a group's log holds, and what applying it answers.
//!
//! A command is cheap to clone. The head is encoded here; the block beside it is never touched.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::block::{Block, Counts};

use crate::codec::{Decoder, Encoder, Error, slice_of};
use crate::meta;
use crate::shard::{Form, PartAnswer, Table};

const KIND_DATA: u8 = 1;
const KIND_CUT: u8 = 2;
const KIND_CLOSE: u8 = 3;
const KIND_INHERIT_V1: u8 = 4;
const KIND_INHERIT_V2: u8 = 5;
const KIND_POLICY: u8 = 6;
const KIND_INHERIT: u8 = 7;
const KIND_META: u8 = 16;

/// One entry of a group's log, as far as it is ours.
#[derive(Clone)]
pub enum Command {
    /// A block of records.
    Data(Data),
    /// Fixes the range of the next segment: everything before this entry that no cut covers yet.
    Cut,
    /// The shard takes no more data.
    Close,
    /// The request keys that the shards before this one remember.
    Inherit(Arc<Table>),
    /// From here on the shard refuses blocks that were masked under a policy before this epoch.
    Policy(u64),
    /// A change of the cluster's facts (meta group only).
    Meta(Arc<meta::Command>),
}

/// A block, and the rows of it that are repeats.
#[derive(Clone)]
pub struct Data {
    /// As the gateway sealed it.
    pub block: Block,
    /// Rows that exist for no reader, count or segment; ascending, not touching.
    pub skip: Arc<[Range<u32>]>,
    /// The block's counts without the skipped rows; `None` when nothing is skipped.
    pub counts: Option<Arc<Counts>>,
}

impl Data {
    /// A block of which nothing is skipped.
    pub fn whole(block: Block) -> Self {
        Self {
            block,
            skip: Arc::new([]),
            counts: None,
        }
    }
}

impl Command {
    /// The block's bytes; empty for every other command.
    pub(crate) fn block_bytes(&self) -> Bytes {
        match self {
            Self::Data(data) => data.block.bytes().clone(),
            Self::Cut | Self::Close | Self::Inherit(_) | Self::Policy(_) | Self::Meta(_) => {
                Bytes::new()
            }
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.block.bytes().len() + 8 * data.skip.len(),
            Self::Cut | Self::Close => 1,
            Self::Inherit(table) => 76 * table.entries.len(),
            Self::Policy(_) => 9,
            Self::Meta(command) => command.bytes(),
        }
    }

    pub(crate) fn encode_head(&self, out: &mut Encoder) {
        match self {
            Self::Data(data) => {
                out.u8(KIND_DATA)
                    .len(data.block.bytes().len())
                    .len(data.skip.len());
                for rows in data.skip.iter() {
                    out.u32(rows.start).u32(rows.end);
                }
                match &data.counts {
                    None => out.u8(0),
                    Some(counts) => out.u8(1).bytes(&counts.encode()),
                };
            }
            Self::Cut => {
                out.u8(KIND_CUT);
            }
            Self::Close => {
                out.u8(KIND_CLOSE);
            }
            Self::Inherit(table) => {
                out.u8(KIND_INHERIT);
                table.encode(out);
            }
            Self::Policy(epoch) => {
                out.u8(KIND_POLICY).u64(*epoch);
            }
            Self::Meta(command) => {
                out.u8(KIND_META);
                command.encode(out);
            }
        }
    }

    pub(crate) fn decode_head(input: &mut Decoder<'_>, block: &Bytes) -> Result<Self, Error> {
        match input.u8()? {
            KIND_DATA => decode_data(input, block).map(Self::Data),
            KIND_CUT => Ok(Self::Cut),
            KIND_CLOSE => Ok(Self::Close),
            KIND_INHERIT_V1 => inherit(input, Form::V1),
            KIND_INHERIT_V2 => inherit(input, Form::V2),
            KIND_POLICY => Ok(Self::Policy(input.u64()?)),
            KIND_INHERIT => inherit(input, Form::V3),
            KIND_META => Ok(Self::Meta(Arc::new(meta::Command::decode(input)?))),
            other => Err(input.invalid(format!("command {other}"))),
        }
    }
}

fn inherit(input: &mut Decoder<'_>, form: Form) -> Result<Command, Error> {
    let table = Table::decode(input, form)?;
    Ok(Command::Inherit(Arc::new(table)))
}

fn decode_data(input: &mut Decoder<'_>, block: &Bytes) -> Result<Data, Error> {
    let block_bytes = input.u32()? as usize;
    if block.len() < block_bytes {
        return Err(Error::Short("block"));
    }
    let mut skip = Vec::new();
    for _ in 0..input.count(8)? {
        skip.push(input.u32()?..input.u32()?);
    }
    let counts = if input.flag()? {
        let encoded = input.bytes()?;
        let counts = Counts::decode(encoded).map_err(|error| input.invalid(error.to_string()))?;
        Some(Arc::new(counts))
    } else {
        None
    };
    let bytes = slice_of(block, &block[..block_bytes]);
    let block = Block::parse(bytes).map_err(|error| input.invalid(error.to_string()))?;
    let rows = block.header().rows;
    let ordered = skip.windows(2).all(|pair| pair[0].end < pair[1].start);
    if !ordered
        || skip
            .iter()
            .any(|range| range.start >= range.end || range.end > rows)
    {
        return Err(input.invalid("skipped rows are not in order"));
    }
    Ok(Data {
        block,
        skip: skip.into(),
        counts,
    })
}

/// Sizes and numbers only, never content.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "data of {} bytes", data.block.bytes().len()),
            Self::Cut => f.write_str("cut"),
            Self::Close => f.write_str("close"),
            Self::Inherit(table) => write!(f, "inherit {} keys", table.entries.len()),
            Self::Policy(epoch) => write!(f, "policy {epoch}"),
            Self::Meta(command) => write!(f, "meta {}", command.name()),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What applying an entry answered, at the node that proposed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A blank entry or a membership: nothing to say.
    Nothing,
    /// The block is stored; each part says where, and whether it had been there before.
    Stored(Vec<PartAnswer>),
    /// The shard was closed before: nothing is stored.
    Closed,
    /// The block was masked under a policy before this epoch, the lowest that the shard takes: nothing is
    /// stored.
    Outdated(u64),
    /// The next segment's range; `None` when there is no data to cut.
    Cut(Option<Range<u64>>),
    /// The keys are remembered.
    Inherited,
    /// What the meta group answered.
    Meta(meta::Answer),
    /// The command does not belong into this group.
    Foreign,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Stored(parts) => write!(f, "stored {} parts", parts.len()),
            Self::Closed => f.write_str("closed"),
            Self::Outdated(epoch) => write!(f, "older than policy {epoch}"),
            Self::Cut(range) => write!(f, "cut {range:?}"),
            Self::Inherited => f.write_str("inherited"),
            Self::Meta(answer) => write!(f, "{answer:?}"),
            Self::Foreign => f.write_str("foreign"),
        }
    }
}

//! Consensus for Hushlog: one group per open shard and one for the cluster's facts.
//!
//! The only crate that names the Raft library; its types do not leave. Callers hold cheap handles
//! ([`ShardGroup`], [`MetaGroup`]) and see commands, receipts, views and positions.
//!
//! Never reads a wall clock, never opens a socket (the node gives it channels), never looks into a
//! block's rows while it applies one, and acknowledges nothing that a majority has not synced.

mod codec;
mod command;
mod error;
mod group;
mod incarnation;
pub mod inspect;
pub mod limits;
mod log_store;
mod machine;
pub mod meta;
mod network;
mod runtime;
mod shard;
mod snapshot;
#[cfg(test)]
mod testing;
mod types;

pub use codec::Error as CodecError;
pub use command::{Applied, Command, Data};
pub use error::{Error, ProposeError, ReadError};
pub use group::{
    Context, Groups, Hold, Installer, Intake, Member, MetaGroup, Receipt, Role, Roll, RollMember,
    Settings, ShardGroup, Status, Way, abdicate, hand_over, keep_resting, propose_from_outside,
    read_barriers, status_at,
};
pub use incarnation::Incarnations;
pub use log_store::{LogEntries, LogPiece, damaged_log, mend_stored_log};
pub use network::{Connect, Lane, service};
pub use shard::{
    Origin, PartAnswer, Positions, Sealed, Table, TableEntry, TailBlock, View, drop_shard,
    forget_sealed_keys, has_group, sealed_keys, stored_shards,
};
pub use types::Peer;

//! The record, the proof that it was masked, and the block that carries it.
//!
//! Everything here is a value: no clock, no randomness, no disk, no socket. A [`Block`](block::Block)
//! never changes after it was sealed, and decoding one never panics, whatever the bytes are.

#![deny(clippy::indexing_slicing, missing_docs)]

pub mod block;
pub mod id;
pub mod json;
pub mod level;
pub mod limits;
pub mod masked;
pub mod museum;
pub mod names;
pub mod record;
pub mod time;
pub mod value;

pub use block::Block;
pub use id::{ExceptionId, GroupId, LogId, NodeId, ShardId};
pub use level::Level;
pub use masked::Masked;
pub use record::{Exception, Record};
pub use time::Timestamp;
pub use value::{Kind, Value};

//! The Hushlog server: everything wired together.
//!
//! The only crate that opens sockets, reads the wall clock and spawns tasks. Configuration comes in,
//! a running node comes out; the rules of records, blocks, groups and queries are other crates'.

pub mod api;
pub mod callers;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod coordinator;
pub mod entropy;
pub mod error;
pub mod gateway;
pub mod ledger;
pub mod limits;
pub mod masking;
pub mod metrics;
pub mod net;
pub mod node;
pub mod offload;
pub mod peers;
#[cfg(test)]
mod pipes;
mod process;
pub mod seams;
mod syslog;
pub mod tasks;

pub use config::Config;
pub use hushlog_ingest::multiline;
pub use hushlog_record::{Level, Timestamp};
pub use node::Node;
pub use seams::Seams;

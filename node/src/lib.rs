//! The Hushlog server: everything wired together.
//!
//! The only crate that opens sockets, reads the wall clock and spawns tasks. Configuration comes in,
//! a running node comes out; the rules of records, blocks, groups and queries are other crates'.

pub mod api;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod error;
pub mod gateway;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod offload;
pub mod tasks;

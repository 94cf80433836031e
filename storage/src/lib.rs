//! Hushlog's disk: the only crate that opens a data file.
//!
//! Two halves. The key-value half ([`store`], [`writer`], [`identity`], [`files`]) keeps what is
//! open: the Raft log and its small state, one store per node, shared by all groups. The segment
//! half keeps what is closed: immutable Parquet files, listed with checksums in a manifest.
//!
//! Never knows a Raft term, a query or a socket.

pub mod ballast;
pub mod batch;
pub mod error;
pub mod files;
pub mod identity;
pub mod incarnation;
pub mod manifest;
pub mod segment;
pub mod store;
pub mod writer;

pub use error::Error;

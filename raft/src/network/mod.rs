//! Raft between nodes, over channels that the node opens.
//!
//! One gRPC service carries every group; [`Groups`](crate::Groups) routes by number. Each request
//! names its cluster and the node it is meant for, and is refused before it reaches a group when
//! either differs. Every call has a deadline.

mod client;
mod convert;
mod remote;
mod server;
mod silence;

use hushlog_record::NodeId;
use tonic::transport::Channel;

pub(crate) use client::Factory;
pub(crate) use convert::cluster_to as cluster_bytes;
pub(crate) use remote::{Remote, RemoteRead};
pub use server::service;
pub(crate) use silence::Silence;

/// What a channel is for. Each lane has its own connection, so that large entries delay neither
/// heartbeats nor votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Entries on their way to followers, and proposals to leaders.
    Data,
    /// Heartbeats, votes, read positions: small and urgent.
    Control,
    /// Snapshots: large and patient.
    Bulk,
}

/// How a node reaches another one: TCP in production, the simulator's network in tests.
pub trait Connect: Send + Sync + 'static {
    /// A channel to `node`, known to listen at `addr`; the same one for every call with the same
    /// arguments. Connects when first used, and again after a failure.
    ///
    /// # Errors
    /// When `addr` is not an address.
    fn channel(&self, node: NodeId, addr: &str, lane: Lane) -> Result<Channel, tonic::Status>;
}

//! The deterministic simulation: a whole cluster in one thread, under a seed.
//!
//! Two layers. [`raft`] runs the groups over storage alone, with many groups on each node's one
//! store; the product's own Raft, log store, state machine and gRPC run, on a simulated network
//! ([`net`]) and simulated disks ([`disk`]). [`full`] runs whole nodes.
//!
//! A seed only makes a [`schedule`]: an explicit list of faults, and the streams that the workload
//! draws from. Runs are repeated and shrunk ([`shrink`]) from the schedule. What a run does is
//! written to a [`trace`]; the same schedule gives the same trace, byte for byte, or nothing that is
//! found here is worth anything: that is tested first.
//!
//! A run never reads the machine's clock, never draws from its randomness, never starts a thread; [`batch`],
//! which starts many runs in processes of their own, does the first and the last.

pub mod batch;
pub mod disk;
pub mod full;
pub mod ledger;
mod marks;
pub mod net;
pub mod raft;
pub mod report;
mod roster;
pub mod schedule;
pub mod shrink;
pub mod stage;
mod struck;
pub mod trace;

//! Syslog over TCP and UDP: listeners that are off unless configured.
//!
//! The protocol has no answers. Over TCP a batch that is refused for the moment is kept and sent again
//! under its key, and nothing more is read meanwhile, so that the sender waits; it is stored once. Only messages of
//! a service that is over its rate limit are put aside, as long as there is room for them, and what comes behind
//! them goes on. A
//! batch that can never be stored, and a datagram that cannot be stored at once, are lost and counted:
//! `hushlog_node_syslog_lost_total`; where that is not known, `hushlog_node_syslog_unknown_total`.
//!
//! Lines of a stack trace that come as messages of their own are joined first.
//!
//! What was received is in the node's memory for requests until it is stored, of which all connections
//! together take no more than a part. When the node ends, it is handed in first.

mod aside;
mod delivery;
mod joining;
mod messages;
mod tcp;
mod udp;

pub(crate) use tcp::{Connections, serve_tcp};
pub(crate) use udp::serve_udp;

#[cfg(test)]
mod tests;

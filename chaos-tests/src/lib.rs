//! The proof: real nodes under real faults, held against an oracle that knows what was sent.
//!
//! Nothing here is part of the product. Every process that is started is ended by its id, every load
//! is bounded in count and time.

pub mod client;
pub mod cluster;
pub mod corpus;
pub mod fuzz;
pub mod leaks;
pub mod local;
pub mod main_job;
pub mod museum;
pub mod nodes;
pub mod oracle;
pub mod real;
pub mod sim;
pub mod view;

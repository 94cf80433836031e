//! Stack traces that arrive line by line, joined with the line that they belong to.
//!
//! [`Streams`] takes the lines of one source (a file, a connection) and keeps a [`Joiner`] for each
//! stream in it: standard output and error of a container, each program behind a syslog relay. All of
//! it is bounded in lines, bytes, age and number: what is over is cut into events, never dropped.
//! Nothing here reads a clock; whoever feeds it says what time it is.

mod envelope;
mod escaped;
mod joiner;
mod shape;
mod streams;

pub use joiner::Joiner;
pub use streams::Streams;

//! Real processes under real faults: each node in a network namespace and on a file system of its own.
//!
//! A run makes its ground (namespaces, images, control groups) under names that carry its process id,
//! writes each down before it makes it, and takes all of it away again, also after a panic; what a
//! killed run left is swept by the next one. Nothing outside of it is touched, no clock of the machine
//! is moved, and no process that the run did not start is signalled.

pub mod catalog;
pub mod check;
pub mod disk;
pub mod ground;
pub mod load;
mod members;
pub mod nemesis;
pub mod process;
mod questions;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod shim;
pub mod topo;
pub mod world;

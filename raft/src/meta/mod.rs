//! The meta group's state machine: the cluster's small facts, the same on every member.
//!
//! Changes are commands; each answers what became of it. Encodings are deterministic: equal states
//! have equal bytes. A snapshot is the whole state.

mod command;
mod expired;
mod limits;
mod nodes;
mod plan;
mod policy;
mod retention;
mod rewrite;
mod seal;
mod shared;
mod state;
#[cfg(test)]
mod tests;

pub use command::{Answer, Command};
pub use expired::Expired;
pub use limits::{Limit, LimitRule, Limits};
pub use nodes::{Change, Move, Roster, Standing, copies};
pub use plan::{Because, Class, Keeping, Plan, Rate, Spread};
pub use policy::Policy;
pub use retention::{Retention, RetentionRule};
pub use rewrite::{Cutoffs, Form, Leave, Rewrite};
pub use seal::Seal;
pub(crate) use shared::{Shared, snapshot_end};
pub use state::{Bucket, Node, Slot, State};

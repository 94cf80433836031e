//! Questions to the log store: the language, the plan, the scan of rows, and the merge of answers.
//!
//! One scanner decides which rows match, for segments and tail alike; the index and the statistics
//! only leave out granules that hold no match. Never writes, never reads a clock, and cannot tell
//! whether a partial came from this node or another.

pub mod aggregation;
pub mod budget;
mod codec;
mod counter;
mod error;
pub mod exception;
mod execute;
mod fetch;
pub mod field;
mod floors;
pub mod hit;
pub mod language;
mod letters;
pub mod limits;
mod lookup;
pub mod merge;
mod minutes;
mod nulls;
pub mod number;
mod object;
pub mod partial;
pub mod plan;
pub mod position;
mod prune;
pub mod request;
mod scan;
mod source;
mod standin;
pub mod text;
mod top;
pub mod topk;
pub mod view;
pub mod when;

pub use budget::{Budget, Lease, Memory, Pool, Stop};
pub use error::Error;
pub use execute::{Part, execute, unite};
pub use floors::Floors;
pub use hit::Hit;
pub use letters::Alphabets;
pub use lookup::{lookup, lookup_plan};
pub use merge::{Answer, Envelope, ShardFailure, Shards, merge};
pub use partial::Partial;
pub use plan::Plan;
pub use request::Request;
pub use topk::{TopK, TopKPartial};
pub use view::{SegmentView, TailBlock, View};

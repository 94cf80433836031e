//! Partials of several shards become one answer, and the answer becomes JSON.

use serde::Serialize;
use serde_json::{Value, json};

use crate::Error;
use crate::aggregation::{self, State};
use crate::hit::{Hit, push_text, write_json};
use crate::partial::Partial;
use crate::plan::Plan;

/// The answer to a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Records that match, in the shards that answered.
    pub total: u64,
    /// The hits asked for, in order.
    pub hits: Vec<Hit>,
    /// Where the next page begins; `None` when this was the last.
    pub next_search_after: Option<String>,
    /// The `aggregations` object; `None` when none were asked for.
    pub aggregations: Option<Value>,
}

/// Which shards a query concerned, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shards {
    /// Shards asked.
    pub total: u64,
    /// Shards that answered.
    pub successful: u64,
    /// Shards that could not answer.
    pub failed: u64,
    /// Shards that cannot hold a match and were not asked.
    pub pruned: u64,
    /// What is missing: one entry for each that failed.
    pub failures: Vec<ShardFailure>,
}

/// A shard that did not answer in full, and why; never a word of any record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShardFailure {
    /// The shard.
    pub shard: String,
    /// One sentence.
    pub reason: String,
}

impl Shards {
    /// Whether the answer may lack something.
    pub const fn is_partial(&self) -> bool {
        self.failed > 0
    }

    /// The `shards` object.
    pub fn json(&self) -> String {
        let Self {
            total,
            successful,
            failed,
            pruned,
            failures,
        } = self;
        let missing = if failures.is_empty() {
            String::new()
        } else {
            format!(",\"failures\":{}", json!(failures))
        };
        format!(
            "{{\"total\":{total},\"successful\":{successful},\"failed\":{failed},\"pruned\":{pruned}{missing}}}"
        )
    }
}

/// What the coordinator adds to an answer.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Identity of the query.
    pub query_id: String,
    /// The shards.
    pub shards: Shards,
    /// How long it took.
    pub execution_time_ms: u64,
}

/// Merges what the shards found; their order does not matter.
///
/// # Errors
/// [`Error::Damaged`] when a partial is of another plan, [`Error::Buckets`] when there are too many.
pub fn merge(plan: &Plan, mut partials: Vec<Partial>) -> Result<Answer, Error> {
    // Sums of floats depend on their order, so it is fixed.
    partials.sort_by_key(|partial| partial.shard);
    let request = &plan.request;
    let mut states: Vec<State> = aggregation::empty(&request.aggregations);
    let (mut total, mut more, mut hits) = (0u64, false, Vec::new());
    for partial in partials {
        total = total.saturating_add(partial.total);
        more |= partial.more;
        hits.extend(partial.hits);
        aggregation::merge(&mut states, partial.states)?;
    }
    hits.sort_by(|a: &Hit, b: &Hit| request.order.compare(&a.position, &b.position));
    more |= hits.len() > request.offset + request.limit;
    let hits: Vec<Hit> = hits
        .into_iter()
        .skip(request.offset)
        .take(request.limit)
        .collect();
    let next_search_after = hits
        .last()
        .filter(|_| more)
        .map(|last| last.position.token(request.order));
    let aggregations = match request.aggregations.as_slice() {
        [] => None,
        aggregations => Some(aggregation::render(aggregations, &states)?),
    };
    Ok(Answer {
        total,
        hits,
        next_search_after,
        aggregations,
    })
}

impl Answer {
    /// `eq`, or `gte` when shards are missing.
    pub const fn total_relation(shards: &Shards) -> &'static str {
        if shards.is_partial() { "gte" } else { "eq" }
    }

    /// The body of the answer.
    pub fn json(&self, envelope: &Envelope) -> String {
        let mut out = String::with_capacity(1_024 + self.hits.len() * 512);
        out.push_str("{\"query_id\":");
        push_text(&envelope.query_id, &mut out);
        out.push_str(&format!(",\"total\":{},\"total_relation\":\"", self.total));
        out.push_str(Self::total_relation(&envelope.shards));
        out.push_str("\",\"logs\":[");
        for (i, hit) in self.hits.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_json(&hit.record, &mut out);
        }
        out.push(']');
        if let Some(aggregations) = &self.aggregations {
            out.push_str(",\"aggregations\":");
            out.push_str(&aggregations.to_string());
        }
        out.push_str(",\"next_search_after\":");
        match &self.next_search_after {
            Some(token) => push_text(token, &mut out),
            None => out.push_str("null"),
        }
        out.push_str(&format!(
            ",\"shards\":{},\"partial\":{},\"execution_time_ms\":{}}}",
            envelope.shards.json(),
            envelope.shards.is_partial(),
            envelope.execution_time_ms
        ));
        out
    }
}

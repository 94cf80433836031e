//! Clients over HTTP, on a host of their own, and what they know: what was sent, and what became of it.
//!
//! Producers send, readers ask and check each answer; C10 top-k is checked by what is counted here (chaos.md).

mod call;
mod produce;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_node::entropy::Stream;
use hushlog_record::ShardId;
use hyper::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::sleep;

use crate::sim::full::shed::{self, Rule};
use crate::sim::full::{World, operator, policy};
use crate::sim::schedule::below;
use crate::sim::stage::{Base, Now};

const PRODUCERS: u64 = 3;
const READERS: u64 = 2;
pub(super) const SERVICES: u64 = 3;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// On its way, or of unknown outcome.
    Maybe,
    Acked,
    /// Every answer said that nothing was stored.
    Refused,
}

#[derive(Clone)]
struct Sent {
    producer: u64,
    /// The number of its request among those of its producer.
    sequence: u64,
    service: u64,
    level: &'static str,
    /// Its event time, simulated milliseconds.
    at: u64,
    fate: Fate,
    /// Patterns that were in force before it was sent.
    in_force: u64,
}

#[derive(Default)]
struct State {
    now: Option<Now>,
    /// Every record by its token.
    records: BTreeMap<String, Sent>,
    /// Where the records of acknowledged requests lie, as far as the answers say.
    receipts: BTreeMap<String, Vec<(ShardId, u64)>>,
    /// Requests that are not answered yet.
    open: BTreeSet<String>,
    /// Patterns that are in force.
    in_force: u64,
    /// The rule by which one service is past.
    rule: Rule,
    /// Nodes that take requests as far as clients have heard: members, up or not.
    doors: BTreeSet<u64>,
    /// Nodes whose view of the cluster is not whole yet, with what they said last.
    views: BTreeMap<u64, String>,
    /// Whether the last queries are answered, and the cluster's view is whole.
    read_everything: bool,
    violations: Vec<String>,
}

/// All clients; a cheap clone.
#[derive(Clone)]
pub(super) struct Clients {
    base: Arc<Base>,
    /// How long records are seen, in milliseconds, if that matters in this run.
    seen_for: Option<u64>,
    /// Whether one service is past by a rule that is set in this run.
    sheds: bool,
    state: Arc<Mutex<State>>,
}

/// A request and where it lies, as far as its client was told.
pub(super) struct Receipted {
    /// Its name.
    pub(super) name: String,
    /// Who sent it, one request after the other.
    pub(super) producer: u64,
    /// The first words of its records.
    pub(super) tokens: Vec<String>,
    /// Whether its records may be left out of where they lie.
    pub(super) may_go: bool,
    /// Shards and positions, if it was acknowledged.
    pub(super) receipts: Option<BTreeSet<(ShardId, u64)>>,
}

/// How many records of exceptions a service has: acknowledged, and all that may be there. Of those that are
/// hidden by their age, none is counted as acknowledged.
pub(super) struct Exceptions {
    pub(super) acked: u64,
    pub(super) most: u64,
}

/// An answer, or that none came.
pub(super) type Answer = Result<(StatusCode, Value), String>;

impl Clients {
    pub(super) fn new(base: &Arc<Base>, retention: Option<Duration>, sheds: bool) -> Self {
        let millis = |retention: Duration| u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        Self {
            base: Arc::clone(base),
            seen_for: retention.map(millis),
            sheds,
            state: Arc::new(Mutex::new(State {
                doors: (1..=base.nodes).collect(),
                ..State::default()
            })),
        }
    }

    /// A node to be asked: any of those that take requests.
    pub(super) fn door(&self, random: &mut Stream) -> u64 {
        let state = self.state.lock();
        let turn = below(random, state.doors.len() as u64);
        let turn = usize::try_from(turn).unwrap_or(0);
        state.doors.iter().nth(turn).copied().unwrap_or(1)
    }

    /// A node takes requests from now on.
    pub(super) fn open(&self, node: u64) {
        self.state.lock().doors.insert(node);
    }

    /// A node takes no requests any more.
    pub(super) fn close(&self, node: u64) {
        self.state.lock().doors.remove(&node);
    }

    /// Whether a node takes requests.
    pub(super) fn is_open(&self, node: u64) -> bool {
        self.state.lock().doors.contains(&node)
    }

    /// What a node's view of the cluster was last, if it is not whole.
    pub(super) fn view(&self, node: u64, said: Option<String>) {
        let views = &mut self.state.lock().views;
        match said {
            Some(said) => views.insert(node, said),
            None => views.remove(&node),
        };
    }

    /// Whether everything that is asked at the end has been answered.
    pub(super) fn is_answered(&self) -> bool {
        self.state.lock().read_everything
    }

    pub(super) fn set_now(&self, now: Now) {
        self.state.lock().now = Some(now);
    }

    pub(super) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().violations)
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// From now on so many patterns are in force.
    pub(super) fn in_force(&self, patterns: u64) {
        self.state.lock().in_force = patterns;
    }

    /// The rule has come so far.
    pub(super) fn rule(&self, rule: Rule) {
        self.state.lock().rule = rule;
    }

    /// Whether the records of this service are past once there is the rule.
    fn is_shed(&self, service: u64) -> bool {
        self.sheds && service == shed::SERVICE
    }

    pub(super) fn violate(&self, what: String) {
        self.base.trace.line(format_args!("VIOLATION {what}"));
        self.state.lock().violations.push(what);
    }

    /// Every request in the order of its producer, and where it lies.
    pub(super) fn receipted(&self) -> Vec<Receipted> {
        let state = self.state.lock();
        let mut requests: BTreeMap<(u64, u64), Receipted> = BTreeMap::new();
        for (token, sent) in &state.records {
            let name = token.split('r').next().unwrap_or_default();
            let request = requests.entry((sent.producer, sent.sequence));
            let request = request.or_insert_with(|| Receipted {
                name: name.to_owned(),
                producer: sent.producer,
                tokens: Vec::new(),
                may_go: self.is_shed(sent.service) && !state.rule.shows(),
                receipts: state
                    .receipts
                    .get(name)
                    .map(|receipts| receipts.iter().copied().collect()),
            });
            request.tokens.push(token.clone());
        }
        requests.into_values().collect()
    }

    /// What a count of a service's exceptions may be for whoever asked at this time.
    pub(super) fn exceptions(&self, service: u64, asked_at: u64) -> Exceptions {
        let now = self.base.trace.millis();
        let state = self.state.lock();
        let errors = state
            .records
            .values()
            .filter(|sent| sent.service == service && sent.level == "ERROR")
            .filter(|sent| sent.fate != Fate::Refused);
        let (mut acked, mut most) = (0, 0);
        let (shown, hidden) = match self.is_shed(service) {
            true => (state.rule.shows(), state.rule.hides(asked_at)),
            false => (true, false),
        };
        for sent in errors {
            let ends = self.seen_for.map(|seen_for| sent.at + seen_for);
            most += u64::from(!hidden && ends.is_none_or(|ends| asked_at <= ends));
            let is_seen = shown && ends.is_none_or(|ends| now <= ends);
            acked += u64::from(is_seen && sent.fate == Fate::Acked);
        }
        Exceptions { acked, most }
    }

    fn is_calm(&self) -> bool {
        self.state.lock().now.is_some_and(|now| now.calm)
    }

    pub(super) fn is_over(&self) -> bool {
        let now = self.state.lock().now;
        now.is_some_and(|now| now.millis >= now.last)
    }

    /// The software of the clients' host.
    pub(super) async fn run(self, world: Arc<World>) -> turmoil::Result {
        sleep(Duration::from_secs(3)).await;
        let producers = join_all((1..=PRODUCERS).map(|number| self.clone().produce(number)));
        let readers = join_all((1..=READERS).map(|number| self.clone().read(number)));
        let patterns = policy::change(self.clone());
        let retention = async {
            if self.sheds {
                shed::set(self.clone()).await;
            }
        };
        let nodes = operator::run(self.clone(), world);
        futures_util::future::join5(producers, readers, patterns, retention, nodes).await;
        Ok(())
    }

    /// What is not answered yet.
    pub(super) fn at_the_end(&self) -> Vec<String> {
        let state = self.state.lock();
        let open = state.open.iter();
        let mut late: Vec<_> = open
            .map(|name| format!("C11 {name} is not acknowledged"))
            .collect();
        if !state.read_everything {
            late.push("C11 the last queries are not answered".into());
        }
        let views = state.views.iter();
        late.extend(
            views
                .map(|(node, said)| format!("C11 the cluster is not whole at node {node}: {said}")),
        );
        late
    }
}

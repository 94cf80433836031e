//! Producers and readers over HTTP, on a host of their own; what they sent, what was answered, and
//! what every answer must hold.
//!
//! C1 completeness, C2 no invention, C6 honest queries, C8 read your writes, C10 counts and top-k (chaos.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hushlog_node::entropy::Stream;
use hushlog_record::id::stable_hash;
use hushlog_record::{LogId, ShardId, Timestamp};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::shed::{self, Rule};
use super::{World, dial, operator, policy, top};
use crate::sim::marks::CANARY;
use crate::sim::schedule::{below, between};
use crate::sim::stage::{Base, EPOCH, Now};

const PRODUCERS: u64 = 3;
const READERS: u64 = 2;
pub(super) const SERVICES: u64 = 3;
/// Attempts before a producer gives a request up, while faults last.
const ATTEMPTS_MAX: u32 = 6;
/// Most records that a query asks for.
const LIMIT: usize = 4_000;
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

    async fn produce(self, number: u64) {
        let mut random = self.base.entropy.stream(&format!("producer {number}"));
        let mut sequence = 0;
        while !self.is_over() {
            sequence += 1;
            let name = format!("p{number}s{sequence}");
            // Requests are recognised by their keys, or their records by their ids.
            let names_records = number.is_multiple_of(2);
            let body = self.make(&name, number, sequence, names_records, &mut random);
            self.state.lock().open.insert(name.clone());
            self.deliver(&name, &body, !names_records, &mut random)
                .await;
            self.state.lock().open.remove(&name);
            sleep(Duration::from_millis(between(&mut random, 20, 500))).await;
        }
    }

    fn make(
        &self,
        name: &str,
        number: u64,
        sequence: u64,
        names_records: bool,
        random: &mut Stream,
    ) -> Bytes {
        let service = below(random, SERVICES);
        let rows: Vec<Value> = (0..between(random, 1, 6))
            .map(|row| {
                let level = if below(random, 4) == 0 {
                    "ERROR"
                } else {
                    "INFO"
                };
                let token = format!("{name}r{row}");
                let at = self.base.trace.millis();
                let mut state = self.state.lock();
                let in_force = state.in_force;
                let sent = Sent {
                    producer: number,
                    sequence,
                    service,
                    level,
                    at,
                    fate: Fate::Refused,
                    in_force,
                };
                state.records.insert(token.clone(), sent);
                drop(state);
                let address = format!("{CANARY}{number}x{sequence}@example.org");
                let mut log = json!({
                    "service": format!("svc-{service}"),
                    "level": level,
                    "message": format!("{token} was sent by {address} today"),
                    "fields": {
                        "ticket": token,
                        "mail": address,
                        &address: "an address as a name",
                        "badges": policy::words(),
                    },
                });
                if names_records {
                    log["log_id"] = json!(id_of(&token).to_string());
                }
                // Where it matters when a record is hidden, it says its time itself.
                let now = EPOCH + i64::try_from(at).unwrap_or(0);
                if self.seen_for.is_some() {
                    log["timestamp"] = json!(now);
                } else if self.is_shed(service) {
                    log["timestamp"] = json!(now - shed::AGO_MILLIS);
                }
                if level == "ERROR" {
                    log["exception.type"] = json!("MailError");
                    log["exception.message"] = json!(format!("no mailbox of {address}"));
                    log["exception.stack_trace"] = json!(format!("at deliver({address})"));
                }
                log
            })
            .collect();
        Bytes::from(serde_json::to_vec(&rows).expect("it is JSON"))
    }

    async fn deliver(&self, name: &str, body: &Bytes, keyed: bool, random: &mut Stream) {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let node = self.door(random);
            let patience = Duration::from_millis(between(random, 1_000, 8_000));
            let headers = [
                ("content-type", "application/json"),
                ("idempotency-key", name),
            ];
            let headers = &headers[..if keyed { 2 } else { 1 }];
            let path = "/api/v1/logs?receipt=true";
            let answer = self
                .ask((Method::POST, node, path), headers, body.clone(), patience)
                .await;
            let words = match &answer {
                Ok((status, _)) => status.to_string(),
                Err(why) => why.clone(),
            };
            self.base
                .trace
                .line(format_args!("{name} at n{node}: {words}"));
            if attempts > 1 {
                self.base.stats.lock().retries += 1;
            }
            match answer {
                Ok((StatusCode::OK, body)) => {
                    self.base.stats.lock().acked += 1;
                    self.mark(name, Fate::Acked);
                    return self.keep_receipts(name, &body);
                }
                // They say that nothing was stored, and are held to it.
                Ok((
                    StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::INSUFFICIENT_STORAGE,
                    _,
                )) => {}
                Err(why) if why == NOT_CONNECTED => {}
                Ok((StatusCode::GATEWAY_TIMEOUT, _)) | Err(_) => self.mark(name, Fate::Maybe),
                // Nothing else is an answer to a request that is in order.
                Ok((status, body)) => return self.violate(format!("{name}: {status} {body}")),
            }
            if attempts >= ATTEMPTS_MAX && !self.is_calm() {
                self.base.stats.lock().unknown += 1;
                return;
            }
            sleep(Duration::from_millis(between(random, 20, 400))).await;
        }
    }

    /// Remembers where an answer says that the records of a request lie.
    fn keep_receipts(&self, name: &str, body: &Value) {
        let receipt = |receipt: &Value| {
            let shard = receipt["shard"].as_str()?.parse().ok()?;
            Some((shard, receipt["seq"].as_u64()?))
        };
        let receipts = body["receipts"].as_array();
        match receipts.and_then(|receipts| receipts.iter().map(receipt).collect::<Option<Vec<_>>>())
        {
            Some(receipts) if !receipts.is_empty() => {
                self.state.lock().receipts.insert(name.to_owned(), receipts);
            }
            _ => self.violate(format!(
                "C3 {name} is acknowledged without a receipt: {body}"
            )),
        }
    }

    /// Asks a node; what it said is in the trace, to the last byte of its body.
    pub(super) async fn ask(
        &self,
        (method, node, path): (Method, u64, &str),
        headers: &[(&str, &str)],
        body: Bytes,
        patience: Duration,
    ) -> Answer {
        let answer = exchange((method, node, path), headers, body, patience).await;
        if let Ok((status, body)) = &answer {
            let digest = stable_hash(&[&body[..]]);
            self.base.trace.line(format_args!(
                "n{node} answers {} {digest:016x}",
                status.as_u16()
            ));
        }
        answer.map(parsed)
    }

    fn mark(&self, name: &str, fate: Fate) {
        let mut state = self.state.lock();
        let from = format!("{name}r");
        let own = state.records.range_mut(from.clone()..);
        for (_, sent) in own.take_while(|(token, _)| token.starts_with(&from)) {
            sent.fate = fate;
        }
    }

    async fn read(self, number: u64) {
        let mut random = self.base.entropy.stream(&format!("reader {number}"));
        while !self.is_over() {
            let node = self.door(&mut random);
            let service = below(&mut random, SERVICES);
            let before = self.acked(service);
            let asked_at = self.base.trace.millis();
            let answer = self.query(node, service).await;
            let what = format!("a query at node {node}");
            self.check_hidden(&what, asked_at, &answer);
            self.check(&what, service, &before, answer);
            sleep(Duration::from_millis(between(&mut random, 200, 1_500))).await;
        }
        if number == 1 {
            self.read_everything().await;
        }
    }

    /// At the end, when nothing is sent any more: every node must know everything.
    async fn read_everything(&self) {
        sleep(Duration::from_millis(2_500)).await;
        let asked = self.asked_at_the_end();
        join_all(asked.map(|node| self.read_everything_at(node))).await;
        // One that is out is neither ready nor whole, and the others wait for it.
        if !self.base.is_any_out() {
            let asked = self.asked_at_the_end();
            join_all(asked.map(|node| operator::look(self, node))).await;
        }
        self.state.lock().read_everything = true;
    }

    /// Members that are to know everything: all but those that are out of service for their damage.
    fn asked_at_the_end(&self) -> impl Iterator<Item = u64> {
        let doors = self.state.lock().doors.clone();
        doors.into_iter().filter(|node| !self.base.is_out(*node))
    }

    async fn read_everything_at(&self, node: u64) {
        for service in 0..SERVICES {
            let before = self.acked(service);
            let asked_at = self.base.trace.millis();
            match self.query(node, service).await {
                Ok((StatusCode::OK, body)) => {
                    let what = format!("the last query at node {node}");
                    self.check_refused(&what, &body);
                    let answer = Ok((StatusCode::OK, body));
                    self.check_hidden(&what, asked_at, &answer);
                    self.check(&what, service, &before, answer);
                }
                // It may have left while it was asked.
                _ if !self.is_open(node) => return,
                other => self.violate(format!("C11 the last query at node {node}: {other:?}")),
            }
            top::check(self, node, service).await;
        }
    }

    /// What every answer refused must not be there.
    fn check_refused(&self, what: &str, body: &Value) {
        let empty = Vec::new();
        for log in body["logs"].as_array().unwrap_or(&empty) {
            let token = log["fields"]["ticket"].as_str().unwrap_or_default();
            let sent = self.state.lock().records.get(token).cloned();
            if sent.is_some_and(|sent| sent.fate == Fate::Refused) {
                self.violate(format!(
                    "C2 {what}: {token} is stored, though every answer said that nothing was"
                ));
            }
        }
    }

    /// What was too old when the question was asked must not be there.
    fn check_hidden(&self, what: &str, asked_at: u64, answer: &Answer) {
        let Ok((_, body)) = answer else {
            return;
        };
        let partial = body["partial"] != json!(false);
        let empty = Vec::new();
        for log in body["logs"].as_array().unwrap_or(&empty) {
            let token = log["fields"]["ticket"].as_str().unwrap_or_default();
            let (sent, rule) = {
                let state = self.state.lock();
                (state.records.get(token).cloned(), state.rule)
            };
            let is_hidden = sent.is_some_and(|sent| {
                let ends = self.seen_for.map(|seen_for| sent.at + seen_for);
                // Who hears of no leader does not know of the rule, and says that it does not know all.
                let is_past = !partial && self.is_shed(sent.service) && rule.hides(asked_at);
                is_past || ends.is_some_and(|ends| ends < asked_at)
            });
            if is_hidden {
                self.violate(format!("retention: {what} shows {token}, which is hidden"));
            }
        }
    }

    /// Whether a record is still seen by whoever asked a while ago.
    fn is_seen(&self, token: &str) -> bool {
        let now = self.base.trace.millis();
        let state = self.state.lock();
        let Some(sent) = state.records.get(token) else {
            return true;
        };
        let ends = self.seen_for.map(|seen_for| sent.at + seen_for);
        let is_shown = !self.is_shed(sent.service) || state.rule.shows();
        is_shown && ends.is_none_or(|ends| now <= ends)
    }

    /// Tokens of the records of a service that are acknowledged by now.
    fn acked(&self, service: u64) -> BTreeSet<String> {
        let state = self.state.lock();
        let acked = state
            .records
            .iter()
            .filter(|(_, sent)| sent.service == service && sent.fate == Fate::Acked);
        acked.map(|(token, _)| token.clone()).collect()
    }

    async fn query(&self, node: u64, service: u64) -> Answer {
        let body = json!({
            "filters": {"services": [format!("svc-{service}")]},
            "limit": LIMIT,
            "aggregations": {"levels": {"terms": {"field": "level"}}},
            "timeout_ms": 4_000,
        });
        let body = Bytes::from(body.to_string());
        let headers = [("content-type", "application/json")];
        let request = (Method::POST, node, "/api/v1/logs/query");
        self.ask(request, &headers, body, Duration::from_secs(8))
            .await
    }

    fn check(&self, what: &str, service: u64, before: &BTreeSet<String>, answer: Answer) {
        let (status, body) = match answer {
            Ok((status @ (StatusCode::OK | StatusCode::PARTIAL_CONTENT), body)) => (status, body),
            // To say that one cannot answer is an honest answer, and so is none.
            Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT, _)) | Err(_) => {
                return;
            }
            Ok((status, body)) => return self.violate(format!("{what}: {status} {body}")),
        };
        self.base.stats.lock().reads += 1;
        let complete = body["partial"] == json!(false);
        if complete != (status == StatusCode::OK) {
            self.violate(format!(
                "C6 {what}: status {status}, partial {}",
                body["partial"]
            ));
        }
        let empty = Vec::new();
        let logs = body["logs"].as_array().unwrap_or(&empty);
        let mut found = BTreeSet::new();
        let mut levels: BTreeMap<&str, u64> = BTreeMap::new();
        for log in logs {
            let message = log["message"].as_str().unwrap_or_default();
            let token = message.split(' ').next().unwrap_or_default().to_owned();
            *levels
                .entry(log["level"].as_str().unwrap_or_default())
                .or_default() += 1;
            if log.to_string().contains(CANARY) {
                self.violate(format!("C9 {what}: {token} is not masked"));
            }
            self.check_found(what, service, &token, log);
            if !found.insert(token.clone()) {
                self.violate(format!("C1 {what}: {token} is there twice"));
            }
        }
        if complete && logs.len() < LIMIT {
            let missing = before.difference(&found);
            let missing: Vec<_> = missing
                .filter(|token| self.is_seen(token))
                .take(5)
                .collect();
            if !missing.is_empty() {
                self.violate(format!(
                    "C8 {what} is complete with {} records of svc-{service} and lacks {missing:?}, \
                     acknowledged before it began",
                    found.len()
                ));
            }
            self.check_counts(what, &body, &levels, found.len());
        }
    }

    fn check_found(&self, what: &str, service: u64, token: &str, log: &Value) {
        let known = self.state.lock().records.get(token).cloned();
        match known {
            None => self.violate(format!("C2 {what}: nobody sent {token}")),
            Some(sent) => {
                let same = sent.service == service
                    && log["level"] == json!(sent.level)
                    && log["fields"]["ticket"] == json!(token);
                if !same {
                    self.violate(format!("C2 {what}: {token} was sent otherwise"));
                }
                if let Some(pattern) = policy::unmasked(log, sent.in_force) {
                    self.violate(format!(
                        "C9 {what}: {token} was sent after pattern {pattern} came into force, and is \
                         not masked by it"
                    ));
                }
            }
        }
    }

    fn check_counts(&self, what: &str, body: &Value, levels: &BTreeMap<&str, u64>, rows: usize) {
        if body["total"] != json!(rows) {
            self.violate(format!("C10 {what}: total {} of {rows}", body["total"]));
        }
        let empty = Vec::new();
        let buckets = body["aggregations"]["levels"]["buckets"]
            .as_array()
            .unwrap_or(&empty);
        let counted: BTreeMap<&str, u64> = buckets
            .iter()
            .filter_map(|bucket| Some((bucket["key"].as_str()?, bucket["doc_count"].as_u64()?)))
            .collect();
        if counted != *levels {
            self.violate(format!(
                "C10 {what}: {counted:?} are counted, {levels:?} are there"
            ));
        }
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

const NOT_CONNECTED: &str = "no connection";

type Raw = Result<(StatusCode, Bytes), String>;

fn parsed((status, body): (StatusCode, Bytes)) -> (StatusCode, Value) {
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// One request to a node over a connection of its own.
async fn exchange(
    (method, node, path): (Method, u64, &str),
    headers: &[(&str, &str)],
    body: Bytes,
    patience: Duration,
) -> Raw {
    let connected = timeout(patience, dial(node)).await;
    let Ok(Ok(stream)) = connected else {
        return Err(NOT_CONNECTED.into());
    };
    let answer = async {
        let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        let driven = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header("host", "node");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        driven.abort();
        Ok((status, body))
    };
    match timeout(patience, answer).await {
        Ok(answer) => answer,
        Err(_) => Err("no answer in time".into()),
    }
}

/// The id that a client gives the record of this token.
fn id_of(token: &str) -> LogId {
    let [a, b, c, d, e, f, g, h] = stable_hash(&[token.as_bytes()]).to_be_bytes();
    LogId::v7(Timestamp::default(), [a, b, c, d, e, f, g, h, 0, 0])
}

//! Readers, and what every answer must hold.
//!
//! C6 honest queries, C8 read your writes, C10 counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Answer, Clients, Fate, SERVICES};
use crate::sim::full::{operator, policy, top};
use crate::sim::marks::CANARY;
use crate::sim::schedule::{below, between};

/// Most records that a query asks for.
const LIMIT: usize = 4_000;

impl Clients {
    pub(super) async fn read(self, number: u64) {
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
}

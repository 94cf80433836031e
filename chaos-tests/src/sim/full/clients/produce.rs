//! Producers: what they send, again and again while faults last, and what was answered.
//!
//! C1 completeness, C2 no invention: every record's fate is known here, or known to be unknown.

use std::time::Duration;

use bytes::Bytes;
use hushlog_node::entropy::Stream;
use hushlog_record::id::stable_hash;
use hushlog_record::{LogId, Timestamp};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::call::NOT_CONNECTED;
use super::{Clients, Fate, SERVICES, Sent};
use crate::sim::full::policy;
use crate::sim::full::shed;
use crate::sim::marks::CANARY;
use crate::sim::schedule::{below, between};
use crate::sim::stage::EPOCH;

/// Attempts before a producer gives a request up, while faults last.
const ATTEMPTS_MAX: u32 = 6;

impl Clients {
    pub(super) async fn produce(self, number: u64) {
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
                        // Flattened, names stand before and behind it.
                        "nested": {"by": {&address: {"last_login": 1}}},
                        "listed": [{"by": {format!("a.{address}.n1"): 1}}],
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

    fn mark(&self, name: &str, fate: Fate) {
        let mut state = self.state.lock();
        let from = format!("{name}r");
        let own = state.records.range_mut(from.clone()..);
        for (_, sent) in own.take_while(|(token, _)| token.starts_with(&from)) {
            sent.fate = fate;
        }
    }
}

/// The id that a client gives the record of this token.
fn id_of(token: &str) -> LogId {
    let [a, b, c, d, e, f, g, h] = stable_hash(&[token.as_bytes()]).to_be_bytes();
    LogId::v7(Timestamp::default(), [a, b, c, d, e, f, g, h, 0, 0])
}

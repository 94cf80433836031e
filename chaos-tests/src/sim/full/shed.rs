//! A retention that is shortened while everything else goes wrong: from then on no answer shows what is past, and the
//! segments that have it among other rows lose it, those rows and no others.
//!
//! One service's records say that they were written long ago, and are seen until a rule says that they are not.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::clients::Clients;
use crate::sim::schedule::{below, between};

/// Whose records are past by the rule.
pub(super) const SERVICE: u64 = 0;
/// How long ago they say that they were written: longer than the rule keeps them, however wrong a clock is.
pub(super) const AGO_MILLIS: i64 = 6 * 3_600_000;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// How far a run has come with the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nobody has asked for it.
    #[default]
    None,
    /// It may be in force.
    Asked,
    /// It is, since this time in simulated milliseconds.
    Since(u64),
}

impl Rule {
    /// Whether everybody who asks still sees what is past by it.
    pub(super) fn shows(self) -> bool {
        self == Self::None
    }

    /// Whether nobody sees it who asked at this time or later.
    pub(super) fn hides(self, asked_at: u64) -> bool {
        matches!(self, Self::Since(since) if since <= asked_at)
    }
}

/// Sets the rule at some time, through any node, until it is in force.
pub(super) async fn set(clients: Clients) {
    let mut random = clients.base().entropy.stream("retention");
    sleep(Duration::from_millis(between(&mut random, 4_000, 35_000))).await;
    let path = format!("/api/v1/retention/svc-{SERVICE}");
    let body = Bytes::from(json!({"hours": 1}).to_string());
    clients.rule(Rule::Asked);
    while !clients.is_over() {
        let node = 1 + below(&mut random, clients.base().nodes);
        let headers = [("content-type", "application/json")];
        let request = (Method::PUT, node, path.as_str());
        let answer = clients.ask(request, &headers, body.clone(), PATIENCE).await;
        let now = clients.base().trace.millis();
        if matches!(answer, Ok((StatusCode::OK, _))) {
            let trace = &clients.base().trace;
            trace.line(format_args!("svc-{SERVICE} is kept for an hour"));
            return clients.rule(Rule::Since(now));
        }
        sleep(Duration::from_millis(between(&mut random, 100, 1_000))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_rule_is_asked_for_both_is_right() {
        let (none, asked, since) = (Rule::None, Rule::Asked, Rule::Since(5));
        assert_eq!([none, asked, since].map(Rule::shows), [true, false, false]);
        assert_eq!(
            [none, asked, since].map(|r| r.hides(5)),
            [false, false, true]
        );
        assert!(!since.hides(4));
    }
}

//! The books of all nodes, asked of each at the moment of the question and added up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_pii::Count;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::Lane;
use hushlog_raft::meta::Expired;
use hushlog_record::{NodeId, Timestamp};
use tokio::time::{Instant, timeout};

use super::execute::leader_deadline;
use super::{Cluster, MESSAGE_BYTES_MAX};
use crate::gateway::Way;
use crate::ledger::{Book, Row, Who};

/// How long a node has to show its books.
const BOOK_DEADLINE: Duration = Duration::from_secs(2);

/// What the nodes' books say together.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Since when each node counts, and how often something may be missing in its books.
    pub nodes: BTreeMap<NodeId, (Timestamp, u64)>,
    /// Nodes that did not show theirs, and why.
    pub missing: BTreeMap<NodeId, String>,
    /// Nodes that showed their books, and not what rules have found there.
    pub silent: BTreeSet<NodeId>,
    rows: BTreeMap<(Way, Who), Row>,
    findings: BTreeMap<String, Found>,
}

/// Rows that the cluster has dropped since their retention was over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// So many, as far as is known here.
    pub rows: Expired,
    /// Whether that is all that was dropped before it was asked for.
    pub is_current: bool,
}

/// How often a rule has found something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// What was masked.
    pub(crate) masked: u64,
    /// What was only observed.
    pub(crate) observed: u64,
}

/// What a node has to show.
pub(crate) struct Shown {
    book: Book,
    /// Nothing of a node of an earlier release.
    findings: Option<Vec<Count>>,
}

impl Books {
    /// Adds the books of a node.
    pub(crate) fn add(&mut self, node: NodeId, book: &Book) {
        self.nodes.insert(node, (book.since, book.gaps));
        for (key, row) in book.rows() {
            self.rows.entry(key.clone()).or_default().merge(row);
        }
    }

    /// Adds what rules have found on a node since it started.
    pub(crate) fn add_findings(&mut self, node: NodeId, findings: Option<Vec<Count>>) {
        if findings.is_none() {
            self.silent.insert(node);
        }
        for count in findings.into_iter().flatten() {
            let known = self.findings.entry(count.name).or_default();
            known.masked += count.masked;
            known.observed += count.observed;
        }
    }

    /// What each rule has found, on all nodes together.
    pub(crate) fn findings(&self) -> impl Iterator<Item = (&str, Found)> {
        self.findings
            .iter()
            .map(|(rule, found)| (rule.as_str(), *found))
    }

    /// Every row, of all nodes together.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&(Way, Who), &Row)> {
        self.rows.iter()
    }
}

impl Cluster {
    /// The books of every node.
    pub(crate) async fn books(&self) -> Books {
        let own = self.settings().node;
        let asked = self.replicas().all_members().into_iter();
        let answers = asked.map(|(node, peer)| async move {
            let book = if node == own {
                Ok(Shown {
                    book: self.own_book(),
                    findings: Some(self.own_findings()),
                })
            } else {
                self.book_of(node, &peer.addr).await
            };
            (node, book)
        });
        let mut books = Books::default();
        for (node, book) in join_all(answers).await {
            match book {
                Ok(Shown { book, findings }) => {
                    books.add(node, &book);
                    books.add_findings(node, findings);
                }
                Err(reason) => {
                    books.missing.insert(node, reason);
                }
            }
        }
        books
    }

    /// Rows that the cluster has dropped: all that it had when it was asked, where the meta group answers in time.
    pub(crate) async fn gone(&self, deadline: Instant) -> Gone {
        let barrier = self.meta().read_barrier(leader_deadline(deadline));
        let is_current = barrier.await.is_ok();
        Gone {
            rows: self.meta().state().expired.clone(),
            is_current,
        }
    }

    /// This node's.
    pub(crate) fn own_book(&self) -> Book {
        self.inner.ledger.book()
    }

    /// What rules have found on this node since it started.
    pub(crate) fn own_findings(&self) -> Vec<Count> {
        self.inner.masking.current().counts()
    }

    async fn book_of(&self, node: NodeId, addr: &str) -> Result<Shown, String> {
        let channel = self.connect().channel(node, addr, Lane::Control);
        let channel = channel.map_err(|status| status.message().to_owned())?;
        let mut client = NodeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let answer = timeout(BOOK_DEADLINE, client.ledger(pb::LedgerRequest {}));
        let answer = answer.await.map_err(|_| "no answer in time".to_owned())?;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        let answer = answer.into_inner();
        let read = Book::from_bytes(&answer.book);
        let (book, _) = read.map_err(|error| error.to_string())?;
        let findings = findings(answer);
        Ok(Shown { book, findings })
    }
}

/// What rules have found, if the node shows that.
fn findings(answer: pb::LedgerReply) -> Option<Vec<Count>> {
    let count = |found: pb::Finding| Count {
        name: found.rule,
        masked: found.masked,
        observed: found.observed,
    };
    // The first releases that show findings do not say so.
    let shows = answer.shows_findings || !answer.findings.is_empty();
    shows.then(|| answer.findings.into_iter().map(count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_shows_no_findings_has_not_found_nothing() {
        let found = pb::Finding {
            rule: "email".into(),
            masked: 2,
            observed: 1,
        };
        let mut books = Books::default();
        for (node, shows_findings, found) in [
            (1, true, vec![]),
            (2, false, vec![]),
            (3, true, vec![found.clone()]),
            (4, false, vec![found]),
        ] {
            let answer = pb::LedgerReply {
                findings: found,
                shows_findings,
                ..pb::LedgerReply::default()
            };
            books.add_findings(node, findings(answer));
        }
        assert_eq!(books.silent.iter().copied().collect::<Vec<_>>(), [2]);
        let expected = Found {
            masked: 4,
            observed: 2,
        };
        assert_eq!(books.findings().collect::<Vec<_>>(), [("email", expected)]);
    }
}

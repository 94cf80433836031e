//! Tells a node how it stands: that it is to leave, so that it gives up what it leads; that it has left, so
//! that it ends.
//!
//! A node that was removed while it was away hears it from the others, whose messages it does not get any
//! more: it asks when it has heard of no leader for a while.

use std::time::Duration;

use hushlog_raft::meta::Standing;
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, Error, join};
use crate::tasks::unless_stopped;

/// How often the facts are looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long no leader is heard before the others are asked, and pause before they are asked again.
const LONELY: Duration = Duration::from_secs(10);
/// How long the facts may take to become durable here before the node ends.
const DURABLE_PATIENCE: Duration = Duration::from_secs(3);
/// Pause before it is looked whether they are.
const DURABLE_PAUSE: Duration = Duration::from_millis(50);

impl Cluster {
    /// Runs until the node stops, or has left the cluster.
    pub(super) async fn follow_standing(self) -> Result<(), Error> {
        let stop = self.inner.tasks.stop_token();
        let node = self.inner.settings.node;
        let mut asked = Instant::now();
        loop {
            let state = self.meta().state();
            let leaving = state.standing(node) == Some(Standing::Draining);
            self.inner.context.intake.set_leaving(leaving);
            if state.is_removed(node) {
                self.remember_removal().await;
                return Err(Error::Removed(node));
            }
            if self.meta().has_quorum(LONELY) {
                asked = Instant::now();
            } else if asked.elapsed() >= LONELY {
                asked = Instant::now();
                let (settings, cluster) = (&self.inner.settings, self.inner.secret.cluster);
                let others = self.others();
                if join::is_removed(settings, cluster, &others, &self.inner.connect).await {
                    return Err(Error::Removed(node));
                }
            }
            if !unless_stopped(&stop, sleep(TICK)).await {
                return Ok(());
            }
        }
    }

    fn others(&self) -> Vec<String> {
        let node = self.inner.settings.node;
        let members = self.replicas().all_members().into_iter();
        let others = members.filter(|(id, _)| *id != node);
        let mut others: Vec<String> = others.map(|(_, peer)| peer.addr).collect();
        // Facts that are old may name nobody who is still there.
        for contact in join::contacts(&self.inner.settings) {
            if !others.contains(&contact) {
                others.push(contact);
            }
        }
        others
    }

    /// Has the next start know at once that this node has left.
    async fn remember_removal(&self) {
        let node = self.inner.settings.node;
        if let Err(error) = self.meta().make_durable().await {
            tracing::warn!(%error, "the next start asks the others again");
            return;
        }
        let known = async {
            let knows = || {
                self.meta()
                    .durable_state()
                    .is_some_and(|s| s.is_removed(node))
            };
            while !knows() {
                sleep(DURABLE_PAUSE).await;
            }
        };
        if timeout(DURABLE_PATIENCE, known).await.is_err() {
            tracing::warn!("the next start asks the others again");
        }
    }
}

//! Groups that nobody uses: when they rest, and what wakes them.

use std::time::Duration;

use hushlog_record::NodeId;
use tokio::time::sleep;

use super::super::rest::Mark;
use super::{Cluster, PATIENCE, must, settings, soon};
use crate::limits::STALLED_AFTER;
use crate::testing::{SHARD, keyed_block, plain_block};
use crate::types::log_id;
use crate::{ProposeError, Settings};

const LOOK: Duration = Duration::from_millis(10);

async fn all_rest(cluster: &Cluster) {
    must("the group rests", async {
        while !cluster
            .ids()
            .iter()
            .all(|id| cluster.shard(*id).is_resting())
        {
            sleep(LOOK).await;
        }
    })
    .await;
}

/// Where a replica's log ends, and in which term.
fn mark(cluster: &Cluster, id: NodeId) -> Mark {
    cluster.shard(id).core().metrics(|metrics| Mark {
        term: metrics.current_term,
        last: metrics.last_applied.unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_nobody_uses_rests_until_somebody_proposes() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let term = cluster.shard(leader).status().term;
    for (number, via) in (0..).zip(cluster.ids()) {
        all_rest(&cluster).await;
        // Longer than any lease or election timeout: it is led, and known to be.
        sleep(2 * cluster.settings.election_max).await;
        for id in cluster.ids() {
            let group = cluster.shard(id);
            must("it rests and is known to be led", async {
                while !(group.is_resting() && group.has_quorum(cluster.settings.election_max)) {
                    sleep(LOOK).await;
                }
            })
            .await;
            assert_eq!(group.leader(), Some(leader));
        }
        let block = plain_block(SHARD, number);
        cluster.shard(via).propose(block, soon()).await.unwrap();
        assert_eq!(cluster.shard(leader).status().term, term);
    }
    let (rests, wakings) = cluster.nodes[&leader].context.groups.rests();
    assert!(rests >= 3 && wakings >= 3, "{rests} {wakings}");
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resting_leader_takes_a_command_at_once_and_a_read_without_waking() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let block = plain_block(SHARD, 1);
    cluster.shard(leader).propose(block, soon()).await.unwrap();
    all_rest(&cluster).await;
    // The library's lease is over by then.
    sleep(cluster.settings.election_max).await;
    let wakings = || cluster.nodes[&leader].context.groups.rests().1;
    for id in cluster.ids() {
        // A machine that is slow for a moment wakes it too.
        must("a read wakes nobody", async {
            loop {
                all_rest(&cluster).await;
                let before = wakings();
                cluster.shard(id).read_barrier(soon()).await.unwrap();
                if wakings() == before {
                    return;
                }
            }
        })
        .await;
    }
    // The reads have renewed it.
    all_rest(&cluster).await;
    sleep(cluster.settings.election_max).await;
    // A command is tried once.
    let cut = cluster.shard(leader).cut(soon()).await.unwrap();
    assert!(cut.is_some());
    all_rest(&cluster).await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_resting_leader_is_noticed() {
    let mut cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    all_rest(&cluster).await;
    sleep(cluster.settings.election_max).await;
    cluster.kill(leader);
    let survivor = cluster.ids()[0];
    let block = keyed_block(SHARD, &[1], 1, 0);
    cluster
        .shard(survivor)
        .propose(block, soon())
        .await
        .unwrap();
    cluster.restart(leader).await;
    all_rest(&cluster).await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_away_keeps_the_group_awake_and_deposes_nobody() {
    let mut cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    all_rest(&cluster).await;
    let term = cluster.shard(leader).status().term;
    let away = cluster.follower().await;
    cluster.kill(away);
    must("the leader wakes", async {
        while cluster.shard(leader).is_resting() {
            sleep(LOOK).await;
        }
    })
    .await;
    let block = plain_block(SHARD, 1);
    cluster.shard(leader).propose(block, soon()).await.unwrap();
    for _ in 0..20 {
        sleep(cluster.settings.rest_after / 4).await;
        assert!(!cluster.shard(leader).is_resting());
    }
    cluster.restart(away).await;
    all_rest(&cluster).await;
    let status = cluster.shard(away).status();
    assert_eq!((status.term, status.leader), (term, Some(leader)));
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resting_lead_is_handed_over() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    all_rest(&cluster).await;
    sleep(cluster.settings.election_max).await;
    let heir = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.shard(leader).transfer_leader(heir).await.unwrap();
    must("the lead moves", async {
        while cluster.leader().await != heir {
            sleep(LOOK).await;
        }
    })
    .await;
    let block = plain_block(SHARD, 1);
    cluster.shard(leader).propose(block, soon()).await.unwrap();
    all_rest(&cluster).await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_not_fit_does_not_rest() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    all_rest(&cluster).await;
    cluster.nodes[&leader].context.intake.set_slow(true);
    must("the leader wakes", async {
        while cluster.shard(leader).is_resting() {
            sleep(LOOK).await;
        }
    })
    .await;
    cluster.nodes[&leader].context.intake.set_slow(false);
    all_rest(&cluster).await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_of_its_vote_with_its_own_log_has_a_follower_rest_and_not_for_long() {
    let cluster = Cluster::on_mem_with(Settings {
        // Nobody else has it rest.
        rest_after: PATIENCE,
        ..settings()
    })
    .await;
    let leader = cluster.leader().await;
    let block = plain_block(SHARD, 1);
    cluster.shard(leader).propose(block, soon()).await.unwrap();
    let follower = cluster.follower().await;
    let core = cluster.shard(follower).core();
    let now = mark(&cluster, leader);
    must("it follows", async {
        while mark(&cluster, follower) != now {
            sleep(LOOK).await;
        }
    })
    .await;
    let Mark { term, last } = now;
    let before = log_id(*last.leader_id, last.index - 1);
    let after = log_id(*last.leader_id, last.index + 1);
    let older = Mark {
        term: term - 1,
        last,
    };
    let newer = Mark {
        term: term + 1,
        last,
    };
    assert!(!core.follow(leader, older));
    assert!(!core.follow(leader, newer));
    assert!(!core.follow(leader, Mark { term, last: before }));
    assert!(!core.follow(leader, Mark { term, last: after }));
    assert!(!core.follow(follower, now));
    assert!(!core.is_resting() && core.vote_at_rest().is_none());
    assert!(core.follow(leader, now));
    assert!(core.is_resting());
    let (vote, end) = core.vote_at_rest().unwrap();
    assert_eq!((vote.leader_id.voted_for, end), (leader, last));
    // The leader does not repeat it.
    must("it wakes by itself", async {
        while core.is_resting() {
            sleep(LOOK).await;
        }
    })
    .await;
    assert!(core.vote_at_rest().is_none());
    let status = cluster.shard(follower).status();
    assert_eq!((status.term, status.leader), (term, Some(leader)));
    cluster.stop();
}

/// Whoever is left alone by the others while all rest is not led by their silence.
async fn is_left_alone_at_rest(survivor_leads: bool) {
    let mut cluster = Cluster::on_mem_with(Settings {
        patience: 4 * settings().election_max,
        ..settings()
    })
    .await;
    let survivor = if survivor_leads {
        cluster.leader().await
    } else {
        cluster.follower().await
    };
    all_rest(&cluster).await;
    sleep(cluster.settings.election_max).await;
    let others = cluster.ids().into_iter().filter(|id| *id != survivor);
    for id in others.collect::<Vec<_>>() {
        cluster.kill(id);
    }
    let group = cluster.shard(survivor);
    // What was on its way when they ended would have an unknown end.
    must("it knows that it is alone", async {
        while group.has_quorum(STALLED_AFTER) {
            sleep(LOOK).await;
        }
    })
    .await;
    let block = keyed_block(SHARD, &[1], 1, 0);
    let error = group.propose(block, soon()).await.unwrap_err();
    assert!(matches!(error, ProposeError::Unavailable(_)), "{error}");
    assert!(!group.is_resting());
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resting_leader_that_is_left_alone_refuses() {
    is_left_alone_at_rest(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resting_follower_that_is_left_alone_refuses() {
    is_left_alone_at_rest(false).await;
}

//! Nodes come and go under load, and no record that was acknowledged is lost or stored twice: whole nodes in
//! this process, on loopback.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::local::{Local, until};
use hushlog_node::Config;
use hushlog_raft::meta::Standing;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// Buckets and segments that end soon, so that there is something to move.
fn brisk(config: &mut Config) {
    config.cluster.bucket = Duration::from_secs(4);
    config.cut.age = Duration::from_secs(1);
    config.cluster.dead_after = Duration::from_secs(6);
}

/// All records that were acknowledged are found through each of these nodes, once each.
async fn complete(cluster: &Local, nodes: &[u64], acknowledged: u64) -> Result<()> {
    for node in nodes {
        let found = cluster.found(*node).await?;
        ensure!(
            found == acknowledged,
            "node {node} finds {found} of {acknowledged}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_grows_into_three_and_back() -> Result<()> {
    let mut cluster = Local::start(1, brisk).await?;
    let load = cluster.load();
    until("a bucket is over", || !cluster.facts(1).sealed.is_empty()).await?;

    cluster.join(2, 1).await?;
    let both = || cluster.facts(1).standing(2) == Some(Standing::Active);
    until("node 2 takes part", both).await?;
    load.more(20).await?;
    assert_eq!(cluster.meta_voters(1), [1], "never through two voters");
    assert_eq!(cluster.facts(1).copies(), 1);

    cluster.join(3, 2).await?;
    until("the meta group has three voters", || {
        cluster.meta_voters(1) == [1, 2, 3]
    })
    .await?;
    let facts = || cluster.facts(1);
    until("new records have three copies", || {
        let facts = facts();
        let open = facts.open_bucket();
        open.is_some_and(|bucket| bucket.slots.iter().all(|slot| slot.voters.len() == 3))
    })
    .await?;
    load.more(20).await?;
    let view = cluster.settled(3).await?;
    assert_eq!(view["copies"], 3);
    let facts = cluster.facts(3);
    let old = facts.sealed.keys().filter_map(|shard| facts.slot(*shard));
    for slot in old {
        assert_eq!(
            slot.voters,
            [1, 2, 3],
            "what there was has three copies too"
        );
    }

    // And back. Two nodes cannot hold three copies; one copy they can.
    let third = "/api/v1/cluster/nodes/3";
    let (status, body) = cluster.call(1, Method::DELETE, third, Value::Null).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    let message = body["error"]["message"].as_str().context("words")?;
    assert!(message.contains("add a node first"), "{message}");
    let fewer = json!({"replication": 1});
    let (status, body) = cluster
        .call(2, Method::POST, "/api/v1/cluster/rebalance", fewer)
        .await?;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    for node in [3, 2] {
        cluster.drain(node, 1).await?;
        let reason = cluster.farewell(node).await?;
        assert!(
            reason.contains(&format!("node {node} was removed")),
            "{reason}"
        );
        load.more(20).await?;
    }
    assert_eq!(cluster.meta_voters(1), [1]);
    let acknowledged = load.end().await?;
    complete(&cluster, &[1], acknowledged).await?;

    let refusal = cluster.refused_start(2).await?;
    assert!(refusal.contains("node 2 was removed"), "{refusal}");
    let asked = json!({"id": 2, "grpc": "127.0.0.1:9"});
    let (status, body) = cluster
        .call(1, Method::POST, "/api/v1/cluster/nodes", asked)
        .await?;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    cluster.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_drained_lost_and_replaced_under_load() -> Result<()> {
    let mut cluster = Local::start(3, brisk).await?;
    let load = cluster.load();
    until("a bucket is over", || !cluster.facts(1).sealed.is_empty()).await?;
    let (status, _) = cluster
        .call(1, Method::DELETE, "/api/v1/cluster/nodes/9", Value::Null)
        .await?;
    assert_eq!(status, StatusCode::NOT_FOUND);

    // A fourth one takes its share.
    cluster.join(4, 1).await?;
    let rebalance = "/api/v1/cluster/rebalance";
    let (status, body) = cluster
        .call(2, Method::POST, rebalance, Value::Null)
        .await?;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    until("node 4 takes part", || {
        let facts = cluster.facts(1);
        facts.standing(4) == Some(Standing::Active) && facts.shards_on(4) > 0
    })
    .await?;

    // The first one leaves: what it holds goes to the others.
    cluster.drain(1, 2).await?;
    let reason = cluster.farewell(1).await?;
    assert!(reason.contains("node 1 was removed"), "{reason}");
    let mut voters = cluster.meta_voters(2);
    voters.sort_unstable();
    assert_eq!(voters, [2, 3, 4]);
    load.more(20).await?;
    cluster.settled(2).await?;
    assert!(
        cluster
            .facts(2)
            .buckets
            .values()
            .all(|bucket| { bucket.shards().all(|(_, slot)| !slot.voters.contains(&1)) })
    );

    // One is lost while it is the third of three: its place is kept, and taken when another has come.
    cluster.stop(3).await;
    until("node 3 is dead", || {
        cluster.facts(2).standing(3) == Some(Standing::Dead)
    })
    .await?;
    assert_eq!(
        cluster.facts(2).copies(),
        3,
        "not one copy, since one is away"
    );
    load.more(20).await?;
    cluster.join(5, 2).await?;
    until("nothing is on the dead node any more", || {
        cluster.facts(2).shards_on(3) == 0
    })
    .await?;
    until("it votes no more", || !cluster.meta_voters(2).contains(&3)).await?;
    cluster.settled(2).await?;

    // It comes back, has nothing of its own any more, and takes part again.
    cluster.start_node(3).await?;
    until("node 3 is back", || {
        cluster.facts(3).standing(3) == Some(Standing::Active)
    })
    .await?;
    until("what is elsewhere is deleted", || {
        let placed = cluster.facts(3).shards_on(3);
        cluster.sealed_on(3).is_ok_and(|sealed| sealed <= placed)
    })
    .await?;
    load.more(20).await?;
    let acknowledged = load.end().await?;
    cluster.settled(5).await?;
    complete(&cluster, &[2, 3, 4, 5], acknowledged).await?;
    cluster.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_while_it_was_away_says_so_when_it_comes_back() -> Result<()> {
    let mut cluster = Local::start(3, brisk).await?;
    let load = cluster.load();
    cluster.join(4, 1).await?;
    until("node 4 takes part", || {
        cluster.facts(1).standing(4) == Some(Standing::Active)
    })
    .await?;
    until("it holds something", || {
        let facts = cluster.facts(1);
        facts.sealed.keys().any(|shard| facts.belongs(*shard, 4))
    })
    .await?;
    cluster.stop(4).await;
    // What it had is on the others: it need not be there to leave.
    cluster.drain(4, 1).await?;
    let refusal = cluster.refused_start(4).await?;
    assert!(refusal.contains("node 4 was removed"), "{refusal}");
    let acknowledged = load.end().await?;
    cluster.settled(2).await?;
    complete(&cluster, &[1, 2, 3], acknowledged).await?;
    cluster.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_to_leave_may_stay() -> Result<()> {
    let mut cluster = Local::start(3, brisk).await?;
    cluster.join(4, 1).await?;
    until("node 4 takes part", || {
        cluster.facts(1).standing(4) == Some(Standing::Active)
    })
    .await?;
    let two = "/api/v1/cluster/nodes/2";
    let (status, body) = cluster.call(1, Method::DELETE, two, Value::Null).await?;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let stay = json!({"id": 2});
    let (status, body) = cluster
        .call(3, Method::POST, "/api/v1/cluster/nodes", stay)
        .await?;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["state"], "joining");
    until("it takes part again", || {
        cluster.facts(1).standing(2) == Some(Standing::Active)
    })
    .await?;
    let view = cluster.settled(1).await?;
    let nodes = view["nodes"].as_array().context("nodes")?;
    assert_eq!(nodes.len(), 4);
    assert!(
        nodes.iter().all(|node| node["membership"] == "active"),
        "{view:#}"
    );
    cluster.stop_all().await;
    Ok(())
}

//! A replica alone, with a group of its own in memory and segments in a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_query::TailMemory;
use hushlog_raft::{
    Connect, Context, Groups, Incarnations, Installer, Intake, Lane, Peer, Settings, ShardGroup,
};
use hushlog_record::block::Block;
use hushlog_record::{Level, LogId, Masked, NodeId, Record, ShardId, Timestamp};
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::store::Mem;
use hushlog_storage::writer::Writer;
use tokio::time::{Instant, sleep};

use crate::cluster::replica::{RETIRE_AFTER, Replica};
use crate::cluster::tail::Tail;
use crate::offload::Offload;

const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

/// Reaches nobody, and fetches nothing.
struct Nobody;

impl Connect for Nobody {
    fn channel(
        &self,
        _: NodeId,
        _: &str,
        _: Lane,
    ) -> Result<tonic::transport::Channel, tonic::Status> {
        Err(tonic::Status::unavailable("nobody is there"))
    }
}

impl Installer for Nobody {
    fn fetch<'a>(
        &'a self,
        _: ShardId,
        _: &'a [(NodeId, String)],
        _: Bytes,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("nobody is there".to_owned()) })
    }
}

/// A group of one member, which leads.
async fn group(writer: &Writer) -> ShardGroup {
    let nobody = Arc::new(Nobody);
    let life = Incarnation {
        birth: 1,
        number: 1,
        nonce: 1,
    };
    let incarnations = Incarnations::open(life, writer.handle()).expect("a new store");
    let context = Context {
        node: 1,
        cluster: 1,
        writer: writer.handle(),
        connect: Arc::clone(&nobody) as Arc<dyn Connect>,
        incarnations,
        settings: Settings::default(),
        seed: 1,
        groups: Groups::new(),
        intake: Intake::default(),
    };
    let opened = ShardGroup::open(&context, SHARD, 0, nobody).await;
    let group = opened.expect("a new group");
    let addr = "nowhere".into();
    let members = BTreeMap::from([(1, Peer { addr })]);
    group.initialize(members).await.expect("pristine");
    while !group.is_leader() {
        sleep(Duration::from_millis(50)).await;
    }
    group
}

fn block(number: u8) -> Block {
    let at = Timestamp::from_nanos(i64::from(number));
    let record = Record {
        log_id: LogId([number; 16]),
        timestamp: at,
        created_at: at,
        service_name: "service".into(),
        level: Level::Info,
        message: format!("record {number}"),
        fields: Vec::new(),
        exception: None,
        host: String::new(),
        environment: String::new(),
        region: String::new(),
        trace_id: String::new(),
        span_id: String::new(),
        pii: Vec::new(),
    };
    Block::seal(SHARD, 1, at, Vec::new(), &[Masked::vouch(record)])
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A replica with two segments, which lie in `folder`.
async fn with_two_segments(group: &ShardGroup, folder: &Path, disk: &Offload) -> Arc<Replica> {
    let folder = folder.join(SHARD.to_string());
    let replica = Arc::new(Replica::new(
        SHARD,
        group.clone(),
        folder,
        TailMemory::new(1 << 20),
    ));
    for number in 1..=2 {
        let stored = group.propose(block(number), soon()).await;
        stored.expect("it leads");
        let cut = group.cut(soon()).await.expect("it leads");
        let built = replica.build_cut(cut.expect("there is something"), disk);
        built.await.expect("built").expect("here");
    }
    replica
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_applied_what_is_wrong_builds_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::inline(Arc::new(Mem::new()));
    let group = group(&writer).await;
    let disk = Offload::inline();
    let replica = with_two_segments(&group, folder.path(), &disk).await;
    let stored = group.propose(block(3), soon()).await;
    stored.expect("it leads");
    let cut = group.cut(soon()).await.expect("it leads");
    let cut = cut.expect("there is something");
    assert!(!replica.is_wrong());
    replica.distrust();
    let built = replica.build_cut(cut.clone(), &disk).await;
    assert!(built.expect("no error").is_none());
    assert!(replica.is_wrong());
    let next = replica.next_cut().map(|(range, _)| range);
    assert_eq!(next, Some(cut.clone()));
    // As one that was opened anew does.
    let folder = replica.folder().to_path_buf();
    let anew = Arc::new(Replica::new(
        SHARD,
        group.clone(),
        folder,
        TailMemory::new(1 << 20),
    ));
    let built = anew.build_cut(cut, &disk).await;
    assert!(built.expect("no error").is_some());
    group.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn parts_that_a_snapshot_brings_back_outlive_their_retirement() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::inline(Arc::new(Mem::new()));
    let group = group(&writer).await;
    let disk = Offload::inline();
    let replica = with_two_segments(&group, folder.path(), &disk).await;
    let apart = group.view().manifest.clone();
    let parts = replica.manifest().expect("readable").segments;
    assert_eq!(parts.len(), 2);
    let are_there = || {
        let mut parts = parts.iter();
        parts.all(|part| part.is_there(replica.folder()))
    };
    let merge = || async {
        let merged = replica.merge(parts.clone(), &disk).await;
        merged.expect("merged").expect("they are here");
        assert_eq!(replica.view().expect("readable").segments.len(), 1);
    };

    merge().await;
    // A leader that has not merged yet sends a snapshot: as of it there are two again.
    let now = group.view().manifest.clone();
    let switched = group.segments_merged(&now, apart).await;
    assert!(switched.expect("written"));
    sleep(RETIRE_AFTER * 2).await;
    replica.clear_retired(&disk).await.expect("looked at");
    assert!(are_there());
    assert_eq!(replica.view().expect("readable").segments.len(), 2);

    // They are merged again, and go this time, but not at once.
    merge().await;
    sleep(RETIRE_AFTER / 2).await;
    replica.clear_retired(&disk).await.expect("looked at");
    assert!(are_there());
    sleep(RETIRE_AFTER).await;
    replica.clear_retired(&disk).await.expect("deleted");
    assert!(!are_there());
    assert!(parts.iter().all(|part| {
        let folder = replica.folder().join(part.folder_name());
        !folder.exists() && replica.retired(&(part.from..part.to)).is_none()
    }));
    assert_eq!(replica.view().expect("readable").segments.len(), 1);
    group.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_is_not_kept_again_by_a_view_that_was_taken_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::inline(Arc::new(Mem::new()));
    let group = group(&writer).await;
    let disk = Offload::inline();
    let replica = with_two_segments(&group, folder.path(), &disk).await;
    let mut tail = Tail::new(TailMemory::new(1 << 20));
    let mut kept = |view: &hushlog_raft::View| {
        let [first, again] = [(); 2].map(|()| tail.blocks(view));
        let same = first.iter().zip(&again);
        same.map(|(one, other)| Arc::ptr_eq(one, other))
            .collect::<Vec<_>>()
    };
    for number in 3..=4 {
        let stored = group.propose(block(number), soon()).await;
        stored.expect("it leads");
    }
    let before = group.view();
    assert_eq!(kept(&before), [true, true]);
    let cut = group.cut(soon()).await.expect("it leads");
    let built = replica.build_cut(cut.expect("there is something"), &disk);
    built.await.expect("built").expect("here");
    let stored = group.propose(block(5), soon()).await;
    stored.expect("it leads");
    assert_eq!(kept(&group.view()), [true]);
    // A question that has taken its view before has all of it still.
    assert_eq!(kept(&before), [false, false]);
    assert_eq!(kept(&group.view()), [true]);
    group.shutdown().await;
}

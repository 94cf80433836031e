//! The rules of the state: what is applied once, what a cut freezes, what a restart finds.

use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_record::block::{Block, Counts};
use hushlog_storage::store::{Batch, Durability, Mem, Space, Store};
use hushlog_storage::writer::Writer;

use super::keys::Chunks;
use super::state::State;
use super::{Record, Shared, TailBlock};
use crate::command::{Applied, Command, Data};
use crate::log_store::keys;
use crate::testing::{SHARD, block_of, block_under, key, keyed_block, plain_block};
use crate::types::{Entry, Payload, log_id};

fn entry(index: u64, command: Command) -> Entry {
    Entry {
        log_id: log_id(1, index),
        payload: Payload::Normal(command),
    }
}

fn data(index: u64, block: Block) -> Entry {
    entry(index, Command::Data(Data::whole(block)))
}

fn blank(index: u64) -> Entry {
    Entry {
        log_id: log_id(1, index),
        payload: Payload::Blank,
    }
}

/// What a reader can see of a tail.
fn seen(tail: &[TailBlock]) -> Vec<(u64, u32, Counts)> {
    let block = |block: &TailBlock| (block.seq, block.rows(), block.counts().clone());
    tail.iter().map(block).collect()
}

fn stored(answer: Applied) -> Vec<(u64, bool)> {
    let Applied::Stored(parts) = answer else {
        panic!("not stored: {answer}")
    };
    let part = |part: &super::PartAnswer| (part.origin.seq, part.duplicate);
    parts.iter().map(part).collect()
}

#[test]
fn a_repeat_stores_nothing_and_names_the_original() {
    let mut state = State::new(SHARD, 0);
    let block = keyed_block(SHARD, &[1], 3, 0);
    assert_eq!(stored(state.apply(data(5, block.clone()))), [(5, false)]);
    assert_eq!(stored(state.apply(data(6, block))), [(5, true)]);
    assert_eq!(state.view().tail.len(), 1);
    assert_eq!(state.view().applied_to, 7);
}

#[test]
fn rows_of_a_repeated_part_exist_for_no_reader_even_if_the_leader_did_not_know() {
    let mut state = State::new(SHARD, 0);
    state.apply(data(1, keyed_block(SHARD, &[2], 3, 0)));
    let mixed = keyed_block(SHARD, &[1, 2, 3], 3, 0);
    assert_eq!(
        stored(state.apply(data(2, mixed.clone()))),
        [(2, false), (1, true), (2, false)]
    );
    let view = state.view();
    let block = &view.tail[1];
    assert_eq!(block.skip.as_ref(), std::slice::from_ref(&(3..6)));
    assert_eq!(block.rows(), 6);
    let total: u64 = block.counts().levels.iter().map(|level| level.count).sum();
    assert_eq!(total, 6);
    assert_eq!(*block.block.bytes(), *mixed.bytes());
}

#[test]
fn a_key_with_other_content_stores_nothing_and_says_so() {
    let conflicts = |answer: Applied| {
        let Applied::Stored(parts) = answer else {
            panic!("not stored: {answer}")
        };
        parts.iter().map(|part| part.conflict).collect::<Vec<_>>()
    };
    let block = |parts: &[(u64, u64)]| {
        let parts: Vec<_> = parts
            .iter()
            .map(|(n, content)| (key(*n), *content))
            .collect();
        Command::Data(Data::whole(block_of(SHARD, &parts, 2, 0)))
    };
    let mut state = State::new(SHARD, 0);
    let first = state.apply(entry(1, block(&[(1, 11), (2, 22)])));
    assert_eq!(conflicts(first), [false, false]);
    let second = state.apply(entry(2, block(&[(1, 11), (2, 23), (3, 33), (3, 34)])));
    assert_eq!(conflicts(second), [false, true, false, true]);
    let view = state.view();
    assert_eq!(
        view.tail.iter().map(|block| block.rows()).sum::<u32>(),
        4 + 2
    );
    // The first content stays the key's own, also in a snapshot and for the shard after this one.
    state.apply(entry(3, Command::Close));
    let bytes = state.table().to_bytes();
    let table = super::Table::from_bytes(&bytes).unwrap();
    let next = ShardId { bucket: 2, slot: 0 };
    let mut after = State::new(next, 0);
    after.apply(entry(1, Command::Inherit(Arc::new(table))));
    for (number, content, conflict) in [(2, 22, false), (2, 23, true), (3, 34, true)] {
        let late = state.apply(entry(3 + content, block(&[(number, content)])));
        assert_eq!(conflicts(late), [conflict]);
        let known = after.known(&key(number), content).unwrap();
        assert_eq!((known.conflict, known.origin.shard), (conflict, SHARD));
    }
}

#[test]
fn a_key_twice_in_one_block_counts_once() {
    let mut state = State::new(SHARD, 0);
    let block = keyed_block(SHARD, &[1, 1], 2, 0);
    assert_eq!(stored(state.apply(data(1, block))), [(1, false), (1, true)]);
    assert_eq!(state.view().tail[0].rows(), 2);
}

/// A block of one record of request `number`, masked under this policy.
fn block_of_policy(epoch: u64, number: u64) -> Command {
    let block = block_under(epoch, SHARD, &[(key(number), 1)], 1, 0);
    Command::Data(Data::whole(block))
}

#[test]
fn blocks_of_an_older_policy_are_refused_and_what_was_stored_before_is_known() {
    let mut state = State::new(SHARD, 2);
    let apply = |state: &mut State, index, command| state.apply(entry(index, command));
    let first = apply(&mut state, 1, block_of_policy(1, 1));
    assert_eq!(first, Applied::Outdated(2), "the policy of its opening");
    assert_eq!(
        stored(apply(&mut state, 2, block_of_policy(2, 2))),
        [(2, false)]
    );
    assert_eq!(apply(&mut state, 3, Command::Policy(5)), Applied::Nothing);
    assert_eq!(apply(&mut state, 4, Command::Policy(3)), Applied::Nothing);
    assert_eq!(state.positions().policy_epoch, 5, "it never goes back");
    let late = apply(&mut state, 5, block_of_policy(4, 3));
    assert_eq!(late, Applied::Outdated(5));
    assert_eq!(state.view().tail.len(), 1);
    // A repeat of what was stored under the policy of then, whatever it is masked by now.
    for (index, epoch) in [(6, 2), (7, 5)] {
        let Applied::Stored(parts) = apply(&mut state, index, block_of_policy(epoch, 2)) else {
            panic!("it is stored")
        };
        assert_eq!((parts[0].duplicate, parts[0].policy_epoch), (true, 2));
    }
    // What was refused was not remembered.
    assert_eq!(
        stored(apply(&mut state, 8, block_of_policy(5, 3))),
        [(8, false)]
    );
}

#[test]
fn a_snapshot_keeps_the_policy_as_of_its_cut_and_an_old_one_takes_every_block() {
    let mut state = State::new(SHARD, 0);
    for command in [Command::Policy(4), block_of_policy(4, 1), Command::Cut] {
        let index = state.applied_to();
        state.apply(entry(index, command));
    }
    state.apply(entry(3, Command::Policy(6)));
    let (record, _) = state.record_of_cut(&(0..2), Bytes::new()).unwrap();
    for bytes in [record.encode_stored(), record.encode_sent(&state.table())] {
        let (read, table) = Record::decode(&bytes).unwrap();
        let table = table.unwrap_or_else(|| state.table());
        let mut restored = State::restore(SHARD, &read, &table);
        assert_eq!(restored.positions().policy_epoch, 4);
        restored.apply(entry(2, Command::Cut));
        restored.apply(entry(3, Command::Policy(6)));
        assert_eq!(restored.positions().policy_epoch, 6);
    }
    let stored = record.encode_stored();
    // From its end: CRC32, length of the manifest, ids of records, request keys and time, policy epoch.
    let ids_at = stored.len() - 4 - 4 - 16;
    let policy_at = ids_at - 24 - 8;
    let without_ids = [&stored[..ids_at], &stored[ids_at + 16..stored.len() - 4]].concat();
    let without_policy = [&without_ids[..policy_at], &without_ids[policy_at + 8..]].concat();
    for (version, epoch, mut old) in [(5, 4, without_ids), (3, 0, without_policy)] {
        old[0] = version;
        old.extend(crc32fast::hash(&old).to_be_bytes());
        let (read, _) = Record::decode(&old.into()).unwrap();
        assert_eq!((read.policy_epoch, read.keys), (epoch, record.keys));
    }
}

#[test]
fn a_closed_shard_takes_no_data_but_still_knows_its_repeats() {
    let mut state = State::new(SHARD, 0);
    let block = keyed_block(SHARD, &[1], 1, 0);
    state.apply(data(1, block.clone()));
    state.apply(entry(2, Command::Close));
    assert_eq!(
        state.apply(data(3, keyed_block(SHARD, &[2], 1, 0))),
        Applied::Closed
    );
    assert_eq!(state.apply(data(4, plain_block(SHARD, 1))), Applied::Closed);
    assert_eq!(stored(state.apply(data(5, block))), [(1, true)]);
    assert!(state.positions().closed);
    assert_eq!(state.view().tail.len(), 1);
}

#[test]
fn inherited_keys_answer_with_the_shard_that_has_the_rows() {
    let old = ShardId { bucket: 1, slot: 3 };
    let mut before = State::new(old, 0);
    before.apply(data(9, keyed_block(old, &[1, 2], 1, 0)));
    let mut state = State::new(ShardId { bucket: 2, slot: 0 }, 0);
    assert_eq!(
        state.apply(entry(1, Command::Inherit(Arc::new(before.table())))),
        Applied::Inherited
    );
    let origin = state.known(&key(2), 0).unwrap().origin;
    assert_eq!((origin.shard, origin.seq), (old, 9));
}

#[test]
fn a_block_of_another_shard_is_not_stored() {
    let mut state = State::new(SHARD, 0);
    let foreign = plain_block(ShardId { bucket: 9, slot: 9 }, 1);
    assert_eq!(state.apply(data(1, foreign)), Applied::Foreign);
    assert!(state.view().tail.is_empty());
}

#[test]
fn a_cut_without_data_is_none() {
    let mut state = State::new(SHARD, 0);
    assert_eq!(state.apply(entry(1, Command::Cut)), Applied::Cut(None));
    state.apply(data(2, plain_block(SHARD, 1)));
    assert_eq!(
        state.apply(entry(3, Command::Cut)),
        Applied::Cut(Some(0..3))
    );
    assert_eq!(state.apply(entry(4, Command::Cut)), Applied::Cut(None));
    assert_eq!(state.positions().uncut_bytes, 0);
}

/// A log with repeats, two cuts, a close, and keys that grow old in between.
fn eventful() -> Vec<Entry> {
    let mut log = vec![blank(0)];
    let mut next = 1;
    let mut add = |command: Command| {
        log.push(entry(next, command));
        next += 1;
    };
    for (keys, hour) in [(&[1][..], 0), (&[2, 1], 1), (&[3], 20)] {
        add(Command::Data(Data::whole(keyed_block(
            SHARD, keys, 2, hour,
        ))));
    }
    add(Command::Cut);
    for (keys, hour) in [(&[4, 2][..], 21), (&[5], 30), (&[1, 3], 30)] {
        add(Command::Data(Data::whole(keyed_block(
            SHARD, keys, 2, hour,
        ))));
    }
    add(Command::Cut);
    add(Command::Data(Data::whole(keyed_block(
        SHARD,
        &[6, 5],
        2,
        50,
    ))));
    add(Command::Close);
    add(Command::Data(Data::whole(keyed_block(SHARD, &[7], 2, 51))));
    log
}

#[test]
fn a_snapshot_and_the_log_after_it_give_the_state_of_the_whole_log() {
    let log = eventful();
    let mut whole = State::new(SHARD, 0);
    let cuts: Vec<_> = log
        .iter()
        .filter_map(|entry| match whole.apply(entry.clone()) {
            Applied::Cut(range) => range,
            _ => None,
        })
        .collect();
    assert_eq!(cuts.len(), 2);
    let store = Mem::new();
    let mut chunks = Chunks::default();
    for range in cuts {
        let manifest = Bytes::from(format!("{range:?}"));
        let (record, fresh) = whole.record_of_cut(&range, manifest.clone()).unwrap();
        whole.segment_built(&record);
        let mut batch = Batch::new();
        chunks.put(&mut batch, SHARD.group(), &fresh, &record.keys);
        store.write(batch, Durability::Synced).unwrap();

        let (record, none) = Record::decode(&record.encode_stored()).unwrap();
        assert_eq!(none, None);
        let table = chunks.load(&store, SHARD.group(), &record.keys).unwrap();
        let (sent, with) = Record::decode(&record.encode_sent(&table)).unwrap();
        assert_eq!((sent.last, with.as_ref()), (record.last, Some(&table)));
        assert_eq!(record.last.map(|id| id.index + 1), Some(range.end));

        let mut restored = State::restore(SHARD, &record, &table);
        assert_eq!(restored.applied_to(), range.end);
        for entry in log.iter().filter(|entry| entry.log_id.index >= range.end) {
            restored.apply(entry.clone());
        }
        assert_eq!(restored.table(), whole.table());
        assert_eq!(seen(&restored.view().tail), seen(&whole.view().tail));
        assert_eq!(restored.positions(), whole.positions());
        assert_eq!(restored.view().pending_cuts, whole.view().pending_cuts);
        assert_eq!(restored.view().manifest, manifest);
    }
}

#[test]
fn only_the_oldest_pending_cut_can_become_a_segment() {
    let mut state = State::new(SHARD, 0);
    for index in [0, 2] {
        state.apply(data(index, plain_block(SHARD, index)));
        state.apply(entry(index + 1, Command::Cut));
    }
    assert_eq!(state.view().pending_cuts, [0..1, 1..3]);
    assert!(state.record_of_cut(&(1..3), Bytes::new()).is_none());
    let (record, _) = state.record_of_cut(&(0..1), Bytes::new()).unwrap();
    state.segment_built(&record);
    assert_eq!(state.view().tail.first().map(|block| block.seq), Some(2));
    assert_eq!(state.positions().segmented_to, 1);
}

#[test]
fn a_view_does_not_change_when_the_state_does() {
    let mut state = State::new(SHARD, 0);
    state.apply(data(0, plain_block(SHARD, 0)));
    let view = state.view();
    state.apply(data(1, plain_block(SHARD, 1)));
    assert_eq!(view.tail.len(), 1);
    assert_eq!(view.applied_to, 1);
    assert_eq!(state.view().tail.len(), 2);
}

#[test]
fn a_snapshot_of_the_first_version_is_still_read() {
    let mut state = State::new(SHARD, 0);
    state.apply(data(0, plain_block(SHARD, 0)));
    state.apply(entry(1, Command::Cut));
    let (record, _) = state
        .record_of_cut(&(0..1), Bytes::from_static(b"m"))
        .unwrap();
    let sent = |record: &Record| record.encode_sent(&state.table());
    // Without request keys only the version differs, and that there is no policy.
    let new = sent(&record);
    let behind = 8 + 4 + 4 + 1 + 4;
    let policy_at = new.len() - behind - 8;
    let mut old = [&new[..policy_at], &new[policy_at + 8..new.len() - 4]].concat();
    old[0] = 1;
    old.extend(crc32fast::hash(&old).to_be_bytes());
    let (read, table) = Record::decode(&old.into()).unwrap();
    assert_eq!(sent(&read), sent(&record));
    assert_eq!(table, Some(state.table()));
}

#[test]
fn every_flipped_byte_of_a_snapshot_is_noticed() {
    let mut state = State::new(SHARD, 0);
    state.apply(data(0, keyed_block(SHARD, &[1, 2], 1, 0)));
    state.apply(entry(1, Command::Cut));
    let (record, _) = state
        .record_of_cut(&(0..1), Bytes::from_static(b"manifest"))
        .unwrap();
    for good in [record.encode_stored(), record.encode_sent(&state.table())] {
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert!(Record::decode(&bad.into()).is_err(), "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_an_earlier_build_has_stored_with_its_keys_is_taken_over() {
    let mut state = State::new(SHARD, 0);
    state.apply(data(0, keyed_block(SHARD, &[1, 2], 1, 0)));
    state.apply(entry(1, Command::Cut));
    let cut = state.record_of_cut(&(0..1), Bytes::from_static(b"m"));
    let (record, _) = cut.unwrap();
    let mem: Arc<dyn Store> = Arc::new(Mem::new());
    let owner = Writer::inline(Arc::clone(&mem));
    let mut batch = Batch::new();
    let stored = record.encode_sent(&state.table());
    batch.put(Space::State, keys::snapshot(SHARD.group()), stored.clone());
    mem.write(batch, Durability::Synced).unwrap();

    for _ in 0..2 {
        let shared = Shared::open(SHARD, 0, owner.handle()).await.unwrap();
        assert_eq!(shared.table(), state.table());
        let snapshot = shared.current_snapshot().await.unwrap().unwrap();
        assert_eq!(snapshot.snapshot.bytes().unwrap(), stored);
    }
    let now = mem.get(Space::State, &keys::snapshot(SHARD.group()));
    let (_, table) = Record::decode(&now.unwrap().unwrap()).unwrap();
    assert_eq!(table, None, "the keys lie in chunks by now");
}

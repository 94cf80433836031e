//! The state itself and the rules by which a committed entry changes it. No lock, no disk, no clock.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_record::block::{Block, Counts, Header, Part, PartKey};
use hushlog_record::museum::{Bug, planted};

use super::cuts::Cuts;
use super::keys::Fresh;
use super::producers::{Frozen, Known, Origin, Producers, TableEntry};
use super::{PartAnswer, Positions, Record, Table, TailBlock, View};
use crate::command::{Applied, Command, Data};
use crate::types::{Entry, LogId, Payload, StoredMembership, next_index};

/// A cut whose segment is not durable here yet, with what its snapshot will say.
struct PendingCut {
    range: Range<u64>,
    last: Option<LogId>,
    membership: StoredMembership,
    closed: bool,
    inherited: bool,
    policy_epoch: u64,
    keys: Frozen,
}

/// One replica's state of one shard.
pub(crate) struct State {
    shard: ShardId,
    applied: Option<LogId>,
    membership: StoredMembership,
    producers: Producers,
    tail: Arc<Vec<TailBlock>>,
    segmented_to: u64,
    cut_to: u64,
    uncut_bytes: u64,
    cuts: VecDeque<PendingCut>,
    /// What of the log is in cuts. No part of what replicas agree on.
    logged: Cuts,
    closed: bool,
    inherited: bool,
    /// Blocks that were masked under an older policy are refused.
    policy_epoch: u64,
    manifest: Bytes,
}

impl State {
    /// A shard without data that takes blocks masked under this policy, or a later one.
    pub(super) fn new(shard: ShardId, policy_epoch: u64) -> Self {
        Self {
            shard,
            applied: None,
            membership: StoredMembership::default(),
            producers: Producers::new(),
            tail: Arc::new(Vec::new()),
            segmented_to: 0,
            cut_to: 0,
            uncut_bytes: 0,
            cuts: VecDeque::new(),
            logged: Cuts::default(),
            closed: false,
            // The first bucket has nobody to inherit from.
            inherited: shard.bucket <= 1,
            policy_epoch,
            manifest: Bytes::new(),
        }
    }

    /// The state as of a snapshot, whose keys are `table`.
    pub(super) fn restore(shard: ShardId, record: &Record, table: &Table) -> Self {
        Self {
            applied: record.last,
            membership: record.membership.clone(),
            producers: if planted(Bug::DedupeLostAtRestart) {
                Producers::new()
            } else {
                Producers::restore(table, &record.keys)
            },
            segmented_to: record.segmented_to,
            cut_to: record.segmented_to,
            closed: record.closed,
            inherited: record.inherited,
            manifest: record.manifest.clone(),
            ..Self::new(shard, record.policy_epoch)
        }
    }

    pub(super) fn applied_state(&self) -> (Option<LogId>, StoredMembership) {
        (self.applied, self.membership.clone())
    }

    pub(super) fn applied_to(&self) -> u64 {
        next_index(self.applied.as_ref())
    }

    pub(super) fn known(&self, key: &PartKey, content: u64) -> Option<Known> {
        self.producers.get(key, content)
    }

    pub(super) fn table(&self) -> Table {
        self.producers.table()
    }

    pub(super) fn positions(&self) -> Positions {
        let positions = Positions {
            segmented_to: self.segmented_to,
            cut_to: self.cut_to,
            applied_to: self.applied_to(),
            uncut_bytes: self.uncut_bytes,
            closed: self.closed,
            inherited: self.inherited,
            policy_epoch: self.policy_epoch,
        };
        assert!(
            positions.segmented_to <= positions.cut_to && positions.cut_to <= positions.applied_to,
            "positions are out of order: {positions:?}"
        );
        positions
    }

    pub(super) fn view(&self) -> View {
        View {
            manifest: self.manifest.clone(),
            segmented_to: self.segmented_to,
            applied_to: self.applied_to(),
            tail: Arc::clone(&self.tail),
            pending_cuts: self.cuts.iter().map(|cut| cut.range.clone()).collect(),
            closed: self.closed,
        }
    }

    pub(super) fn apply(&mut self, entry: Entry) -> Applied {
        let Entry { log_id, payload } = entry;
        let index = log_id.index;
        assert!(
            index >= self.applied_to(),
            "entry {index} is applied a second time"
        );
        let answer = match payload {
            Payload::Blank => Applied::Nothing,
            Payload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(log_id), membership);
                Applied::Nothing
            }
            Payload::Normal(Command::Data(data)) => self.apply_data(index, data),
            Payload::Normal(Command::Cut) => self.apply_cut(index),
            Payload::Normal(Command::Close) => {
                self.closed = true;
                Applied::Nothing
            }
            Payload::Normal(Command::Inherit(table)) => self.apply_inherit(index, &table),
            Payload::Normal(Command::Policy(epoch)) => {
                self.policy_epoch = self.policy_epoch.max(epoch);
                Applied::Nothing
            }
            Payload::Normal(Command::Meta(_)) => Applied::Foreign,
        };
        self.applied = Some(log_id);
        answer
    }

    fn apply_data(&mut self, seq: u64, data: Data) -> Applied {
        let header = data.block.header();
        if header.shard != self.shard {
            return Applied::Foreign;
        }
        if self.closed {
            return self.answer_repeats(header).unwrap_or(Applied::Closed);
        }
        if header.policy_epoch < self.policy_epoch {
            let outdated = Applied::Outdated(self.policy_epoch);
            return self.answer_repeats(header).unwrap_or(outdated);
        }
        self.producers.advance(header.admitted_at);
        let answers = self.answer_parts(seq, header);
        let skip = skipped(&answers);
        let bytes = data.block.bytes().len() as u64;
        let known = *skip == *data.skip && (skip.is_empty() || data.counts.is_some());
        let block = if known {
            TailBlock {
                seq,
                block: data.block,
                skip: data.skip,
                adjusted: data.counts,
            }
        } else {
            // The leader did not know of these repeats when it proposed.
            let adjusted = counts_without(&data.block, &skip).map(Arc::new);
            TailBlock {
                seq,
                block: data.block,
                skip: skip.into(),
                adjusted,
            }
        };
        if block.rows() > 0 {
            Arc::make_mut(&mut self.tail).push(block);
            self.uncut_bytes += bytes;
        }
        Applied::Stored(answers)
    }

    /// The answer to a block whose every part is stored already.
    fn answer_repeats(&self, header: &Header) -> Option<Applied> {
        let repeat = |part: Part| {
            let known = self.producers.get(&part.key?, part.content)?;
            Some(PartAnswer {
                rows: part.rows,
                origin: known.origin,
                policy_epoch: known.policy_epoch,
                duplicate: true,
                conflict: known.conflict,
            })
        };
        let answers = parts_of(header)
            .into_iter()
            .map(repeat)
            .collect::<Option<Vec<_>>>()?;
        let rows: u32 = answers
            .iter()
            .map(|answer| answer.rows.end - answer.rows.start)
            .sum();
        (rows == header.rows).then_some(Applied::Stored(answers))
    }

    /// Remembers the keys that are new and answers for each part.
    fn answer_parts(&mut self, seq: u64, header: &Header) -> Vec<PartAnswer> {
        let here = Origin {
            shard: self.shard,
            seq,
        };
        let mut answers = Vec::with_capacity(header.parts.len().max(1));
        for part in parts_of(header) {
            let known = part
                .key
                .and_then(|key| self.producers.get(&key, part.content));
            answers.push(PartAnswer {
                rows: part.rows,
                origin: known.map_or(here, |known| known.origin),
                policy_epoch: known.map_or(header.policy_epoch, |known| known.policy_epoch),
                duplicate: known.is_some(),
                conflict: known.is_some_and(|known| known.conflict),
            });
            if let (Some(key), None) = (part.key, known) {
                let admitted_at = header.admitted_at;
                self.producers.remember(TableEntry {
                    key,
                    content: part.content,
                    policy_epoch: header.policy_epoch,
                    origin: here,
                    admitted_at,
                    learnt_at: seq,
                });
            }
        }
        answers
    }

    fn apply_inherit(&mut self, index: u64, table: &Table) -> Applied {
        self.producers.advance(table.now);
        for entry in &table.entries {
            self.producers.remember(TableEntry {
                learnt_at: index,
                ..*entry
            });
        }
        self.inherited = true;
        Applied::Inherited
    }

    fn apply_cut(&mut self, index: u64) -> Applied {
        let any = self
            .tail
            .last()
            .is_some_and(|block| block.seq >= self.cut_to);
        if !any {
            return Applied::Cut(None);
        }
        let range = self.cut_to..index;
        let keys = self.producers.freeze();
        self.producers.written(&keys.window);
        self.cuts.push_back(PendingCut {
            range: range.clone(),
            last: self.applied,
            membership: self.membership.clone(),
            closed: self.closed,
            inherited: self.inherited,
            policy_epoch: self.policy_epoch,
            keys,
        });
        self.cut_to = index;
        self.logged.add(index, self.uncut_bytes);
        self.uncut_bytes = 0;
        Applied::Cut(Some(range))
    }

    /// What the snapshot of the oldest pending cut says, if that cut has this range, and the keys that
    /// no earlier one had.
    pub(super) fn record_of_cut(
        &self,
        range: &Range<u64>,
        manifest: Bytes,
    ) -> Option<(Record, Fresh)> {
        let cut = self.cuts.front().filter(|cut| cut.range == *range)?;
        let record = Record {
            last: cut.last,
            membership: cut.membership.clone(),
            segmented_to: range.end,
            closed: cut.closed,
            inherited: cut.inherited,
            policy_epoch: cut.policy_epoch,
            keys: cut.keys.window,
            manifest,
        };
        Some((record, cut.keys.fresh.clone()))
    }

    /// The oldest pending cut is durable as a segment: its blocks leave the memory.
    pub(super) fn segment_built(&mut self, record: &Record) {
        let cut = self
            .cuts
            .pop_front()
            .expect("a record is made of the oldest pending cut");
        assert_eq!(
            cut.range.end, record.segmented_to,
            "segments are reported in order"
        );
        let covered = record.segmented_to - u64::from(planted(Bug::CountedTwiceAtCut));
        let keep = self.tail.partition_point(|block| block.seq < covered);
        self.tail = Arc::new(self.tail.get(keep..).unwrap_or_default().to_vec());
        self.segmented_to = record.segmented_to;
        self.manifest = record.manifest.clone();
    }

    /// The manifest as the node encoded it.
    pub(super) fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// The same rows are durable in fewer segments.
    pub(super) fn segments_merged(&mut self, record: &Record) {
        self.manifest = record.manifest.clone();
    }

    /// Where the log may begin, see [`Cuts::trim_to`].
    pub(super) fn trim_to(&mut self, keep: u64, needed_from: u64) -> u64 {
        self.logged.trim_to(self.segmented_to, keep, needed_from)
    }

    /// The whole state as a snapshot, possible only while there is no tail, and the keys that no earlier
    /// one had.
    pub(super) fn record_without_tail(&self) -> Option<(Record, Fresh)> {
        if !self.tail.is_empty() || !self.cuts.is_empty() {
            return None;
        }
        let Frozen { window, fresh } = self.producers.freeze();
        let record = Record {
            last: self.applied,
            membership: self.membership.clone(),
            segmented_to: self.segmented_to,
            closed: self.closed,
            inherited: self.inherited,
            policy_epoch: self.policy_epoch,
            keys: window,
            manifest: self.manifest.clone(),
        };
        Some((record, fresh))
    }

    /// The snapshot that [`State::record_without_tail`] gave is written.
    pub(super) fn recorded(&mut self, record: &Record) {
        self.producers.written(&record.keys);
    }
}

/// The parts of a block; one without a key when the block names none.
pub(crate) fn parts_of(header: &Header) -> Vec<Part> {
    if header.parts.is_empty() {
        return vec![Part {
            key: None,
            content: 0,
            rows: 0..header.rows,
        }];
    }
    header.parts.clone()
}

/// The rows of the parts that are repeats.
pub(crate) fn skipped(answers: &[PartAnswer]) -> Vec<Range<u32>> {
    let mut skip: Vec<Range<u32>> = Vec::new();
    for answer in answers.iter().filter(|answer| answer.duplicate) {
        match skip.last_mut() {
            Some(last) if last.end == answer.rows.start => last.end = answer.rows.end,
            _ => skip.push(answer.rows.clone()),
        }
    }
    skip
}

/// The counts of a block without some of its rows; `None` when nothing is skipped.
pub(crate) fn counts_without(block: &Block, skip: &[Range<u32>]) -> Option<Counts> {
    if skip.is_empty() {
        return None;
    }
    match block.columns() {
        Ok(columns) => {
            let records = columns.records();
            let kept = (0u32..)
                .zip(&records)
                .filter(|(row, _)| !skip.iter().any(|rows| rows.contains(row)));
            Some(Counts::of(kept.map(|(_, record)| &**record)))
        }
        Err(error) => {
            // The checksum has matched, so every replica sees the same: no reader can open these
            // rows, and none are counted.
            tracing::error!(shard = %block.header().shard, %error, "block cannot be decoded");
            Some(Counts::default())
        }
    }
}

//! The request keys, and the ids that clients gave to records, that a shard remembers, so that a retry
//! stores nothing twice.
//!
//! Deterministic: time is the latest admission time of the blocks seen, never a clock, and keys of a kind
//! are forgotten in the order in which they came, so what is remembered is always the end of what was learnt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use hushlog_record::block::PartKey;
use hushlog_record::{ShardId, Timestamp};

use super::keys::{Chunk, Fresh, Span, Window};
use super::kind::{Kind, PerKind};
use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{
    MESSAGE_BYTES_MAX, PRODUCER_KEY_NANOS, PRODUCER_KEYS_MAX, PRODUCER_STEP_NANOS, RECORD_KEYS_MAX,
};

/// Where the rows of a request are: the answer to its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The shard that stores them.
    pub shard: ShardId,
    /// The block's position in it.
    pub seq: u64,
}

/// One remembered key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The request's key.
    pub key: PartKey,
    /// Digest of the whole request; 0 when it is not known.
    pub content: u64,
    /// Version of the patterns that its rows were masked under.
    pub policy_epoch: u64,
    /// Where its rows are.
    pub origin: Origin,
    /// When its block was admitted.
    pub admitted_at: Timestamp,
    /// Log index at which this group learnt it.
    pub(crate) learnt_at: u64,
}

/// The remembered keys at one position, those of each kind in the order in which they were learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Latest admission time seen.
    pub(crate) now: Timestamp,
    /// Of each kind the oldest first.
    pub entries: Vec<TableEntry>,
}

/// Bytes of an entry, of one as it was before policies were remembered, and before contents were.
pub(super) const TABLE_ENTRY_BYTES: usize = 76;
const TABLE_ENTRY_BYTES_V2: usize = 68;
const TABLE_ENTRY_BYTES_V1: usize = 60;
/// The policy of what was stored before policies could be changed.
const POLICY_EPOCH_FIRST: u64 = 1;
/// The first byte of a table as it is sent, by form. One of the first has a time there, and these would
/// be in 1974 and 1976.
const SENT_V2: u8 = 2;
const SENT: u8 = 3;

/// How the request keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Without contents.
    V1,
    /// With them, without policies.
    V2,
    /// With both.
    V3,
}

impl Form {
    /// Bytes of an entry.
    pub(super) const fn entry_bytes(self) -> usize {
        match self {
            Self::V1 => TABLE_ENTRY_BYTES_V1,
            Self::V2 => TABLE_ENTRY_BYTES_V2,
            Self::V3 => TABLE_ENTRY_BYTES,
        }
    }
}

/// What is known of a part's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Where the rows are that came under it.
    pub(crate) origin: Origin,
    /// Version of the patterns that they were masked under.
    pub(crate) policy_epoch: u64,
    /// Whether they were of a request with other content.
    pub(crate) conflict: bool,
}

impl TableEntry {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.admitted_at.saturating_add(PRODUCER_KEY_NANOS) < now
    }
}

impl Table {
    /// Adds the keys of another shard.
    pub fn merge(&mut self, other: Self) {
        self.now = self.now.max(other.now);
        self.entries.extend(other.entries);
    }

    /// Most keys of a table.
    const KEYS_MAX: usize = PRODUCER_KEYS_MAX + RECORD_KEYS_MAX;
    /// Most bytes of an encoded table.
    pub const BYTES_MAX: usize = 17 + Self::KEYS_MAX * TABLE_ENTRY_BYTES;

    /// For another node, which inherits it.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Encoder::versioned(SENT);
        self.encode(&mut out);
        out.finish().into()
    }

    /// What another node has sent.
    ///
    /// # Errors
    /// When it is no table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (form, bytes) = match bytes.split_first() {
            Some((&SENT, rest)) => (Form::V3, rest),
            Some((&SENT_V2, rest)) => (Form::V2, rest),
            _ => (Form::V1, bytes),
        };
        let mut input = Decoder::new("request keys", bytes);
        let table = Self::decode(&mut input, form)?;
        input.end().map(|()| table)
    }

    /// Each key once, oldest first, none that has expired, and no more than a shard remembers.
    ///
    /// All slots of a bucket inherit the keys of all slots before them, so without this the same keys
    /// would come back once more per slot with every bucket.
    pub(crate) fn settle(self) -> Self {
        self.settle_to(Kind::keys_max)
    }

    fn settle_to(mut self, keys_max: impl Fn(Kind) -> usize) -> Self {
        let mut seen = BTreeSet::new();
        let now = self.now;
        self.entries
            .retain(|entry| !entry.has_expired(now) && seen.insert(entry.key));
        self.entries.sort_by_key(|entry| entry.admitted_at);
        let mut surplus =
            PerKind::of(|kind| self.of_kind(kind).count().saturating_sub(keys_max(kind)));
        self.entries.retain(|entry| {
            let surplus = surplus.get_mut(Kind::of(&entry.key));
            let kept = *surplus == 0;
            *surplus = surplus.saturating_sub(1);
            kept
        });
        self
    }

    /// The keys of one kind, oldest first.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &TableEntry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| Kind::of(&entry.key) == kind)
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.i64(self.now.nanos()).len(self.entries.len());
        for entry in &self.entries {
            put_entry(out, entry);
        }
    }

    pub(crate) fn decode(input: &mut Decoder<'_>, form: Form) -> Result<Self, Error> {
        let now = Timestamp::from_nanos(input.i64()?);
        let count = input.count(form.entry_bytes())?;
        if count > Self::KEYS_MAX {
            return Err(input.invalid(format!("{count} request keys")));
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(take_entry(input, form)?);
        }
        Ok(Self { now, entries })
    }
}

// A shard inherits a table by one command.
const _: () = assert!(Table::BYTES_MAX + (1 << 20) < MESSAGE_BYTES_MAX);

pub(super) fn put_entry(out: &mut Encoder, entry: &TableEntry) {
    out.u128(entry.key.producer)
        .u64(entry.key.sequence)
        .u32(entry.key.chunk);
    out.u64(entry.content).u64(entry.policy_epoch);
    out.u64(entry.origin.shard.group()).u64(entry.origin.seq);
    out.i64(entry.admitted_at.nanos()).u64(entry.learnt_at);
}

pub(super) fn take_entry(input: &mut Decoder<'_>, form: Form) -> Result<TableEntry, Error> {
    let key = PartKey {
        producer: input.u128()?,
        sequence: input.u64()?,
        chunk: input.u32()?,
    };
    let content = match form {
        Form::V1 => 0,
        Form::V2 | Form::V3 => input.u64()?,
    };
    let policy_epoch = match form {
        Form::V1 | Form::V2 => POLICY_EPOCH_FIRST,
        Form::V3 => input.u64()?,
    };
    let group = input.u64()?;
    let shard = ShardId::from_group(group).ok_or_else(|| input.invalid("a key of no shard"))?;
    Ok(TableEntry {
        key,
        content,
        policy_epoch,
        origin: Origin {
            shard,
            seq: input.u64()?,
        },
        admitted_at: Timestamp::from_nanos(input.i64()?),
        learnt_at: input.u64()?,
    })
}

/// The live table: what was learnt, as far as it is remembered.
#[derive(Default)]
pub(crate) struct Producers {
    now: Timestamp,
    kinds: PerKind<Memory>,
}

/// The keys of one kind, oldest first.
#[derive(Default)]
struct Memory {
    /// Ordinals by key.
    known: BTreeMap<PartKey, u64>,
    order: VecDeque<TableEntry>,
    /// Ordinal of the first in `order`.
    first: u64,
    /// Everything before this ordinal was part of an earlier cut.
    frozen_to: u64,
    keys_max: usize,
}

/// The table at one position, as far as it must be written: which keys, and those that no earlier
/// position had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frozen {
    pub(crate) window: Window,
    pub(crate) fresh: Fresh,
}

impl Producers {
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::default(),
            kinds: PerKind::of(|kind| Memory {
                keys_max: kind.keys_max(),
                ..Memory::default()
            }),
        }
    }

    /// The table as it was written down, whose keys have the ordinals of this window; all of it counts as
    /// written.
    pub(crate) fn restore(table: &Table, window: &Window) -> Self {
        let mut producers = Self {
            now: table.now,
            ..Self::new()
        };
        for kind in Kind::ALL {
            let memory = producers.kinds.get_mut(kind);
            memory.first = window.spans.get(kind).from;
            for entry in table.of_kind(kind) {
                memory.push(*entry);
            }
            memory.frozen_to = memory.next();
        }
        producers
    }

    /// What is known of this key, for a request of this content.
    ///
    /// All pieces of a request carry the digest of the whole of it; so a piece whose number is new is
    /// found out by any other piece of the request that had the key before. Of a record that its client
    /// has named the first one is kept, whatever a later one says.
    pub(crate) fn get(&self, key: &PartKey, content: u64) -> Option<Known> {
        let kind = Kind::of(key);
        let memory = self.kinds.get(kind);
        let known = |entry: &TableEntry, conflict| Known {
            origin: entry.origin,
            policy_epoch: entry.policy_epoch,
            conflict,
        };
        if kind == Kind::Request
            && content != 0
            && let Some(entry) = memory.other_content(key, content)
        {
            return Some(known(entry, true));
        }
        let entry = memory.at(*memory.known.get(key)?)?;
        Some(known(entry, false))
    }

    /// Moves time forward to a block's admission, by a bounded step, and forgets what is too old.
    /// The step is bounded because the admission is by one gateway's clock: one that is days ahead
    /// must not make the shard forget every key at once.
    pub(crate) fn advance(&mut self, admitted_at: Timestamp) {
        let step = self.now.saturating_add(PRODUCER_STEP_NANOS);
        self.now = if self.now == Timestamp::default() {
            admitted_at
        } else {
            self.now.max(admitted_at.min(step))
        };
        for kind in Kind::ALL {
            self.kinds.get_mut(kind).expire(self.now);
        }
    }

    /// Remembers a key that is not known.
    pub(crate) fn remember(&mut self, entry: TableEntry) {
        self.kinds.get_mut(Kind::of(&entry.key)).remember(entry);
    }

    /// The whole table.
    pub(crate) fn table(&self) -> Table {
        let PerKind { requests, records } = &self.kinds;
        let entries = requests.order.iter().chain(&records.order);
        Table {
            now: self.now,
            entries: entries.copied().collect(),
        }
    }

    /// The table as it is now, for a snapshot at this position. What is learnt from now on is part of
    /// the next one, once [`Producers::written`] was told of this one.
    pub(crate) fn freeze(&self) -> Frozen {
        Frozen {
            window: Window {
                now: self.now,
                spans: PerKind::of(|kind| self.kinds.get(kind).span()),
            },
            fresh: PerKind::of(|kind| self.kinds.get(kind).fresh()),
        }
    }

    /// What is before the ends of this window belongs to a snapshot that is written, or will be before the
    /// next one.
    pub(crate) fn written(&mut self, window: &Window) {
        for kind in Kind::ALL {
            let memory = self.kinds.get_mut(kind);
            memory.frozen_to = memory.frozen_to.max(window.spans.get(kind).to);
        }
    }
}

impl Memory {
    /// A remembered piece of the same request, if it was of other content.
    fn other_content(&self, key: &PartKey, content: u64) -> Option<&TableEntry> {
        let piece = |chunk| PartKey { chunk, ..*key };
        let pieces = self.known.range(piece(0)..=piece(u32::MAX));
        let mut pieces = pieces.filter_map(|(_, ordinal)| self.at(*ordinal));
        pieces.find(|entry| entry.content != 0 && entry.content != content)
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(oldest) = self.order.front()
            && oldest.has_expired(now)
        {
            self.forget_oldest();
        }
    }

    fn remember(&mut self, entry: TableEntry) {
        if self.known.contains_key(&entry.key) {
            return;
        }
        if self.order.len() >= self.keys_max {
            self.forget_oldest();
        }
        self.push(entry);
    }

    fn span(&self) -> Span {
        Span {
            from: self.first,
            to: self.next(),
        }
    }

    /// What no earlier snapshot had.
    fn fresh(&self) -> Chunk {
        let first = self.first.max(self.frozen_to);
        let skipped = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        Chunk {
            first,
            entries: self.order.iter().skip(skipped).copied().collect(),
        }
    }

    fn next(&self) -> u64 {
        self.first + self.order.len() as u64
    }

    fn at(&self, ordinal: u64) -> Option<&TableEntry> {
        let place = usize::try_from(ordinal.checked_sub(self.first)?).ok()?;
        self.order.get(place)
    }

    fn push(&mut self, entry: TableEntry) {
        self.known.insert(entry.key, self.next());
        self.order.push_back(entry);
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.known.remove(&oldest.key);
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use hushlog_record::LogId;

    use super::*;

    fn entry(sequence: u64, learnt_at: u64, hours: i64) -> TableEntry {
        TableEntry {
            key: PartKey {
                producer: 7,
                sequence,
                chunk: 0,
            },
            content: sequence,
            policy_epoch: 3 + sequence,
            origin: Origin {
                shard: ShardId { bucket: 1, slot: 0 },
                seq: learnt_at,
            },
            admitted_at: at(hours),
            learnt_at,
        }
    }

    /// The key of a record.
    fn named(number: u8) -> TableEntry {
        TableEntry {
            key: PartKey::of_record(LogId([number; 16])),
            content: 0,
            ..entry(0, u64::from(number), 0)
        }
    }

    /// Holds so many keys of each kind.
    fn holding(keys_max: usize) -> Producers {
        let mut producers = Producers::new();
        for kind in Kind::ALL {
            producers.kinds.get_mut(kind).keys_max = keys_max;
        }
        producers
    }

    /// The first of the new request keys, and how many there are.
    fn fresh(frozen: &Frozen) -> (u64, usize) {
        let chunk = &frozen.fresh.requests;
        (chunk.first, chunk.entries.len())
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_nanos(hours * 3_600 * 1_000_000_000)
    }

    fn sequences(table: &Table) -> Vec<u64> {
        table
            .entries
            .iter()
            .map(|entry| entry.key.sequence)
            .collect()
    }

    #[test]
    fn a_key_is_forgotten_a_day_after_its_block_by_block_times() {
        let mut producers = Producers::new();
        producers.remember(entry(1, 10, 0));
        producers.advance(at(24));
        assert!(producers.get(&entry(1, 0, 0).key, 1).is_some());
        producers.advance(at(25));
        assert!(producers.get(&entry(1, 0, 0).key, 1).is_none());
        // Time never goes back.
        producers.advance(at(1));
        assert_eq!(producers.table().now, at(25));
    }

    #[test]
    fn a_key_with_other_content_is_told_from_a_repeat() {
        let mut producers = Producers::new();
        let first = entry(5, 10, 0);
        producers.remember(first);
        let later = PartKey {
            chunk: 3,
            ..first.key
        };
        let known = |key, content| producers.get(&key, content).map(|known| known.conflict);
        assert_eq!(known(first.key, 5), Some(false));
        assert_eq!(known(first.key, 6), Some(true));
        assert_eq!((known(later, 5), known(later, 6)), (None, Some(true)));
        // What is not known is not held against anybody.
        assert_eq!((known(first.key, 0), known(later, 0)), (Some(false), None));
        let sequence = 6;
        assert_eq!(known(PartKey { sequence, ..later }, 6), None);
    }

    /// A table as earlier builds wrote it.
    fn old(table: &Table, form: Form) -> Vec<u8> {
        let mut old = Encoder::default();
        if form == Form::V2 {
            old.u8(SENT_V2);
        }
        old.i64(table.now.nanos()).len(table.entries.len());
        for entry in &table.entries {
            old.u128(entry.key.producer).u64(entry.key.sequence);
            old.u32(entry.key.chunk);
            if form == Form::V2 {
                old.u64(entry.content);
            }
            old.u64(entry.origin.shard.group()).u64(entry.origin.seq);
            old.i64(entry.admitted_at.nanos()).u64(entry.learnt_at);
        }
        old.finish()
    }

    #[test]
    fn tables_of_earlier_builds_are_still_read() {
        let table = Table {
            now: at(3),
            entries: vec![entry(1, 5, 1), entry(2, 6, 2)],
        };
        assert_eq!(Table::from_bytes(&table.to_bytes()), Ok(table.clone()));
        for form in [Form::V1, Form::V2] {
            let known = |entry: &TableEntry| TableEntry {
                content: if form == Form::V1 { 0 } else { entry.content },
                policy_epoch: 1,
                ..*entry
            };
            let expected = Table {
                now: table.now,
                entries: table.entries.iter().map(known).collect(),
            };
            let read = Table::from_bytes(&old(&table, form));
            assert_eq!(read, Ok(expected), "{form:?}");
        }
    }

    #[test]
    fn one_clock_that_is_days_ahead_does_not_make_it_forget() {
        let mut producers = Producers::new();
        producers.advance(at(1));
        producers.remember(entry(1, 10, 1));
        producers.advance(at(72));
        assert!(producers.get(&entry(1, 0, 0).key, 1).is_some());
        assert_eq!(producers.table().now, at(2));
    }

    #[test]
    fn tables_of_many_slots_settle_to_each_key_once_and_the_newest() {
        let mut table = Table::default();
        for slot in 0..3 {
            let mut own = vec![entry(1, 5, 30), entry(2, 6, 31), entry(3, 7, 2)];
            own.push(entry(10 + slot, 8, 32));
            table.merge(Table {
                now: at(32),
                entries: own,
            });
        }
        let settled = table.clone().settle();
        assert_eq!(sequences(&settled), [1, 2, 10, 11, 12]);
        assert_eq!(sequences(&table.settle_to(|_| 2)), [11, 12]);
    }

    #[test]
    fn the_oldest_key_gives_way_when_the_table_is_full() {
        let mut producers = holding(2);
        for n in 1..=3 {
            producers.remember(entry(n, n, 0));
        }
        assert_eq!(sequences(&producers.table()), [2, 3]);
        assert_eq!(producers.kinds.requests.order.len(), 2);
    }

    #[test]
    fn what_is_frozen_does_not_change_and_holds_what_is_new() {
        let mut producers = holding(3);
        for n in 1..=3 {
            producers.remember(entry(n, n, 0));
        }
        let first = producers.freeze();
        producers.written(&first.window);
        assert_eq!(first.window.spans.requests, Span { from: 0, to: 3 });
        assert_eq!(fresh(&first), (0, 3));
        for n in 5..=6 {
            producers.remember(entry(n, n, 1));
        }
        let second = producers.freeze();
        assert_eq!(second.window.spans.requests, Span { from: 2, to: 5 });
        assert_eq!(fresh(&second), (3, 2));
        // It is not written yet: the next one holds what it holds.
        producers.remember(entry(7, 7, 1));
        assert_eq!(fresh(&producers.freeze()).0, 3);
        producers.written(&second.window);
        for n in 8..=19 {
            producers.remember(entry(n, n, 2));
        }
        // More were learnt than are remembered: those between are of no snapshot.
        let third = producers.freeze();
        assert_eq!(third.window.spans.requests, Span { from: 15, to: 18 });
        assert_eq!(fresh(&third).0, 15);
    }

    #[test]
    fn many_named_records_do_not_make_it_forget_requests_nor_the_other_way_round() {
        let mut producers = holding(3);
        producers.remember(entry(1, 1, 0));
        for n in 1..=9 {
            producers.remember(named(n));
        }
        assert!(producers.get(&entry(1, 0, 0).key, 1).is_some());
        assert!(producers.get(&named(6).key, 0).is_none());
        assert!(producers.get(&named(7).key, 0).is_some());
        for n in 2..=9 {
            producers.remember(entry(n, n, 0));
        }
        assert!(producers.get(&named(7).key, 0).is_some());
        let window = producers.freeze().window;
        assert_eq!(window.spans.requests, Span { from: 6, to: 9 });
        assert_eq!(window.spans.records, Span { from: 6, to: 9 });
        // The same in a table that is handed on.
        let table = producers.table();
        let settled = table.clone().settle_to(|kind| match kind {
            Kind::Request => 1,
            Kind::Record => 2,
        });
        assert_eq!(settled.of_kind(Kind::Request).count(), 1);
        assert_eq!(settled.of_kind(Kind::Record).count(), 2);
        let restored = Producers::restore(&table, &window);
        assert_eq!(restored.table(), table);
        assert_eq!(restored.freeze().window, window);
    }

    #[test]
    fn of_a_named_record_the_first_is_kept_whatever_a_later_one_says() {
        let mut producers = Producers::new();
        let first = TableEntry {
            content: 5,
            ..named(1)
        };
        producers.remember(first);
        let known = producers.get(&first.key, 6).map(|known| known.conflict);
        assert_eq!(known, Some(false));
    }

    #[test]
    fn a_restored_table_goes_on_as_if_nothing_had_happened() {
        let mut producers = Producers::new();
        producers.remember(entry(1, 1, 0));
        producers.remember(entry(2, 2, 5));
        let table = producers.table();
        let mut out = Encoder::default();
        table.encode(&mut out);
        let bytes = out.finish();
        let mut input = Decoder::new("table", &bytes);
        let table = Table::decode(&mut input, Form::V3).unwrap();
        let mut window = Window::of_table(&table);
        window.spans.requests = Span { from: 40, to: 42 };
        let mut restored = Producers::restore(&table, &window);
        for table in [&mut producers, &mut restored] {
            table.advance(at(26));
        }
        assert_eq!(restored.table(), producers.table());
        assert_eq!(sequences(&restored.table()), [2]);
        assert_eq!(restored.freeze().window.spans.requests.from, 41);
        assert_eq!(fresh(&restored.freeze()).1, 0);
    }
}

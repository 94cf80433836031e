//! What comes in of each service, as the leaders of shards see it: a smoothed rate, and how high it was at the
//! busiest.
//!
//! It looks at blocks that were applied, and at their headers alone: a block's bytes are divided between its
//! services by their rows. Blocks that were in a segment before they were looked at are taken to be like the
//! others. Only a leader counts: what a replica catches up with has come long before.

use std::collections::BTreeMap;
use std::time::Duration;

use hushlog_raft::View;
use hushlog_raft::limits::SPREAD_SERVICE_BYTES_MAX;
use hushlog_raft::meta::Rate;
use hushlog_record::ShardId;
use hushlog_record::block::Counts;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::limits::{LOAD_SERVICES_MAX, METERED_SERVICES_MAX};

/// How often blocks are looked at: they are in no segment yet for longer than that.
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// What was measured of one shard at its busiest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// All of it.
    pub(crate) all: Rate,
    /// Its largest services.
    pub(crate) services: BTreeMap<String, Rate>,
}

impl Rates {
    /// Adds what another node, or the same one before, has measured of the same shard: the busiest counts.
    pub(crate) fn or_busier(&mut self, other: &Self) {
        self.all = busier(self.all, other.all);
        for (service, rate) in &other.services {
            match self.services.get_mut(service) {
                Some(known) => *known = busier(*known, *rate),
                None => {
                    self.services.insert(service.clone(), *rate);
                }
            }
        }
        while self.services.len() > 2 * LOAD_SERVICES_MAX {
            let least = self.services.iter().min_by_key(|(_, rate)| rate.bytes);
            let Some(least) = least.map(|(service, _)| service.clone()) else {
                return;
            };
            self.services.remove(&least);
        }
    }
}

/// The higher of each.
pub(crate) fn busier(one: Rate, other: Rate) -> Rate {
    Rate {
        bytes: one.bytes.max(other.bytes),
        records: one.records.max(other.records),
    }
}

/// How something flows: lately, and at the busiest.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    bytes: f64,
    records: f64,
    bytes_most: f64,
    records_most: f64,
}

impl Flow {
    /// Takes what came in a time that weighs so much against what came before.
    fn add(&mut self, came: Came, seconds: f64, weight: f64) {
        self.bytes += (came.bytes / seconds - self.bytes) * weight;
        self.records += (came.records / seconds - self.records) * weight;
        self.bytes_most = self.bytes_most.max(self.bytes);
        self.records_most = self.records_most.max(self.records);
    }

    fn busiest(&self) -> Rate {
        Rate {
            bytes: whole(self.bytes_most),
            records: whole(self.records_most),
        }
    }
}

/// Bytes and rows are far below 2^52.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is counted here is far below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is finite, not negative, and far below the limit; the cast saturates"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

/// What came.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    bytes: f64,
    records: f64,
}

impl Came {
    fn add(&mut self, bytes: f64, records: f64) {
        self.bytes += bytes;
        self.records += records;
    }

    fn times(self, factor: f64) -> Self {
        Self {
            bytes: self.bytes * factor,
            records: self.records * factor,
        }
    }
}

/// A block, as far as it is looked at.
struct Seen<'a> {
    bytes: usize,
    rows: u32,
    counts: &'a Counts,
}

/// What is known of one shard.
struct Meter {
    /// Seqs before this one were looked at.
    counted_to: u64,
    at: Instant,
    all: Flow,
    services: FxHashMap<String, Flow>,
}

impl Meter {
    fn new(applied_to: u64, at: Instant) -> Self {
        Self {
            counted_to: applied_to,
            at,
            all: Flow::default(),
            services: FxHashMap::default(),
        }
    }

    /// Takes what came since the last look; `scale` says for how much the blocks stand that are still to be seen.
    fn add<'a>(
        &mut self,
        blocks: impl Iterator<Item = Seen<'a>>,
        scale: f64,
        now: Instant,
        window: Duration,
    ) {
        let seconds = (now - self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        self.at = now;
        let mut all = Came::default();
        let mut came: FxHashMap<&str, Came> = FxHashMap::default();
        for block in blocks {
            let each = float(block.bytes as u64) / f64::from(block.rows.max(1));
            for level in &block.counts.levels {
                let records = float(level.count);
                all.add(each * records, records);
                // It could not be spread.
                if level.service.len() > SPREAD_SERVICE_BYTES_MAX {
                    continue;
                }
                let of_service = came.entry(level.service.as_str()).or_default();
                of_service.add(each * records, records);
            }
        }
        let weight = 1.0 - (-seconds / window.as_secs_f64()).exp();
        self.all.add(all.times(scale), seconds, weight);
        for (service, flow) in &mut self.services {
            let came = came.remove(service.as_str()).unwrap_or_default();
            flow.add(came.times(scale), seconds, weight);
        }
        if self.services.len() + came.len() > METERED_SERVICES_MAX {
            self.forget_smaller();
        }
        let room = METERED_SERVICES_MAX.saturating_sub(self.services.len());
        // The largest first; and always the same ones.
        let mut came: Vec<(&str, Came)> = came.into_iter().collect();
        came.sort_unstable_by(|(name, one), (other_name, other)| {
            other.bytes.total_cmp(&one.bytes).then(name.cmp(other_name))
        });
        for (service, came) in came.into_iter().take(room) {
            let mut flow = Flow::default();
            flow.add(came.times(scale), seconds, weight);
            self.services.insert(service.to_owned(), flow);
        }
    }

    /// Forgets the smaller half of the services.
    fn forget_smaller(&mut self) {
        let half = self.services.len() / 2;
        let larger: Vec<String> = self
            .by_size()
            .take(half)
            .map(|(_, name)| name.clone())
            .collect();
        let kept = larger
            .into_iter()
            .filter_map(|name| self.services.remove_entry(&name));
        self.services = kept.collect();
    }

    /// Its services, the largest first.
    fn by_size(&self) -> impl Iterator<Item = (Rate, &String)> {
        let rates = self.services.iter();
        let mut rates: Vec<(Rate, &String)> = rates
            .map(|(service, flow)| (flow.busiest(), service))
            .collect();
        rates.sort_unstable_by(|(one, name), (other, other_name)| {
            other.bytes.cmp(&one.bytes).then(name.cmp(other_name))
        });
        rates.into_iter()
    }

    fn rates(&self) -> Rates {
        let largest = self.by_size().take(LOAD_SERVICES_MAX);
        Rates {
            all: self.all.busiest(),
            services: largest
                .map(|(rate, service)| (service.clone(), rate))
                .collect(),
        }
    }
}

/// The meters of one node.
pub(crate) struct Meters {
    /// How long it takes until what came before counts little.
    window: Duration,
    shards: Mutex<BTreeMap<ShardId, Meter>>,
}

impl Meters {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            shards: Mutex::default(),
        }
    }

    /// Looks at a shard that this node leads. CPU work.
    pub(crate) fn look(&self, shard: ShardId, view: &View, now: Instant) {
        let mut shards = self.shards.lock();
        let new = || Meter::new(view.applied_to, now);
        let meter = shards.entry(shard).or_insert_with(new);
        let from = meter.counted_to.max(view.segmented_to);
        let first = view.tail.partition_point(|block| block.seq < from);
        let blocks = view.tail.get(first..).unwrap_or_default().iter();
        let blocks = blocks.map(|block| Seen {
            bytes: block.block.bytes().len(),
            rows: block.block.header().rows,
            counts: block.counts(),
        });
        let scale = scale(meter.counted_to, from, view.applied_to);
        meter.add(blocks, scale, now, self.window);
        meter.counted_to = view.applied_to;
    }

    /// Passes over what a shard has taken that this node does not lead: it was counted elsewhere.
    pub(crate) fn pass(&self, shard: ShardId, applied_to: u64, now: Instant) {
        if let Some(meter) = self.shards.lock().get_mut(&shard) {
            meter.counted_to = applied_to;
            meter.at = now;
        }
    }

    /// Forgets shards of earlier buckets.
    pub(crate) fn keep_since(&self, bucket: u64) {
        self.shards.lock().retain(|shard, _| shard.bucket >= bucket);
    }

    /// What was measured of shards whose bucket is not earlier than this one.
    pub(crate) fn since(&self, bucket: u64) -> BTreeMap<ShardId, Rates> {
        let shards = self.shards.lock();
        let newest = shards.iter().filter(|(shard, _)| shard.bucket >= bucket);
        newest
            .map(|(shard, meter)| (*shard, meter.rates()))
            .collect()
    }
}

/// By how much what is seen of `[seen_from, to)` must be taken to stand for `[from, to)`.
fn scale(from: u64, seen_from: u64, to: u64) -> f64 {
    let seqs = |from: u64| u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
    let (all, seen) = (seqs(from), seqs(seen_from));
    if seen == 0 {
        return 1.0;
    }
    f64::from(all) / f64::from(seen)
}

#[cfg(test)]
mod tests {
    use hushlog_record::Level;
    use hushlog_record::block::LevelCount;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn counts(services: &[(&str, u64)]) -> Counts {
        let level = |(service, count): &(&str, u64)| LevelCount {
            minute: 0,
            service: (*service).to_owned(),
            level: Level::Info,
            count: *count,
        };
        Counts {
            levels: services.iter().map(level).collect(),
            exceptions: Vec::new(),
        }
    }

    /// Adds a block of 100 bytes a row every second.
    fn run(meter: &mut Meter, seconds: u64, services: &[(&str, u64)]) {
        let counts = counts(services);
        let rows: u64 = services.iter().map(|(_, rows)| rows).sum();
        for _ in 0..seconds {
            let seen = Seen {
                bytes: usize::try_from(rows * 100).expect("small"),
                rows: u32::try_from(rows).expect("small"),
                counts: &counts,
            };
            let now = meter.at + Duration::from_secs(1);
            meter.add(std::iter::once(seen), 1.0, now, WINDOW);
        }
    }

    #[test]
    fn a_steady_rate_is_measured_by_service_and_the_busiest_time_is_kept() {
        let mut meter = Meter::new(0, Instant::now());
        run(&mut meter, 100, &[("a", 30), ("b", 10)]);
        let rate = |bytes, records| Rate { bytes, records };
        let steady = meter.rates();
        assert_eq!(steady.all, rate(4_000, 40));
        assert_eq!(steady.services["a"], rate(3_000, 30));
        assert_eq!(steady.services["b"], rate(1_000, 10));
        run(&mut meter, 100, &[("b", 20)]);
        let later = meter.rates();
        assert_eq!(later.all, steady.all);
        assert_eq!(later.services["a"], rate(3_000, 30));
        assert_eq!(later.services["b"], rate(2_000, 20));
    }

    #[test]
    fn a_name_that_is_too_long_counts_without_its_service() {
        let mut meter = Meter::new(0, Instant::now());
        let long = "s".repeat(SPREAD_SERVICE_BYTES_MAX + 1);
        run(&mut meter, 100, &[(&long, 10)]);
        assert_eq!(meter.rates().all.records, 10);
        assert!(meter.services.is_empty());
    }

    #[test]
    fn a_moment_is_no_rate() {
        let mut meter = Meter::new(0, Instant::now());
        run(&mut meter, 1, &[("a", 1_000)]);
        run(&mut meter, 50, &[("a", 1)]);
        assert!(meter.rates().services["a"].records < 100);
    }

    #[test]
    fn what_was_in_a_segment_before_it_was_seen_is_taken_to_be_like_the_rest() {
        assert!((scale(10, 10, 20) - 1.0).abs() < 1e-9);
        assert!((scale(10, 15, 20) - 2.0).abs() < 1e-9);
        assert!((scale(10, 20, 20) - 1.0).abs() < 1e-9, "there is nothing");
    }

    #[test]
    fn however_many_services_there_are_the_largest_are_known() {
        let mut meter = Meter::new(0, Instant::now());
        let at = |number: u64, rows| (format!("s{number}"), rows);
        let many: Vec<(String, u64)> = (0..3_000).map(|n| at(n, 1 + n % 7)).collect();
        for part in many.chunks(500) {
            let mut part: Vec<(&str, u64)> = part.iter().map(|(s, n)| (s.as_str(), *n)).collect();
            part.push(("hot", 5_000));
            run(&mut meter, 3, &part);
            assert!(meter.services.len() <= METERED_SERVICES_MAX);
        }
        let rates = meter.rates();
        assert_eq!(rates.services.len(), LOAD_SERVICES_MAX);
        let most = rates.services.values().map(|rate| rate.bytes).max();
        assert_eq!(most, Some(rates.services["hot"].bytes));
    }

    #[test]
    fn the_busiest_of_two_counts_and_few_services_are_kept() {
        let rate = |bytes| Rate { bytes, records: 1 };
        let of = |services: &[(String, u64)]| Rates {
            all: rate(services.iter().map(|(_, bytes)| bytes).sum()),
            services: services
                .iter()
                .map(|(s, b)| (s.clone(), rate(*b)))
                .collect(),
        };
        let mut all = of(&[("a".into(), 5), ("b".into(), 1)]);
        all.or_busier(&of(&[("a".into(), 4), ("b".into(), 4)]));
        assert_eq!(all.all, rate(8));
        assert_eq!(all.services["a"], rate(5));
        assert_eq!(all.services["b"], rate(4));
        let many: Vec<(String, u64)> = (0..1_000).map(|n| (n.to_string(), n)).collect();
        all.or_busier(&of(&many));
        assert_eq!(all.services.len(), 2 * LOAD_SERVICES_MAX);
        assert!(all.services.contains_key("999") && !all.services.contains_key("a"));
    }
}

//! Which rows of a finished shard are past for good while others stay, and whether it pays to write anew what is
//! left; and how that is done.
//!
//! Times are cut at whole minutes, as summaries count by them: so it is known without a look at a row how many are
//! past, of which segment and of which service. Segments with none of them stay as they are, those of which all
//! rows are past go, and only the others are written anew. What is left depends on the segments and on the cut-off
//! times alone: it is the same wherever it is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hushlog_query::Floors;
use hushlog_raft::limits::{CUTOFF_SERVICE_BYTES_MAX, CUTOFF_SERVICES_MAX};
use hushlog_raft::meta::Cutoffs;
use hushlog_record::Timestamp;
use hushlog_sketch::Summary;
use hushlog_storage::manifest::{Manifest, SegmentMeta};
use hushlog_storage::segment::SUMMARY_FILE;
use tokio::time::Instant;

use super::replica::Error;
use super::retention::{Periods, Source, nanos};
use super::{BuildSeconds, build};
use crate::offload::Offload;

/// A shard is written anew when one row in so many is past, at least: each row is written a few times at most then.
const PAST_ONE_IN: u64 = 4;
/// It is not, when its bucket goes anyway before one part in so many of the longest retention is over.
const STAYS_ONE_IN: u32 = 8;

/// What a shard has of one service, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    first: i64,
    /// The last one; those from the future do not count.
    last: i64,
    /// Rows up to that one.
    rows: u64,
}

/// What a shard has of each service.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    services: BTreeMap<String, Tally>,
    rows: u64,
}

impl Contents {
    /// Of the segments that lie in `folder`. What is after `latest` is from the future: it may be there for long.
    /// Blocks on the disk.
    pub(crate) fn read(
        folder: &Path,
        manifest: &Manifest,
        latest: Timestamp,
    ) -> Result<Self, build::Error> {
        let mut contents = Self::default();
        for segment in &manifest.segments {
            contents.add(&summary(folder, segment)?, latest.minute());
        }
        Ok(contents)
    }

    fn add(&mut self, summary: &Summary, latest: i64) {
        for cell in summary.levels(i64::MIN..i64::MAX, None) {
            self.rows = self.rows.saturating_add(cell.count);
            let usual = cell.minute <= latest;
            let (last, rows) = if usual {
                (cell.minute, cell.count)
            } else {
                (i64::MIN, 0)
            };
            match self.services.get_mut(cell.service) {
                Some(known) => {
                    known.first = known.first.min(cell.minute);
                    known.last = known.last.max(last);
                    known.rows = known.rows.saturating_add(rows);
                }
                None => {
                    let first = cell.minute;
                    let tally = Tally { first, last, rows };
                    self.services.insert(cell.service.to_owned(), tally);
                }
            }
        }
    }

    /// From when on it pays to write the shard anew: when all rows are past of services that have enough of them.
    /// Waiting for the last row of a service saves writing the others' once for each part of it.
    pub(crate) fn due_at(&self, periods: &Periods, margin: Duration) -> Option<Timestamp> {
        let past_at = |(service, tally): (&String, &Tally)| {
            let kept = periods.of(service).0.saturating_add(margin);
            let end = Timestamp::from_minute(tally.last.saturating_add(1));
            (end.saturating_add(nanos(kept)), tally.rows)
        };
        let is_ruled = |service: &str| periods.of(service).1 != Source::Configuration;
        let usual = self.services.iter();
        let usual = usual.filter(|(name, tally)| tally.rows > 0 && is_ruled(name));
        let mut ends: Vec<(Timestamp, u64)> = usual.map(past_at).collect();
        ends.sort_unstable();
        let mut past = 0;
        let due = ends.into_iter().find(|(_, rows)| {
            past += rows;
            pays(past, self.rows)
        });
        due.map(|(at, _)| at)
    }

    /// What is past now by a rule, and has been for `margin`. Where too many services have rules of their own, those
    /// with the most rows. The configuration is no rule: each node has its own, and may be the only one to have it so.
    pub(crate) fn cutoffs(&self, periods: &Periods, now: Timestamp, margin: Duration) -> Cutoffs {
        let before = |kept: Duration| {
            let at = now.saturating_add(-nanos(kept.saturating_add(margin)));
            Timestamp::from_minute(at.minute())
        };
        let at = |service: &str| before(periods.of(service).0);
        let has_rule = |service: &str| periods.of(service).1 == Source::Rule;
        let is_past = |service: &str, tally: &Tally| at(service).minute() > tally.first;
        let mut rest = self.services.iter().filter(|(name, _)| !has_rule(name));
        let rest_is_ruled = periods.by_default().1 != Source::Configuration;
        let rest_is_past = rest_is_ruled && rest.any(|(name, tally)| is_past(name, tally));
        let none = Cutoffs::default();
        let default = if rest_is_past {
            before(periods.by_default().0)
        } else {
            none.default
        };
        let ruled = self.services.iter().filter(|(name, tally)| {
            has_rule(name) && at(name) != default && (rest_is_past || is_past(name, tally))
        });
        let exact = Cutoffs {
            default,
            services: ruled.map(|(name, _)| (name.clone(), at(name))).collect(),
        };
        if exact.fits() {
            return exact;
        }
        let past = self
            .services
            .iter()
            .filter(|(name, _)| rest_is_ruled || has_rule(name))
            .filter(|(name, tally)| is_past(name, tally) && name.len() <= CUTOFF_SERVICE_BYTES_MAX);
        let mut largest: Vec<(&String, &Tally)> = past.collect();
        largest.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.rows));
        let named = largest.into_iter().take(CUTOFF_SERVICES_MAX / 2);
        Cutoffs {
            services: named.map(|(name, _)| (name.clone(), at(name))).collect(),
            ..none
        }
    }
}

/// Whether so many rows that are past are enough.
pub(crate) fn pays(past: u64, rows: u64) -> bool {
    past > 0 && past.saturating_mul(PAST_ONE_IN) >= rows
}

/// Whether a bucket that goes at `over_at` stays long enough.
pub(crate) fn stays(over_at: Timestamp, now: Timestamp, longest: Duration) -> bool {
    over_at.nanos().saturating_sub(now.nanos()) >= nanos(longest / STAYS_ONE_IN)
}

/// Rows that are left out, by service.
pub(crate) type LeftOut = BTreeMap<String, u64>;

/// Whether the rows of a minute are left out.
pub(crate) fn is_left_out(cutoffs: &Cutoffs, service: &str, minute: i64) -> bool {
    minute < cutoffs.of(service).minute()
}

/// Adds the rows of a segment that are left out.
fn count_left_out(cutoffs: &Cutoffs, summary: &Summary, services: &mut LeftOut) -> u64 {
    let mut all = 0u64;
    for cell in summary.levels(i64::MIN..i64::MAX, None) {
        if !is_left_out(cutoffs, cell.service, cell.minute) {
            continue;
        }
        all = all.saturating_add(cell.count);
        match services.get_mut(cell.service) {
            Some(rows) => *rows = rows.saturating_add(cell.count),
            None => {
                services.insert(cell.service.to_owned(), cell.count);
            }
        }
    }
    all
}

/// The same times, for a question.
pub(crate) fn floors(cutoffs: &Cutoffs) -> Floors {
    let services = cutoffs.services.iter();
    Floors::new(
        cutoffs.default,
        services.map(|(name, at)| (name.clone(), *at)),
    )
}

/// What is to become of the segments of a shard.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    /// In the order of the manifest: how many rows each loses.
    segments: Vec<(SegmentMeta, u64)>,
    /// Of all of them.
    pub(crate) left_out: LeftOut,
}

impl Fates {
    /// Of the segments that lie in `folder`. Blocks on the disk.
    pub(crate) fn read(
        folder: &Path,
        manifest: &Manifest,
        cutoffs: &Cutoffs,
    ) -> Result<Self, build::Error> {
        let mut fates = Self::default();
        for segment in &manifest.segments {
            let summary = summary(folder, segment)?;
            let rows = count_left_out(cutoffs, &summary, &mut fates.left_out);
            fates.segments.push((segment.clone(), rows));
        }
        Ok(fates)
    }

    /// Rows that are left out.
    pub(crate) fn rows(&self) -> u64 {
        self.segments.iter().map(|(_, rows)| rows).sum()
    }
}

/// The summary of a segment, from its file, or from its rows if that is lost.
fn summary(folder: &Path, segment: &SegmentMeta) -> Result<Summary, build::Error> {
    let file = segment.file(SUMMARY_FILE)?;
    let read = file.read(&folder.join(segment.folder_name()));
    if let Some(summary) = read.ok().and_then(|bytes| Summary::decode(&bytes).ok()) {
        return Ok(summary);
    }
    let summary = build::open(folder, segment)?.summary;
    Ok(summary
        .map(|summary| Summary::clone(&summary))
        .unwrap_or_default())
}

/// Builds what is left of a shard whose segments lie in `folder`: what its manifest is then. After each segment it
/// rests for as long as that took.
pub(crate) async fn rewritten(
    folder: PathBuf,
    manifest: &Manifest,
    fates: Fates,
    cutoffs: &Cutoffs,
    (builder, seconds): (&Offload, &BuildSeconds),
) -> Result<Manifest, Error> {
    let mut segments = Vec::new();
    for (segment, left_out) in fates.segments {
        if left_out == 0 {
            segments.push(segment);
            continue;
        }
        let Some(kept) = segment.rows.checked_sub(left_out).filter(|kept| *kept > 0) else {
            continue;
        };
        let began = Instant::now();
        let (folder, cutoffs) = (folder.clone(), cutoffs.clone());
        let rewrite = move || build::rewrite(&folder, &segment, &cutoffs, kept);
        let built = builder.run(rewrite).await??;
        seconds.add(built.times);
        seconds.rewritten.increment();
        seconds.rewritten_rows.add(kept);
        segments.push(built.meta);
        tokio::time::sleep(began.elapsed()).await;
    }
    Ok(Manifest {
        generation: manifest.generation + 1,
        segments,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hushlog_raft::meta::{Retention, State};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn periods(default: Duration, services: &[(&str, Duration)]) -> Periods {
        let services = services.iter().map(|(name, p)| ((*name).to_owned(), *p));
        let retention = Retention {
            default: Some(default),
            services: services.collect(),
            ..Retention::default()
        };
        let facts = State {
            retention,
            ..State::default()
        };
        Periods::new(Arc::new(facts), MINUTE)
    }

    #[test]
    fn the_configuration_alone_leaves_nothing_out() {
        let contents = contents(&[("a", 1, 5), ("b", 2, 5)]);
        let now = Timestamp::from_minute(100_000);
        let none = Periods::new(Arc::new(State::default()), MINUTE);
        assert_eq!(contents.due_at(&none, MINUTE), None);
        assert_eq!(contents.cutoffs(&none, now, MINUTE), Cutoffs::default());
        let ruled = periods(MINUTE, &[]);
        assert!(contents.due_at(&ruled, MINUTE).is_some());
        assert_ne!(contents.cutoffs(&ruled, now, MINUTE), Cutoffs::default());
    }

    /// So many rows of these services in these minutes; those after minute 100 are from the future.
    fn contents(rows: &[(&str, i64, u64)]) -> Contents {
        let mut contents = Contents::default();
        contents.add(&summary_of(rows), 100);
        contents
    }

    fn summary_of(rows: &[(&str, i64, u64)]) -> Summary {
        let mut summary = Summary::new();
        for (service, minute, count) in rows {
            summary.add_level(*minute, service, 1, *count);
        }
        summary
    }

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_minute(minute)
    }

    #[test]
    fn it_pays_when_the_last_rows_of_enough_services_are_past() {
        let rules = periods(100 * HOUR, &[("a", HOUR), ("b", 2 * HOUR)]);
        let due = |rows: &[(&str, i64, u64)]| contents(rows).due_at(&rules, MINUTE);
        // A minute until it ends, an hour of its rule, a minute of grace.
        assert_eq!(due(&[("a", 5, 1), ("c", 5, 3)]), Some(minute(67)));
        assert_eq!(
            due(&[("a", 5, 1), ("a", 9, 1), ("c", 5, 3)]),
            Some(minute(71))
        );
        // One alone is not enough, both are.
        let both = due(&[("a", 5, 1), ("b", 5, 1), ("c", 5, 5)]);
        assert_eq!(both, Some(minute(127)));
        let few = due(&[("a", 5, 1), ("c", 5, 4)]);
        assert_eq!(few, Some(minute(100 * 60 + 7)), "with those of the others");
        // What is from the future neither counts nor is waited for.
        let future = due(&[("a", 5, 2), ("a", 900, 1), ("c", 5, 2)]);
        assert_eq!(future, Some(minute(67)));
        assert_eq!(due(&[("a", 900, 7)]), None);
        assert_eq!(due(&[]), None);
    }

    #[test]
    fn what_is_past_is_named_as_shortly_as_it_can_be() {
        let rules = periods(10 * HOUR, &[("a", HOUR), ("long", 90 * HOUR), ("z", HOUR)]);
        let rows = [("a", 5, 1), ("long", 5, 1), ("c", 500, 1)];
        let now = minute(10 * 60 + 31).saturating_add(7);
        let at = |now| contents(&rows).cutoffs(&rules, now, MINUTE);
        let first = at(now);
        assert_eq!(first.default.nanos(), i64::MIN, "nothing of c is past");
        let named: Vec<_> = first.services.iter().collect();
        assert_eq!(named, [(&"a".to_owned(), &minute(9 * 60 + 30))]);
        // Of those without a rule some are: whoever keeps longer is named too.
        let later = at(minute(20 * 60));
        assert_eq!(later.default, minute(10 * 60 - 1));
        assert_eq!(later.of("long"), minute(20 * 60 - 90 * 60 - 1));
        assert_eq!(later.of("a"), minute(19 * 60 - 1));
        assert_eq!(later.services.len(), 2, "z is not there");
        assert_eq!(at(minute(30)), Cutoffs::default());
    }

    #[test]
    fn where_too_many_services_have_rules_the_largest_are_named() {
        let names: Vec<String> = (0..=CUTOFF_SERVICES_MAX).map(|n| format!("s{n}")).collect();
        let rules: Vec<_> = names.iter().map(|name| (name.as_str(), HOUR)).collect();
        let rules = periods(90 * HOUR, &rules);
        let mut rows: Vec<_> = names.iter().map(|name| (name.as_str(), 5, 2)).collect();
        rows[7].2 = 9;
        let cutoffs = contents(&rows).cutoffs(&rules, minute(100), MINUTE);
        assert_eq!(cutoffs.services.len(), CUTOFF_SERVICES_MAX / 2);
        assert_eq!(cutoffs.of("s7"), minute(39));
        assert!(cutoffs.fits() && cutoffs.or(&cutoffs).fits());
    }

    #[test]
    fn rows_are_left_out_by_minutes_and_counted_by_service() {
        let cutoffs = Cutoffs {
            default: minute(10),
            services: BTreeMap::from([("a".to_owned(), minute(20))]),
        };
        let rows = [("a", 19, 3), ("a", 20, 1), ("b", 9, 2), ("b", 10, 1)];
        let mut services = LeftOut::new();
        let all = count_left_out(&cutoffs, &summary_of(&rows), &mut services);
        assert_eq!(all, 5);
        let expected = [("a", 3), ("b", 2)].map(|(name, rows)| (name.to_owned(), rows));
        assert_eq!(services, BTreeMap::from(expected));
        // As a question sees it.
        let floors = floors(&cutoffs);
        for (service, at, _) in rows {
            let hidden = minute(at).nanos() < floors.of(service);
            assert_eq!(is_left_out(&cutoffs, service, at), hidden);
        }
    }

    #[test]
    fn a_bucket_that_goes_soon_is_not_written_anew() {
        assert!(stays(minute(80), minute(20), 8 * HOUR));
        assert!(!stays(minute(80), minute(21), 8 * HOUR));
        assert!(!stays(minute(80), minute(90), 8 * HOUR));
        assert!(pays(1, 4) && !pays(1, 5) && !pays(0, 0) && pays(3, 3));
    }
}

//! What must be true after the faults: every answer held against the history of the load.
//!
//! Reads only; knows nothing of the faults. Sentences begin with the checker's name in the design.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::load::{Fate, History, Load};
use crate::client::Client;
use crate::corpus::{Corpus, Run, service_name};
use crate::main_job::Check;
use crate::oracle::Oracle;

const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Records of one slice of event time; below the largest page.
const SLICE: u64 = 8_000;
const PAGE: u64 = 10_000;
const POLL: Duration = Duration::from_millis(100);
/// How long after the heal until every answer must be whole.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
/// Sentences listed for one kind of breach.
const LISTED: usize = 5;
/// Random records looked up by id and by token.
const SAMPLES: usize = 200;

/// What one node answered for everything: how often each record is there.
struct ReadBack {
    times: BTreeMap<u64, u32>,
    ids: Vec<(u64, String)>,
}

/// What is looked at of an answer; every byte of it is searched for personal data besides.
#[derive(Deserialize)]
struct Answer {
    partial: bool,
    total: u64,
    logs: Vec<Log>,
}

/// One record of an answer.
#[derive(Debug, Deserialize)]
struct Log {
    log_id: String,
    service_name: String,
    level: String,
    fields: Fields,
}

#[derive(Debug, Deserialize)]
struct Fields {
    ticket: String,
    attempt: u32,
    latency_ms: u32,
}

/// Waits until a node counts everything in a whole answer.
pub async fn whole_count(url: &str, within: Duration) -> Result<u64> {
    let client = Client::new(within.min(CALL_DEADLINE));
    let started = Instant::now();
    loop {
        let reply = client
            .post_json(&format!("{url}/api/v1/logs/query"), &json!({"limit": 0}))
            .await;
        let last = match reply {
            Ok(reply) if reply.status == 200 => {
                let answer = reply.json()?;
                ensure!(answer["partial"] == json!(false), "200 with {answer}");
                return answer["total"].as_u64().context("no total");
            }
            Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
            Err(error) => format!("{error:#}"),
        };
        if started.elapsed() > within {
            bail!("no whole answer within {within:?}; last: {last}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until a node has sealed all that it holds of buckets that have long been over.
pub async fn sealed(url: &str, within: Duration) -> Result<()> {
    let client = Client::new(CALL_DEADLINE);
    let started = Instant::now();
    loop {
        let reply = client
            .get(&format!("{url}/api/v1/cluster?scope=node"))
            .await?
            .json()?;
        let open = reply["open_bucket"]["bucket"].as_u64().unwrap_or(0);
        let none = Vec::new();
        let shards = reply["shards"].as_array().unwrap_or(&none);
        let name = |shard: &Value| shard["shard"].as_str().unwrap_or("").to_owned();
        let over = shards.iter().filter(|shard| {
            // The bucket before the open one may still be on its way.
            let bucket = name(shard);
            let bucket = bucket.trim_start_matches('b').split('-').next();
            let bucket = bucket.and_then(|bucket| bucket.parse::<u64>().ok());
            bucket.is_some_and(|bucket| bucket + 1 < open)
        });
        let (sealed, late): (Vec<_>, Vec<_>) = over.partition(|s| s["state"] == json!("sealed"));
        if !sealed.is_empty() && late.is_empty() {
            return Ok(());
        }
        if started.elapsed() > within {
            let late: Vec<String> = late.into_iter().map(name).collect();
            bail!(
                "{} shards are sealed within {within:?}, not {late:?}",
                sealed.len()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Records of the slice that were acknowledged, given how many each batch has by its first; a batch may begin
/// before the slice, and end behind it.
fn acked_in(batches: &BTreeMap<u64, u64>, slice: Range<u64>) -> impl Iterator<Item = u64> {
    let longest = batches.values().max().copied().unwrap_or(0);
    let near = batches.range(slice.start.saturating_sub(longest)..slice.end);
    near.flat_map(|(first, count)| *first..first + count)
        .filter(move |index| slice.contains(index))
}

/// Every answer of one node is right, or says that it is not whole, as far as it is about the `last` records
/// that were sent. Asked while the load goes on.
pub async fn honest(url: &str, load: &Load, last: u64) -> Result<()> {
    let acked = load.acked_batches();
    let plan = load.plan();
    let client = Client::new(CALL_DEADLINE);
    let first = plan.records.saturating_sub(last);
    for from in (first..plan.records).step_by(usize::try_from(SLICE)?) {
        let to = (from + SLICE).min(plan.records);
        let Some((whole, logs)) = slice(&client, url, &plan, from..to).await? else {
            continue;
        };
        let mut there = BTreeMap::<u64, u32>::new();
        for log in &logs {
            let index = right_record(log, &plan, load.corpus())?;
            *there.entry(index).or_default() += 1;
        }
        if let Some((index, _)) = there.iter().find(|(_, times)| **times > 1) {
            bail!("record {index} is there more than once");
        }
        let lost = acked_in(&acked, from..to).find(|index| !there.contains_key(index));
        if let (true, Some(lost)) = (whole, lost) {
            bail!("a whole answer lacks record {lost}, acknowledged before");
        }
    }
    Ok(())
}

/// One slice: whether it says that it is whole, and its records; `None` when it was refused.
async fn slice(
    client: &Client,
    url: &str,
    plan: &Run,
    range: Range<u64>,
) -> Result<Option<(bool, Vec<Log>)>> {
    let body = json!({
        "filters": {"timestamp_range": {
            "start": rfc3339(plan.timestamp_nanos(range.start)),
            // One nanosecond early, so that the slice is right whether the end counts or not.
            "end": rfc3339(plan.timestamp_nanos(range.end) - 1),
        }},
        "limit": PAGE,
    });
    let reply = client
        .post_json(&format!("{url}/api/v1/logs/query"), &body)
        .await?;
    match reply.status.as_u16() {
        200 | 206 => {
            crate::leaks::check_bytes(&reply.body, plan).context("C9: in an answer")?;
            let answer: Answer = serde_json::from_slice(&reply.body)
                .context("C1: an answer with records that nobody sent so")?;
            let whole = reply.status == 200 && !answer.partial;
            ensure!(
                usize::try_from(answer.total)? == answer.logs.len(),
                "total {} with {} records",
                answer.total,
                answer.logs.len()
            );
            Ok(Some((whole, answer.logs)))
        }
        429 | 503 | 504 => Ok(None),
        status => bail!(
            "a query answers {status}: {}",
            String::from_utf8_lossy(&reply.body)
        ),
    }
}

/// The number of a record, whose content must be what was sent under it.
fn right_record(log: &Log, plan: &Run, corpus: &Corpus) -> Result<u64> {
    let token = &log.fields.ticket;
    let index = token
        .rsplit('x')
        .next()
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .filter(|index| plan.token(*index) == *token)
        .with_context(|| format!("C2: a token nobody sent: {token}"))?;
    let sent = corpus.drawn(plan, index);
    let same = log.service_name == service_name(sent.service)
        && log.level == sent.level
        && log.fields.latency_ms == sent.latency_ms
        && log.fields.attempt == sent.attempt;
    ensure!(same, "C1: record {index} is not what was sent: {log:?}");
    Ok(index)
}

/// Everything, through one node; every slice must be whole in the end.
async fn read_back(url: &str, plan: &Run, corpus: &Corpus) -> Result<ReadBack> {
    let client = Client::new(CALL_DEADLINE);
    let mut back = ReadBack {
        times: BTreeMap::new(),
        ids: Vec::new(),
    };
    for from in (0..plan.records).step_by(usize::try_from(SLICE)?) {
        let range = from..(from + SLICE).min(plan.records);
        let started = Instant::now();
        let logs = loop {
            match slice(&client, url, plan, range.clone()).await {
                Ok(Some((true, logs))) => break logs,
                Err(error) if started.elapsed() > WHOLE_WITHIN => return Err(error),
                _ if started.elapsed() > WHOLE_WITHIN => {
                    bail!("C11: slice {range:?} is never whole");
                }
                _ => tokio::time::sleep(POLL).await,
            }
        };
        for log in logs {
            let index = right_record(&log, plan, corpus)?;
            *back.times.entry(index).or_default() += 1;
            back.ids.push((index, log.log_id));
        }
    }
    Ok(back)
}

/// C1, C2, C10, C11 through every sound node; sentences of what is broken.
pub async fn all(
    sound: &[String],
    history: &History,
    plan: &Run,
    corpus: &Corpus,
) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let unknown = history
        .batches
        .values()
        .filter(|(_, fate)| *fate == Fate::Unknown)
        .count();
    if unknown > 0 {
        broken.push(format!(
            "C11: {unknown} batches were not acknowledged after the heal"
        ));
    }
    for url in sound {
        if let Err(error) = whole_count(url, WHOLE_WITHIN).await {
            broken.push(format!("C11: {url}: {error:#}"));
            return Ok(broken);
        }
    }
    let mut ids = Vec::new();
    for (number, url) in sound.iter().enumerate() {
        match read_back(url, plan, corpus).await {
            Ok(back) => {
                broken.extend(
                    compare(&back, history)
                        .into_iter()
                        .map(|said| format!("{url}: {said}")),
                );
                if number == 0 {
                    ids = back.ids;
                }
            }
            Err(error) => broken.push(format!("{url}: {error:#}")),
        }
    }
    // Totals are only defined when every fate is known.
    if broken.is_empty() {
        let oracle = oracle(history, plan, corpus);
        let check = Check::of(sound.to_vec(), plan);
        for (name, outcome) in [
            ("C8", check.samples(&ids, SAMPLES).await),
            ("C10", check.totals(&oracle).await),
            ("C10", check.top_k(&oracle).await),
            ("C9", check.planted_data_is_in_no_answer().await),
        ] {
            if let Err(error) = outcome {
                broken.push(format!("{name}: {error:#}"));
            }
        }
    }
    Ok(broken)
}

/// C1 and C2 of one read-back.
fn compare(back: &ReadBack, history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let mut note = |name: &str, indexes: Vec<u64>| {
        if let Some(first) = indexes.first() {
            let some: Vec<_> = indexes.iter().take(LISTED).collect();
            let batch = history
                .batches
                .range(..=first)
                .next_back()
                .map_or(0, |(from, _)| *from);
            let tries: Vec<_> = history
                .attempts
                .iter()
                .filter(|attempt| attempt.from == batch)
                .collect();
            broken.push(format!(
                "{name}: {} records, first {some:?}; {tries:?}",
                indexes.len()
            ));
        }
    };
    let of = |wanted: Fate| {
        history
            .batches
            .iter()
            .filter(move |(_, (_, fate))| *fate == wanted)
            .flat_map(|(from, (count, _))| *from..from + count)
    };
    let there = |index: &u64| back.times.contains_key(index);
    note(
        "C1 acknowledged and lost",
        of(Fate::Acked).filter(|i| !there(i)).collect(),
    );
    note(
        "C2 refused and there",
        of(Fate::Refused).filter(there).collect(),
    );
    let twice = back.times.iter().filter(|(_, times)| **times > 1);
    note("C2 there twice", twice.map(|(index, _)| *index).collect());
    let sent = history
        .batches
        .iter()
        .next_back()
        .map_or(0, |(from, (count, _))| from + count);
    note(
        "C2 never sent",
        back.times
            .keys()
            .copied()
            .filter(|index| *index >= sent)
            .collect(),
    );
    broken
}

fn oracle(history: &History, plan: &Run, corpus: &Corpus) -> Oracle {
    let mut oracle = Oracle::default();
    for (from, (count, fate)) in &history.batches {
        if *fate == Fate::Acked {
            for index in *from..from + count {
                oracle.add(&corpus.drawn(plan, index));
            }
        }
    }
    oracle
}

fn rfc3339(nanos: i64) -> String {
    hushlog_record::Timestamp::from_nanos(nanos).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        history.batches.insert(0, (2, Fate::Acked));
        history.batches.insert(2, (2, Fate::Refused));
        history.batches.insert(4, (2, Fate::Unknown));
        history
    }

    fn broken(there: &[u64]) -> Vec<String> {
        let mut times = BTreeMap::new();
        for index in there {
            *times.entry(*index).or_default() += 1;
        }
        let back = ReadBack {
            times,
            ids: Vec::new(),
        };
        compare(&back, &history())
    }

    #[test]
    fn each_breach_is_seen_and_nothing_else() {
        assert!(broken(&[0, 1]).is_empty());
        assert!(
            broken(&[0, 1, 4]).is_empty(),
            "unknown may be there in part"
        );
        for (there, name) in [
            (&[0][..], "C1 acknowledged and lost"),
            (&[0, 1, 2], "C2 refused and there"),
            (&[0, 1, 1], "C2 there twice"),
            (&[0, 1, 4, 4], "C2 there twice"),
            (&[0, 1, 9], "C2 never sent"),
        ] {
            let broken = broken(there);
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert!(broken[0].starts_with(name), "{broken:?}");
        }
    }
}

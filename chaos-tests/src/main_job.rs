//! The main job: a million records into three nodes while one of them dies and returns, then every
//! answer held against the oracle.
//!
//! Clients retry with the same idempotency key until they get an answer, on another node each time;
//! so what is acknowledged is everything, and everything must be there exactly once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hyper::Method;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{Cluster, Ports};
use crate::corpus::{Corpus, Run, SERVICES, is_planted_exception, service_name};
use crate::leaks;
use crate::oracle::Oracle;

const CLIENTS: u64 = 4;
const BATCH: u64 = 500;
const PAGE: usize = 10_000;
const SAMPLES: usize = 10_000;
const SAMPLING_CLIENTS: usize = 4;
const SEND_DEADLINE: Duration = Duration::from_secs(900);
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How the job runs.
pub struct Settings<'a> {
    /// The `hushlog` binary.
    pub binary: &'a Path,
    /// Folder for all data; the caller owns it.
    pub data: &'a Path,
    /// Where the nodes listen.
    pub ports: Ports,
    /// How many records.
    pub records: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Receives one line per step.
    pub say: &'a (dyn Fn(String) + Sync),
}

/// What the job measured on the way; for people, never asserted.
#[derive(Debug)]
pub struct Report {
    /// Records acknowledged and verified.
    pub records: u64,
    /// Seconds that sending took.
    pub send_seconds: f64,
    /// Longest time between two acknowledgements anywhere.
    pub longest_gap: Duration,
}

/// Runs the job; an error says which promise was broken.
pub async fn run(settings: &Settings<'_>) -> Result<Report> {
    let say = settings.say;
    let corpus = Arc::new(Corpus::load()?);
    say(corpus.origin.clone());
    let plan = Run {
        seed: settings.seed,
        records: settings.records,
        first_nanos: first_event_time(settings.records)?,
        step_nanos: STEP_NANOS,
    };
    let mut cluster = Cluster::start(settings.binary, settings.data, 3, settings.ports).await?;
    say(format!(
        "three nodes are ready below {}",
        settings.data.display()
    ));
    let (oracle, report) = send_while_a_node_dies(&mut cluster, &corpus, &plan, say).await?;
    say(format!(
        "{} records acknowledged in {:.1} s, longest pause between acks {:?}",
        report.records, report.send_seconds, report.longest_gap
    ));
    cluster.wait_ready().await?;
    let check = Check::new(&cluster, &plan);
    let ids = check.every_record_is_there_once(say).await?;
    check.samples_by_id_and_token(&ids, say).await?;
    check.totals(&oracle).await?;
    say("totals per service and level equal what was sent".into());
    check.top_k(&oracle).await?;
    say("top-k equals the true counts".into());
    check.planted_data_is_in_no_answer().await?;
    say(check.segments_were_shipped().await?);
    cluster.stop().await?;
    let scanned = leaks::scan(settings.data, &plan)?;
    say(format!("no planted personal data in {scanned}"));
    Ok(report)
}

/// Event time moves 2 ms a record: a million records span 33 minutes, all within the last hour.
const STEP_NANOS: i64 = 2_000_000;

fn first_event_time(records: u64) -> Result<i64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let span = i64::try_from(records)?.saturating_mul(STEP_NANOS);
    Ok(i64::try_from(now.as_nanos())? - span - 1_000_000_000)
}

async fn send_while_a_node_dies(
    cluster: &mut Cluster,
    corpus: &Arc<Corpus>,
    plan: &Run,
    say: &(dyn Fn(String) + Sync),
) -> Result<(Oracle, Report)> {
    let urls: Arc<Vec<String>> = Arc::new(
        cluster
            .nodes()
            .iter()
            .map(|n| format!("http://{}/api/v1/logs", n.http))
            .collect(),
    );
    let next = Arc::new(AtomicU64::new(0));
    let acked = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let sender = Sender {
            client: Client::new(CALL_DEADLINE),
            urls: urls.clone(),
            corpus: corpus.clone(),
            plan: plan.clone(),
            next: next.clone(),
            acked: acked.clone(),
            home: usize::try_from(number)?,
        };
        clients.push(tokio::spawn(sender.run()));
    }
    let victim = 1;
    wait_for(&acked, plan.records * 3 / 10).await?;
    cluster.kill(victim)?;
    say(format!(
        "node {victim} killed after {} acknowledged records",
        acked.load(Ordering::Relaxed)
    ));
    wait_for(&acked, plan.records * 6 / 10).await?;
    cluster.start_node(victim).await?;
    say(format!(
        "node {victim} is back after {} acknowledged records",
        acked.load(Ordering::Relaxed)
    ));
    let mut oracle = Oracle::default();
    let mut longest_gap = Duration::ZERO;
    for client in clients {
        let (counted, gap) = client.await??;
        oracle.merge(&counted);
        longest_gap = longest_gap.max(gap);
    }
    ensure!(
        oracle.total() == plan.records,
        "the clients counted {} acks",
        oracle.total()
    );
    let report = Report {
        records: plan.records,
        send_seconds: started.elapsed().as_secs_f64(),
        longest_gap,
    };
    Ok((oracle, report))
}

async fn wait_for(acked: &AtomicU64, count: u64) -> Result<()> {
    let deadline = Instant::now() + SEND_DEADLINE;
    while acked.load(Ordering::Relaxed) < count {
        ensure!(
            Instant::now() < deadline,
            "only {} acks in time",
            acked.load(Ordering::Relaxed)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

struct Sender {
    client: Client,
    urls: Arc<Vec<String>>,
    corpus: Arc<Corpus>,
    plan: Run,
    next: Arc<AtomicU64>,
    acked: Arc<AtomicU64>,
    home: usize,
}

impl Sender {
    async fn run(self) -> Result<(Oracle, Duration)> {
        let mut oracle = Oracle::default();
        let mut longest_gap = Duration::ZERO;
        loop {
            let from = self.next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= self.plan.records {
                return Ok((oracle, longest_gap));
            }
            let to = (from + BATCH).min(self.plan.records);
            let mut body = String::new();
            for index in from..to {
                let planned = self.corpus.planned(&self.plan, index);
                body.push_str(&planned.json);
                body.push('\n');
                oracle.add(&planned.drawn);
            }
            longest_gap = longest_gap.max(self.send(from, to - from, body.into()).await?);
            self.acked.fetch_add(to - from, Ordering::Relaxed);
        }
    }

    /// Sends one batch until a node acknowledges all of it.
    async fn send(&self, from: u64, count: u64, body: Bytes) -> Result<Duration> {
        let key = format!("main-job-{:x}-{from}", self.plan.seed);
        let headers = [
            ("content-type", "application/x-ndjson"),
            ("idempotency-key", key.as_str()),
        ];
        let started = Instant::now();
        let mut node = self.home;
        let mut last = String::from("nothing was tried");
        while started.elapsed() < SEND_DEADLINE {
            let url = &self.urls[node % self.urls.len()];
            match self
                .client
                .call(Method::POST, url, &headers, body.clone())
                .await
            {
                Ok(reply) if reply.status.is_success() => {
                    let answer = reply.json()?;
                    ensure!(
                        answer["accepted"] == json!(count) && answer["rejected"] == json!(0),
                        "batch {from}: sent {count}, answered {answer}"
                    );
                    return Ok(started.elapsed());
                }
                Ok(reply) if matches!(reply.status.as_u16(), 429 | 503 | 504) => {
                    last = format!("status {}", reply.status);
                }
                Ok(reply) => {
                    bail!(
                        "batch {from}: status {}: {}",
                        reply.status,
                        String::from_utf8_lossy(&reply.body)
                    );
                }
                Err(error) => last = error.to_string(),
            }
            node += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        bail!("batch {from} was not acknowledged in time; last: {last}")
    }
}

/// Answers of a cluster, held against the oracle.
pub(crate) struct Check<'a> {
    client: Client,
    nodes: Vec<String>,
    plan: &'a Run,
}

impl<'a> Check<'a> {
    fn new(cluster: &Cluster, plan: &'a Run) -> Self {
        let nodes = cluster.nodes().iter();
        Self::of(
            nodes.map(|node| format!("http://{}", node.http)).collect(),
            plan,
        )
    }

    /// Asks the nodes with these base URLs.
    pub(crate) fn of(nodes: Vec<String>, plan: &'a Run) -> Self {
        Self {
            client: Client::new(CALL_DEADLINE),
            nodes,
            plan,
        }
    }

    async fn query(&self, node: usize, body: &Value) -> Result<Value> {
        let url = format!("{}/api/v1/logs/query", self.nodes[node % self.nodes.len()]);
        let reply = self.client.post_json(&url, body).await?;
        ensure!(
            reply.status == 200,
            "query {body} answered {}: {}",
            reply.status,
            String::from_utf8_lossy(&reply.body)
        );
        leaks::check_bytes(&reply.body, self.plan).context("in an answer")?;
        reply.json()
    }

    /// Reads all records back, one slice of event time after the other, and returns the ids.
    async fn every_record_is_there_once(
        &self,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Vec<(u64, String)>> {
        let records = usize::try_from(self.plan.records)?;
        let mut seen = vec![false; records];
        let mut ids = Vec::with_capacity(records);
        let slice = PAGE as u64 / 2;
        let mut from = 0;
        while from < self.plan.records {
            let to = (from + slice).min(self.plan.records);
            let body = json!({
                "filters": {"timestamp_range": {
                    "start": rfc3339(self.plan.timestamp_nanos(from)),
                    // One nanosecond early, so that the slice is right whether the end counts or not.
                    "end": rfc3339(self.plan.timestamp_nanos(to) - 1),
                }},
                "limit": PAGE,
            });
            let answer = self.query(usize::try_from(from / slice)?, &body).await?;
            ensure!(
                answer["total"] == json!(to - from),
                "slice {from}..{to} has total {}",
                answer["total"]
            );
            for log in answer["logs"].as_array().context("no logs in the answer")? {
                let token = log["fields"]["ticket"]
                    .as_str()
                    .context("a record without its token")?;
                let index = token
                    .rsplit('x')
                    .next()
                    .and_then(|hex| u64::from_str_radix(hex, 16).ok());
                let index = index
                    .filter(|i| self.plan.token(*i) == token)
                    .context("a token nobody sent")?;
                let place = seen
                    .get_mut(usize::try_from(index)?)
                    .context("a token out of range")?;
                ensure!(!*place, "record {index} is there twice");
                *place = true;
                ids.push((
                    index,
                    log["log_id"]
                        .as_str()
                        .context("a record without id")?
                        .to_owned(),
                ));
            }
            from = to;
        }
        if let Some(missing) = seen.iter().position(|there| !there) {
            bail!("record {missing} was acknowledged and is not there");
        }
        say(format!(
            "all {} records read back by time slices, each exactly once",
            ids.len()
        ));
        Ok(ids)
    }

    /// Several clients at once, each with its share of the random records.
    async fn samples_by_id_and_token(
        &self,
        ids: &[(u64, String)],
        say: &(dyn Fn(String) + Sync),
    ) -> Result<()> {
        self.samples(ids, SAMPLES).await?;
        say(format!(
            "{} random records found by id and by token",
            SAMPLES.min(ids.len())
        ));
        Ok(())
    }

    /// Up to `count` random records are found by id and by token.
    pub(crate) async fn samples(&self, ids: &[(u64, String)], count: usize) -> Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed);
        let count = count.min(ids.len());
        let samples: Vec<&(u64, String)> = (0..count)
            .map(|_| &ids[rng.random_range(0..ids.len())])
            .collect();
        let share = samples.len().div_ceil(SAMPLING_CLIENTS).max(1);
        let clients = samples.chunks(share).map(|samples| self.look_up(samples));
        futures_util::future::try_join_all(clients).await?;
        Ok(())
    }

    async fn look_up(&self, samples: &[&(u64, String)]) -> Result<()> {
        for (sample, (index, id)) in samples.iter().enumerate() {
            let token = self.plan.token(*index);
            let url = format!("{}/api/v1/logs/{id}", self.nodes[sample % self.nodes.len()]);
            let reply = self.client.get(&url).await?;
            ensure!(reply.status == 200, "record {id} answers {}", reply.status);
            let log = reply.json()?;
            ensure!(
                log["fields"]["ticket"] == json!(token),
                "record {id} has another token"
            );
            let answer = self
                .query(sample + 1, &json!({"query": token, "limit": 2}))
                .await?;
            ensure!(
                answer["total"] == json!(1),
                "token {token} is found {} times",
                answer["total"]
            );
            ensure!(
                answer["logs"][0]["log_id"] == json!(id),
                "token {token} finds another record"
            );
        }
        Ok(())
    }

    pub(crate) async fn totals(&self, oracle: &Oracle) -> Result<()> {
        let body = json!({"limit": 0, "aggregations": {
            "services": {"terms": {"field": "service_name", "size": SERVICES + 1},
                "aggregations": {"levels": {"terms": {"field": "level", "size": 10}}}},
            "levels": {"terms": {"field": "level", "size": 10}},
        }});
        for node in 0..self.nodes.len() {
            let answer = self.query(node, &body).await?;
            ensure!(
                answer["total"] == json!(oracle.total()),
                "total is {}",
                answer["total"]
            );
            let services = &answer["aggregations"]["services"]["buckets"];
            for (service, count) in oracle.by_service() {
                let bucket = bucket(services, &service_name(service))?;
                ensure!(
                    bucket["doc_count"] == json!(count),
                    "{}: {bucket}",
                    service_name(service)
                );
                for ((_, level), count) in oracle.levels.iter().filter(|((s, _), _)| *s == service)
                {
                    let found = &self::bucket(&bucket["levels"]["buckets"], level)?["doc_count"];
                    ensure!(
                        *found == json!(count),
                        "{} {level}: {found}",
                        service_name(service)
                    );
                }
            }
            for (level, count) in oracle.by_level() {
                let found =
                    &bucket(&answer["aggregations"]["levels"]["buckets"], level)?["doc_count"];
                ensure!(*found == json!(count), "{level}: {found}, sent {count}");
            }
        }
        Ok(())
    }

    pub(crate) async fn top_k(&self, oracle: &Oracle) -> Result<()> {
        let truth = oracle.top();
        for node in &self.nodes {
            let url = format!("{node}/api/v1/exceptions/top-k?k=1000&window=24h");
            let reply = self.client.get(&url).await?;
            ensure!(reply.status == 200, "top-k answers {}", reply.status);
            let answer = reply.json()?;
            let rows: Vec<&Value> = answer["exceptions"]
                .as_array()
                .context("no exceptions")?
                .iter()
                .filter(|row| {
                    row["exception_type"]
                        .as_str()
                        .is_some_and(is_planted_exception)
                })
                .collect();
            ensure!(
                rows.len() == truth.len(),
                "{} rows, {} true ones",
                rows.len(),
                truth.len()
            );
            for ((type_name, service), count) in &truth {
                let row = rows.iter().find(|row| {
                    row["exception_type"] == json!(type_name)
                        && row["service_name"] == json!(service_name(*service))
                });
                let row = row.with_context(|| format!("{type_name} is missing"))?;
                ensure!(
                    row["count"] == json!(count) && row["count_error"] == json!(0),
                    "{row}"
                );
            }
        }
        Ok(())
    }

    /// Segments are built once and fetched elsewhere: some node must have fetched some.
    async fn segments_were_shipped(&self) -> Result<String> {
        let (mut built, mut fetched) = (0, 0);
        for node in &self.nodes {
            let reply = self.client.get(&format!("{node}/metrics")).await?;
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            let count = |by: &str| -> Result<u64> {
                let name = format!("hushlog_node_segments_total{{by=\"{by}\"}} ");
                let mut lines = text.lines();
                let value = lines.find_map(|line| line.strip_prefix(&name));
                Ok(value
                    .with_context(|| format!("{node} has no {name}"))?
                    .parse()?)
            };
            built += count("built")?;
            fetched += count("fetched")?;
        }
        ensure!(fetched > 0, "{built} segments were built, none was fetched");
        Ok(format!(
            "{built} segments built, {fetched} fetched, by the nodes as they run now"
        ))
    }

    pub(crate) async fn planted_data_is_in_no_answer(&self) -> Result<()> {
        let index = (0..self.plan.records)
            .find(|i| self.plan.plants_pii(*i))
            .unwrap_or(0);
        for text in [
            self.plan.email(index),
            self.plan.card(index),
            self.plan.ssn(index),
        ] {
            let answer = self
                .query(0, &json!({"query": format!("\"{text}\""), "limit": 10}))
                .await?;
            ensure!(answer["total"] == json!(0), "planted data can be searched");
        }
        Ok(())
    }
}

fn bucket<'v>(buckets: &'v Value, key: &str) -> Result<&'v Value> {
    let buckets = buckets.as_array().context("no buckets")?;
    buckets
        .iter()
        .find(|bucket| bucket["key"] == json!(key))
        .with_context(|| format!("no bucket {key}"))
}

fn rfc3339(nanos: i64) -> String {
    hushlog_record::Timestamp::from_nanos(nanos).to_string()
}

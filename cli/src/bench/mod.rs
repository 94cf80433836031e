//! `hushlog bench`: measures a running server, one node or a cluster.
//!
//! It prints figures and asserts none. CPU time, memory and bytes on disk are read from the servers'
//! own metrics before and after; the load is bounded by its count of records and questions.

mod figures;
mod generator;
mod ingest;
mod levels;
mod protocol;
mod protocols;
mod query;
mod target;

use anyhow::Result;
use clap::{Args, Subcommand};

use generator::Generator;
use protocol::Protocol;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Sends generated records and prints throughput, latency, CPU time by stage and bytes on disk.
    Ingest(IngestArgs),
    /// Sends the same records in each protocol in turn and prints what each costs, against the first.
    Protocols(ProtocolsArgs),
    /// Finds out how many records a second are taken, then sends at parts of that rate and prints how long
    /// acknowledgements take.
    Levels(LevelsArgs),
    /// Asks the standard questions over what `bench ingest` has sent and prints their latencies.
    Query(QueryArgs),
}

/// Which run; `query` must be given the same as `ingest` was.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Servers' HTTP addresses, separated by commas; load and questions go to all in turn.
    #[arg(long, default_value = "http://127.0.0.1:7700", value_delimiter = ',')]
    server: Vec<String>,
    /// Records of the run, spread over 24 hours and 50 services.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Event time of the last record in RFC 3339; `ingest` prints the one it used.
    #[arg(long)]
    end: Option<jiff::Timestamp>,
}

/// Settings of `bench ingest`.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// How the records are sent.
    #[arg(long, value_enum, default_value_t = Protocol::Ndjson)]
    protocol: Protocol,
    /// Records a second, all clients together; without it, as fast as they are taken. Latencies count from when
    /// a request was due.
    #[arg(long)]
    rate: Option<u64>,
}

/// Settings of `bench protocols`.
#[derive(Debug, Args)]
pub(crate) struct ProtocolsArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// Which protocols, the one that the others are held against first; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    protocols: Vec<Protocol>,
}

/// Settings of `bench levels`.
#[derive(Debug, Args)]
pub(crate) struct LevelsArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// How the records are sent.
    #[arg(long, value_enum, default_value_t = Protocol::Ndjson)]
    protocol: Protocol,
    /// Parts of the most that is taken, in percent.
    #[arg(long, value_delimiter = ',', default_value = "25,50,90")]
    percent: Vec<u32>,
}

/// Who sends.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The servers' gRPC addresses, as many and in the same order; for the protocols over gRPC.
    #[arg(long, default_value = "http://127.0.0.1:4317", value_delimiter = ',')]
    grpc: Vec<String>,
    /// Concurrent clients.
    #[arg(long, default_value_t = 4)]
    clients: u64,
    /// Records in one request.
    #[arg(long, default_value_t = 1_000)]
    batch: u64,
}

/// Settings of `bench query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    run: RunArgs,
    /// How often each question is asked.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
}

impl RunArgs {
    fn generator(&self) -> Result<Generator> {
        let end_nanos = self.end.unwrap_or_else(jiff::Timestamp::now);
        let end_nanos = i64::try_from(end_nanos.as_nanosecond())?;
        Ok(Generator {
            seed: self.seed,
            records: self.records,
            end_nanos,
        })
    }
}

/// Runs one bench; with `json` the figures come as one JSON object.
pub(crate) async fn run(bench: Bench, json: bool) -> Result<()> {
    match bench {
        Bench::Ingest(args) => ingest::run(args, json).await,
        Bench::Protocols(args) => protocols::run(args, json).await,
        Bench::Levels(args) => levels::run(args, json).await,
        Bench::Query(args) => query::run(args, json).await,
    }
}

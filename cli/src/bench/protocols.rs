//! `hushlog bench protocols`: the same records in each protocol, one after the other, against the first.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::ProtocolsArgs;
use super::figures::round;
use super::ingest::Load;
use super::protocol::Protocol;

pub(super) async fn run(args: ProtocolsArgs, json_output: bool) -> Result<()> {
    let load = Load::new(&args.run, &args.load)?;
    let protocols = if args.protocols.is_empty() {
        Protocol::value_variants().to_vec()
    } else {
        args.protocols
    };
    // What the first load opens and allocates is not what its protocol costs.
    if let Some(first) = protocols.first() {
        load.measure(*first, None).await?;
    }
    // The first one once more at the end: shards that have more in them cost more.
    let last = protocols.first().copied().filter(|_| protocols.len() > 1);
    let mut rows = Map::new();
    let mut baseline = None;
    for (at, protocol) in protocols.iter().copied().chain(last).enumerate() {
        let figures = load.measure(protocol, None).await?;
        let cpu = figures.cpu_settled();
        let first = *baseline.get_or_insert(cpu);
        let row = json!({
            "mean_bytes": round(figures.mean_bytes()),
            "records_per_second": figures.rate().round(),
            "ack_ms_p50": round(figures.ack_ms(50)),
            "ack_ms_p99": round(figures.ack_ms(99)),
            "cpu_s_per_million_at_last_ack": round(figures.cpu_acked()),
            "cpu_s_per_million_when_settled": round(cpu),
            "of_the_first": round(cpu / first),
            "cpu_s_per_million_by_stage": figures.stages(),
        });
        let again = if at == protocols.len() { " again" } else { "" };
        rows.insert(format!("{}{again}", protocol.name()), row);
    }
    crate::output::print(&Value::Object(rows), json_output)
}

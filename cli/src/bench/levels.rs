//! `hushlog bench levels`: how long acknowledgements take at parts of the most that the servers take.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::LevelsArgs;
use super::figures::round;
use super::ingest::{Figures, Load};

pub(super) async fn run(args: LevelsArgs, json_output: bool) -> Result<()> {
    let load = Load::new(&args.run, &args.load)?;
    let most = load.measure(args.protocol, None).await?;
    let mut rows = Map::new();
    rows.insert("as fast as they are taken".into(), row(&most));
    for percent in args.percent {
        let rate = most.rate() * f64::from(percent) / 100.0;
        let figures = load.measure(args.protocol, Some(rate)).await?;
        rows.insert(format!("{percent} %"), row(&figures));
    }
    crate::output::print(&Value::Object(rows), json_output)
}

fn row(figures: &Figures) -> Value {
    json!({
        "records_per_second": figures.rate().round(),
        "ack_ms_p50": round(figures.ack_ms(50)),
        "ack_ms_p99": round(figures.ack_ms(99)),
        "cpu_s_per_million_when_settled": round(figures.cpu_settled()),
    })
}

//! Measures an index: CPU to build it of a segment's granules, bytes per record, look-ups.
//!
//! `cargo run --release -p hushlog-index --example index_speed [-- RECORDS]`

#![expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a measuring program"
)]

#[path = "../../storage/examples/records/mod.rs"]
mod records;

use hushlog_index::{Builder, Index, Prune, token};
use hushlog_storage::batch::{Rows, Text};
use hushlog_storage::segment::{self, BlockRows};

/// Seconds that this process has computed: unlike the time of day, fair on a busy machine.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let nanos = stat.split_whitespace().next().expect("a field");
    nanos.parse::<f64>().expect("a number") / 1e9
}

fn main() {
    let count: u64 = std::env::args()
        .nth(1)
        .map_or(1_000_000, |n| n.parse().expect("a number"));
    let millions = count as f64 / 1e6;
    let blocks = records::blocks(7, count);
    let rows: Vec<BlockRows> = (0u64..)
        .zip(&blocks)
        .map(|(seq, b)| BlockRows {
            seq,
            columns: b.columns().expect("own block"),
            skip: vec![],
        })
        .collect();
    let folder = std::env::temp_dir().join("hushlog-index-speed");
    let mut granules = Vec::new();
    segment::write(&folder, 0..blocks.len() as u64, rows, |_, batch| {
        granules.push(batch.clone())
    })
    .expect("a segment");

    let start = cpu();
    let (mut tokens, mut bytes) = (0u64, 0u64);
    for granule in &granules {
        for text in granule.columns().iter().filter_map(Text::of) {
            if let Text::Plain(texts) = text {
                for text in texts.iter().flatten() {
                    bytes += text.len() as u64;
                    token::for_each(text, |_| tokens += 1);
                }
            }
        }
    }
    println!(
        "tokenise only        {:.2} CPU-s per million ({:.1} tokens, {} B per record)",
        (cpu() - start) / millions,
        tokens as f64 / count as f64,
        bytes / count
    );

    let start = cpu();
    let mut builder = Builder::new();
    granules
        .iter()
        .for_each(|granule| builder.add(granule).expect("added"));
    let added = cpu();
    let packed = builder.finish().expect("finished");
    println!(
        "gather tokens        {:.2} CPU-s per million",
        (added - start) / millions
    );
    println!(
        "finish               {:.2} CPU-s per million",
        (cpu() - added) / millions
    );
    println!(
        "bytes per record     {:.1}",
        packed.len() as f64 / count as f64
    );
    for (name, length) in hushlog_index::parts(&packed).expect("own index") {
        println!("    {name:<16} {:6.2} B", length as f64 / count as f64);
    }

    let time = cpu();
    let index = Index::from_bytes(packed).expect("it opens");
    println!("open                 {:.2} ms", (cpu() - time) * 1e3);
    let last = granules.last().expect("some");
    let traces: Vec<String> = Rows::new(last)
        .expect("rows")
        .iter()
        .map(|r| r.trace_id().to_owned())
        .collect();
    let time = cpu();
    let mut found = 0;
    for trace in &traces {
        found += index
            .prune(&Prune::Token(trace.clone()))
            .expect("pruned")
            .expect("a set")
            .len();
    }
    let each = (cpu() - time) * 1e6 / traces.len() as f64;
    println!(
        "look up a trace id   {each:.1} us, {:.3} granules of {}",
        f64::from(found) / traces.len() as f64,
        granules.len()
    );
    for word in ["payment", "nonesuch", "timeout", "fatal"] {
        let time = cpu();
        let set = index
            .prune(&Prune::Token(word.into()))
            .expect("pruned")
            .expect("a set");
        println!(
            "look up {word:<12} {:.1} us, {} granules",
            (cpu() - time) * 1e6,
            set.len()
        );
    }
}

//! Measures a segment: CPU to write and to read it back, bytes per record by column, scan speed.
//!
//! `cargo run --release -p hushlog-storage --example segment_speed [-- RECORDS]`

#![expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a measuring program"
)]

mod records;

use arrow_array::cast::AsArray;
use hushlog_storage::batch;
use hushlog_storage::segment::{self, BlockRows};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeMap;

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
    let blocks = records::blocks(7, count);
    let text: usize = blocks
        .iter()
        .flat_map(|b| b.columns().expect("own block").records())
        .map(|r| r.text_bytes())
        .sum();
    let millions = count as f64 / 1e6;
    println!(
        "{count} records, {} blocks, mean text {} B",
        blocks.len(),
        text as u64 / count
    );

    let start = cpu();
    let rows: Vec<BlockRows> = (0u64..)
        .zip(&blocks)
        .map(|(seq, b)| BlockRows {
            seq,
            columns: b.columns().expect("own block"),
            skip: vec![],
        })
        .collect();
    println!(
        "decode blocks        {:.2} CPU-s per million",
        (cpu() - start) / millions
    );

    let start = cpu();
    for row in &rows {
        std::hint::black_box(batch::from_columns(row.seq, &row.columns, &[]).expect("a batch"));
    }
    println!(
        "blocks to tail batch {:.2} CPU-s per million",
        (cpu() - start) / millions
    );

    let folder = std::env::temp_dir().join("hushlog-segment-speed");
    let mut marks = Vec::new();
    let start = cpu();
    let written = segment::write(&folder, 0..blocks.len() as u64, rows, |granule, _| {
        if granule == 0 {
            marks.push(cpu());
        }
    })
    .expect("a segment");
    let end = cpu();
    println!(
        "sort and write       {:.2} CPU-s per million",
        (marks[0] - start) / millions
    );
    println!(
        "read back and digest {:.2} CPU-s per million",
        (end - marks[0]) / millions
    );
    println!(
        "bytes per record     {:.1}",
        written.meta.bytes() as f64 / count as f64
    );

    let file = std::fs::File::open(written.segment.path()).expect("the file");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let mut columns: BTreeMap<String, i64> = BTreeMap::new();
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            *columns.entry(column.column_path().string()).or_default() += column.compressed_size();
        }
    }
    let mut columns: Vec<_> = columns.into_iter().collect();
    columns.sort_by_key(|(_, bytes)| -bytes);
    for (column, bytes) in columns {
        println!("    {column:<24} {:6.2} B", bytes as f64 / count as f64);
    }

    let segment = &written.segment;
    let all = segment.all_granules();
    let time = cpu();
    let mut bytes = 0;
    for granule in segment.scan(&all, Some(&["message"])).expect("a scan") {
        let (_, batch) = granule.expect("a granule");
        bytes += batch.column(0).as_string::<i32>().value_data().len();
    }
    let seconds = cpu() - time;
    println!(
        "scan message         {:.2} GB/s ({bytes} bytes)",
        bytes as f64 / seconds / 1e9
    );

    let time = cpu();
    let granules: Vec<u32> = (0..100u32)
        .map(|i| i * 9_973 % segment.granule_count())
        .collect();
    for granule in &granules {
        std::hint::black_box(segment.read(&[*granule], None).expect("a granule"));
    }
    println!(
        "one granule, all     {:.2} ms",
        (cpu() - time) * 1e3 / 100.0
    );
    let time = cpu();
    for granule in &granules {
        let read = segment.read(&[*granule], Some(&["timestamp", "level", "message"]));
        std::hint::black_box(read.expect("a granule"));
    }
    println!(
        "one granule, three   {:.2} ms",
        (cpu() - time) * 1e3 / 100.0
    );
    let time = cpu();
    segment::Segment::open(&folder, &written.meta).expect("it opens");
    println!("open                 {:.2} ms", (cpu() - time) * 1e3);
    println!("footer in memory     {} kB", segment.memory_bytes() / 1000);
}

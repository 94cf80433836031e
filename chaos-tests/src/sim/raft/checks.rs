//! What must hold at the end, when the faults have been over for a while.
//!
//! C1 completeness, C2 no invention, C3 positions, C4 equal replicas, C11 liveness (chaos.md).

use std::collections::{BTreeMap, BTreeSet};

use hushlog_raft::{Role, Status, TailBlock};
use hushlog_record::ShardId;

use super::World;
use super::clients::{Clients, Fate};
use super::segments::listed;

/// The rows of one replica: position and text, in order.
type Rows = Vec<(u64, String)>;

pub(super) fn at_the_end(world: &World, clients: &Clients) -> Vec<String> {
    let mut violations = Vec::new();
    liveness(world, clients, &mut violations);
    let mut whole: BTreeMap<ShardId, Rows> = BTreeMap::new();
    for (node, running) in &*world.running.lock() {
        for (shard, group) in &running.groups {
            // A flipped bit that was met was noticed; one that was not may change nothing.
            if world.base.has_stopped(*node, shard.group()) {
                continue;
            }
            let view = group.view();
            let rows = match rows(world, *node, *shard, &view) {
                Ok(rows) => rows,
                Err(why) => {
                    violations.push(format!("C4 node {node} {shard}: {why}"));
                    continue;
                }
            };
            match whole.get(shard) {
                None => {
                    whole.insert(*shard, rows);
                }
                Some(other) if *other == rows => {}
                Some(other) => violations.push(format!(
                    "C4 replicas of {shard} differ: node {node} has {} rows, another {}; first \
                     difference {:?}",
                    rows.len(),
                    other.len(),
                    rows.iter().zip(other).find(|(a, b)| a != b)
                )),
            }
        }
    }
    for (shard, rows) in &whole {
        content(*shard, rows, clients, &mut violations);
    }
    violations
}

fn rows(
    world: &World,
    node: u64,
    shard: ShardId,
    view: &hushlog_raft::View,
) -> Result<Rows, String> {
    let mut rows = Rows::new();
    let mut next = 0;
    for segment in listed(&view.manifest) {
        if segment.from != next {
            return Err(format!("segments have a gap at {next}"));
        }
        next = segment.to;
        let blocks = world.segments.get(node, shard, &segment);
        let blocks = blocks.ok_or("a listed segment is missing")?;
        for block in blocks.iter() {
            add(block, &mut rows)?;
        }
    }
    if next != view.segmented_to {
        return Err(format!(
            "segments end at {next}, the tail begins at {}",
            view.segmented_to
        ));
    }
    for block in view.tail.iter() {
        if block.seq < next {
            return Err(format!("block {} of the tail is out of order", block.seq));
        }
        next = block.seq + 1;
        add(block, &mut rows)?;
    }
    Ok(rows)
}

fn add(block: &TailBlock, rows: &mut Rows) -> Result<(), String> {
    let columns = block.block.columns().map_err(|error| error.to_string())?;
    let skipped = |row: u32| block.skip.iter().any(|rows| rows.contains(&row));
    let texts = (0u32..).zip(columns.message.iter());
    rows.extend(
        texts
            .filter(|(row, _)| !skipped(*row))
            .map(|(_, text)| (block.seq, text.to_owned())),
    );
    Ok(())
}

/// The rows of a shard against what its clients remember.
fn content(shard: ShardId, rows: &Rows, clients: &Clients, violations: &mut Vec<String>) {
    let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seq, text) in rows {
        found.entry(text).or_default().push(*seq);
    }
    let mut known = BTreeSet::new();
    let mut acked: BTreeMap<u64, (u64, u64, &str)> = BTreeMap::new();
    for request in clients
        .requests
        .iter()
        .filter(|request| request.shard == shard)
    {
        let places: Vec<_> = request
            .rows
            .iter()
            .map(|row| found.get(row.as_str()).map_or(&[][..], Vec::as_slice))
            .collect();
        known.extend(request.rows.iter().map(String::as_str));
        let twice = places.iter().any(|places| places.len() > 1);
        if twice {
            violations.push(format!("C1 {} is stored twice: {places:?}", request.name));
        }
        let any = places.iter().any(|places| !places.is_empty());
        match &request.fate {
            Fate::Acked(seqs) => {
                let stored: BTreeSet<u64> = places.iter().copied().flatten().copied().collect();
                if places.iter().any(|places| places.is_empty()) {
                    violations.push(format!("C1 {} was acknowledged and is lost", request.name));
                } else if stored != seqs.iter().copied().collect() {
                    violations.push(format!(
                        "C3 {} was acknowledged at {seqs:?} and is at {stored:?}",
                        request.name
                    ));
                }
                let first = seqs.iter().copied().min().unwrap_or(0);
                let (before, since, name) =
                    acked.get(&request.producer).copied().unwrap_or_default();
                if since > 0 && since <= request.sent_at && first < before {
                    violations.push(format!(
                        "C3 {} at {first} was sent after {name} was acknowledged at {before}",
                        request.name
                    ));
                }
                acked.insert(request.producer, (first, request.acked_at, &request.name));
            }
            Fate::Open | Fate::GivenUp if any && !request.maybe => violations.push(format!(
                "C2 {} is stored, though every answer said that nothing was proposed",
                request.name
            )),
            Fate::Open | Fate::GivenUp => {}
        }
    }
    for text in found.keys().filter(|text| !known.contains(**text)) {
        violations.push(format!("C2 {text} is stored and nobody sent it"));
    }
}

fn liveness(world: &World, clients: &Clients, violations: &mut Vec<String>) {
    for request in clients.open() {
        violations.push(format!(
            "C11 {} sent at {} is not acknowledged",
            request.name, request.sent_at
        ));
    }
    let damaged = world.base.damaged.lock();
    for ((node, shard), reason) in &*world.broken.lock() {
        if !damaged.contains(&(*node, shard.group())) {
            violations.push(format!("C11 node {node} {shard} does not open: {reason}"));
        }
    }
    let running = world.running.lock();
    for shard in &world.shards {
        let statuses: Vec<(u64, Status)> = running
            .iter()
            .filter(|(node, _)| !world.base.has_stopped(**node, shard.group()))
            .filter_map(|(node, running)| Some((*node, running.groups.get(shard)?.status())))
            .collect();
        let leaders: BTreeSet<_> = statuses.iter().map(|(_, status)| status.leader).collect();
        let applied: BTreeSet<_> = statuses
            .iter()
            .map(|(_, status)| status.applied_to)
            .collect();
        let stopped = statuses.iter().any(|(_, s)| s.role == Role::Stopped);
        if leaders.len() != 1 || leaders.contains(&None) || applied.len() != 1 || stopped {
            let short: Vec<_> = statuses
                .iter()
                .map(|(node, s)| (node, s.role.name(), s.term, s.leader, s.applied_to))
                .collect();
            violations.push(format!("C11 {shard} has not come to rest: {short:?}"));
        }
    }
}

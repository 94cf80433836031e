//! What the nodes have stored, decoded, against each other and against what clients were told.
//!
//! C4: every replica of a shard, open or sealed, has the same rows at the same positions. C3: a record lies
//! where its receipt said, and a producer's records lie in its order. C2: nobody has what nobody sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use hushlog_node::Node;
use hushlog_record::ShardId;
use hushlog_storage::batch::Rows;
use hushlog_storage::manifest::SegmentMeta;
use hushlog_storage::segment::{INDEX_FILE, Segment};

use super::World;
use super::clients::{Clients, Receipted};
use crate::sim::marks;
use crate::sim::net::host;

/// Where a row of a shard lies, and the first word of its message.
type Placed = BTreeMap<(u64, u32), String>;
/// Where each record lies, by its first word.
type Places<'a> = BTreeMap<&'a str, Vec<(ShardId, u64)>>;

/// The rows of one segment.
pub(super) struct SegmentRows {
    rows: Placed,
    /// Whether no text and no term holds a planted address.
    pub(super) is_clean: bool,
}

/// Decodes a segment, rows and terms.
pub(super) fn segment_rows(shard_folder: &Path, meta: &SegmentMeta) -> Result<SegmentRows> {
    let segment = Segment::open(shard_folder, meta)?;
    let mut rows = Placed::new();
    let mut is_clean = true;
    let mut look = |text: &str| is_clean &= !marks::in_bytes(text.as_bytes());
    for granule in segment.scan(&segment.all_granules(), None)? {
        let (_, batch) = granule?;
        for row in Rows::new(&batch)?.iter() {
            let place = (row.seq().context("no seq")?, row.row().context("no row")?);
            let message = row.message().context("no message")?;
            look(message);
            for field in row.fields() {
                look(field.name);
                look(&field.text);
            }
            if let Some((kind, message, trace)) = row.exception() {
                [kind, message, trace].into_iter().for_each(&mut look);
            }
            rows.insert(place, first_word(message));
        }
    }
    let index = meta
        .file(INDEX_FILE)?
        .read(&shard_folder.join(meta.folder_name()))?;
    hushlog_index::Index::open(index)?.for_each_term(|term| {
        is_clean &= !marks::in_bytes(term);
        anyhow::Ok(())
    })?;
    Ok(SegmentRows { rows, is_clean })
}

fn first_word(message: &str) -> String {
    message.split(' ').next().unwrap_or_default().to_owned()
}

/// All rows that a node has, by shard.
fn rows_of(folder: &Path, node: &Node) -> Result<BTreeMap<ShardId, Placed>> {
    let mut all = BTreeMap::new();
    for stored in node.stored()? {
        let mut rows = Placed::new();
        let folder = folder.join(stored.shard.to_string());
        for segment in &stored.manifest.segments {
            rows.extend(segment_rows(&folder, segment)?.rows);
        }
        for block in stored.tail.iter() {
            let columns = block.block.columns()?;
            let skipped = |row: u32| block.skip.iter().any(|rows| rows.contains(&row));
            let texts = (0u32..).zip(columns.message.iter());
            let texts = texts.filter(|(row, _)| !skipped(*row));
            rows.extend(texts.map(|(row, text)| ((block.seq, row), first_word(text))));
        }
        all.insert(stored.shard, rows);
    }
    Ok(all)
}

/// A shard, and the digest of what is sealed of it.
type Form = (ShardId, Option<[u8; 32]>);

/// What does not hold of what the nodes have stored, all of which have come to rest.
pub(super) fn check(
    world: &World,
    running: &BTreeMap<u64, Node>,
    clients: &Clients,
) -> Vec<String> {
    let mut violations = Vec::new();
    // A finished shard may just have been written anew, which a node hears a moment later than another: those of one
    // form are held against each other. That each has the form that it knows was agreed on, `seals` looks at.
    let mut whole: BTreeMap<Form, (u64, Placed)> = BTreeMap::new();
    for (node, running) in running {
        let forms = running.sealed().unwrap_or_default();
        let folder = world.folder.path().join(host(*node)).join("segments");
        let shards = match rows_of(&folder, running) {
            Ok(shards) => shards,
            Err(error) => {
                violations.push(format!("C4 node {node}: {error:#}"));
                continue;
            }
        };
        for (shard, rows) in shards {
            let form = (shard, forms.get(&shard).copied());
            match whole.get(&form) {
                // One whose group has stopped for damage was noticed.
                _ if world.base.has_stopped(*node, shard.group()) => {}
                None => {
                    whole.insert(form, (*node, rows));
                }
                Some((other, known)) => {
                    violations.extend(unlike(shard, (*other, known), (*node, &rows)))
                }
            }
        }
    }
    let shards = whole.iter().map(|((shard, _), (_, rows))| (*shard, rows));
    violations.extend(judge(&shards.collect(), &clients.receipted()));
    violations
}

fn unlike(shard: ShardId, a: (u64, &Placed), b: (u64, &Placed)) -> Option<String> {
    let first = a.1.iter().zip(b.1).find(|(a, b)| a != b);
    (a.1 != b.1).then(|| {
        format!(
            "C4 replicas of {shard} differ: node {} has {} rows, node {} has {}; first difference {first:?}",
            a.0,
            a.1.len(),
            b.0,
            b.1.len()
        )
    })
}

/// The rows of all shards against what clients sent and were told.
fn judge(shards: &BTreeMap<ShardId, &Placed>, requests: &[Receipted]) -> Vec<String> {
    let mut places = Places::new();
    for (shard, rows) in shards {
        for ((seq, _), token) in *rows {
            places
                .entry(token.as_str())
                .or_default()
                .push((*shard, *seq));
        }
    }
    let mut violations = Vec::new();
    let mut known = BTreeSet::new();
    let mut last: BTreeMap<(u64, ShardId), (u64, &str)> = BTreeMap::new();
    for request in requests {
        known.extend(request.tokens.iter().map(String::as_str));
        let own = request
            .tokens
            .iter()
            .filter_map(|token| places.get(token.as_str()));
        if let Some(twice) = own.clone().find(|places| places.len() > 1) {
            violations.push(format!("C1 {} is stored twice: {twice:?}", request.name));
        }
        let found: BTreeSet<_> = own.flatten().copied().collect();
        let Some(receipts) = &request.receipts else {
            continue;
        };
        // What was dropped since lies nowhere.
        let told: BTreeSet<_> = receipts
            .iter()
            .filter(|(shard, _)| shards.contains_key(shard))
            .copied()
            .collect();
        let is_right = if request.may_go {
            // Some of them may be left out, and none is elsewhere.
            found.is_subset(&told)
        } else {
            found == told
        };
        if !is_right {
            violations.push(format!(
                "C3 {} was acknowledged at {told:?} and is at {found:?}",
                request.name
            ));
        }
        for (shard, seq) in &told {
            let before = last.insert((request.producer, *shard), (*seq, &request.name));
            if let Some((before, name)) = before.filter(|(before, _)| before >= seq) {
                violations.push(format!(
                    "C3 {} at {seq} of {shard} was sent after {name} was acknowledged at {before}",
                    request.name
                ));
            }
        }
    }
    let invented = places.keys().filter(|token| !known.contains(**token));
    violations.extend(invented.map(|token| format!("C2 {token} is stored and nobody sent it")));
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

    fn rows(rows: &[(u64, &str)]) -> Placed {
        let rows = rows.iter();
        rows.map(|(seq, token)| ((*seq, 0), (*token).to_owned()))
            .collect()
    }

    fn request(sequence: u64, receipt: Option<u64>) -> Receipted {
        Receipted {
            name: format!("p1s{sequence}"),
            producer: 1,
            tokens: vec![format!("p1s{sequence}r0")],
            may_go: false,
            receipts: receipt.map(|seq| BTreeSet::from([(SHARD, seq)])),
        }
    }

    #[test]
    fn what_lies_elsewhere_than_its_receipt_says_is_seen() {
        let judged = |stored: &Placed, requests: &[Receipted]| {
            judge(&BTreeMap::from([(SHARD, stored)]), requests).len()
        };
        let stored = rows(&[(4, "p1s1r0"), (7, "p1s2r0")]);
        let both = [request(1, Some(4)), request(2, Some(7))];
        assert_eq!(judged(&stored, &both), 0);
        assert_eq!(judged(&stored, &[request(1, Some(4)), request(2, None)]), 0);
        assert_eq!(
            judged(&stored, &[request(1, Some(5)), request(2, Some(7))]),
            1,
            "elsewhere"
        );
        assert_eq!(judged(&stored, &both[..1]), 1, "nobody sent it");
        assert_eq!(judged(&rows(&[(4, "p1s1r0")]), &both), 1, "lost");
        let turned = rows(&[(4, "p1s2r0"), (7, "p1s1r0")]);
        let told = [request(1, Some(7)), request(2, Some(4))];
        assert_eq!(
            judged(&turned, &told),
            1,
            "not in the order of its producer"
        );
        let twice = rows(&[(4, "p1s1r0"), (5, "p1s1r0"), (7, "p1s2r0")]);
        assert_eq!(
            judged(&twice, &both),
            2,
            "twice, and not only where it was told"
        );
        // It may have been left out, and lies nowhere else.
        let past = |receipt| Receipted {
            may_go: true,
            ..request(2, Some(receipt))
        };
        assert_eq!(
            judged(&rows(&[(4, "p1s1r0")]), &[request(1, Some(4)), past(7)]),
            0
        );
        assert_eq!(judged(&stored, &[request(1, Some(4)), past(8)]), 1);
        // Its bucket was dropped.
        assert_eq!(judge(&BTreeMap::new(), &both).len(), 0);
    }

    #[test]
    fn replicas_that_differ_are_seen() {
        let (a, b) = (rows(&[(4, "x")]), rows(&[(4, "x"), (5, "y")]));
        assert_eq!(unlike(SHARD, (1, &a), (2, &a)), None);
        assert!(unlike(SHARD, (1, &a), (2, &b)).is_some());
        assert!(unlike(SHARD, (1, &a), (2, &rows(&[(4, "z")]))).is_some());
    }
}

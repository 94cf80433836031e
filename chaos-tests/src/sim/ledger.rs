//! Raft's invariants, held against every write to every disk and against every node at every tick.
//!
//! - *Election safety*: a term of a group has one leader; a replica votes once in a term, and its
//!   term never goes back, also across crashes.
//! - *Log matching*: an entry's index and term determine its content and the term before it.
//! - *State machine safety*: what is once committed at an index never differs anywhere.
//! - *Durable majority*: what is committed is synced on a majority of disks, those of crashed nodes
//!   included.
//! - *Leader completeness*: a new leader has every committed entry.
//! - *Monotone positions*: committed and applied only grow while a node runs.
//! - *Quiet minorities*: a replica that cannot talk with a majority raises no term, so that it disturbs
//!   nobody when it comes back (pre-vote).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hushlog_raft::inspect::{self, Fact};
use hushlog_raft::{Role, Status};
use hushlog_record::GroupId;
use hushlog_record::id::META_GROUP;
use hushlog_storage::store::{Change, Mem, Space};

use super::disk::Disk;
use super::trace::Trace;

type Node = u64;

/// How long after its last talk with a majority a replica may still write down that it stands for election:
/// votes that were on their way, and as many slow syncs as faults add up to, in milliseconds.
const LATE_MAX: u64 = 6_000;

/// Term and content of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    term: u64,
    digest: u32,
}

/// What is known of one replica.
#[derive(Default)]
struct Replica {
    log: BTreeMap<u64, Entry>,
    /// Term and node of the newest vote.
    vote: (u64, Node),
    committed_to: u64,
    applied_to: u64,
    /// What is before this is in the snapshot, whatever the log still holds.
    snapshot_to: u64,
}

/// Who votes: one set for each of the joint configurations.
type Voters = Vec<BTreeSet<Node>>;

/// What has been committed in one group, once and for all.
#[derive(Default)]
struct Committed {
    entries: BTreeMap<u64, Entry>,
    /// Who votes from which index on.
    voters: BTreeMap<u64, Voters>,
    /// Everything before this is known or was dropped before it could be seen.
    to: u64,
    term_max: u64,
}

/// All that the checks remember.
pub struct Ledger {
    trace: Trace,
    nodes: u64,
    replication: u64,
    replicas: BTreeMap<(Node, GroupId), Replica>,
    /// Content and predecessor's term of every entry ever written.
    entries: BTreeMap<(GroupId, u64, u64), (u32, Option<u64>)>,
    leaders: BTreeMap<(GroupId, u64), Node>,
    committed: BTreeMap<GroupId, Committed>,
    /// What nodes know to be committed where an older entry still lies on their disk.
    late: BTreeMap<(Node, GroupId, u64), Entry>,
    /// Rows with a flipped bit: they cannot be read, and everything else must be as if they could.
    flipped: BTreeSet<(Node, Bytes)>,
    /// When each node was last in touch with as many nodes as are a majority of a shard's replicas, itself among
    /// them, in both directions.
    in_touch: BTreeMap<Node, u64>,
    violations: Vec<String>,
}

impl Ledger {
    /// Nothing has happened yet, on so many nodes, of which `replication` hold each shard.
    pub fn new(trace: Trace, nodes: u64, replication: u64) -> Self {
        Self {
            trace,
            nodes,
            replication,
            replicas: BTreeMap::new(),
            entries: BTreeMap::new(),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            late: BTreeMap::new(),
            flipped: BTreeSet::new(),
            in_touch: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// What was violated since the last call.
    pub fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// This row of a node has been damaged.
    pub fn damage(&mut self, node: Node, key: &Bytes) {
        self.flipped.insert((node, key.clone()));
    }

    /// A planted address was written.
    pub fn on_leak(&mut self, node: Node, space: Space) {
        self.violate(format!("C9 node {node} writes an address into {space:?}"));
    }

    /// The directions in which messages pass now, those of each node to itself among them.
    pub fn on_links(&mut self, now: u64, open: &BTreeSet<(Node, Node)>) {
        let mut reached: BTreeMap<Node, u64> = BTreeMap::new();
        for (from, to) in open {
            *reached.entry(*from).or_default() += u64::from(open.contains(&(*to, *from)));
        }
        let in_touch = reached
            .iter()
            .filter(|(_, reached)| **reached > self.replication / 2);
        self.in_touch.extend(in_touch.map(|(node, _)| (*node, now)));
    }

    /// A leader hands over to this node, which stands for election then without asking first, whomever it reaches.
    pub fn on_heir(&mut self, node: Node) {
        self.in_touch.insert(node, self.trace.millis());
    }

    /// How many leaders were seen, over all groups and terms.
    pub fn elections(&self) -> usize {
        self.leaders.len()
    }

    /// How many entries were committed, over all groups.
    pub fn commits(&self) -> usize {
        self.committed
            .values()
            .map(|group| group.entries.len())
            .sum()
    }

    fn violate(&mut self, what: String) {
        self.trace.line(format_args!("VIOLATION {what}"));
        self.violations.push(what);
    }

    /// A node is about to lose its memory and what its disk has not synced; the disk is shown anew then.
    /// What it voted binds it as far as it was synced: nobody was told of another vote.
    pub fn forget(&mut self, node: Node, mem: &Mem) {
        self.late.retain(|(of, _, _), _| *of != node);
        for ((of, group), replica) in &mut self.replicas {
            if *of == node {
                replica.log.clear();
                let key = inspect::vote_key(*group);
                let row = mem.durable(Space::State, &key);
                let vote = row.map(|row| inspect::row(Space::State, &key, &row));
                replica.vote = match vote {
                    Some(Ok(Some((_, Fact::Vote { term, node, .. })))) => (term, node),
                    // What cannot be read binds all the same.
                    Some(Err(_)) => replica.vote,
                    Some(Ok(_)) | None => (0, 0),
                };
                replica.committed_to = 0;
                replica.applied_to = 0;
                replica.snapshot_to = 0;
            }
        }
    }

    /// A row that lies on a restarted node's disk.
    pub fn on_found(&mut self, node: Node, space: Space, key: &Bytes, value: &Bytes) {
        match inspect::row(space, key, value) {
            Ok(Some((group, fact))) => self.learn(node, group, fact, false),
            Ok(None) => {}
            Err(_) if self.flipped.contains(&(node, key.clone())) => {}
            Err(error) => self.violate(format!("node {node} has a damaged row: {error}")),
        }
    }

    /// A batch was written.
    pub fn on_write(&mut self, node: Node, changes: &[Change]) {
        for change in changes {
            if let Change::Put { key, .. } = change {
                self.flipped.remove(&(node, key.clone()));
            }
            match change {
                Change::Put { space, key, value } => match inspect::row(*space, key, value) {
                    Ok(Some((group, fact))) => self.learn(node, group, fact, true),
                    Ok(None) => {}
                    Err(error) => {
                        self.violate(format!("node {node} writes a damaged row: {error}"));
                    }
                },
                Change::DeleteRange {
                    space: Space::Log,
                    from,
                    to,
                } => self.on_deleted(node, from, to),
                Change::Delete { .. } | Change::DeleteRange { .. } => {}
            }
        }
    }

    fn on_deleted(&mut self, node: Node, from: &[u8], to: &[u8]) {
        let (Some((group, from)), Some((_, to))) =
            (inspect::position_of(from), inspect::position_of(to))
        else {
            return;
        };
        self.trace
            .line(format_args!("n{node} g{group} drops {from}..{to}"));
        let key = |index| inspect::entry_key(group, index);
        let dropped = key(from)..key(to);
        self.flipped
            .retain(|(of, key)| *of != node || !dropped.contains(key));
        if let Some(replica) = self.replicas.get_mut(&(node, group)) {
            replica.log.retain(|index, _| !(from..to).contains(index));
        }
    }

    fn learn(&mut self, node: Node, group: GroupId, fact: Fact, new: bool) {
        match fact {
            Fact::Entry {
                index,
                term,
                digest,
            } => self.on_entry(node, group, index, Entry { term, digest }, new),
            Fact::Vote {
                term,
                node: whom,
                granted,
            } => {
                if new {
                    let what = if granted { "follows" } else { "votes" };
                    self.trace
                        .line(format_args!("n{node} g{group} {what} n{whom} t{term}"));
                }
                // Following the leader that a majority has elected is no second vote.
                let binding = new && !granted;
                if !new {
                    self.on_vote_found(node, group, term);
                }
                self.on_vote(node, group, term, whom, binding);
            }
            Fact::Snapshot(to) => {
                let replica = self.replicas.entry((node, group)).or_default();
                replica.snapshot_to = replica.snapshot_to.max(to);
            }
            Fact::Committed(_) | Fact::Purged(_) => {}
        }
    }

    /// A restarted node's disk must have no older vote than had been synced.
    fn on_vote_found(&mut self, node: Node, group: GroupId, term: u64) {
        let synced = self.replicas.get(&(node, group)).map_or(0, |r| r.vote.0);
        if term < synced {
            self.violate(format!(
                "node {node} group {group}: a synced vote of term {synced} was lost, term {term} is left"
            ));
        }
    }

    /// What must not be left at the end of a run: an older entry where a node has long known another one
    /// to be committed.
    pub fn check_the_end(&mut self) {
        let late = std::mem::take(&mut self.late);
        for ((node, group, index), known) in late {
            let Some(replica) = self.replicas.get(&(node, group)) else {
                continue;
            };
            let old = replica.log.get(&index).filter(|entry| **entry != known);
            if let Some(old) = old.copied().filter(|_| index >= replica.snapshot_to) {
                self.violate(format!(
                    "node {node} group {group} committed {known:?} at {index} and still has {old:?}"
                ));
            }
        }
    }

    /// A replica stands for election. The first one of a fresh group asks nobody before.
    fn on_candidate(&mut self, node: Node, group: GroupId, term: u64, before: u64) {
        let now = self.trace.millis();
        let since = self.in_touch.get(&node).copied().unwrap_or(0);
        if before > 0 && term > before && now > since + LATE_MAX {
            self.violate(format!(
                "pre-vote: node {node} raises the term of group {group} from {before} to {term}, cut off \
                 from a majority since {since}"
            ));
        }
    }

    fn on_vote(&mut self, node: Node, group: GroupId, term: u64, whom: Node, binding: bool) {
        let replica = self.replicas.entry((node, group)).or_default();
        let before = replica.vote;
        if binding && whom == node {
            self.on_candidate(node, group, term, before.0);
        }
        let replica = self.replicas.entry((node, group)).or_default();
        if term > before.0 || !binding {
            replica.vote = (term, whom);
        }
        if binding && (term < before.0 || (term == before.0 && whom != before.1)) {
            self.violate(format!(
                "node {node} group {group}: vote {:?} after {before:?}",
                (term, whom)
            ));
        }
    }

    fn on_entry(&mut self, node: Node, group: GroupId, index: u64, entry: Entry, new: bool) {
        let Entry { term, digest } = entry;
        if new {
            self.trace.line(format_args!(
                "n{node} g{group} appends {index} t{term} {digest:08x}"
            ));
        }
        if let Some(known) = self.late.remove(&(node, group, index))
            && known != entry
        {
            self.violate(format!(
                "node {node} group {group} committed {known:?} at {index}, then writes {entry:?}"
            ));
        }
        let replica = self.replicas.entry((node, group)).or_default();
        replica.log.insert(index, entry);
        let previous = index
            .checked_sub(1)
            .and_then(|index| replica.log.get(&index))
            .map(|entry| entry.term);
        let known = self
            .entries
            .entry((group, index, term))
            .or_insert((digest, previous));
        let same_past = match (known.1, previous) {
            (Some(a), Some(b)) => a == b,
            (None, Some(_)) => {
                known.1 = previous;
                true
            }
            (_, None) => true,
        };
        if known.0 != digest || !same_past {
            let known = *known;
            self.violate(format!(
                "log matching: node {node} group {group} index {index} term {term}: \
                 {digest:08x} after {previous:?}, elsewhere {known:?}"
            ));
        }
    }

    /// A running node at this tick.
    pub fn on_status(
        &mut self,
        node: Node,
        status: &Status,
        disks: &BTreeMap<Node, std::sync::Arc<Disk>>,
    ) {
        let group = status.group;
        let replica = self.replicas.entry((node, group)).or_default();
        let (committed, applied) = (replica.committed_to, replica.applied_to);
        replica.committed_to = status.committed_to.max(committed);
        replica.applied_to = status.applied_to;
        if status.applied_to < applied {
            self.violate(format!(
                "node {node} group {group}: applied {applied}, then {}",
                status.applied_to
            ));
        }
        // A snapshot without a tail covers the commands after the last segment too, so a log may be
        // trimmed beyond it; that no block is lost so is checked at the end.
        let positions = [
            status.segmented_to,
            status.applied_to,
            status.committed_to,
            status.appended_to,
        ];
        if !positions.is_sorted() || status.trimmed_to > status.applied_to {
            self.violate(format!("node {node} group {group}: positions {status:?}"));
        }
        if status.committed_to > committed {
            self.on_committed(node, group, committed, status.committed_to, disks);
        }
        if status.role == Role::Leader {
            self.on_leader(node, group, status.term);
        }
    }

    fn on_committed(
        &mut self,
        node: Node,
        group: GroupId,
        from: u64,
        to: u64,
        disks: &BTreeMap<Node, std::sync::Arc<Disk>>,
    ) {
        let Some(replica) = self.replicas.get(&(node, group)) else {
            return;
        };
        let from = from.max(replica.snapshot_to);
        let seen: Vec<(u64, Entry)> = replica
            .log
            .range(from.min(to)..to)
            .map(|(index, entry)| (*index, *entry))
            .collect();
        for (index, entry) in seen {
            let known = self.committed.entry(group).or_default();
            known.to = known.to.max(index + 1);
            known.term_max = known.term_max.max(entry.term);
            match known.entries.get(&index).copied() {
                None => {
                    known.entries.insert(index, entry);
                    self.trace.line(format_args!(
                        "g{group} committed {index} t{} seen at n{node}",
                        entry.term
                    ));
                    self.check_majority(group, index, entry, disks);
                }
                Some(known) if known == entry => {}
                // What has not reached a slow or failed disk yet will take the place of what lies there:
                // a follower knows what is committed before it has written it.
                Some(known) if entry.term < known.term => {
                    self.late.insert((node, group, index), known);
                }
                Some(known) => self.violate(format!(
                    "node {node} group {group} committed {entry:?} at {index}, elsewhere {known:?}"
                )),
            }
        }
    }

    fn check_majority(
        &mut self,
        group: GroupId,
        index: u64,
        entry: Entry,
        disks: &BTreeMap<Node, std::sync::Arc<Disk>>,
    ) {
        let holds = |node: &Node, disk: &Disk| {
            let key = inspect::entry_key(group, index);
            // It was synced before it was damaged.
            if self.flipped.contains(&(*node, key.clone())) {
                return true;
            }
            if let Some(value) = disk.mem().durable(Space::Log, &key) {
                let row = inspect::row(Space::Log, &key, &value);
                return matches!(row, Ok(Some((_, Fact::Entry { term, .. }))) if term == entry.term);
            }
            // A sealed shard has no log: that its segments are those that were agreed on, and that these
            // lack nothing, is looked at by other checks (`full::seals`, C1).
            if disk
                .mem()
                .durable(Space::State, &inspect::sealed_key(group))
                .is_some()
            {
                return true;
            }
            let key = inspect::purged_key(group);
            let purged = disk.mem().durable(Space::State, &key);
            let purged = purged.and_then(|value| inspect::row(Space::State, &key, &value).ok()?);
            matches!(purged, Some((_, Fact::Purged(to))) if to > index)
        };
        let copies: BTreeSet<Node> = disks
            .iter()
            .filter(|(node, disk)| holds(node, disk))
            .map(|(node, _)| *node)
            .collect();
        let violate = |synced: usize, members: u64| {
            format!(
                "group {group} committed {entry:?} at {index}, synced on {synced} of {members} disks"
            )
        };
        let found = match self.voters_at(group, index, entry, disks) {
            Some(configs) => {
                let synced = |voters: &BTreeSet<Node>| copies.intersection(voters).count();
                let lacking = configs
                    .iter()
                    .find(|voters| synced(voters) <= voters.len() / 2);
                lacking.map(|voters| violate(synced(voters), voters.len() as u64))
            }
            None => {
                let members = if group == META_GROUP {
                    self.nodes
                } else {
                    self.replication
                };
                let lacking = copies.len() as u64 <= members / 2;
                lacking.then(|| violate(copies.len(), members))
            }
        };
        if let Some(lacking) = found {
            self.violate(lacking);
        }
    }

    /// Who has to have a committed entry: those who voted when it was appended, as the last change of the members
    /// before it says, or it itself. Nothing where none was seen.
    fn voters_at(
        &mut self,
        group: GroupId,
        index: u64,
        entry: Entry,
        disks: &BTreeMap<Node, std::sync::Arc<Disk>>,
    ) -> Option<Voters> {
        let key = inspect::entry_key(group, index);
        let values = disks
            .values()
            .filter_map(|disk| disk.mem().durable(Space::Log, &key));
        // What was never committed may still lie on some disk.
        let is_it = |value: &Bytes| {
            let row = inspect::row(Space::Log, &key, value);
            matches!(row, Ok(Some((_, Fact::Entry { digest, .. }))) if digest == entry.digest)
        };
        let mut values = values.filter(is_it);
        let changed = values
            .next()
            .and_then(|value| inspect::configs(&value).ok()?);
        let known = &mut self.committed.entry(group).or_default().voters;
        if let Some(voters) = changed {
            known.insert(index, voters);
        }
        let (since, last) = known.range(..=index).next_back()?;
        // Once a joint change is committed its last part alone may commit what follows: the change that ends it
        // counts from where it is appended, for the entries before it too.
        let all = *since == index;
        let last = last
            .iter()
            .skip(if all { 0 } else { last.len().saturating_sub(1) });
        Some(last.cloned().collect())
    }

    fn on_leader(&mut self, node: Node, group: GroupId, term: u64) {
        let before = self.leaders.insert((group, term), node);
        if before == Some(node) {
            return;
        }
        if let Some(before) = before {
            self.violate(format!(
                "group {group} term {term} has two leaders: {before} and {node}"
            ));
            return;
        }
        self.trace
            .line(format_args!("g{group} t{term} is led by n{node}"));
        let Some(committed) = self.committed.get(&group) else {
            return;
        };
        if term < committed.term_max {
            return;
        }
        let Some(replica) = self.replicas.get(&(node, group)) else {
            return;
        };
        let missing: Vec<u64> = committed
            .entries
            .range(replica.snapshot_to..)
            .filter(|(index, entry)| replica.log.get(index) != Some(entry))
            .filter(|(index, _)| {
                let key = inspect::entry_key(group, **index);
                !self.flipped.contains(&(node, key))
            })
            .map(|(index, _)| *index)
            .collect();
        if let Some(first) = missing.first() {
            self.violate(format!(
                "leader completeness: node {node} leads group {group} in term {term} without {} \
                 committed entries from {first} on",
                missing.len()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ledger: &mut Ledger) -> usize {
        ledger.take_violations().len()
    }

    #[test]
    fn a_node_that_is_cut_off_and_raises_a_term_is_seen() {
        let trace = Trace::default();
        let mut ledger = Ledger::new(trace.clone(), 3, 3);
        let all: BTreeSet<_> = (1..=3).flat_map(|a| (1..=3).map(move |b| (a, b))).collect();
        // Node 1 hears everybody and reaches nobody.
        let mute = all.iter().filter(|(from, to)| *from != 1 || *to == 1);
        let mute: BTreeSet<_> = mute.copied().collect();
        ledger.on_links(0, &all);
        ledger.on_vote(1, 9, 1, 1, true);
        for now in 0..=LATE_MAX {
            trace.set_time(now);
            ledger.on_links(now, if now == 0 { &all } else { &mute });
        }
        ledger.on_vote(1, 9, 2, 1, true);
        assert_eq!(told(&mut ledger), 0, "it may have been on its way");
        trace.set_time(LATE_MAX + 1);
        ledger.on_vote(1, 9, 3, 2, true);
        assert_eq!(told(&mut ledger), 0, "another asked for it");
        ledger.on_vote(1, 8, 1, 1, true);
        assert_eq!(told(&mut ledger), 0, "a fresh group");
        ledger.on_vote(1, 9, 4, 1, true);
        assert_eq!(told(&mut ledger), 1);
        ledger.on_heir(1);
        ledger.on_vote(1, 9, 5, 1, true);
        assert_eq!(told(&mut ledger), 0, "it was told to");
        ledger.on_links(LATE_MAX + 1, &all);
        ledger.on_vote(1, 9, 6, 1, true);
        assert_eq!(told(&mut ledger), 0, "it is back");
    }
}

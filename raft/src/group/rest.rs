//! Rest: what an open group costs while nobody uses it.
//!
//! An open group costs its leader a message per follower and heartbeat, and every replica the ticks of its timers,
//! whether anybody uses it or not. A shard's group that has been idle for [`Settings::rest_after`], and whose members
//! have all applied the same log, therefore rests: its replicas stop their timers, and one small message per pair of
//! nodes and heartbeat (`Rest`) says of all such groups at once what their heartbeats would.
//!
//! ```text
//!           idle for long; all members say in one round that they rest
//!   Awake ─────────────────────────────────────────────────────────────► Leads
//!         ◄─────────────────────────────────────────────────────────────
//!           used; a member is silent or does not rest; log, term, members or fitness are not as they were
//!
//!           listed by the leader that this replica votes for, with the last entry of its own log, applied
//!   Awake ─────────────────────────────────────────────────────────────► Follows
//!         ◄─────────────────────────────────────────────────────────────
//!           an entry, a vote, a snapshot, a transfer; another vote; not listed for as long as a follower
//!           waits for heartbeats before it asks for an election
//! ```
//!
//! Timers only make heartbeats and elections: no state here can make a replica vote, acknowledge or apply
//! anything, so what Raft promises does not depend on it. What keeps a group alive is that every doubt wakes it, and
//! that a follower's rest ends by itself. A replica that has just been opened is awake.
//!
//! * A leader that wakes sends heartbeats first: its followers' leases have run out, and one that woke before it
//!   heard of the leader would ask for an election at once. That is why a follower in doubt does not wake, but says
//!   that it does not rest. The leader's own lease has run out too: a proposal waits for the first answers.
//! * While the last round is as young as a lease, a resting replica refuses its vote as one would that hears
//!   heartbeats, so that a member that is cut off from the leader alone does not depose it.
//! * A read needs no timer: it asks a majority by itself, and a group that is only read goes on resting.
//! * The meta group never rests.
//!
//! Nothing here chooses who leads, or judges whether a node is alive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_record::{GroupId, NodeId};
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::core::{Core, Metrics};
use super::{Context, Groups, ShardGroup};
use crate::network::Remote;
use crate::runtime::mix;
use crate::types::{LeaderId, LogId, Vote};

/// How often it is looked, within a heartbeat, whether a leader has fallen silent.
const LOOKS_A_HEARTBEAT: u32 = 4;
/// Sets the draw of a silence apart from what the library draws.
const SILENCE_DRAW: u64 = 0x7265_7374;

/// Where a group rests: the term of its leader and the last entry of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) term: u64,
    pub(crate) last: LogId,
}

/// How often replicas of a node have stopped and started their timers.
#[derive(Clone, Default)]
pub(super) struct Counts {
    rests: Arc<AtomicU64>,
    wakings: Arc<AtomicU64>,
}

/// One replica's part.
pub(super) struct Rest {
    /// Never held while the metrics are borrowed, nor the other way round: their lock keeps readers waiting behind a
    /// writer, so that two in different order and a writer would wait for each other.
    state: Mutex<State>,
    counts: Counts,
    /// How long a group is idle before it rests; zero: it never does.
    after: Duration,
    /// How long a leader's word is good for.
    lease: Duration,
    /// How long a follower rests without being listed.
    silence: Duration,
}

struct State {
    phase: Phase,
    /// When it was last used, or not as it must be.
    stirred: Instant,
    /// Where it was when that was last looked at.
    seen: Option<Mark>,
    /// How many are using it.
    users: usize,
    /// When its rest last ended.
    woken: Option<Instant>,
    /// The term and the begin of the last round in which every member rested.
    confirmed: Option<(u64, Instant)>,
}

#[derive(Clone, Copy)]
enum Phase {
    Awake,
    Leads(Mark),
    Follows {
        leader: NodeId,
        mark: Mark,
        heard: Instant,
    },
}

/// What a leader does about a group in this round.
enum Claim {
    /// Nothing: it is in use, or not led here.
    Nothing,
    /// Its rest is over.
    Ends,
    /// These members are to rest, or to go on resting.
    Asks(Mark, Vec<(NodeId, String)>),
}

/// Somebody uses the group: it does not rest as long.
pub(super) struct User<'a>(&'a Rest);

impl Drop for User<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.users -= 1;
        state.stirred = Instant::now();
    }
}

impl Rest {
    pub(super) fn new(context: &Context, group: GroupId) -> Self {
        let settings = &context.settings;
        let draw = mix(mix(context.seed, group), SILENCE_DRAW);
        let spread = settings.election_max.saturating_sub(settings.election_min);
        // As the library does: a lease, then a time of its own for each replica, so that not all of them ask at once.
        let own = spread.mul_f64((draw % 1_024) as f64 / 1_024.0);
        Self {
            state: Mutex::new(State {
                phase: Phase::Awake,
                stirred: Instant::now(),
                seen: None,
                users: 0,
                woken: None,
                confirmed: None,
            }),
            counts: context.groups.rest_counts().clone(),
            after: settings.rest_after,
            lease: settings.election_max,
            silence: settings.election_max + settings.election_min + own,
        }
    }

    fn used(&self) -> User<'_> {
        let mut state = self.state.lock();
        state.users += 1;
        state.stirred = Instant::now();
        User(self)
    }

    /// The begin of the last round in which every member rested under this term.
    pub(super) fn confirmed(&self, term: u64) -> Option<Instant> {
        let confirmed = self.state.lock().confirmed;
        confirmed.and_then(|(of, at)| (of == term).then_some(at))
    }

    pub(super) fn is_resting(&self) -> bool {
        !matches!(self.state.lock().phase, Phase::Awake)
    }

    /// The leader that this replica follows while it rests, where, and when it was last listed.
    fn followed(&self) -> Option<(NodeId, Mark, Instant)> {
        match self.state.lock().phase {
            Phase::Follows {
                leader,
                mark,
                heard,
            } => Some((leader, mark, heard)),
            Phase::Awake | Phase::Leads(_) => None,
        }
    }
}

impl Core {
    /// Whether this replica's timers are stopped.
    pub(crate) fn is_resting(&self) -> bool {
        self.rest.is_resting()
    }

    /// To be held while the group is used in a way that needs its timers, at the leader. Ends its rest, and waits
    /// until the library takes proposals again.
    pub(super) async fn use_awake(&self, deadline: Instant) -> User<'_> {
        let user = self.rest.used();
        self.end_lead().await;
        self.lease(deadline).await;
        user
    }

    /// Ends the rest of a leader; elsewhere nothing happens.
    async fn end_lead(&self) {
        if self.start_timers(|phase| matches!(phase, Phase::Leads(_))) {
            self.send_heartbeats().await;
        }
    }

    /// As [`use_awake`](Self::use_awake) for who wants no heartbeats sent.
    pub(super) fn end_lead_silently(&self) {
        self.start_timers(|phase| matches!(phase, Phase::Leads(_)));
    }

    /// Ends the rest of a replica to which somebody else than its resting leader has spoken.
    pub(crate) fn end_rest(&self) {
        self.start_timers(|_| true);
    }

    async fn send_heartbeats(&self) {
        // A core whose inbox is full has worse troubles than this one, and must not hold up the other groups.
        let until = Instant::now() + self.context.settings.heartbeat;
        match timeout_at(until, self.raft.trigger().heartbeat()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(group = self.group, %error, "no heartbeat was sent"),
            Err(_) => tracing::warn!(group = self.group, "a group does not take up its heartbeat"),
        }
    }

    /// Ends a rest of this kind; whether there was one.
    fn start_timers(&self, ends: impl Fn(Phase) -> bool) -> bool {
        let mut state = self.rest.state.lock();
        state.stirred = Instant::now();
        if matches!(state.phase, Phase::Awake) || !ends(state.phase) {
            return false;
        }
        self.awaken(&mut state);
        true
    }

    fn awaken(&self, state: &mut State) {
        state.phase = Phase::Awake;
        state.woken = Some(Instant::now());
        self.rest.counts.wakings.fetch_add(1, Ordering::Relaxed);
        self.raft.runtime_config().tick(true);
    }

    fn stop_timers(&self) {
        self.rest.counts.rests.fetch_add(1, Ordering::Relaxed);
        self.raft.runtime_config().tick(false);
    }

    /// Waits until a majority has answered a leader that has just woken.
    async fn lease(&self, deadline: Instant) {
        let lease = self.rest.lease;
        let woken = self.rest.state.lock().woken;
        let Some(until) = woken.map(|woken| deadline.min(woken + lease)) else {
            return;
        };
        let mut metrics = self.raft.metrics();
        while Instant::now() < until {
            let waits = {
                let metrics = metrics.borrow_and_update();
                let acked = metrics.last_quorum_acked.as_ref();
                let old = acked.is_none_or(|acked| openraft::Instant::elapsed(&**acked) >= lease);
                metrics.state == ServerState::Leader
                    && metrics.membership_config.voter_ids().count() > 1
                    && old
            };
            if !waits || !matches!(timeout_at(until, metrics.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Where this leader's group may rest, and its other members; `None` where it may not.
    fn calm(&self) -> Option<(Mark, Vec<(NodeId, String)>)> {
        let own = self.context.node;
        if self.context.is_unfit() {
            return None;
        }
        let (mark, others) = self.metrics(|metrics| {
            let last = metrics.last_applied?;
            let term = metrics.current_term;
            let stored = &metrics.membership_config;
            let matched = |node: &NodeId| {
                let replication = metrics.replication.as_ref()?;
                replication.get(node).copied().flatten()
            };
            let others = || stored.nodes().filter(|(node, _)| **node != own);
            let calm = metrics.running_state.is_ok()
                && metrics.state == ServerState::Leader
                && metrics.current_leader == Some(own)
                && metrics.last_log_index == Some(last.index)
                && stored.membership().get_joint_config().len() == 1
                && stored.voter_ids().any(|node| node == own)
                && others().all(|(node, _)| matched(node) == Some(last));
            let others = others().map(|(node, peer)| (*node, peer.addr.clone()));
            calm.then(|| (Mark { term, last }, others.collect()))
        })?;
        (!self.silence.holds(mark.term)).then_some((mark, others))
    }

    /// What is to be done about this group in the round that begins `now`.
    fn claim(&self, now: Instant) -> Claim {
        let calm = self.calm();
        let mut state = self.rest.state.lock();
        let mark = calm.as_ref().map(|(mark, _)| *mark);
        if mark.is_none() || mark != state.seen || state.users > 0 {
            state.seen = mark;
            state.stirred = now;
        }
        match (state.phase, calm) {
            (Phase::Leads(at), Some((mark, others))) if at == mark => Claim::Asks(mark, others),
            (Phase::Leads(_), _) => {
                self.awaken(&mut state);
                Claim::Ends
            }
            (Phase::Awake, Some((mark, others)))
                if now.saturating_duration_since(state.stirred) >= self.rest.after =>
            {
                Claim::Asks(mark, others)
            }
            (Phase::Awake | Phase::Follows { .. }, _) => Claim::Nothing,
        }
    }

    /// All members have said in the round that began at `since` that they rest here.
    fn confirm(&self, mark: Mark, since: Instant) {
        let mut state = self.rest.state.lock();
        match state.phase {
            Phase::Leads(at) if at == mark => {}
            // Not if it was used meanwhile.
            Phase::Awake if state.users == 0 && state.stirred < since => {
                state.phase = Phase::Leads(mark);
                self.stop_timers();
            }
            Phase::Awake | Phase::Leads(_) | Phase::Follows { .. } => return,
        }
        state.confirmed = Some((mark.term, since));
    }

    /// The leader says that the group rests here: whether this replica does.
    pub(crate) fn follow(&self, leader: NodeId, mark: Mark) -> bool {
        let rests = self.metrics(|metrics| {
            metrics.running_state.is_ok()
                && matches!(metrics.state, ServerState::Follower | ServerState::Learner)
                && votes_for(metrics, leader, mark.term)
                && metrics.last_applied == Some(mark.last)
                && metrics.last_log_index == Some(mark.last.index)
        });
        let rests = rests && !self.rest.after.is_zero();
        if rests {
            let heard = Instant::now();
            let mut state = self.rest.state.lock();
            if matches!(state.phase, Phase::Awake) {
                self.stop_timers();
            }
            state.phase = Phase::Follows {
                leader,
                mark,
                heard,
            };
            drop(state);
            self.heard();
        }
        rests
    }

    /// Ends the rest of a follower whose leader has fallen silent, or is not its leader any more.
    fn look(&self) {
        let Some((leader, mark, heard)) = self.rest.followed() else {
            return;
        };
        let follows = self.metrics(|metrics| votes_for(metrics, leader, mark.term));
        if !follows || heard.elapsed() >= self.rest.silence {
            // Not if it was listed meanwhile.
            self.start_timers(
                |phase| matches!(phase, Phase::Follows { heard: at, .. } if at == heard),
            );
        }
    }

    /// Whether this replica rests under a leader of which it has lately been told, itself or another one: then
    /// its vote is nobody else's. With what it answers who asks for it.
    pub(crate) fn vote_at_rest(&self) -> Option<(Vote, LogId)> {
        let state = self.rest.state.lock();
        let (leader, mark, told) = match state.phase {
            Phase::Awake => return None,
            Phase::Leads(mark) => (self.context.node, mark, state.confirmed?.1),
            Phase::Follows {
                leader,
                mark,
                heard,
            } => (leader, mark, heard),
        };
        let vote = Vote {
            leader_id: LeaderId {
                term: mark.term,
                voted_for: leader,
            },
            committed: true,
        };
        (told.elapsed() < self.rest.lease).then_some((vote, mark.last))
    }
}

/// Whether this replica takes that node for the leader of that term, and has voted for nobody since.
fn votes_for(metrics: &Metrics, leader: NodeId, term: u64) -> bool {
    metrics.current_term == term && metrics.current_leader == Some(leader)
}

impl Counts {
    pub(super) fn rests(&self) -> u64 {
        self.rests.load(Ordering::Relaxed)
    }

    pub(super) fn wakings(&self) -> u64 {
        self.wakings.load(Ordering::Relaxed)
    }
}

/// Has the groups of this node rest while nobody uses them, and wakes those whose leaders have fallen silent, for
/// as long as it is polled.
pub async fn keep_resting(context: &Context) {
    let heartbeat = context.settings.heartbeat;
    if context.settings.rest_after.is_zero() {
        return std::future::pending().await;
    }
    let rounds = async {
        loop {
            let next = Instant::now() + heartbeat;
            round(context, next).await;
            sleep_until(next).await;
        }
    };
    let looks = async {
        loop {
            sleep(heartbeat / LOOKS_A_HEARTBEAT).await;
            for group in context.groups.shards() {
                group.core().look();
            }
        }
    };
    tokio::join!(rounds, looks);
}

/// A node, and where it listens.
type Place = (NodeId, String);

/// Tells every other node which groups rest with it under this one; those whose members do not all agree before
/// `deadline` do not.
async fn round(context: &Context, deadline: Instant) {
    let now = Instant::now();
    let mut asked: Vec<(ShardGroup, Mark, Vec<Place>)> = Vec::new();
    let mut ended: Vec<ShardGroup> = Vec::new();
    let mut lists: BTreeMap<Place, Vec<(GroupId, Mark)>> = BTreeMap::new();
    for group in context.groups.shards() {
        match group.core().claim(now) {
            Claim::Nothing => {}
            Claim::Ends => ended.push(group),
            Claim::Asks(mark, others) => {
                for place in &others {
                    let list = lists.entry(place.clone()).or_default();
                    list.push((group.core().group, mark));
                }
                asked.push((group, mark, others));
            }
        }
    }
    let answers = lists.into_iter().map(|(place, list)| async move {
        let (node, addr) = &place;
        let remote = Remote {
            context,
            node: *node,
            addr,
        };
        match remote.rest(&list, deadline).await {
            Ok(awake) => Some((place, awake)),
            Err(status) => {
                tracing::debug!(node, %status, "groups do not rest");
                None
            }
        }
    });
    let answers: BTreeMap<Place, BTreeSet<GroupId>> =
        join_all(answers).await.into_iter().flatten().collect();
    for (group, mark, others) in asked {
        let number = group.core().group;
        let rests = |place| {
            let awake = answers.get(place);
            awake.is_some_and(|awake| !awake.contains(&number))
        };
        if others.iter().all(rests) {
            group.core().confirm(mark, now);
        } else if group
            .core()
            .start_timers(|phase| matches!(phase, Phase::Leads(_)))
        {
            ended.push(group);
        }
    }
    join_all(ended.iter().map(|group| group.core().send_heartbeats())).await;
}

impl Groups {
    /// How often replicas here have come to rest, and have woken, since the start.
    pub fn rests(&self) -> (u64, u64) {
        let counts = self.rest_counts();
        (counts.rests(), counts.wakings())
    }
}

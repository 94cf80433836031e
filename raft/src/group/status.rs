//! What a node knows of one of its groups at one moment.

use hushlog_record::{GroupId, NodeId};
use openraft::ServerState;

/// A replica's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes proposals.
    Leader,
    /// Follows and votes.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Follows without a vote.
    Learner,
    /// Its Raft core has stopped.
    Stopped,
}

impl Role {
    /// The role in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        [Self::Leader, Self::Follower, Self::Candidate, Self::Learner]
            .into_iter()
            .find(|role| role.name() == name)
            .unwrap_or(Self::Stopped)
    }

    pub(super) fn of(state: ServerState) -> Self {
        match state {
            ServerState::Leader => Self::Leader,
            ServerState::Follower => Self::Follower,
            ServerState::Candidate => Self::Candidate,
            ServerState::Learner => Self::Learner,
            ServerState::Shutdown => Self::Stopped,
        }
    }
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Where it listens.
    pub addr: String,
    /// Whether it votes.
    pub voter: bool,
    /// Entries that it is behind the leader; known to the leader only, `None` for a replica that has
    /// not answered yet.
    pub lag: Option<u64>,
}

/// A group as one replica sees it. Positions are half-open and in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The group.
    pub group: GroupId,
    /// The replica's term.
    pub term: u64,
    /// Its role.
    pub role: Role,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// Entries before this are dropped from the log.
    pub trimmed_to: u64,
    /// Blocks before this are in segments.
    pub segmented_to: u64,
    /// Entries before this are applied.
    pub applied_to: u64,
    /// Entries before this are on a majority, as far as this replica knows.
    pub committed_to: u64,
    /// Entries before this are in this replica's log.
    pub appended_to: u64,
    /// Whether the shard takes no more data.
    pub closed: bool,
    /// The lowest version of the patterns that the shard takes blocks of, as far as it is applied; 0 for
    /// the meta group.
    pub policy_epoch: u64,
    /// Whether others should lead rather than this node, whatever the group.
    pub unfit: bool,
    /// Whether this replica's timers are stopped, since nobody uses the group.
    pub resting: bool,
    /// The members, by node.
    pub members: Vec<Member>,
}

//! Every limit and deadline of this crate, by name.

use std::time::Duration;

/// Most bytes of stored entries read for one append to a follower; one entry is read whatever its
/// size.
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// Most bytes of stored entries read from disk at once while entries are applied.
pub const STREAM_CHUNK_BYTES_MAX: usize = 4 << 20;
/// Bytes of synced entries that a group keeps in memory for its followers and its state machine.
/// Entries that are not synced yet are kept beside them, whatever their size.
pub const CACHE_BYTES_MAX: usize = 8 << 20;
/// Most bytes of stored entries that replicas compare at once; one entry is read whatever its size.
pub const LOG_PIECE_BYTES_MAX: usize = 4 << 20;
/// Most entries that replicas compare at once.
pub const LOG_PIECE_ENTRIES_MAX: usize = 4_096;
/// Most request keys that a shard remembers; the oldest is forgotten first.
pub const PRODUCER_KEYS_MAX: usize = 500_000;
/// Most ids of records, given by clients, that a shard remembers beside them; the oldest is forgotten first.
pub const RECORD_KEYS_MAX: usize = 250_000;
/// How long a shard remembers a request key, by the blocks' times of admission.
pub const PRODUCER_KEY_NANOS: i64 = 24 * 3_600 * 1_000_000_000;
/// Most that one block moves a shard's time forward.
pub const PRODUCER_STEP_NANOS: i64 = 3_600 * 1_000_000_000;
/// Bytes of commands after which the meta group takes a snapshot.
pub const META_SNAPSHOT_LOG_BYTES: u64 = 256 << 10;
/// Shortest time that a rule keeps records.
pub const RETENTION_MIN: Duration = Duration::from_secs(3_600);
/// Longest time that a rule keeps records: ten years of 365 days.
pub const RETENTION_MAX: Duration = Duration::from_secs(3_650 * 86_400);
/// Most services with a retention rule of their own: every question carries them all.
pub const RETENTION_RULES_MAX: usize = 1_000;
/// Longest name of a service with a retention rule, in bytes.
pub const RETENTION_SERVICE_BYTES_MAX: usize = 256;
/// Most nodes of a cluster.
pub const NODES_MAX: usize = 1_000;
/// Highest rate of a limit, in records or bytes a second.
pub const RATE_MAX: u64 = 1_000_000_000_000;
/// Most services with a rate limit of their own.
pub const RATE_RULES_MAX: usize = 1_000;
/// Longest name of a service with a rate limit, in bytes.
pub const RATE_SERVICE_BYTES_MAX: usize = 256;
/// Most services whose dropped rows are counted by name.
pub const EXPIRED_SERVICES_MAX: usize = 1_000;
/// Longest name of a service whose dropped rows are counted by it, in bytes.
pub const EXPIRED_SERVICE_BYTES_MAX: usize = 256;
/// Most services that the cut-off times of one rewritten shard name: the facts have them until its bucket goes.
pub const CUTOFF_SERVICES_MAX: usize = 64;
/// Longest name of a service with a cut-off time of its own, in bytes.
pub const CUTOFF_SERVICE_BYTES_MAX: usize = 256;
/// How often rows are left out of one shard.
pub const REWRITES_MAX: usize = 8;
/// Most services that a bucket spreads over slots of their own choice: the map of every bucket has them.
pub const SPREAD_SERVICES_MAX: usize = 32;
/// Longest name of a service that is spread, in bytes.
pub const SPREAD_SERVICE_BYTES_MAX: usize = 256;
/// Most services that a bucket keeps apart from the others for their retention: the map of every bucket has them.
pub const CLASSED_SERVICES_MAX: usize = 64;
/// Longest name of a service that is kept apart, in bytes.
pub const CLASSED_SERVICE_BYTES_MAX: usize = 256;
/// Largest message between nodes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Size of one piece of a snapshot on the wire.
pub const SNAPSHOT_PIECE_BYTES: usize = 1 << 20;
/// Largest snapshot that a node accepts: producers and manifest, or the cluster's facts.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;
/// Most groups in one request for read positions.
pub const READ_GROUPS_MAX: usize = 65_536;
/// Most groups of which one message says that they rest.
pub const REST_GROUPS_MAX: usize = 65_536;
/// Appends on their way to one follower, per group.
pub const APPENDS_IN_FLIGHT_MAX: usize = 16;

/// How long one append may wait for its answer while entries are on their way. Much longer than a
/// heartbeat: a large entry and a slow sync must not look like a dead follower.
pub const APPEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long a snapshot may take from its first piece to the follower's answer, which comes after the
/// follower has fetched the segments it lacks.
pub const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(600);
/// How long a request may wait for a transfer of leadership to be accepted.
pub const TRANSFER_DEADLINE: Duration = Duration::from_secs(2);
/// Longest pause before a proposal that nobody took is tried again; a change of leader ends it early.
pub const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a proposal waits for a leader once another has waited in vain.
pub const STALLED_PATIENCE: Duration = Duration::from_millis(250);
/// A proposal that has no end after so long waits in vain, if no majority was heard of meanwhile.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);
/// How long one leader is waited for when read positions are asked for, before the next is asked.
pub const READ_PATIENCE: Duration = Duration::from_secs(1);
/// How long a leader that was deposed may still answer what was sent to it.
pub const DEPOSED_PATIENCE: Duration = Duration::from_secs(1);
/// How long a request between nodes may wait when its caller names no deadline.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

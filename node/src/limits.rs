//! Every limit of the node that is not a setting, by name.

use std::time::Duration;

/// Jobs that may wait for a CPU thread; the next caller waits before it queues.
pub const OFFLOAD_JOBS_MAX: usize = 256;
/// First pause before a failed task is started again.
pub const TASK_RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
pub const TASK_RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Rejections that an answer lists; the rest is only counted.
pub const REJECTIONS_LISTED_MAX: usize = 100;
/// Text in memory that a compressed body is taken to need per byte received, where it does not say.
pub const DECOMPRESSION_ESTIMATE: usize = 8;
/// Longest form of one record on the wire, protobuf or JSON, that is decoded; a longer one is rejected
/// alone. Above the limit of a record, for the form may be longer than the text.
pub const ENCODED_RECORD_BYTES_MAX: usize = 2 << 20;
/// Levels of JSON in a record of OTLP that are taken apart, as many as in protobuf; what is below stays text.
pub const OTLP_DEPTH_MAX: usize = 100;
/// Bytes of syslog messages at which a batch is full.
pub const SYSLOG_BATCH_BYTES: usize = 256 << 10;
/// Messages at which it is full.
pub const SYSLOG_BATCH_MESSAGES_MAX: usize = 4_096;
/// How long a batch of syslog messages waits for more after its first.
pub const SYSLOG_BATCH_WAIT: Duration = Duration::from_millis(5);
/// Bytes that are read from a syslog connection at once; each connection has a buffer of so many.
pub const SYSLOG_READ_BYTES: usize = 8 << 10;
/// Memory that a syslog message is taken to need beyond its text, until it is handed in.
pub const SYSLOG_MESSAGE_MEMORY_BYTES: usize = 16;
/// Syslog connections hold at most one of so many parts of the memory for requests: what they hold can be
/// stored only while there is room for its rows beside it.
pub const SYSLOG_MEMORY_PART: usize = 4;
/// Memory of the messages of one syslog connection at which no more wait aside for their service's rate limit; the
/// connection is then not read until some of them are stored.
pub const SYSLOG_ASIDE_BYTES_MAX: usize = 512 << 10;
/// Senders whose messages are handed in apart, where one of them is over its rate limit.
pub const SYSLOG_SENDERS_MAX: usize = 64;
/// Time in which a syslog message that has begun must be complete, or its connection ends.
pub const SYSLOG_UNFINISHED_MAX: Duration = Duration::from_secs(60);
/// Most bytes of the messages of one syslog connection that wait for further lines of a stack trace; beyond,
/// those that have waited longest are taken as they are.
pub const SYSLOG_JOIN_BYTES_MAX: usize = 512 << 10;
/// Memory that a program takes beyond its text while messages of it wait for further lines.
pub const SYSLOG_STREAM_MEMORY_BYTES: usize = 512;
/// Largest datagram; what is longer cannot be sent over IPv4.
pub const SYSLOG_DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Longest `_id` of a bulk item in bytes, as in Elasticsearch.
pub const BULK_ID_BYTES_MAX: usize = 512;
/// Longest name of an index in bytes, as in Elasticsearch.
pub const INDEX_NAME_BYTES_MAX: usize = 255;
/// Memory that an item of a bulk request is taken to need until its answer is made, beyond its names: a
/// list that grows is copied.
pub const BULK_ITEM_MEMORY_BYTES: usize = 192;
/// Bytes that an item takes in the answer at most, beyond its names.
pub const BULK_ANSWER_ITEM_BYTES: usize = 192;
/// Bytes that a receipt takes in an answer at most.
pub const RECEIPT_ANSWER_BYTES: usize = 128;
/// Longest `filter_path` in bytes.
pub const FILTER_PATH_BYTES_MAX: usize = 1 << 10;
/// Most paths of a `filter_path`.
pub const FILTERS_MAX: usize = 32;
/// What a refused client is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Requests that are at the processor, or next, for each of its threads: when one is done, another is there.
pub const TURNS_PER_THREAD: usize = 2;
/// Requests of one kind of sender hold at most one of so many parts of the memory for requests while they wait
/// to be read, unless it is a single request.
pub const WAITING_MEMORY_PART: usize = 3;
/// How much of its rate a service may use at once after a pause: so much time of it.
pub const RATE_BURST: Duration = Duration::from_secs(5);
/// Longest time of a service's rate that one request takes; what it holds beyond is let off.
pub const RATE_DEBT_MAX: Duration = Duration::from_secs(3_600);
/// Longest wait that a client is told whose service is over its rate limit.
pub const RATE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Services without a rule of their own whose rates are counted one by one; further ones share an account.
pub const RATE_ACCOUNTS_MAX: usize = 8_192;
/// Shortest pause between two searches for accounts that can go.
pub const RATE_SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// One service holds at most one of so many parts of the memory for requests while its records are being
/// stored, unless it is a single request: what is left is for the others.
pub const SERVICE_MEMORY_PART: usize = 2;
/// How often a node tells the others what it has taken in of services with a rate limit.
pub const RATE_TELL_PAUSE: Duration = Duration::from_secs(1);
/// Services of one shard whose rates are measured at a time.
pub const METERED_SERVICES_MAX: usize = 1_024;
/// Services of one shard whose rates a node tells: the largest.
pub const LOAD_SERVICES_MAX: usize = 64;
/// Longest time over which rates are smoothed; a quarter of a bucket, if that is less.
pub const LOAD_WINDOW_MAX: Duration = Duration::from_secs(60);
/// Bytes that a record counts as at least when slots are planned: small ones cost time, not space.
pub const RECORD_WEIGHT_BYTES: u64 = 50;
/// Most slots of a bucket for each of its nodes, where nobody has said how many there are.
pub const SLOTS_PER_NODE_MAX: u16 = 4;
/// Most slots over which one service is spread: a question for it asks all of them.
pub const SPREAD_SLOTS_MAX: u16 = 64;
/// Memory that a service is taken to need in the tally of a request, beyond its name.
pub const SERVICE_MEMORY_BYTES: usize = 192;
/// How often rows are sealed again because their shard closed before a request gives up.
pub const REROUTES_MAX: usize = 8;
/// Pause before rows of a closed shard are routed again.
pub const REROUTE_PAUSE: Duration = Duration::from_millis(20);
/// Records that go through a stage of preparation together.
pub const STAGE_RUN_ROWS: usize = 256;
/// Text bytes at which fewer records go together.
pub const STAGE_RUN_BYTES: usize = 1 << 20;
/// Memory that a record is taken to need beyond its text and fields, until it is stored.
pub const RECORD_MEMORY_BYTES: usize = 512;
/// Memory that a field is taken to need beyond its text.
pub const FIELD_MEMORY_BYTES: usize = 64;
/// Memory that a part of a request is taken to need beyond its records.
pub const PART_MEMORY_BYTES: usize = 2 << 10;
/// Most rows of one part of a request. How a keyed request is cut must not change between retries.
pub const PART_ROWS_MAX: usize = 4_096;
/// Fields of all rows at which a part of a request, or a block, is full.
pub const PART_FIELDS_MAX: usize = 1 << 16;
/// Text bytes at which a part of a request is full.
pub const PART_TEXT_BYTES_MAX: usize = 1 << 20;
/// Text bytes of a part's masked records at which it is full, where masking has made them longer.
pub const PART_MASKED_BYTES_MAX: usize = 8 << 20;
/// Requests that wait for one shard's batcher before the next caller waits.
pub const BATCHER_INBOX_MAX: usize = 1_024;
/// Blocks of one gateway that may be on their way to one shard; the first with keys and the first
/// without leave in any case, and those that are overdue do not count.
pub const BLOCKS_IN_FLIGHT_MAX: usize = 4;
/// How long a block may be on its way before the next ones no longer wait for it.
pub const BLOCK_OVERDUE: Duration = Duration::from_secs(1);
/// Time without a row after which a shard's batcher ends.
pub const BATCHER_IDLE: Duration = Duration::from_secs(60);
/// Longest `Idempotency-Key` and producer id in bytes.
pub const PRODUCER_BYTES_MAX: usize = 256;
/// Unanswered requests of one `PushStream`.
pub const PUSH_STREAM_WINDOW: usize = 64;

/// Largest query body in bytes.
pub const QUERY_BODY_BYTES_MAX: usize = 1 << 20;
/// Largest text for `POST /api/v1/pii/test` in bytes.
pub const PII_TEST_BYTES_MAX: usize = 1 << 20;
/// Largest body that changes a pattern, in bytes.
pub const PATTERN_BODY_BYTES_MAX: usize = 256 << 10;
/// Largest policy, patterns and all, as the cluster keeps it, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;
/// Time for a change of the patterns to come into force everywhere.
pub const POLICY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to ask the meta group which patterns hold.
pub const POLICY_READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a change is made again because another came first.
pub const POLICY_ATTEMPTS_MAX: usize = 8;
/// Largest body of a rule of retention in bytes.
pub const RETENTION_BODY_BYTES_MAX: usize = 4 << 10;
/// Time for reading or changing the rules of retention.
pub const RETENTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest body of a request about nodes.
pub const NODES_BODY_BYTES_MAX: usize = 4 << 10;
/// How long a change of the nodes may take to be known to a majority.
pub const NODES_TIMEOUT: Duration = Duration::from_secs(10);
/// Highest number of a node: all of them are exact in JSON.
pub const NODE_ID_MAX: u64 = u32::MAX as u64;
/// Longest address of a node.
pub const ADDRESS_BYTES_MAX: usize = 255;
/// Most copies of a record that can be asked for.
pub const REPLICATION_MAX: u32 = 7;
/// Services whose rows are named when a bucket is dropped: those with most of them.
pub const EXPIRED_SERVICES_EACH_MAX: usize = 500;
/// Rows of a node's ledger, each of a service and a way in; further services share one row for each way.
pub const LEDGER_ROWS_MAX: usize = 2_048;
/// Longest name of a service with a row of its own in the ledger, in bytes.
pub const LEDGER_SERVICE_BYTES_MAX: usize = 256;
/// Reasons or codes that a row tells apart; further ones are counted as `other`.
pub const LEDGER_REASONS_MAX: usize = 32;
/// How often a node writes its ledger down.
pub const LEDGER_SAVE_PAUSE: Duration = Duration::from_secs(5);
/// Services that an answer of the ledger counts the stored records of, by name.
pub const LEDGER_SERVICES_MAX: usize = 1_000;
/// Largest body of a rate limit in bytes.
pub const RATE_BODY_BYTES_MAX: usize = 4 << 10;
/// Time for reading or changing the rate limits.
pub const RATE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to read the head of an HTTP request.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of an HTTP request in bytes.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Most header lines of one request.
pub const HEADERS_MAX: usize = 100;
/// Longest silence while a request body is read.
pub const BODY_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Time that every request body has, however small.
pub const BODY_GRACE: Duration = Duration::from_secs(30);
/// Slowest body beyond that, on the whole.
pub const BODY_BYTES_PER_SECOND_MIN: usize = 16 << 10;
/// Concurrent HTTP/2 streams of one connection.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// Calls of one gRPC connection that were begun and taken back before they were looked at; beyond it the connection
/// is ended. A node takes back the calls of all its groups at once, where a bucket ends or another node is slow, and
/// with the connection all of them would be lost: four times what a connection may have open.
pub const HTTP2_RESETS_MAX: usize = 1024;
/// Calls of one gRPC connection, as long as it lives, that were refused because too many were open or that broke the
/// protocol; beyond it the connection is ended. A node in need of processor time may have some hundreds refused in a
/// second, and would lose all its groups with the connection.
pub const HTTP2_REFUSALS_MAX: usize = 65_536;
/// Pause after the operating system refused to accept a connection.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time in which a connection beyond `limits.connections` must prove to be a peer's.
pub const STRANGER_PATIENCE: Duration = Duration::from_secs(2);
/// Connections that may be at that at once; then the oldest gives way.
pub const STRANGERS_MAX: usize = 256;
/// Connections of peers, beside those of clients: three for each of many more nodes than there are.
pub const PEER_CONNECTIONS_MAX: usize = 1_024;
/// Most neighbours on either side that a context answer shows.
pub const CONTEXT_ROWS_MAX: u32 = 1_000;
/// Most exceptions of a top-k answer.
pub use hushlog_query::limits::TOP_K_MAX;
/// Hits in one page of a gRPC search unless the request says otherwise.
pub const SEARCH_PAGE_ROWS: usize = 500;
/// Bytes of hits in one page of a gRPC search, but for a hit that is larger: clients take messages of 4 MiB unless they are
/// told otherwise.
pub const SEARCH_PAGE_BYTES: usize = 2 << 20;
/// Time for everything that must happen between SIGTERM and the end of the process.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a block waits for a leader that takes it before its request is refused; longer than an
/// election.
pub const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// Longest silence between a leader and a majority after which a node still calls itself ready: an
/// ordinary election does not turn it red.
pub const READY_SILENCE_MAX: Duration = Duration::from_secs(5);
/// How often `grpc.health.v1` is brought up to date.
pub const HEALTH_TICK: Duration = Duration::from_millis(250);
/// Time that calls between nodes and the hand-over of leads have when a node ends.
pub const GRPC_PATIENCE: Duration = Duration::from_secs(2);

//! Every limit on a query and its answer, by name.

/// Longest query string, in bytes.
pub const QUERY_BYTES_MAX: usize = 16 << 10;
/// Deepest nesting of parentheses and `NOT` in a query string.
pub const DEPTH_MAX: usize = 32;
/// Most terms, phrases, ranges and the like in one query string.
pub const CLAUSES_MAX: usize = 1_024;
/// Most tokens of one phrase or term.
pub const PHRASE_TOKENS_MAX: usize = 128;
/// Longest wildcard pattern, in characters.
pub const WILDCARD_CHARS_MAX: usize = 256;
/// Longest regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 1_024;
/// Largest compiled regular expression, in bytes.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most regular expressions and wildcards in one query string.
pub const PATTERNS_MAX: usize = 32;
/// Most texts that stand in records for the values of one question.
pub const STAND_INS_MAX: usize = 8_192;
/// Most decimal digits of a number in a query.
pub const NUMBER_DIGITS_MAX: usize = 400;

/// Largest `limit`.
pub const LIMIT_MAX: usize = 10_000;
/// `limit` when a request names none.
pub const LIMIT_DEFAULT: usize = 100;
/// Largest `offset` + `limit`.
pub const WINDOW_MAX: usize = 100_000;
/// Most entries of each list in `filters`.
pub const FILTER_VALUES_MAX: usize = 1_024;
/// Largest `timeout_ms`.
pub const TIMEOUT_MS_MAX: u64 = 10 * 60 * 1_000;

/// Most aggregations of one request, nested ones included.
pub const AGGREGATIONS_MAX: usize = 64;
/// Deepest nesting of aggregations.
pub const AGGREGATION_DEPTH_MAX: usize = 5;
/// Most buckets that one shard holds while it counts.
pub const BUCKETS_COLLECTED_MAX: usize = 262_144;
/// Most buckets that one `terms` of one shard sends on; the rarest are cut and the cut is reported.
pub const BUCKETS_SHIPPED_MAX: usize = 10_000;
/// Most buckets of an answer.
pub const BUCKETS_ANSWERED_MAX: usize = 65_536;
/// Most percentiles of one `percentiles` and most ranges of one `range`.
pub const POINTS_MAX: usize = 1_000;
/// Values up to which `percentiles` is exact.
pub const QUANTILES_EXACT_MAX: usize = 2_048;
/// Distinct values up to which `cardinality` is exact.
pub const CARDINALITY_EXACT_MAX: usize = 3_000;

/// Rows that are worth a thread of their own.
pub const PART_ROWS_MIN: u64 = 64 << 10;
/// Granules read at once.
pub const GRANULES_PER_READ: usize = 32;
/// Largest encoded partial, in bytes.
pub const PARTIAL_BYTES_MAX: usize = 512 << 20;

/// Largest `k` of a top-k request.
pub const TOP_K_MAX: u32 = 1_000;
/// Sample logs of one exception in its details.
pub const SAMPLE_LOGS_MAX: usize = 3;
/// Distinct hosts, regions and users listed for one exception.
pub const AFFECTED_MAX: usize = 100;

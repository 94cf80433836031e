//! Every limit of this crate, by name. Limits on a record or a block are in `hushlog_record::limits`.

/// Default largest request body after decoding, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Largest window that a zstd frame may ask for, as a power of two (128 MiB).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Most content encodings applied one over the other.
pub const ENCODINGS_MAX: usize = 2;
/// Most fields held apart while one record is read; the rest is folded at once.
pub const FIELDS_HELD_MAX: usize = 4_000;
/// Longest service, host, environment, region, trace id, span id or exception type, in bytes; a
/// longer one is cut at a character border.
pub const NAME_BYTES_MAX: usize = 256;
/// How far into a message a level is looked for, in bytes.
pub const LEVEL_SEARCH_BYTES: usize = 96;
/// Most lines that are joined into one stack trace.
pub const JOIN_LINES_MAX: usize = 1_024;
/// Most bytes that are joined into one stack trace.
pub const JOIN_BYTES_MAX: usize = 256 << 10;

//! Every limit of this crate, by name.
//!
//! What bounds one record is in [`hushlog_record::limits`]; what happens beyond:
//!
//! | limit | beyond it |
//! |---|---|
//! | [`RECORD_BYTES_MAX`](hushlog_record::limits::RECORD_BYTES_MAX), also of one value | the record is rejected, alone |
//! | [`RECORD_FIELDS_MAX`](hushlog_record::limits::RECORD_FIELDS_MAX) | the last in order of names are members of one field `_other`, a JSON object |
//! | [`FIELD_NAME_BYTES_MAX`](hushlog_record::limits::FIELD_NAME_BYTES_MAX) | the field is a member of `_other`, with its whole name |
//! | [`FIELD_DEPTH_MAX`](hushlog_record::limits::FIELD_DEPTH_MAX) | the value is kept as JSON text; as a string where it is twice as deep |
//!
//! Nothing else is refused or dropped by a limit: what is over is kept in a plainer form.

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
/// Most text that the events of one CloudWatch batch share, in bytes: it is copied to each of them. A
/// batch with more is one record.
pub const CLOUDWATCH_SHARED_BYTES_MAX: usize = 2_048;
/// Most layers that are taken off a message, one in the other (a container's line that carries syslog
/// that carries JSON); what is in the last of them stays as text.
pub const MESSAGE_LAYERS_MAX: usize = 3;
/// How far into a message a level is looked for, in bytes.
pub const LEVEL_SEARCH_BYTES: usize = 96;
/// Most lines that are joined into one stack trace.
pub const JOIN_LINES_MAX: usize = 1_024;
/// Most bytes that are joined into one stack trace.
pub const JOIN_BYTES_MAX: usize = 256 << 10;
/// How old an event may become while lines are joined to it, in nanoseconds (10 s): a source that writes
/// frames for ever is cut into events.
pub const JOIN_AGE_NANOS_MAX: i64 = 10_000_000_000;
/// Most lines after a report of an exception that are held until one tells whether they belong to it.
pub const JOIN_AHEAD_LINES_MAX: usize = 8;
/// Most streams of one source that are told apart; beyond, the one that was silent longest is ended.
pub const JOIN_STREAMS_MAX: usize = 256;
/// Most bytes that are held over all streams of one source; beyond, those that were silent longest are
/// ended.
pub const JOIN_HELD_BYTES_MAX: usize = 4 << 20;
/// How long a caller should wait for a further line before it ends an event, in nanoseconds (500 ms).
pub const JOIN_WAIT_NANOS: i64 = 500_000_000;
/// Most frames that are read of a stack trace; deeper ones do not count.
pub const FRAMES_MAX: usize = 64;
/// Longest line that is read as a frame, in bytes; a longer one is none.
pub const FRAME_LINE_BYTES_MAX: usize = 2_048;
/// Most frames that a signature is made of.
pub const SIGNATURE_FRAMES_MAX: usize = 8;
/// Longest syslog message in one frame, in bytes; a longer one is cut into frames, never dropped.
pub const SYSLOG_FRAME_BYTES_MAX: usize = 256 << 10;
/// Most digits of an octet count (RFC 6587, section 3.4.1, names no limit); more are text.
pub const SYSLOG_COUNT_DIGITS_MAX: usize = 9;

//! Every limit on a record and a block, by name.

/// Largest record, counted as [`Record::text_bytes`](crate::Record::text_bytes).
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Most fields of one record; the rest goes, as JSON text, into one field named `_other`.
pub const RECORD_FIELDS_MAX: usize = 1_000;
/// Longest field name in bytes; a longer one goes, with its value, where fields beyond [`RECORD_FIELDS_MAX`] go.
pub const FIELD_NAME_BYTES_MAX: usize = 256;
/// Deepest nesting of a JSON record; deeper values are kept as JSON text.
pub const FIELD_DEPTH_MAX: usize = 32;
/// Size of a block's text at which a gateway seals it.
pub const BLOCK_TEXT_BYTES_TARGET: usize = 256 << 10;
/// Largest block as stored, in bytes. A decoder refuses more.
pub const BLOCK_BYTES_MAX: usize = 32 << 20;
/// Largest block after decompression, in bytes. A decoder refuses more before it allocates.
pub const BLOCK_RAW_BYTES_MAX: usize = 128 << 20;
/// Most rows of one block.
pub const BLOCK_ROWS_MAX: usize = 65_536;
/// Most different field names in one block. Text alone does not bound them: a mebibyte of names of
/// three letters holds more. Sealing refuses what is over, so a batch must end before.
pub const BLOCK_FIELDS_MAX: usize = 1 << 18;
/// Most text of a block's counts, in bytes: a name counts as often as an entry has it.
pub const COUNTS_TEXT_BYTES_MAX: usize = 128 << 20;
/// Most sample ids that a block or summary keeps for one exception.
pub const EXCEPTION_SAMPLES_MAX: usize = 3;

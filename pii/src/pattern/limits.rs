//! Every limit of patterns and policies. A refusal names the one that was passed.

/// Most patterns of a policy, active or not.
pub const PATTERNS_MAX: usize = 200;
/// Longest source of a pattern, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4 << 10;
/// Deepest nesting of a pattern's groups and repetitions.
pub const NEST_MAX: u32 = 64;
/// Largest automaton of one pattern, in bytes of memory.
pub const COMPILED_BYTES_MAX: usize = 2 << 20;
/// Largest automatons of all patterns of a policy together, in bytes of memory.
pub const COMPILED_BYTES_TOTAL_MAX: usize = 32 << 20;
/// Longest name of a pattern as its owner writes it, in bytes.
pub const TITLE_BYTES_MAX: usize = 128;
/// Longest id or type of a pattern, or name of it in masks, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest text in place of a finding, in bytes.
pub const REPLACEMENT_BYTES_MAX: usize = 128;
/// Most entries of each list of a pattern or a rule: words, scopes, allowed values.
pub const LIST_MAX: usize = 1000;
/// Longest entry of a list, in bytes.
pub const ENTRY_BYTES_MAX: usize = 256;
/// Farthest that words are looked for from a match, in bytes.
pub const WINDOW_BYTES_MAX: u16 = 256;
/// Longest match that is always found, in bytes. What is longer is found where its first bytes match by
/// themselves, and then to its end; otherwise it may not be. It bounds the time that one match costs.
pub const MATCH_BYTES_MAX: usize = 512;

//! Lines of glog and klog: `E0102 15:04:05.678901    7 server.go:123] message`, and klog's structured
//! form, where the message is quoted and pairs follow it.

use hushlog_record::Level;

use crate::digits::is_digits;
use crate::parse::level;
use crate::parse::logfmt;
use crate::raw::RawRecord;

use super::{digits_field, text_field};

/// Longest thread id, file and line together, in bytes.
const ORIGIN_BYTES_MAX: usize = 256;

/// Reads a line whose time ends at `end`.
pub(super) fn read(line: &str, end: usize, raw: &mut RawRecord) -> Option<Option<Level>> {
    let level = level::klog(line.as_bytes())?;
    let head = &line.as_bytes()[end..line.len().min(end + ORIGIN_BYTES_MAX)];
    let close = end + memchr::memchr(b']', head)?;
    let (thread, origin) = line[end..close].trim_start().split_once(' ')?;
    let (file, number) = origin.trim_start().rsplit_once(':')?;
    if ![thread, number].iter().all(|part| is_digits(part)) || file.contains(' ') {
        return None;
    }
    digits_field(raw, "process.thread.id", thread);
    text_field(raw, "log.origin.file.name", file);
    digits_field(raw, "log.origin.file.line", number);
    if let Some(pairs) = logfmt::after_quoted(line[close + 1..].trim_ascii()) {
        raw.absorb(pairs);
    }
    Some(Some(level))
}

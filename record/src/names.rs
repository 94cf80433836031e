//! Names of fields that more than one crate must know.

/// What the names of fields begin with that hold the structured data of an RFC 5424 line. The id of the element (SD-ID) and the
/// name of the parameter follow, each behind a dot.
pub const STRUCTURED_DATA: &str = "log.syslog.structured_data";

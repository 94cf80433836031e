//! The `hushlog` binary.
fn main() {}

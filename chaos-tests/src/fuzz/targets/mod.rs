//! Everything that reads bytes from outside or from disk, and what must hold for any of them.

mod disk;
mod masking;
mod query;
mod requests;
mod text;

use super::Target;

/// All of them.
pub fn all() -> Vec<Target> {
    let mut all = Vec::new();
    all.extend(text::TARGETS);
    all.extend(requests::TARGETS);
    all.extend(masking::TARGETS);
    all.extend(query::TARGETS);
    all.extend(disk::TARGETS);
    all
}

/// Leaves an input as it is.
fn nothing(_: &mut Vec<u8>) {}

/// Texts as seeds.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The lines of a file of seeds.
fn lines(file: &str) -> Vec<Vec<u8>> {
    let lines = file.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.as_bytes().to_vec()).collect()
}

/// The parts of a file of seeds, between lines of `====`.
fn parts(file: &str) -> Vec<Vec<u8>> {
    let parts = file.split("====\n").filter(|part| !part.is_empty());
    parts.map(|part| part.as_bytes().to_vec()).collect()
}

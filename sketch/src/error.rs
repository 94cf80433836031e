//! What can be wrong with the bytes of a sketch.

/// Why bytes were refused: rebuild the sketch from the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Written by another release.
    #[error("{what} version {found} is unknown; this release reads version {known}")]
    Version {
        /// The structure.
        what: &'static str,
        /// The version in the bytes.
        found: u8,
        /// The newest version this release reads.
        known: u8,
    },
    /// Damaged, or a bug of the writer.
    #[error("malformed sketch: {0}")]
    Malformed(&'static str),
}

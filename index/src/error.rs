//! Why an index cannot be built or read.

/// An index could not be built or read; the caller rebuilds it from the rows, or does without.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not what was written.
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
    /// It was written by a version that this release does not know.
    #[error("index version {0} is not known to this release")]
    Version(u8),
    /// A batch is not of the schema.
    #[error(transparent)]
    Batch(#[from] hushlog_storage::batch::Error),
    /// The term dictionary.
    #[error("term dictionary: {0}")]
    Terms(#[from] std::io::Error),
    /// More granules than an index can name.
    #[error("{0} granules are more than an index can name")]
    TooLarge(usize),
}

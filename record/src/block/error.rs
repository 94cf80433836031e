//! What can be wrong with the bytes of a block.

/// Why bytes, or rows to be sealed, were refused. No variant carries anything of the block's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are something else: fetch the right ones.
    #[error("not a block: it does not begin with the block magic")]
    Magic,
    /// Written by another release: upgrade this node.
    #[error("block version {found} is unknown; this release reads version {known} and older")]
    Version {
        /// The version in the bytes.
        found: u8,
        /// The newest version this release reads.
        known: u8,
    },
    /// Written by another release, or damaged: upgrade this node.
    #[error("block codec {0} is unknown")]
    Codec(u8),
    /// Damaged on disk or on the way: fetch it from another replica.
    #[error("block checksum is {found:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// The checksum in the bytes.
        found: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The lengths in the head do not add up to the bytes given.
    #[error("block has {found} bytes, its head asks for {expected}")]
    Length {
        /// Bytes given.
        found: u64,
        /// Bytes that the head asks for.
        expected: u64,
    },
    /// Larger than any block that Hushlog writes: refused before memory is taken for it.
    #[error("{what}: {value} is over the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// The checksum is right and the content is not: a bug of the writer, or a forgery.
    #[error("malformed block: {0}")]
    Malformed(&'static str),
}

/// Holds a value against its limit.
pub(super) fn at_most(what: &'static str, value: usize, limit: usize) -> Result<(), Error> {
    if value > limit {
        return Err(Error::Limit {
            what,
            value: value as u64,
            limit: limit as u64,
        });
    }
    Ok(())
}

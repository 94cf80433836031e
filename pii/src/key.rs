//! The secret behind the HASH strategy.
//!
//! Never shows the secret: not by `Debug`, not in an error, not by any accessor.

use std::fmt;

/// Context of later keys.
const DERIVED: &[u8] = b"hushlog key for hash, number ";

/// A secret of 32 bytes with the short id that hashed values carry, for instance `k1`.
///
/// Unkeyed hashes of phone numbers or SSNs are undone by trying them all; with a secret key that
/// takes the key.
#[derive(Clone)]
pub struct Key {
    id: String,
    secret: [u8; 32],
}

impl Key {
    /// The first key of a cluster, id `k1`.
    pub fn new(secret: [u8; 32]) -> Self {
        Self::numbered(1, secret)
    }

    /// The key with this number; its id is `k` and the number.
    pub fn numbered(number: u32, secret: [u8; 32]) -> Self {
        Self {
            id: format!("k{number}"),
            secret,
        }
    }

    /// The key with this number of the cluster whose first key this is. Whoever has the first has them all.
    #[must_use]
    pub fn derived(&self, number: u32) -> Self {
        if number == 1 {
            return self.clone();
        }
        let mut hasher = self.hasher();
        hasher.update(DERIVED);
        hasher.update(&number.to_be_bytes());
        Self::numbered(number, *hasher.finalize().as_bytes())
    }

    /// The id that hashed values carry.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.secret)
    }
}

/// Prints no part of the key, not even its id.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

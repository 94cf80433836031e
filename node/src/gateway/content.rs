//! What a keyed request says, as a number: the same key with other content is noticed by it.
//!
//! It covers what the client sent, piece by piece, and nothing that the node makes of it: how a record is
//! parsed depends on the time of receipt and on the release, and a retry shares neither. It is made with
//! a key of the cluster, so that nobody who sees it can try out what personal data was in it.

/// Context of the key that is derived from the cluster's.
const CONTEXT: &str = "hushlog content of a keyed request";

/// The key for contents, from the cluster's key.
pub fn content_key(cluster_key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(CONTEXT, cluster_key)
}

/// The digest of one request.
pub(super) struct Content(blake3::Hasher);

impl Content {
    /// A request whose records are of this service and environment unless they name their own.
    pub(super) fn new(key: &[u8; 32], service: &str, environment: &str) -> Self {
        let mut content = Self(blake3::Hasher::new_keyed(key));
        content.add(service.as_bytes());
        content.add(environment.as_bytes());
        content
    }

    /// Adds a piece; where one ends and the next begins counts.
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.0.update(&(piece.len() as u64).to_be_bytes());
        self.0.update(piece);
    }

    /// The digest; never 0, which stands for none.
    pub(super) fn finish(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.finalize_xof().fill(&mut bytes);
        u64::from_be_bytes(bytes).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn digest(service: &str, environment: &str, pieces: &[&str]) -> u64 {
        let mut content = Content::new(&content_key(&[7; 32]), service, environment);
        for piece in pieces {
            content.add(piece.as_bytes());
        }
        content.finish()
    }

    #[test]
    fn every_piece_counts_and_so_does_where_it_ends() {
        let same = digest("s", "e", &["a", "b"]);
        assert_eq!(digest("s", "e", &["a", "b"]), same);
        let others = [
            digest("s", "e", &["a"]),
            digest("s", "e", &["ab"]),
            digest("s", "e", &["b", "a"]),
            digest("s", "e", &["a", "b", ""]),
            digest("se", "", &["a", "b"]),
            digest("e", "s", &["a", "b"]),
        ];
        let mut seen = BTreeSet::from([same]);
        for (number, other) in others.into_iter().enumerate() {
            assert!(seen.insert(other), "{number}");
        }
    }
}

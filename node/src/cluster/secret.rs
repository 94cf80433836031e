//! What makes a node a member: the cluster's id and its key for HASH.
//!
//! Made once, when the cluster is initialised; kept in a file that only its owner can read; handed to
//! a node that joins. Never logged, never part of an answer of the public API.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;

use crate::entropy::Stream;

/// Name of the file in a node's data folder.
const FILE: &str = "hash.key";
/// Bytes of the file of who has made it.
const FILE_BYTES: usize = 16 + KEY_BYTES + 4;
/// What the file ends with where another node has handed it over.
const GIVEN: u8 = b'j';
const KEY_BYTES: usize = 32;

/// The cluster's secret.
#[derive(Clone)]
pub struct Secret {
    /// The cluster's id, never 0.
    pub cluster: u128,
    /// Key for HASH.
    pub hash_key: [u8; KEY_BYTES],
    /// Whether another node has handed it over: who was given it never founds a group of its own.
    pub given: bool,
}

/// Prints nothing of the key.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// The file is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The cluster has removed this node, in the cluster's words.
    #[error("{0}")]
    Removed(String),
    /// Its content is not a secret.
    #[error("{0} does not hold a cluster id and a key")]
    Content(PathBuf),
}

impl Secret {
    /// A new one.
    pub fn generate(rng: &mut Stream) -> Self {
        let mut hash_key = [0; KEY_BYTES];
        rng.fill_bytes(&mut hash_key);
        let mut cluster = [0; 16];
        rng.fill_bytes(&mut cluster);
        Self {
            cluster: u128::from_be_bytes(cluster).max(1),
            hash_key,
            given: false,
        }
    }

    /// The one kept in `folder`, if there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub fn load(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        let mut content = Vec::new();
        match fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut content)) {
            Ok(_) => {
                let given = content.len() > FILE_BYTES && content.pop() == Some(GIVEN);
                let secret = Self::from_bytes(&content).ok_or(Error::Content(path))?;
                Ok(Some(Self { given, ..secret }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// Keeps it in `folder`, durably, readable by the owner alone.
    ///
    /// # Errors
    /// [`Error`], also when there is one already.
    pub fn store(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        let write = || {
            let temporary = path.with_extension("tmp");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            let mut content = self.to_bytes();
            if self.given {
                content.push(GIVEN);
            }
            file.write_all(&content)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            fs::File::open(folder)?.sync_all()
        };
        write().map_err(|source| Error::File {
            path: path.clone(),
            source,
        })
    }

    /// Cluster id, key, CRC32: what the file holds and a joining node is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.cluster.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.hash_key);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (cluster, key) = body.split_first_chunk::<16>()?;
        let cluster = u128::from_be_bytes(*cluster);
        (cluster != 0).then_some(Self {
            cluster,
            hash_key: key.try_into().ok()?,
            given: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::entropy::Entropy;

    #[test]
    fn what_was_stored_is_loaded_and_only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(
            Secret::load(folder.path())
                .expect("no file is fine")
                .is_none()
        );
        let secret = Secret::generate(&mut Entropy::seeded(1).stream("secret"));
        secret.store(folder.path()).expect("stored");
        let loaded = Secret::load(folder.path())
            .expect("loads")
            .expect("is there");
        assert_eq!(loaded.to_bytes(), secret.to_bytes());
        let mode = fs::metadata(folder.path().join(FILE))
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bytes = Secret::generate(&mut Entropy::seeded(1).stream("secret")).to_bytes();
        bytes[20] ^= 1;
        fs::write(folder.path().join(FILE), bytes).expect("written");
        assert!(matches!(
            Secret::load(folder.path()),
            Err(Error::Content(_))
        ));
    }

    #[test]
    fn who_was_given_it_knows_so_after_a_restart() {
        for given in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let secret = Secret::generate(&mut Entropy::seeded(1).stream("secret"));
            Secret { given, ..secret }
                .store(folder.path())
                .expect("stored");
            let loaded = Secret::load(folder.path()).expect("readable");
            assert_eq!(loaded.map(|loaded| loaded.given), Some(given));
        }
    }

    #[test]
    fn debug_prints_no_key() {
        let secret = Secret {
            cluster: 7,
            hash_key: [0xab; 32],
            given: false,
        };
        assert!(!format!("{secret:?}").contains("171"));
    }
}

//! What can go wrong in the key-value half, told so that the caller knows what to do.
//!
//! Carries paths, operations and the system's own words; never a key or a value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An error of the store, the writer or a data folder. Cheap to clone, since one failed batch is
/// reported to every submission that rode in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not be opened: restart will not help until the cause is removed.
    #[error("cannot open the store in {}: {reason}", path.display())]
    Open {
        /// The store's folder.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// The folder is open in another process (or twice in this one).
    #[error("the data folder {} is in use by another process", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// Stored bytes are not what was written: the replica must be repaired, not read.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The store opened, but ends before what had been synced: acknowledged writes are lost. This
    /// replica must not vote; it is to be replaced by a new one.
    #[error(
        "the store in {} has lost acknowledged writes: it ends at {found}, though {marked} was \
         synced. Removing {} accepts the loss",
        path.display(),
        watermark.display()
    )]
    Lost {
        /// The store's folder.
        path: PathBuf,
        /// The sequence number up to which it was synced.
        marked: u64,
        /// The last sequence number that is there.
        found: u64,
        /// The file that says so.
        watermark: PathBuf,
    },
    /// A read failed. Writes are not affected.
    #[error("read failed: {0}")]
    Read(String),
    /// The device is full. The write has not happened.
    #[error("no space left on the device: {0}")]
    Full(String),
    /// A write or a sync failed. Whether it will be there after a restart is **unknown**.
    #[error("write failed, its outcome is unknown: {0}")]
    Write(String),
    /// An earlier write or sync failed; this one was not tried. Lasts until the node restarts.
    #[error("writes are disabled since an earlier failure: {0}")]
    Disabled(String),
    /// The writer has been shut down; the write was not tried.
    #[error("the writer has stopped")]
    Stopped,
    /// The folder belongs to another node or cluster.
    #[error(
        "the data folder {} belongs to {what} {found}, not to {expected}",
        path.display()
    )]
    Foreign {
        /// The data folder.
        path: PathBuf,
        /// Which of the two ids differs: `cluster` or `node`.
        what: &'static str,
        /// The id in the folder.
        found: String,
        /// The id that was asked for.
        expected: String,
    },
    /// The folder was written by a newer Hushlog.
    #[error(
        "the data folder {} has format {found}; this Hushlog reads up to {supported}",
        path.display()
    )]
    Newer {
        /// The data folder.
        path: PathBuf,
        /// The format version found.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// The folder holds data but not its identity, so nobody can say whose it is.
    #[error("the data folder {} holds data but no identity file", path.display())]
    Unidentified {
        /// The data folder.
        path: PathBuf,
    },
    /// A plain file could not be read, written, renamed or synced.
    #[error("{action} {} failed: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: Arc<std::io::Error>,
    },
}

impl Error {
    /// Names the file and the action beside the system's answer.
    pub fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.to_path_buf(),
            source: Arc::new(source),
        }
    }
}

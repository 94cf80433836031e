//! What a node takes from its machine, passed in: time, randomness, threads, network, disk.
//!
//! One set is the machine itself; a simulation passes its own, and the node does not know.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hushlog_storage::Error;
use hushlog_storage::store::Rocks;
use hushlog_storage::writer::Writer;

use crate::clock::{self, Clock};
use crate::entropy::{Entropy, Unavailable};
use crate::net::{Net, Tcp};
use crate::offload::Offload;

/// Everything that would let a run differ from the one before.
#[derive(Clone)]
pub struct Seams {
    /// Time of day. Timers and deadlines are tokio's.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Entropy,
    /// Where work goes that computes or blocks.
    pub work: Work,
    /// Connections.
    pub net: Arc<dyn Net>,
    /// The key-value store.
    pub disk: Arc<dyn Disk>,
}

impl Seams {
    /// The machine that this process runs on.
    ///
    /// # Errors
    /// [`Unavailable`]: it gives no randomness.
    pub fn system() -> Result<Self, Unavailable> {
        Ok(Self {
            clock: Arc::new(clock::System),
            entropy: Entropy::system()?,
            work: Work::Threads,
            net: Arc::new(Tcp),
            disk: Arc::new(Local),
        })
    }
}

/// Where work goes that computes or blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// To pools of threads.
    Threads,
    /// Nowhere: the caller's thread does it at once.
    Inline,
}

impl Work {
    /// A pool of so many threads of this name.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn pool(self, name: &str, threads: usize) -> io::Result<Offload> {
        match self {
            Self::Threads => Offload::threads(name, threads),
            Self::Inline => Ok(Offload::inline()),
        }
    }
}

/// The disk with the node's one store.
pub trait Disk: Send + Sync + 'static {
    /// Opens the store in `folder` and starts its writer.
    ///
    /// # Errors
    /// When what lies there cannot be used.
    fn open(&self, folder: &Path) -> Result<Writer, Error>;
}

/// RocksDB on a local file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Disk for Local {
    fn open(&self, folder: &Path) -> Result<Writer, Error> {
        Writer::spawn(Arc::new(Rocks::open(folder)?))
    }
}

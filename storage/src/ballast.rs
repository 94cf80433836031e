//! Space that is kept occupied, and given back when the disk is full.
//!
//! So a node that takes no data any more can still write what makes room: votes, cuts, the segments
//! that let the log be trimmed. A file named `ballast` in the data folder, allocated, never read.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::Error;

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "ballast";

/// The ballast of one data folder.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// A ballast of `bytes` in `folder`; nothing is done yet.
    pub fn new(folder: &Path, bytes: u64) -> Self {
        Self {
            path: folder.join(FILE_NAME),
            bytes,
        }
    }

    /// How much it weighs while it is held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the space is occupied.
    pub fn is_held(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.bytes)
    }

    /// Whether some space is occupied, however much.
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// Occupies the space; nothing happens if it is held already.
    ///
    /// # Errors
    /// [`Error::File`], also where the file system cannot allocate without writing.
    pub fn hold(&self) -> Result<(), Error> {
        if self.is_held() {
            return Ok(());
        }
        let length = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let file = File::create(&self.path).map_err(|e| Error::file("creating", &self.path, e))?;
        fallocate(&file, FallocateFlags::empty(), 0, length).map_err(|error| {
            // A file of any length would count as held.
            drop(fs::remove_file(&self.path));
            Error::file("allocating", &self.path, error.into())
        })
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn release(&self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::file("removing", &self.path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn it_takes_space_once_and_gives_it_back() {
        let folder = TempDir::new().unwrap();
        let ballast = Ballast::new(folder.path(), 1 << 20);
        ballast.release().unwrap();
        assert!(!ballast.is_held());
        for _ in 0..2 {
            ballast.hold().unwrap();
            assert!(ballast.is_held());
            use std::os::unix::fs::MetadataExt as _;
            let file = fs::metadata(folder.path().join(FILE_NAME)).unwrap();
            assert!(file.blocks() * 512 >= 1 << 20, "nothing is allocated");
        }
        ballast.release().unwrap();
        assert!(!ballast.is_held());
    }
}

//! tantivy's `Directory` over a packed index: read-only, by `read()`, every byte checked at opening.
//!
//! Never maps a file into memory: a bad sector under a mapping kills the process, here it is an error.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{FileHandle, OwnedBytes, WatchCallback, WatchHandle, WritePtr};
use tantivy::{Directory, HasLen};

use crate::fingerprint::ReadAt;
use crate::pack::{Packed, Part};

/// The segment id that stands in a packed index for tantivy's random one.
pub(crate) const SEGMENT_ID: &str = "00000000-0000-4000-8000-000000000001";

/// A packed index as tantivy sees it.
#[derive(Clone, Debug)]
pub(crate) struct PackedDirectory(pub(crate) Packed);

impl PackedDirectory {
    fn part(&self, path: &Path) -> Option<&Part> {
        let name = path.to_str()?;
        let segment = SEGMENT_ID.replace('-', "");
        let name = name
            .strip_prefix(&segment)
            .and_then(|n| n.strip_prefix('.'))
            .unwrap_or(name);
        self.0.part(name)
    }
}

fn read_only() -> io::Error {
    io::Error::new(
        io::ErrorKind::ReadOnlyFilesystem,
        "a packed index is never changed",
    )
}

impl Directory for PackedDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let part = self
            .part(path)
            .ok_or_else(|| OpenReadError::FileDoesNotExist(path.into()))?;
        Ok(Arc::new(Handle(part.clone())))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.part(path).is_some())
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let part = self
            .part(path)
            .ok_or_else(|| OpenReadError::FileDoesNotExist(path.into()))?;
        let failed = |error| OpenReadError::wrap_io_error(error, path.into());
        let length = usize::try_from(part.len())
            .map_err(io::Error::other)
            .map_err(failed)?;
        Ok(part.read_at(0, length).map_err(failed)?.to_vec())
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let (io_error, filepath) = (Arc::new(read_only()), PathBuf::from(path));
        Err(DeleteError::IoError { io_error, filepath })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.into()))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

/// One file of the index.
#[derive(Debug)]
struct Handle(Part);

impl HasLen for Handle {
    fn len(&self) -> usize {
        usize::try_from(self.0.len()).expect("an index fits the address space")
    }
}

impl FileHandle for Handle {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let bytes = self
            .0
            .read_at(range.start as u64, range.end.saturating_sub(range.start))?;
        Ok(OwnedBytes::new(bytes.to_vec()))
    }
}

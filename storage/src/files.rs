//! Files and folders that are on the disk when a function returns.
//!
//! Never overwrites in place: a file is written beside its name, synced, renamed, and its folder
//! synced, so that a crash leaves the old file or the new one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::Error;

/// Writes `bytes` to `path` durably: the file is either absent (or its old self) or whole.
///
/// # Errors
/// [`Error::File`] naming the step that failed. A temporary file may stay behind; it is
/// overwritten by the next attempt.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = path
        .file_name()
        .map(std::ffi::OsStr::to_os_string)
        .unwrap_or_default();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(|e| Error::file("creating", &temporary, e))?;
    file.write_all(bytes)
        .map_err(|e| Error::file("writing", &temporary, e))?;
    file.sync_all()
        .map_err(|e| Error::file("syncing", &temporary, e))?;
    fs::rename(&temporary, path).map_err(|e| Error::file("renaming", path, e))?;
    sync_parent(path)
}

/// Makes names in `folder` (created, renamed or removed files) durable.
///
/// # Errors
/// [`Error::File`].
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::file("syncing", folder, e))
}

/// Makes what was written to an existing file durable.
///
/// # Errors
/// [`Error::File`].
pub fn sync_file(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::file("syncing", path, e))
}

/// Bytes that this process may still write where `path` is.
///
/// # Errors
/// [`Error::File`].
pub fn free_bytes(path: &Path) -> Result<u64, Error> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|e| Error::file("asking for the free space of", path, e.into()))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Bytes of the whole file system that `path` is on.
///
/// # Errors
/// [`Error::File`].
pub fn disk_bytes(path: &Path) -> Result<u64, Error> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|e| Error::file("asking for the size of the disk of", path, e.into()))?;
    Ok(stat.blocks().saturating_mul(stat.fragment_size()))
}

/// Creates `folder` and its missing parents, each durable in its own parent.
///
/// # Errors
/// [`Error::File`].
pub fn create_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent(folder) {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => sync_parent(folder),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::file("creating", folder, error)),
    }
}

/// Removes `folder` and all it holds, durably; nothing if it is absent.
///
/// # Errors
/// [`Error::File`].
pub fn remove_folder(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Ok(()) => sync_parent(folder),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("removing", folder, error)),
    }
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    sync_folder(parent(path).unwrap_or_else(|| Path::new(".")))
}

/// The parent, unless it is the working folder written as nothing.
fn parent(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
}

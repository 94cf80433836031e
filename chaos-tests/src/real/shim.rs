//! What is compiled for a run: the library between a node and its libc, and the switch for the power.
//!
//! The C compiler is one that the build needs anyway. The library is steered by a page of shared
//! memory; the numbers here are its layout.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ground::run;

const PAGE_BYTES: u64 = 4096;

/// One word of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// How far the wall clock is off, in nanoseconds.
    ClockNanos,
    /// How many syncs of write-ahead logs fail from now on; -1: all syncs.
    SyncFails,
    /// How long each sync takes longer, in milliseconds.
    SyncMillis,
    /// Whether syncs do not return.
    SyncStuck,
    /// Whether reads of segments fail.
    ReadFails,
    /// Syncs so far.
    Syncs,
    /// Syncs that were made to fail.
    SyncsFailed,
    /// Syncs that were made slower.
    SyncsDelayed,
    /// Reads that were made to fail.
    ReadsFailed,
    /// Syncs of a file that went well after one of the same file had failed: a retried sync.
    FailedThenOk,
    /// Whether syncs do nothing and say that all is well.
    SyncLies,
    /// Syncs that lied.
    SyncsLied,
    /// Looks at a wall clock that was off.
    ClocksMoved,
}

impl Word {
    fn offset(self) -> u64 {
        8 * self as u64
    }
}

/// The compiled parts.
pub struct Shim {
    library: PathBuf,
    power: PathBuf,
}

impl Shim {
    /// Compiles both into `folder`.
    pub fn build(folder: &Path) -> Result<Self> {
        let compile = |name: &str, source: &str, flags: &[&str]| -> Result<PathBuf> {
            let from = folder.join(format!("{name}.c"));
            let to = folder.join(name);
            std::fs::write(&from, source)?;
            let (from, out) = (from.display().to_string(), to.display().to_string());
            let mut words = vec!["-O1", "-o", &out, &from];
            words.extend(flags);
            run("cc", &words)?;
            Ok(to)
        };
        Ok(Self {
            library: compile(
                "preload.so",
                include_str!("shim/preload.c"),
                &["-shared", "-fPIC", "-ldl"],
            )?,
            power: compile("power", include_str!("shim/power.c"), &[])?,
        })
    }

    /// The library to preload.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Cuts the power of these mounted file systems.
    pub fn cut_power(&self, mounts: &[&Path]) -> Result<()> {
        let words: Vec<String> = mounts
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(&self.power.display().to_string(), &words)?;
        Ok(())
    }
}

/// The page of one node.
pub struct Page {
    path: PathBuf,
    file: File,
}

impl Page {
    /// A page of zeros: no fault.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        file.set_len(PAGE_BYTES)?;
        Ok(Self { path, file })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets a word.
    pub fn set(&self, word: Word, value: i64) -> Result<()> {
        self.file
            .write_all_at(&value.to_ne_bytes(), word.offset())?;
        Ok(())
    }

    /// Reads a word.
    pub fn get(&self, word: Word) -> Result<i64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, word.offset())?;
        Ok(i64::from_ne_bytes(bytes))
    }

    /// Ends every fault of the disk; the clock stays where it is.
    pub fn heal_disk(&self) -> Result<()> {
        for word in [
            Word::SyncFails,
            Word::SyncMillis,
            Word::SyncStuck,
            Word::ReadFails,
            Word::SyncLies,
        ] {
            self.set(word, 0)?;
        }
        Ok(())
    }
}

//! The file system of one node: ext4 in an image of its own, so that its power can be cut.
//!
//! A cut loses exactly what was not synced: the kernel drops every dirty page and the journal's open
//! transaction, and the next mount replays what had reached the image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hushlog_storage::segment::ROWS_FILE;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::ground::{Ground, Made, run, unmount, until};

/// Folder of the node's data, on its file system.
const DATA: &str = "data";
const BALLAST: &str = "ballast";
/// What a full disk may have left, in bytes: a node lets go of files while it is filled.
const FULL_BYTES: u64 = 1 << 20;

/// Where a bit is flipped, or a file deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The newest write-ahead log of the store.
    Wal,
    /// Rows, index, summary or ids of a segment.
    Segment,
    /// Rows of a segment: nothing else can be made anew without another replica.
    Rows,
    /// The identity file of the data folder.
    Identity,
    /// The file that says how far the store was synced.
    Watermark,
}

/// A flipped bit.
#[derive(Clone, Debug)]
pub struct Flip {
    path: PathBuf,
    offset: u64,
    bit: u8,
}

impl Flip {
    /// Whether its file is still there.
    pub fn has_its_file(&self) -> bool {
        self.path.exists()
    }

    /// Flips it; a second call flips it back.
    pub fn apply(&self) -> Result<()> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.offset)?;
        byte[0] ^= 1 << self.bit;
        file.write_all_at(&byte, self.offset)?;
        file.sync_all()?;
        Ok(())
    }
}

impl std::fmt::Display for Flip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.path.iter().rev().take(3).collect();
        let names: Vec<_> = names
            .iter()
            .rev()
            .map(|name| name.to_string_lossy())
            .collect();
        write!(
            f,
            "{} byte {} bit {}",
            names.join("/"),
            self.offset,
            self.bit
        )
    }
}

/// The image, its device and where it is mounted.
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    device: String,
}

impl Disk {
    /// Makes and mounts an image of `mib` MiB.
    pub fn create(ground: &Ground, node: usize, mib: u32) -> Result<Self> {
        let images = ground.folder().join("images");
        let mount = ground.folder().join("nodes").join(format!("node-{node}"));
        fs::create_dir_all(&images)?;
        fs::create_dir_all(&mount)?;
        let image = images.join(format!("node-{node}.img"));
        fs::File::create_new(&image)?.set_len(u64::from(mib) << 20)?;
        let path = image.display().to_string();
        // No blocks kept back for root: a full disk is full for the node too.
        run(
            "mkfs.ext4",
            &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", &path],
        )?;
        let device = run("losetup", &["-f", "--show", &path])?.trim().to_owned();
        ground.note(&Made::Loop(device.clone(), image.clone()))?;
        ground.note(&Made::Mount(mount.clone()))?;
        let disk = Self {
            image,
            mount,
            device,
        };
        disk.attach()?;
        Ok(disk)
    }

    fn attach(&self) -> Result<()> {
        let mount = self.mount.display().to_string();
        run("mount", &["-o", "noatime", &self.device, &mount])?;
        Ok(())
    }

    /// Where it is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The node's data folder.
    pub fn data(&self) -> PathBuf {
        self.mount.join(DATA)
    }

    /// The image behind it.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Unmounts; fails if the file system lives on, for then nothing was lost by a cut.
    pub fn detach(&self) -> Result<()> {
        unmount(&self.mount)?;
        let name = self.device.trim_start_matches("/dev/");
        let alive = Path::new("/proc/fs/ext4").join(name);
        until("the file system is gone", || !alive.exists())
    }

    /// Unmounts and mounts again, as a reboot does.
    pub fn reboot(&self) -> Result<()> {
        self.detach()?;
        self.attach()
    }

    /// Takes all free space.
    pub fn fill(&self) -> Result<()> {
        let ballast = self.mount.join(BALLAST);
        // What the file system keeps for its own books shows only at the end: take less and less.
        for part in 0..3 {
            let free = nix::sys::statvfs::statvfs(&self.mount)?;
            let mut bytes = free.blocks_available() * free.fragment_size();
            let path = ballast
                .with_extension(part.to_string())
                .display()
                .to_string();
            while bytes >= 4096 && run("fallocate", &["-l", &bytes.to_string(), &path]).is_err() {
                bytes -= bytes / 8 + 4096.min(bytes / 8);
            }
        }
        let free = nix::sys::statvfs::statvfs(&self.mount)?;
        let left = free.blocks_available() * free.fragment_size();
        ensure!(left <= FULL_BYTES, "the disk has {left} bytes left");
        Ok(())
    }

    /// Gives the space back.
    pub fn free(&self) -> Result<()> {
        for part in 0..3 {
            let path = self.mount.join(BALLAST).with_extension(part.to_string());
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Mounts read-only, or writable again, under the running node.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let mount = self.mount.display().to_string();
        if read_only {
            // Open files keep a file system writable for `remount,ro`; an error of the disk does not ask.
            run("mount", &["-o", "remount,abort", &mount])?;
        } else {
            self.reboot()?;
        }
        Ok(())
    }

    /// Files of a place, in order.
    pub fn files(&self, place: Place) -> Result<Vec<PathBuf>> {
        let data = self.data();
        let (folder, wanted): (PathBuf, fn(&Path) -> bool) = match place {
            Place::Wal => (data.join("store"), |path| has_extension(path, "log")),
            Place::Segment => (data.join("segments"), |_| true),
            Place::Rows => (data.join("segments"), |path| path.ends_with(ROWS_FILE)),
            Place::Identity => (data, |path| path.ends_with("identity")),
            Place::Watermark => (data.join("store"), |path| path.ends_with("WATERMARK")),
        };
        let mut files = Vec::new();
        collect(&folder, &mut files)?;
        files.retain(|path| wanted(path) && fs::metadata(path).is_ok_and(|meta| meta.len() > 0));
        files.sort();
        Ok(files)
    }

    /// Digests of all files of segments, by shard and by the path below its folder.
    pub fn segments(&self) -> Result<BTreeMap<String, BTreeMap<PathBuf, [u8; 32]>>> {
        let root = self.data().join("segments");
        let mut shards = BTreeMap::<String, BTreeMap<PathBuf, [u8; 32]>>::new();
        for path in self.files(Place::Segment)? {
            let below = path.strip_prefix(&root)?;
            let mut parts = below.components();
            let shard = parts.next().context("a path below the segments")?;
            let shard = shard.as_os_str().to_string_lossy().into_owned();
            // A file may go away while it is looked at: it is replaced, or its segment is not listed.
            if let Ok(content) = fs::read(&path) {
                let digest = *blake3::hash(&content).as_bytes();
                let files = shards.entry(shard).or_default();
                files.insert(parts.as_path().to_owned(), digest);
            }
        }
        Ok(shards)
    }

    /// A random bit of a place that is in use.
    pub fn random_flip(&self, place: Place, rng: &mut ChaCha8Rng) -> Result<Flip> {
        let files = self.files(place)?;
        ensure!(!files.is_empty(), "no file to flip a bit in: {place:?}");
        let path = match place {
            Place::Wal => files.last().context("checked")?.clone(),
            _ => files[rng.random_range(0..files.len())].clone(),
        };
        let bytes = fs::read(&path)?;
        // The end of a log may be allocated and not yet written: nothing is there to be damaged.
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(1, |last| last + 1);
        let offset = rng.random_range(0..used) as u64;
        Ok(Flip {
            path,
            offset,
            bit: rng.random_range(0..8),
        })
    }
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == wanted)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

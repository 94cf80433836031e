//! Files of segments between nodes: serving them, and fetching those that a snapshot lists or that the
//! leader has built already.
//!
//! What is fetched is verified against the manifest before it counts, and lies in its final folder
//! only when every file of the segment is whole and synced. An interrupted fetch leaves a folder that
//! no manifest lists, and the next attempt goes on where it ended, from whichever node. All fetches of a node
//! together take so many bytes a second at most.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_proto::hushlog::internal::v1::{FetchFileRequest, FileChunk, SegmentOfRequest};
use hushlog_raft::{Connect, Installer, Lane};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::files;
use hushlog_storage::manifest::{self, FileMeta, Manifest, SegmentMeta};
use tokio::time::Instant;
use tonic::Status;

use super::doubts::lacks_descriptors;
use super::pace::Pace;
use super::replica::decode_manifest;
use crate::offload::Offload;

/// Bytes of one piece on the wire.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// How long the next piece of a file may take.
const CHUNK_DEADLINE: Duration = Duration::from_secs(10);
/// How long a node may take to say whether it has a segment.
const ASK_DEADLINE: Duration = Duration::from_secs(2);
/// What the name of a segment's folder ends with while its files are fetched.
pub(crate) const PARTIAL: &str = ".fetching";

/// Fetches over gRPC.
pub(crate) struct Fetcher {
    pub(crate) connect: Arc<dyn Connect>,
    /// Folder of all shards' segments.
    pub(crate) folder: PathBuf,
    /// Threads that wait for the disk.
    pub(crate) disk: Offload,
    pub(crate) pace: Pace,
}

impl Installer for Fetcher {
    fn fetch<'a>(
        &'a self,
        shard: ShardId,
        sources: &'a [(NodeId, String)],
        manifest: Bytes,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let manifest = decode_manifest(&manifest).map_err(|error| error.to_string())?;
            let completed = self.complete(shard, sources, &manifest, &[]).await;
            completed.map(drop)
        })
    }
}

impl Fetcher {
    /// Reads every file that the manifest lists, but for those of segments that are `known` to be whole, and
    /// fetches the segments that are not whole. How many those were. After each segment it rests as long as that took, so that half of the disk's time is left
    /// for the records that come in meanwhile, however slow it is. What can be had is there afterwards, also
    /// when this fails.
    pub(crate) async fn complete(
        &self,
        shard: ShardId,
        sources: &[(NodeId, String)],
        manifest: &Manifest,
        known: &[SegmentMeta],
    ) -> Result<usize, String> {
        let damaged = self.damaged(shard, manifest, known).await?;
        self.fetch_all(shard, sources, &damaged).await?;
        Ok(damaged.len())
    }

    /// Reads every file that the manifest lists, but for those of segments that are `known` to be whole and are
    /// still there; the segments that are not whole.
    pub(crate) async fn damaged(
        &self,
        shard: ShardId,
        manifest: &Manifest,
        known: &[SegmentMeta],
    ) -> Result<Vec<SegmentMeta>, String> {
        let folder = self.folder.join(shard.to_string());
        let mut damaged = Vec::new();
        let is_known = |one: &SegmentMeta| known.iter().any(|other| other.has_files_of(one));
        for segment in &manifest.segments {
            if is_known(segment) && self.is_there(&folder, segment).await? {
                continue;
            }
            let began = Instant::now();
            if !self.is_whole(&folder, segment).await? {
                damaged.push(segment.clone());
            }
            tokio::time::sleep(began.elapsed()).await;
        }
        Ok(damaged)
    }

    /// Fetches these segments. One that nobody can give does not keep the others from coming.
    pub(crate) async fn fetch_all(
        &self,
        shard: ShardId,
        sources: &[(NodeId, String)],
        segments: &[SegmentMeta],
    ) -> Result<(), String> {
        let folder = self.folder.join(shard.to_string());
        let (mut failed, mut first) = (0usize, None);
        for segment in segments {
            let began = Instant::now();
            if let Err(reason) = self.fetch_segment(shard, sources, &folder, segment).await {
                failed += 1;
                first.get_or_insert(reason);
            }
            tokio::time::sleep(began.elapsed()).await;
        }
        match first {
            None => Ok(()),
            Some(reason) => Err(format!(
                "{failed} of {} segments cannot be had; {reason}",
                segments.len()
            )),
        }
    }

    /// Whether all files of a segment are here, whatever is in them.
    async fn is_there(&self, folder: &Path, segment: &SegmentMeta) -> Result<bool, String> {
        let (folder, segment) = (folder.to_path_buf(), segment.clone());
        self.on_disk(move || Ok(segment.is_there(&folder))).await
    }

    /// Whether all files of a segment are here as its manifest says. Reads every byte of them.
    async fn is_whole(&self, folder: &Path, segment: &SegmentMeta) -> Result<bool, String> {
        let folder = folder.join(segment.folder_name());
        let wanted = segment.files.clone();
        let look = move || {
            for file in &wanted {
                if !is_as_it_should_be(file.verify(&folder))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        self.on_disk(look).await
    }

    /// What a node says of the segment of this range.
    pub(crate) async fn segment_of(
        &self,
        node: NodeId,
        addr: &str,
        shard: ShardId,
        cut: &Range<u64>,
    ) -> Result<Theirs, String> {
        let channel = self.connect.channel(node, addr, Lane::Bulk);
        let channel = channel.map_err(|status| status.to_string())?;
        let request = SegmentOfRequest {
            group: shard.group(),
            from: cut.start,
            to: cut.end,
        };
        let mut client = NodeClient::new(channel);
        let answer = tokio::time::timeout(ASK_DEADLINE, client.segment_of(request)).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned())?;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        let answer = answer.into_inner();
        let manifest = decode_manifest(&answer.manifest).map_err(|error| error.to_string())?;
        Ok(match manifest.segments.into_iter().next() {
            None if answer.failed => Theirs::Failed,
            None => Theirs::NotYet,
            Some(segment) if (segment.from..segment.to) == *cut => Theirs::Here(segment),
            Some(_) => Theirs::Merged,
        })
    }

    /// Brings a segment into the folder of its shard, from the first of these nodes that can give it.
    pub(crate) async fn fetch_segment(
        &self,
        shard: ShardId,
        sources: &[(NodeId, String)],
        folder: &Path,
        segment: &SegmentMeta,
    ) -> Result<(), String> {
        let mut reasons = Vec::new();
        for (node, addr) in sources {
            match self.fetch_from(*node, addr, shard, folder, segment).await {
                Ok(()) => {
                    tracing::info!(%shard, from = segment.from, to = segment.to, node, "segment fetched");
                    return Ok(());
                }
                Err(reason) => reasons.push(format!("node {node}: {reason}")),
            }
        }
        Err(format!(
            "segment {}..{}: {}",
            segment.from,
            segment.to,
            reasons.join("; ")
        ))
    }

    async fn fetch_from(
        &self,
        node: NodeId,
        addr: &str,
        shard: ShardId,
        folder: &Path,
        segment: &SegmentMeta,
    ) -> Result<(), String> {
        let partial = folder.join(format!("{}{PARTIAL}", segment.folder_name()));
        let text = |error: hushlog_storage::Error| error.to_string();
        let (all, begun) = (folder.to_path_buf(), partial.clone());
        let made = self.on_disk(move || {
            let made = files::create_folder(&all).and_then(|()| files::create_folder(&begun));
            Ok(made)
        });
        made.await?.map_err(text)?;
        for file in &segment.files {
            let wanted = Wanted {
                shard,
                segment,
                file,
            };
            self.fetch_file(node, addr, wanted, &partial).await?;
        }
        let (folder, target) = (folder.to_path_buf(), folder.join(segment.folder_name()));
        let placed = self.on_disk(move || {
            if let Err(error) = files::remove_folder(&target) {
                return Ok(Err(error));
            }
            std::fs::rename(&partial, &target)?;
            Ok(files::sync_folder(&folder))
        });
        placed.await?.map_err(text)
    }

    /// Brings a file whole into this folder. What is there of it is taken for its beginning; if it turns out
    /// not to be, it is deleted, and the next attempt begins anew.
    async fn fetch_file(
        &self,
        node: NodeId,
        addr: &str,
        wanted: Wanted<'_>,
        folder: &Path,
    ) -> Result<(), String> {
        let Wanted { file, .. } = wanted;
        let path = folder.join(&file.name);
        let (begun, most) = (path.clone(), file.bytes);
        let (mut out, mut received) = self.on_disk(move || go_on(&begun, most)).await?;
        if received < file.bytes {
            let mut chunks = self.ask(node, addr, wanted, received).await?;
            loop {
                let next = tokio::time::timeout(CHUNK_DEADLINE, chunks.message()).await;
                let next = next.map_err(|_| "the file stopped coming".to_owned())?;
                let Some(chunk) = next.map_err(|status| status.message().to_owned())? else {
                    break;
                };
                if chunk
                    .crc32
                    .is_some_and(|crc| crc != crc32fast::hash(&chunk.data))
                {
                    return Err(format!("a piece of {} was damaged on its way", file.name));
                }
                let bytes = chunk.data.len() as u64;
                received += bytes;
                if received > file.bytes {
                    // It is another one: nothing can go on behind it.
                    self.on_disk(move || std::fs::remove_file(&path)).await?;
                    return Err(format!("{} is longer than its manifest says", file.name));
                }
                let write = move || out.write_all(&chunk.data).map(|()| out);
                out = self.on_disk(write).await?;
                self.pace.take(bytes).await;
            }
        }
        let (whole, folder) = (file.clone(), folder.to_path_buf());
        let verified = self.on_disk(move || {
            out.sync_all()?;
            let verified = is_as_it_should_be(whole.verify(&folder))?;
            if !verified {
                std::fs::remove_file(folder.join(&whole.name))?;
            }
            Ok(verified)
        });
        match verified.await? {
            true => Ok(()),
            false => Err(format!("{} is not what its manifest says", file.name)),
        }
    }

    async fn ask(
        &self,
        node: NodeId,
        addr: &str,
        wanted: Wanted<'_>,
        offset: u64,
    ) -> Result<tonic::Streaming<FileChunk>, String> {
        let channel = self
            .connect
            .channel(node, addr, Lane::Bulk)
            .map_err(|status| status.to_string())?;
        let request = FetchFileRequest {
            group: wanted.shard.group(),
            from: wanted.segment.from,
            to: wanted.segment.to,
            name: wanted.file.name.clone(),
            offset,
            edition: wanted.segment.edition,
        };
        let mut client = NodeClient::new(channel);
        let answer = tokio::time::timeout(CHUNK_DEADLINE, client.fetch_file(request));
        let answer = answer.await.map_err(|_| "no answer in time".to_owned())?;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        Ok(answer.into_inner())
    }

    async fn on_disk<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<R> + Send + 'static,
    ) -> Result<R, String> {
        let done = self
            .disk
            .run(work)
            .await
            .map_err(|error| error.to_string())?;
        done.map_err(|error| error.to_string())
    }
}

/// What another node has of a range of a shard.
pub(crate) enum Theirs {
    /// Nothing yet.
    NotYet,
    /// Nothing, since it could not merge what lies there.
    Failed,
    /// The segment of exactly this range.
    Here(SegmentMeta),
    /// A larger segment in which the range is: the one of exactly this range is not to be had any more.
    Merged,
}

/// A file of a segment of a shard.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    shard: ShardId,
    segment: &'a SegmentMeta,
    file: &'a FileMeta,
}

/// What a look at a file says of it.
///
/// # Errors
/// When it could not be looked at for want of file descriptors, which is no damage.
fn is_as_it_should_be(looked: Result<(), manifest::Error>) -> std::io::Result<bool> {
    match looked {
        Ok(()) => Ok(true),
        Err(error) if lacks_descriptors(&error) => Err(std::io::Error::other(error)),
        Err(_) => Ok(false),
    }
}

/// Opens a file of which some may be there already, to be appended to; how many bytes those are. One that is
/// too long begins anew. Blocks on the disk.
fn go_on(path: &Path, most: u64) -> std::io::Result<(File, u64)> {
    let there = match std::fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let mut how = OpenOptions::new();
    if there > most {
        let file = how.write(true).create(true).truncate(true).open(path)?;
        return Ok((file, 0));
    }
    Ok((how.append(true).create(true).open(path)?, there))
}

/// Opens a file of a segment, to be read from `offset` on. Blocks on the disk.
pub(crate) fn open_at(path: &Path, offset: u64) -> Result<File, Status> {
    let open = || -> std::io::Result<File> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    };
    open().map_err(|error| {
        let is_there = lacks_descriptors(&error);
        let status = if is_there {
            Status::resource_exhausted
        } else {
            Status::not_found
        };
        status(error.to_string())
    })
}

/// The next piece of a file; `None` at its end. Blocks on the disk.
pub(crate) fn next_chunk(file: &mut File) -> Result<Option<FileChunk>, Status> {
    let mut buffer = vec![0; CHUNK_BYTES];
    match file.read(&mut buffer) {
        Ok(0) => Ok(None),
        Ok(count) => {
            buffer.truncate(count);
            Ok(Some(piece(Bytes::from(buffer))))
        }
        Err(error) => Err(Status::data_loss(error.to_string())),
    }
}

/// A piece for the wire.
pub(crate) fn piece(data: Bytes) -> FileChunk {
    FileChunk {
        crc32: Some(crc32fast::hash(&data)),
        data,
    }
}

#[cfg(test)]
mod tests {
    use hushlog_record::{LogId, Timestamp};

    use super::*;

    /// Reaches nobody.
    struct Nobody;

    impl Connect for Nobody {
        fn channel(
            &self,
            _: NodeId,
            _: &str,
            _: Lane,
        ) -> Result<tonic::transport::Channel, Status> {
            Err(Status::unavailable("nobody is there"))
        }
    }

    const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

    fn fetcher(folder: &Path) -> Fetcher {
        Fetcher {
            connect: Arc::new(Nobody),
            folder: folder.to_path_buf(),
            disk: Offload::inline(),
            pace: Pace::new(0),
        }
    }

    /// A segment of one file of this content, in the shard's folder.
    fn segment(folder: &Path, from: u64, content: &[u8]) -> SegmentMeta {
        let mut segment = SegmentMeta {
            from,
            to: from + 1,
            edition: 0,
            rows: 1,
            time_min: Timestamp::from_nanos(0),
            time_max: Timestamp::from_nanos(0),
            log_id_min: LogId([0; 16]),
            log_id_max: LogId([0; 16]),
            row_digest: [0; 32],
            raw_bytes: 0,
            files: Vec::new(),
        };
        let folder = folder.join(SHARD.to_string()).join(segment.folder_name());
        files::create_folder(&folder).expect("a folder");
        let file = FileMeta::create(&folder, "rows.parquet", content).expect("a file");
        segment.files.push(file);
        segment
    }

    #[test]
    fn a_want_of_descriptors_is_no_damage() {
        let unreadable = |code| {
            Err(manifest::Error::Read {
                path: "rows.parquet".into(),
                source: std::io::Error::from_raw_os_error(code),
            })
        };
        assert!(is_as_it_should_be(Ok(())).is_ok_and(|whole| whole));
        for code in [nix::libc::EMFILE, nix::libc::ENFILE] {
            assert!(is_as_it_should_be(unreadable(code)).is_err());
        }
        assert!(is_as_it_should_be(unreadable(nix::libc::ENOENT)).is_ok_and(|whole| !whole));
        let mismatch = Err(manifest::Error::Mismatch("rows.parquet".into()));
        assert!(is_as_it_should_be(mismatch).is_ok_and(|whole| !whole));
    }

    #[tokio::test]
    async fn segments_that_are_known_to_be_whole_are_not_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = segment(folder.path(), 3, b"one");
        segment(folder.path(), 3, b"eno");
        let mut second = segment(folder.path(), 4, b"two");
        second.to += 1;
        let manifest = Manifest::default().with(first.clone()).with(second.clone());
        let fetcher = fetcher(folder.path());
        let damaged = |known: Vec<SegmentMeta>| {
            let (fetcher, manifest) = (&fetcher, &manifest);
            async move {
                let damaged = fetcher.damaged(SHARD, manifest, &known).await;
                let damaged = damaged.expect("they can be read").into_iter();
                damaged.map(|segment| segment.from).collect::<Vec<_>>()
            }
        };
        // The second is not there, and the first is another one by now, of the same length.
        assert_eq!(damaged(vec![]).await, [3, 4]);
        assert_eq!(damaged(vec![first.clone()]).await, [4]);
        // What was whole once may be gone.
        assert_eq!(damaged(vec![first.clone(), second.clone()]).await, [4]);
        let shard = folder.path().join(SHARD.to_string());
        let place = shard.join(second.folder_name());
        std::fs::rename(shard.join("4-5"), &place).expect("moved");
        assert_eq!(damaged(vec![first.clone()]).await, [0; 0]);
        std::fs::remove_file(place.join("rows.parquet")).expect("deleted");
        assert_eq!(damaged(vec![first.clone(), second.clone()]).await, [4]);
        FileMeta::create(&place, "rows.parquet", b"owt").expect("a file");
        let mut other = first.clone();
        other.raw_bytes = 7;
        assert_eq!(damaged(vec![second.clone(), other.clone()]).await, [0; 0]);
        other.files[0].blake3 = [0; 32];
        assert_eq!(damaged(vec![second, other]).await, [3]);
    }

    #[test]
    fn a_file_goes_on_where_it_ended_unless_it_is_too_long() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.parquet");
        let (mut file, there) = go_on(&path, 10).expect("begun");
        assert_eq!(there, 0);
        file.write_all(b"half").expect("written");
        let (mut file, there) = go_on(&path, 10).expect("gone on");
        assert_eq!(there, 4);
        file.write_all(b" and more").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"half and more");
        let (_, there) = go_on(&path, 10).expect("anew");
        assert_eq!(there, 0);
        assert_eq!(std::fs::read(&path).expect("there"), b"");
    }
}

//! Whose folder this is: the identity file of a node's data folder.
//!
//! A small text file named `identity`, so that a person can read it:
//!
//! ```text
//! hushlog data folder
//! format 1
//! cluster 0123456789abcdef0123456789abcdef
//! node 3
//! crc32 89abcdef                              over all bytes before this line
//! ```
//!
//! It is written, synced, before anything else in the folder. A folder of another node, of another
//! cluster, of a newer format, or with data but without identity is refused by name: a swapped or
//! restored folder must never vote. Never changed once written. That two processes do not share a
//! folder is the store's lock's business.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, files};

/// Name of the identity file in the data folder.
pub const FILE_NAME: &str = "identity";
/// Newest format of a data folder that this build reads, and the one it writes.
pub const FORMAT: u32 = 1;
/// An identity file is never larger, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 10;
const TITLE: &str = "hushlog data folder";

/// Who owns a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, made when it was initialised.
    pub cluster: u128,
    /// The node in the cluster.
    pub node: u64,
}

/// The identity in `folder`, or `None` if the folder is absent or empty.
///
/// # Errors
/// [`Error::Newer`], [`Error::Unidentified`], [`Error::Corrupt`] or [`Error::File`].
pub fn read(folder: &Path) -> Result<Option<Identity>, Error> {
    let path = folder.join(FILE_NAME);
    let text = match fs::metadata(&path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => return Err(damaged(&path, "its length")),
        Ok(_) => fs::read(&path).map_err(|e| Error::file("reading", &path, e))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return nobody(folder),
        Err(error) => return Err(Error::file("reading", &path, error)),
    };
    parse(&path, &String::from_utf8_lossy(&text)).map(Some)
}

/// Makes `folder` the folder of `identity`, creating it if it is absent; does nothing if it already
/// is. Durable on return.
///
/// # Errors
/// As [`read`], and [`Error::Foreign`] if the folder belongs to somebody else.
pub fn claim(folder: &Path, identity: Identity) -> Result<(), Error> {
    match read(folder)? {
        Some(found) => found.must_be(folder, identity),
        None => {
            files::create_folder(folder)?;
            files::write_synced(&folder.join(FILE_NAME), identity.to_string().as_bytes())
        }
    }
}

impl Identity {
    fn must_be(self, folder: &Path, expected: Self) -> Result<(), Error> {
        let foreign = |what, found: String, expected: String| Error::Foreign {
            path: folder.to_path_buf(),
            what,
            found,
            expected,
        };
        if self.cluster != expected.cluster {
            let (found, expected) = (self.cluster, expected.cluster);
            return Err(foreign(
                "cluster",
                format!("{found:032x}"),
                format!("{expected:032x}"),
            ));
        }
        if self.node != expected.node {
            return Err(foreign(
                "node",
                self.node.to_string(),
                expected.node.to_string(),
            ));
        }
        Ok(())
    }

    fn body(self) -> String {
        format!(
            "{TITLE}\nformat {FORMAT}\ncluster {:032x}\nnode {}\n",
            self.cluster, self.node
        )
    }
}

impl fmt::Display for Identity {
    /// The file's whole text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        writeln!(f, "{body}crc32 {:08x}", crc32fast::hash(body.as_bytes()))
    }
}

fn parse(path: &Path, text: &str) -> Result<Identity, Error> {
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err(damaged(path, "its title"));
    }
    let mut number = |name: &str, radix| {
        let value = lines
            .next()
            .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .and_then(|value| u128::from_str_radix(value, radix).ok())
            .ok_or_else(|| damaged(path, name))
    };
    let format = u32::try_from(number("format", 10)?).map_err(|_| damaged(path, "format"))?;
    if format > FORMAT {
        let path = path.parent().map(Path::to_path_buf).unwrap_or_default();
        return Err(Error::Newer {
            path,
            found: format,
            supported: FORMAT,
        });
    }
    let cluster = number("cluster", 16)?;
    let node = u64::try_from(number("node", 10)?).map_err(|_| damaged(path, "node"))?;
    let identity = Identity { cluster, node };
    // Whatever else is wrong with the text, the checksum line included: it is not what we write.
    if identity.to_string() != text {
        return Err(damaged(path, "crc32"));
    }
    Ok(identity)
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::Corrupt(format!(
        "the identity file {} is damaged: {what}",
        path.display()
    ))
}

/// A folder without identity is fine only if it holds nothing.
fn nobody(folder: &Path) -> Result<Option<Identity>, Error> {
    let reading = |error| Error::file("reading", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading(error)),
    };
    for entry in entries {
        if !is_harmless(&entry.map_err(reading)?.path()) {
            return Err(Error::Unidentified {
                path: folder.to_path_buf(),
            });
        }
    }
    Ok(None)
}

/// What an interrupted [`claim`], a fresh file system, a node's own log or an interrupted first start
/// leaves in an otherwise empty folder.
const HARMLESS: [&str; 5] = [
    "identity.tmp",
    "lost+found",
    "hushlog.log",
    "hash.key",
    "hash.tmp",
];

fn is_harmless(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    HARMLESS.iter().any(|harmless| name == *harmless)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const OURS: Identity = Identity {
        cluster: 0xabc,
        node: 3,
    };

    fn claimed() -> TempDir {
        let folder = TempDir::new().unwrap();
        claim(folder.path(), OURS).unwrap();
        folder
    }

    fn rewrite(folder: &TempDir, change: impl FnOnce(String) -> String) {
        let path = folder.path().join(FILE_NAME);
        let text = change(fs::read_to_string(&path).unwrap());
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_claimed_folder_is_read_back_and_claimed_again() {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("a/b");
        assert_eq!(read(&data).unwrap(), None);
        claim(&data, OURS).unwrap();
        assert_eq!(read(&data).unwrap(), Some(OURS));
        claim(&data, OURS).unwrap();
        let text = fs::read_to_string(data.join(FILE_NAME)).unwrap();
        assert_eq!(
            text,
            "hushlog data folder\nformat 1\ncluster 00000000000000000000000000000abc\nnode 3\n\
             crc32 2c1c0840\n"
        );
    }

    #[test]
    fn a_folder_of_another_node_or_cluster_is_refused_by_name() {
        let folder = claimed();
        let error = claim(folder.path(), Identity { node: 4, ..OURS }).unwrap_err();
        assert!(
            error.to_string().ends_with("belongs to node 3, not to 4"),
            "{error}"
        );
        let error = claim(
            folder.path(),
            Identity {
                cluster: 1,
                node: 4,
            },
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Foreign {
                    what: "cluster",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(read(folder.path()).unwrap(), Some(OURS));
    }

    #[test]
    fn a_newer_format_is_refused_by_name_whatever_follows() {
        let folder = claimed();
        rewrite(&folder, |_| {
            "hushlog data folder\nformat 2\nwho knows\n".into()
        });
        let error = read(folder.path()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Newer {
                    found: 2,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn any_flipped_bit_or_cut_is_noticed() {
        let text = OURS.to_string().into_bytes();
        let path = Path::new(FILE_NAME);
        for (at, bit) in (0..text.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut rotten = text.clone();
            rotten[at] ^= 1 << bit;
            assert!(
                parse(path, &String::from_utf8_lossy(&rotten)).is_err(),
                "byte {at}"
            );
        }
        for length in 0..text.len() {
            assert!(parse(path, &String::from_utf8_lossy(&text[..length])).is_err());
        }
    }

    #[test]
    fn data_without_identity_is_refused() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("identity.tmp"), "half").unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        fs::create_dir(folder.path().join("store")).unwrap();
        assert!(matches!(
            claim(folder.path(), OURS),
            Err(Error::Unidentified { .. })
        ));
    }
}

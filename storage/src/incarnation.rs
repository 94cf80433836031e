//! Which life of its data folder a node is living: a number that grows at every start.
//!
//! A small text file named `incarnation`, so that a person can read it:
//!
//! ```text
//! hushlog incarnation
//! birth 89abcdef01234567
//! number 12
//! nonce 0123456789abcdef
//! crc32 89abcdef                              over all bytes before this line
//! ```
//!
//! A folder that was emptied has another birth; one that was put back from an earlier copy starts a
//! life that its peers have seen already, under another nonce. So they know that it has forgotten what
//! it promised since. The file is written, synced, before the node says anything to anybody.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, files};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "incarnation";
const TITLE: &str = "hushlog incarnation";

/// One life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// Drawn when the folder was new.
    pub birth: u64,
    /// How many times the node has been started on this folder, from 1.
    pub number: u64,
    /// Drawn at this start: tells two lives of one number apart.
    pub nonce: u64,
}

impl Incarnation {
    /// Whether a node that has lived this life may live `other` now: the same one, or a later one of the
    /// same folder.
    pub fn may_become(&self, other: &Self) -> bool {
        self == other || (self.birth == other.birth && self.number < other.number)
    }
}

/// Begins the next life of the node in `folder`. Durable on return.
///
/// # Errors
/// [`Error::Corrupt`] if the file is damaged, [`Error::File`].
pub fn next(folder: &Path, nonce: u64) -> Result<Incarnation, Error> {
    let path = folder.join(FILE_NAME);
    let last = match fs::read(&path) {
        Ok(bytes) => Some(parse(&path, &String::from_utf8_lossy(&bytes))?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Error::file("reading", &path, error)),
    };
    let incarnation = Incarnation {
        birth: last.map_or(nonce, |last| last.birth),
        number: last.map_or(1, |last| last.number + 1),
        nonce,
    };
    files::write_synced(&path, text(incarnation).as_bytes())?;
    Ok(incarnation)
}

fn text(incarnation: Incarnation) -> String {
    let Incarnation {
        birth,
        number,
        nonce,
    } = incarnation;
    let body = format!("{TITLE}\nbirth {birth:016x}\nnumber {number}\nnonce {nonce:016x}\n");
    let crc = crc32fast::hash(body.as_bytes());
    format!("{body}crc32 {crc:08x}\n")
}

fn parse(path: &Path, found: &str) -> Result<Incarnation, Error> {
    let mut lines = found.lines().skip(1);
    let mut field = |name: &str, radix| {
        let value = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
        u64::from_str_radix(value, radix).ok()
    };
    let fields = (field("birth", 16), field("number", 10), field("nonce", 16));
    let damaged = || {
        Error::Corrupt(format!(
            "the incarnation file {} is damaged",
            path.display()
        ))
    };
    let (Some(birth), Some(number), Some(nonce)) = fields else {
        return Err(damaged());
    };
    let incarnation = Incarnation {
        birth,
        number,
        nonce,
    };
    // Whatever else is wrong with the text, the checksum line included: it is not what we write.
    if text(incarnation) == found {
        Ok(incarnation)
    } else {
        Err(damaged())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn every_start_is_another_life_and_an_emptied_folder_another_birth() {
        let folder = TempDir::new().unwrap();
        let mut lives = Vec::new();
        for number in 1..=3 {
            let nonce = 100 + number;
            let life = next(folder.path(), nonce).unwrap();
            let birth = 101;
            assert_eq!(
                life,
                Incarnation {
                    birth,
                    number,
                    nonce
                }
            );
            lives.push(life);
        }
        assert!(lives[0].may_become(&lives[0]) && lives[0].may_become(&lives[2]));
        assert!(!lives[2].may_become(&lives[0]));
        fs::remove_file(folder.path().join(FILE_NAME)).unwrap();
        for nonce in 200..210 {
            let emptied = next(folder.path(), nonce).unwrap();
            assert!(!lives[2].may_become(&emptied));
        }
    }

    #[test]
    fn a_folder_from_before_lives_a_number_again_under_another_nonce() {
        let folder = TempDir::new().unwrap();
        next(folder.path(), 1).unwrap();
        let copy = fs::read(folder.path().join(FILE_NAME)).unwrap();
        let lost = next(folder.path(), 2).unwrap();
        fs::write(folder.path().join(FILE_NAME), copy).unwrap();
        let again = next(folder.path(), 3).unwrap();
        assert_eq!(lost.number, again.number);
        assert!(!lost.may_become(&again));
    }

    #[test]
    fn any_flipped_bit_or_cut_is_noticed() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(FILE_NAME);
        next(folder.path(), 0xfeed).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut rotten = whole.clone();
                rotten[at] ^= 1 << bit;
                fs::write(&path, rotten).unwrap();
                let error = next(folder.path(), 1).unwrap_err();
                assert!(matches!(error, Error::Corrupt(_)), "byte {at}: {error}");
            }
            fs::write(&path, &whole[..at]).unwrap();
            assert!(next(folder.path(), 1).is_err(), "cut at {at}");
        }
    }
}

//! An open index: which granules may hold what is looked for.

use std::io;

use bytes::Bytes;
use std::sync::Arc;
use tantivy::index::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use crate::build::{FINGERPRINTS, STEM, STEM_CHARS, fingerprint_of};
use crate::directory::PackedDirectory;
use crate::fingerprint::Fingerprints;
use crate::granules::GranuleSet;
use crate::hash::hash;
use crate::pack::{Packed, Part, Source};
use crate::terms::FIELD;
use crate::{Error, token};

/// Characters that must be escaped in JSON besides quote and backslash: those below this.
const CONTROLS: u8 = 0x20;
/// What stands behind the backslash of an escape, where that is a letter. Arrays are stored with no escapes
/// but these, four digits for the other control characters, and those of characters that end a token.
const ESCAPED_AS_LETTERS: [&str; 5] = ["n", "r", "t", "b", "f"];

/// What a row must hold, as far as the index can tell. Field names do not matter to it: all texts
/// and values of a row are in one space. Tokens, prefixes and numbers are case-folded and canonical
/// already ([`token::fold`], [`token::number`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prune {
    /// This whole token.
    Token(String),
    /// A token that begins so.
    Prefix(String),
    /// A number with this canonical text.
    Number(String),
    /// All of these.
    And(Vec<Prune>),
    /// One of these.
    Or(Vec<Prune>),
    /// Anything: a condition that the index cannot help with.
    Any,
}

/// An open index. Any number of threads may search it.
pub struct Index {
    words: Arc<InvertedIndexReader>,
    fingerprints: Fingerprints,
    section: Part,
    granules: u32,
    knows_elements: bool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("granules", &self.granules)
            .finish_non_exhaustive()
    }
}

impl Index {
    /// Opens a packed index, in a [`CheckedFile`](hushlog_storage::segment::checked::CheckedFile) or
    /// in memory; every byte is checked once.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Version`] and [`Error::Io`]: the caller builds it anew from the
    /// segment and reads everything meanwhile.
    pub fn open(source: impl Into<Source>) -> Result<Self, Error> {
        Self::of(source.into())
    }

    /// As [`Index::open`], in memory.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        Self::open(bytes.into())
    }

    /// Calls `each` with every term, in byte order, until it fails: words, and the beginnings of
    /// fingerprinted tokens after a byte 1. It is all the text that an index holds.
    ///
    /// # Errors
    /// Those of `each`, and [`Error::Io`].
    pub fn for_each_term<E: From<Error>>(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut terms = self.words.terms().stream().map_err(Error::from)?;
        while let Some((term, _)) = terms.next() {
            each(term)?;
        }
        Ok(())
    }

    fn of(source: Source) -> Result<Self, Error> {
        let packed = Packed::open(source)?;
        let section = packed
            .part(FINGERPRINTS)
            .ok_or(Error::Damaged("it has no fingerprints"))?;
        let section = section.clone();
        let knows_elements = packed.knows_elements();
        let fingerprints = Fingerprints::open(&section, section.len())?
            .ok_or(Error::Damaged("its fingerprints do not fit together"))?;
        let index = tantivy::Index::open(PackedDirectory(packed))?;
        let segments = index.searchable_segments()?;
        let [segment] = segments.as_slice() else {
            return Err(Error::Damaged("it has other than one segment"));
        };
        let reader = tantivy::SegmentReader::open(segment)?;
        let words = reader.inverted_index(index.schema().get_field(FIELD)?)?;
        Ok(Self {
            words,
            fingerprints,
            section,
            granules: reader.max_doc(),
            knows_elements,
        })
    }

    /// Number of granules it was built of.
    pub fn granule_count(&self) -> u32 {
        self.granules
    }

    /// The granules that may hold rows which match `expression`; `None` when all may: read everything.
    /// A granule that is left out holds none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Tantivy`] when the index cannot be read: read everything.
    pub fn prune(&self, expression: &Prune) -> Result<Option<GranuleSet>, Error> {
        match expression {
            Prune::Any => Ok(None),
            // It may stand in an array in another form than this one.
            Prune::Number(_) if !self.knows_elements => Ok(None),
            Prune::Token(token) if !self.knows_elements => self.escaped(token).map(Some),
            Prune::Token(token) | Prune::Number(token) => self.token(token).map(Some),
            Prune::Prefix(prefix) if prefix.is_empty() => Ok(None),
            Prune::Prefix(prefix) => self.prefix(prefix).map(Some),
            Prune::And(all) => self.and(all),
            Prune::Or(any) => self.or(any),
        }
    }

    fn and(&self, all: &[Prune]) -> Result<Option<GranuleSet>, Error> {
        let mut left: Option<GranuleSet> = None;
        for expression in all {
            let Some(set) = self.prune(expression)? else {
                continue;
            };
            match &mut left {
                None => left = Some(set),
                Some(left) => left.intersect(&set),
            }
            if left.as_ref().is_some_and(GranuleSet::is_empty) {
                break;
            }
        }
        Ok(left)
    }

    fn or(&self, any: &[Prune]) -> Result<Option<GranuleSet>, Error> {
        let mut union = GranuleSet::none(self.granules);
        for expression in any {
            match self.prune(expression)? {
                None => return Ok(None),
                Some(set) => union.unite(&set),
            }
        }
        Ok(Some(union))
    }

    fn token(&self, token: &str) -> Result<GranuleSet, Error> {
        let mut set = GranuleSet::none(self.granules);
        if token::is_fingerprinted(token) {
            let bits = fingerprint_of(hash(token.as_bytes()));
            self.fingerprints
                .look_up(&self.section, bits, |granule| set.insert(granule))?;
        } else if let Some(term) = self.words.terms().get(token.as_bytes())? {
            self.collect(&term, &mut set)?;
        }
        Ok(set)
    }

    /// A token alone, or behind an escape that an array's JSON has before it: without the texts that arrays
    /// stand for, such an index knows both as one token.
    fn escaped(&self, token: &str) -> Result<GranuleSet, Error> {
        let mut set = self.token(token)?;
        let letters = ESCAPED_AS_LETTERS.map(String::from);
        let codes = (0..CONTROLS).map(|code| format!("u{code:04x}"));
        for escape in letters.into_iter().chain(codes) {
            set.unite(&self.token(&format!("{escape}{token}"))?);
        }
        Ok(set)
    }

    fn prefix(&self, prefix: &str) -> Result<GranuleSet, Error> {
        let mut set = GranuleSet::none(self.granules);
        self.terms_from(prefix, &mut set)?;
        // A fingerprinted token is known by how it begins. It may be shorter than the prefix, or
        // begin otherwise after that: then the scanner finds nothing in its granule.
        let stem: String = std::iter::once(STEM)
            .chain(prefix.chars().take(STEM_CHARS))
            .collect();
        self.terms_from(&stem, &mut set)?;
        Ok(set)
    }

    /// Adds the granules of all terms that begin with `prefix`.
    fn terms_from(&self, prefix: &str, set: &mut GranuleSet) -> Result<(), Error> {
        let mut terms = self.words.terms().range().ge(prefix).into_stream()?;
        while let Some((term, info)) = terms.next() {
            if !term.starts_with(prefix.as_bytes()) {
                break;
            }
            self.collect(info, set)?;
        }
        Ok(())
    }

    fn collect(&self, term: &TermInfo, set: &mut GranuleSet) -> io::Result<()> {
        let mut postings = self
            .words
            .read_postings_from_terminfo(term, IndexRecordOption::Basic)?;
        while postings.doc() != TERMINATED {
            set.insert(postings.doc());
            postings.advance();
        }
        Ok(())
    }
}

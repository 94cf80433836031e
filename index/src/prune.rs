//! Look-ups: which granules can hold what a query asks for.

use std::sync::Arc;

use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::termdict::TermDictionary;

use crate::collect::NUMBER_MARK;
use crate::fingerprint::Table;
use crate::granules::GranuleSet;
use crate::pack::unpack;
use crate::{Error, token};

/// Most terms that a prefix may expand to before it no longer prunes.
pub const PREFIX_TERMS_MAX: usize = 4_096;

/// What a matching row must have, as far as an index can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prune {
    /// This folded token.
    Token(String),
    /// A token that begins with this folded text.
    Prefix(String),
    /// A number value equal to this one, in the form of [`token::number`].
    Number(String),
    /// All of these.
    And(Vec<Prune>),
    /// One of these.
    Or(Vec<Prune>),
    /// Nothing that an index knows of.
    Any,
}

/// An open index.
pub struct Index {
    terms: TermDictionary,
    postings: Vec<u8>,
    fingerprints: Table,
    granules: u32,
    bytes: usize,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("granules", &self.granules).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens what [`build`](crate::build()) made; every checksum is verified.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Version`]: rebuild it from the rows.
    pub fn open(bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let parts = unpack(bytes.as_ref())?;
        let terms = FileSlice::new(Arc::new(OwnedBytes::new(parts.terms.to_vec())));
        Ok(Self {
            terms: TermDictionary::open(terms)?,
            postings: parts.postings.to_vec(),
            fingerprints: Table::open(parts.fingerprints)?,
            granules: parts.granules,
            bytes: bytes.as_ref().len(),
        })
    }

    /// Number of granules of its segment.
    pub fn granules(&self) -> u32 {
        self.granules
    }

    /// Bytes that it holds in memory, about.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.max(self.fingerprints.bytes())
    }

    /// The granules that can hold a match; `None` when every granule can.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Terms`].
    pub fn prune(&self, expr: &Prune) -> Result<Option<GranuleSet>, Error> {
        match expr {
            Prune::Any => Ok(None),
            Prune::Token(token) => self.token(token).map(Some),
            Prune::Number(number) => self.word(&format!("{NUMBER_MARK}{number}")).map(Some),
            Prune::Prefix(prefix) => self.prefix(prefix),
            Prune::And(parts) => self.all_of(parts),
            Prune::Or(parts) => self.one_of(parts),
        }
    }

    fn all_of(&self, parts: &[Prune]) -> Result<Option<GranuleSet>, Error> {
        let mut all: Option<GranuleSet> = None;
        for part in parts {
            let Some(granules) = self.prune(part)? else { continue };
            match &mut all {
                Some(all) => all.intersect(&granules),
                None => all = Some(granules),
            }
            if all.as_ref().is_some_and(GranuleSet::is_empty) {
                break;
            }
        }
        Ok(all)
    }

    fn one_of(&self, parts: &[Prune]) -> Result<Option<GranuleSet>, Error> {
        let mut one = GranuleSet::empty(self.granules);
        for part in parts {
            match self.prune(part)? {
                Some(granules) => one.unite(&granules),
                None => return Ok(None),
            }
        }
        Ok(Some(one))
    }

    fn token(&self, token: &str) -> Result<GranuleSet, Error> {
        if token::is_fingerprinted(token) {
            let mut granules = GranuleSet::empty(self.granules);
            self.fingerprints.find(token, &mut granules);
            return Ok(granules);
        }
        self.word(token::stored(token))
    }

    fn word(&self, word: &str) -> Result<GranuleSet, Error> {
        let mut granules = GranuleSet::empty(self.granules);
        if let Some(info) = self.terms.get(word.as_bytes())? {
            self.read(info.postings_range, &mut granules)?;
        }
        Ok(granules)
    }

    fn prefix(&self, prefix: &str) -> Result<Option<GranuleSet>, Error> {
        if token::may_begin_fingerprinted(prefix) {
            return Ok(None);
        }
        let prefix = token::stored(prefix).as_bytes();
        let mut granules = GranuleSet::empty(self.granules);
        let mut stream = self.terms.range().ge(prefix).into_stream()?;
        let mut terms = 0;
        while stream.advance() && stream.key().starts_with(prefix) {
            terms += 1;
            if terms > PREFIX_TERMS_MAX {
                return Ok(None);
            }
            self.read(stream.value().postings_range.clone(), &mut granules)?;
        }
        Ok(Some(granules))
    }

    fn read(&self, range: std::ops::Range<usize>, granules: &mut GranuleSet) -> Result<(), Error> {
        const DAMAGED: Error = Error::Damaged("postings out of range");
        let (mut granule, mut value, mut shift) = (0u32, 0u32, 0u32);
        for byte in self.postings.get(range).ok_or(DAMAGED)? {
            value |= u32::from(byte & 0x7f).checked_shl(shift).ok_or(DAMAGED)?;
            if *byte >= 0x80 {
                shift += 7;
                continue;
            }
            granule = granule.checked_add(value).ok_or(DAMAGED)?;
            granules.insert(granule);
            (value, shift) = (0, 0);
        }
        Ok(())
    }

    /// Calls `visit` with every term of the dictionary, in order: for those who must prove that
    /// something is not in it.
    ///
    /// # Errors
    /// What `visit` returns, or [`Error::Terms`].
    pub fn for_each_term<E: From<Error>>(
        &self,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stream = self.terms.stream().map_err(Error::from)?;
        while stream.advance() {
            visit(stream.key())?;
        }
        Ok(())
    }
}

//! Bytes of partials between nodes: varints, strings, checked lengths. Never trusts a length.

use crate::Error;

/// Writes a partial.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// LEB128.
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes
                .push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.bytes.push(u8::try_from(number).unwrap_or(0));
    }

    pub(crate) fn size(&mut self, size: usize) {
        self.number(size as u64);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
    }

    pub(crate) fn float(&mut self, number: f64) {
        self.bytes.extend(number.to_bits().to_be_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }
}

/// Reads a partial.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// What every failure to read is.
pub(crate) const DAMAGED: Error = Error::Damaged("a partial answer");

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DAMAGED)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| DAMAGED)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DAMAGED)
    }

    /// The number of things that follow, each at least one byte long.
    pub(crate) fn size(&mut self) -> Result<usize, Error> {
        let size = usize::try_from(self.number()?).map_err(|_| DAMAGED)?;
        if size > self.rest.len() {
            return Err(DAMAGED);
        }
        Ok(size)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Error> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(crate) fn float(&mut self) -> Result<f64, Error> {
        Ok(f64::from_bits(u64::from_be_bytes(self.array()?)))
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], Error> {
        let size = self.size()?;
        self.take(size)
    }

    pub(crate) fn text(&mut self) -> Result<String, Error> {
        std::str::from_utf8(self.blob()?)
            .map(str::to_owned)
            .map_err(|_| DAMAGED)
    }

    /// All that has not been read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DAMAGED)
        }
    }
}

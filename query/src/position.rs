//! Where a hit stands in the order of an answer, and the token that resumes after it.

use std::cmp::Ordering;

use hushlog_record::ShardId;

use crate::Error;

/// The place of a row: event time, and ties by shard, seq and row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Event time, nanoseconds since the Unix epoch.
    pub timestamp: i64,
    /// The shard.
    pub shard: ShardId,
    /// The block in its shard.
    pub seq: u64,
    /// The row in its block.
    pub row: u32,
}

/// The direction of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

impl Order {
    /// How two places compare in an answer: `Less` comes first.
    pub fn compare(self, a: &Position, b: &Position) -> Ordering {
        match self {
            Self::Ascending => a.cmp(b),
            Self::Descending => b.cmp(a),
        }
    }
}

/// Version of the token, then the order, timestamp, shard's group, seq and row, then CRC32.
const TOKEN_VERSION: u8 = 1;
const TOKEN_BYTES: usize = 2 + 8 + 8 + 8 + 4 + 4;

impl Position {
    /// The token of `next_search_after`.
    pub fn token(&self, order: Order) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.extend([TOKEN_VERSION, u8::from(order == Order::Ascending)]);
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.shard.group().to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.row.to_be_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        data_encoding::BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads a token back.
    ///
    /// # Errors
    /// The token was not made by [`token`](Self::token) for this order.
    pub fn from_token(token: &str, order: Order) -> Result<Self, Error> {
        let refused = |why| Err(Error::Request(format!("search_after: {why}")));
        let decoded = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).ok();
        let bytes: Option<[u8; TOKEN_BYTES]> = decoded.and_then(|bytes| bytes.try_into().ok());
        let Some(([version, direction, body @ ..], checksum)) = bytes
            .as_ref()
            .and_then(|bytes| bytes.split_last_chunk::<4>())
        else {
            return refused("expected next_search_after of an earlier answer");
        };
        let signed = bytes
            .as_ref()
            .map_or(&[][..], |bytes| &bytes[..TOKEN_BYTES - 4]);
        if *version != TOKEN_VERSION || crc32fast::hash(signed) != u32::from_be_bytes(*checksum) {
            return refused("expected next_search_after of an earlier answer");
        }
        if *direction != u8::from(order == Order::Ascending) {
            return refused("the token is of an answer in the other order");
        }
        let word = |at: usize| {
            let bytes = body.get(at..at + 8).and_then(|b| b.try_into().ok());
            u64::from_be_bytes(bytes.expect("the token has a fixed length"))
        };
        let Some(shard) = ShardId::from_group(word(8)) else {
            return refused("expected next_search_after of an earlier answer");
        };
        let row = u32::try_from(word(20) & u64::from(u32::MAX)).expect("masked to 32 bits");
        Ok(Self {
            timestamp: word(0).cast_signed(),
            shard,
            seq: word(16),
            row,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_a_damaged_or_foreign_one_is_refused() {
        let shard = ShardId { bucket: 7, slot: 3 };
        let position = Position {
            timestamp: -5,
            shard,
            seq: u64::MAX - 1,
            row: 9,
        };
        let token = position.token(Order::Descending);
        assert_eq!(
            Position::from_token(&token, Order::Descending).unwrap(),
            position
        );
        assert!(Position::from_token(&token, Order::Ascending).is_err());
        for at in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(Position::from_token(&damaged, Order::Descending).is_err());
        }
        assert!(Position::from_token("", Order::Descending).is_err());
    }
}

//! Messages that go through the pipeline together: bounded in bytes and in number.

use std::collections::BTreeMap;

use hushlog_ingest::syslog;

use crate::limits::{
    SYSLOG_BATCH_BYTES, SYSLOG_BATCH_MESSAGES_MAX, SYSLOG_MESSAGE_MEMORY_BYTES, SYSLOG_SENDERS_MAX,
};

/// Messages that were received, one behind the other.
#[derive(Clone, Default)]
pub(super) struct Messages {
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Messages {
    pub(super) fn add(&mut self, message: &[u8]) {
        self.text.extend_from_slice(message);
        self.ends.push(self.text.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether they are enough for one batch.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= SYSLOG_BATCH_BYTES || self.ends.len() >= SYSLOG_BATCH_MESSAGES_MAX
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Memory that they take.
    pub(super) fn memory(&self) -> usize {
        memory(self.text.len(), self.ends.len())
    }

    /// The first half and the others.
    pub(super) fn halves(&self) -> (Self, Self) {
        let (mut first, mut second) = (Self::default(), Self::default());
        let middle = self.count() / 2;
        for (number, message) in self.iter().enumerate() {
            let half = if number < middle {
                &mut first
            } else {
                &mut second
            };
            half.add(message);
        }
        (first, second)
    }

    /// Those of each sender, as their headers say it; those of senders that come when there are many are together.
    pub(super) fn by_sender(&self) -> Vec<Self> {
        let mut places = BTreeMap::new();
        let mut groups: Vec<Self> = Vec::new();
        for message in self.iter() {
            let sender = syslog::sender(message);
            let next = groups.len().min(SYSLOG_SENDERS_MAX - 1);
            let place = *places.entry(sender).or_insert(next);
            if place == groups.len() {
                groups.push(Self::default());
            }
            if let Some(group) = groups.get_mut(place) {
                group.add(message);
            }
        }
        groups
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(start, end)| self.text.get(*start..*end).unwrap_or_default())
    }
}

/// Memory of so many bytes of text in so many messages; what grows may be twice as large as it has to be.
pub(super) const fn memory(text_bytes: usize, messages: usize) -> usize {
    2 * text_bytes + messages * SYSLOG_MESSAGE_MEMORY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_apart_and_are_bounded_in_bytes_and_number() {
        let mut messages = Messages::default();
        for message in ["one", "", "three"] {
            messages.add(message.as_bytes());
        }
        let all: Vec<&[u8]> = messages.iter().collect();
        assert_eq!(all, [b"one".as_slice(), b"", b"three"]);
        assert_eq!((messages.count(), messages.is_full()), (3, false));

        let (first, second) = messages.halves();
        assert_eq!((first.count(), second.count()), (1, 2));
        assert!(first.iter().chain(second.iter()).eq(messages.iter()));

        let mut mixed = Messages::default();
        for number in 0..3 * SYSLOG_SENDERS_MAX {
            let program = number % (2 * SYSLOG_SENDERS_MAX);
            mixed.add(format!("<13>1 - host app{program} - - - m").as_bytes());
        }
        let groups = mixed.by_sender();
        let counts: Vec<usize> = groups.iter().map(Messages::count).collect();
        assert_eq!(counts.len(), SYSLOG_SENDERS_MAX);
        assert_eq!(counts.iter().sum::<usize>(), mixed.count());
        assert_eq!(counts.first(), Some(&2));
        assert_eq!(counts.last(), Some(&(SYSLOG_SENDERS_MAX + 2)));

        let mut long = Messages::default();
        long.add(&vec![b'x'; SYSLOG_BATCH_BYTES]);
        assert!(long.is_full());
        let mut many = Messages::default();
        for _ in 0..SYSLOG_BATCH_MESSAGES_MAX {
            assert!(!many.is_full());
            many.add(b"x");
        }
        assert!(many.is_full());
    }
}

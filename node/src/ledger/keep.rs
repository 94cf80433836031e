//! Writes a node's books down, every few seconds and when the node ends, so that they outlive a restart.
//!
//! A node that is killed forgets what came in since the last time; that it was is counted.

use hushlog_record::Timestamp;
use hushlog_storage::store::{Batch, Durability, ScanLimit, Space};
use hushlog_storage::writer::WriterHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Book, Ledger};
use crate::limits::LEDGER_SAVE_PAUSE;
use crate::tasks::unless_stopped;

/// Where the books lie in the store.
const KEY: &[u8] = b"ledger";

/// Reads the books and writes them.
pub(crate) struct Keeper {
    ledger: Ledger,
    writer: WriterHandle,
    written: Vec<u8>,
}

impl Keeper {
    /// The books as the last life of the node has left them; those that cannot be read begin anew. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn open(
        writer: WriterHandle,
        now: Timestamp,
    ) -> Result<(Ledger, Self), hushlog_storage::Error> {
        let stored = writer.store().get(Space::Meta, KEY)?;
        let book = match stored.as_deref().map(Book::from_bytes) {
            None => {
                let mut book = Book::new(now);
                // It has stored records before it kept books.
                book.gaps = u64::from(has_run(&writer)?);
                book
            }
            Some(Ok((mut book, ended))) => {
                book.gaps += u64::from(!ended);
                book
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the ledger begins anew");
                let mut book = Book::new(now);
                book.gaps = 1;
                book
            }
        };
        let ledger = Ledger::of(book);
        let keeper = Self {
            ledger: ledger.clone(),
            writer,
            written: Vec::new(),
        };
        Ok((ledger, keeper))
    }

    /// Writes until the node ends, and then once more.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        loop {
            self.write(false).await;
            if !unless_stopped(&stop, sleep(LEDGER_SAVE_PAUSE)).await {
                self.write(true).await;
                return Ok(());
            }
        }
    }

    /// Writes the books if they have changed. A store that takes no writes says so itself.
    async fn write(&mut self, ended: bool) {
        let bytes = self.ledger.book().to_bytes(ended);
        if bytes == self.written {
            return;
        }
        let mut batch = Batch::new();
        batch.put(Space::Meta, KEY.to_vec(), bytes.clone());
        match self.writer.write(batch, Durability::Synced).await {
            Ok(()) => self.written = bytes,
            Err(error) => tracing::debug!(%error, "the ledger was not written down"),
        }
    }
}

/// Whether the store is one of a node that has run before.
fn has_run(writer: &WriterHandle) -> Result<bool, hushlog_storage::Error> {
    let any = ScanLimit::rows(1);
    let rows = writer.store().scan(Space::State, &[], &[0xff; 64], any)?;
    Ok(!rows.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hushlog_storage::store::Mem;
    use hushlog_storage::writer::Writer;

    use super::*;
    use crate::gateway::Way;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[tokio::test]
    async fn books_that_begin_later_than_the_node_say_so() {
        for (space, key, gaps) in [
            (None, &b""[..], 0),
            (Some(Space::State), &b"any"[..], 1),
            (Some(Space::Meta), KEY, 1),
        ] {
            let writer = Writer::inline(Arc::new(Mem::new()));
            let handle = writer.handle();
            if let Some(space) = space {
                let mut batch = Batch::new();
                batch.put(space, key.to_vec(), b"no books".to_vec());
                let written = handle.write(batch, Durability::Synced).await;
                written.expect("written");
            }
            let (ledger, _) = Keeper::open(handle, at(1)).expect("readable");
            assert_eq!(ledger.book().gaps, gaps, "{space:?}");
        }
    }

    #[tokio::test]
    async fn the_books_outlive_the_node_and_tell_when_it_was_killed() {
        let writer = Writer::inline(Arc::new(Mem::new()));
        let (ledger, mut keeper) = Keeper::open(writer.handle(), at(1)).expect("readable");
        ledger.lost(Way::SyslogTcp, 3);
        keeper.write(false).await;
        ledger.lost(Way::SyslogTcp, 1);
        // Killed: what was not written is lost, and it is known that something may be.
        let (ledger, keeper) = Keeper::open(writer.handle(), at(2)).expect("readable");
        let book = ledger.book();
        assert_eq!((book.since, book.gaps, book.total().lost), (at(1), 1, 3));
        ledger.lost(Way::SyslogTcp, 5);
        // Ended.
        let stop = CancellationToken::new();
        stop.cancel();
        keeper.run(stop).await.expect("it ends");
        let (ledger, _) = Keeper::open(writer.handle(), at(3)).expect("readable");
        let book = ledger.book();
        assert_eq!((book.gaps, book.total().lost), (1, 8));
    }
}

//! Memory of questions on this node: one account per question, whichever of its shards are here and
//! however the coordinator asks for them, and one pool for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use hushlog_query::{Memory, Pool};
use parking_lot::Mutex;

use crate::metrics::{Kind, Registry};

/// The open accounts.
pub(crate) struct Accounts {
    pool: Pool,
    /// Bytes of one question.
    each: usize,
    open: Mutex<BTreeMap<u64, Weak<Memory>>>,
}

impl Accounts {
    /// A pool of `all` bytes, of which one question takes at most `each`.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self {
            pool: Pool::new(all),
            each,
            open: Mutex::default(),
        }
    }

    /// Shows how much is taken.
    pub(crate) fn register(&self, registry: &Registry) {
        let pool = self.pool.clone();
        let help = "Memory that queries have taken.";
        let read = move || pool.bytes() as f64;
        registry.probe(
            "hushlog_node_query_memory_bytes",
            Kind::Gauge,
            help,
            &[],
            read,
        );
    }

    /// The account of a question, for as long as somebody holds it; a new one for 0, which is no id.
    pub(crate) fn of(&self, question_id: u64) -> Arc<Memory> {
        let new = || Arc::new(self.pool.question(self.each));
        if question_id == 0 {
            return new();
        }
        let mut open = self.open.lock();
        if let Some(known) = open.get(&question_id).and_then(Weak::upgrade) {
            return known;
        }
        open.retain(|_, account| account.strong_count() > 0);
        let account = new();
        open.insert(question_id, Arc::downgrade(&account));
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_one_account_while_it_is_asked() {
        let accounts = Accounts::new(100, 60);
        let first = accounts.of(7);
        assert!(Arc::ptr_eq(&first, &accounts.of(7)));
        assert!(!Arc::ptr_eq(&first, &accounts.of(8)));
        assert!(!Arc::ptr_eq(&accounts.of(0), &accounts.of(0)));
        drop(first);
        let other = accounts.of(9);
        assert_eq!(accounts.open.lock().len(), 1);
        drop(other);
    }
}

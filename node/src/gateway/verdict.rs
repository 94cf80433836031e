//! What the outcomes of a request's parts mean for the request.

use super::{Receipt, Refused};
use crate::error::{Failure, Kind};

/// Outcomes so far.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    receipts: Vec<Receipt>,
    refused: Option<Refused>,
}

impl Verdict {
    pub(super) fn stored(&mut self, receipts: Vec<Receipt>) {
        for receipt in receipts {
            if !self.receipts.contains(&receipt) {
                self.receipts.push(receipt);
            }
        }
    }

    /// Keeps the reason that weighs most.
    pub(super) fn refused(&mut self, why: Refused) {
        if self.refused.is_none_or(|known| weight(known) < weight(why)) {
            self.refused = Some(why);
        }
    }

    /// All stored: acknowledged. None stored: refused. Anything else: unknown, but for a key that was
    /// used before: sending the request again changes nothing then.
    pub(super) fn settle(self) -> Result<Vec<Receipt>, Failure> {
        match self.refused {
            None => Ok(self.receipts),
            Some(Refused::KeyReused) => Err(failure(Refused::KeyReused)),
            Some(why) if self.receipts.is_empty() => Err(failure(why)),
            Some(_) => Err(failure(Refused::OutcomeUnknown)),
        }
    }
}

const fn weight(why: Refused) -> u8 {
    match why {
        Refused::Closed => 0,
        Refused::Unavailable | Refused::Outdated { .. } => 1,
        Refused::Backlog | Refused::NoRoom => 2,
        Refused::WritesFailed => 3,
        Refused::DiskFull => 4,
        Refused::Internal => 5,
        Refused::OutcomeUnknown => 6,
        Refused::KeyReused => 7,
    }
}

/// What the client is told.
pub(super) fn failure(why: Refused) -> Failure {
    let kind = match why {
        Refused::Closed
        | Refused::Unavailable
        | Refused::Outdated { .. }
        | Refused::WritesFailed => Kind::Unavailable,
        Refused::Backlog | Refused::NoRoom => Kind::Overloaded,
        Refused::DiskFull => Kind::DiskFull,
        Refused::Internal => Kind::Internal,
        Refused::OutcomeUnknown => Kind::OutcomeUnknown,
        Refused::KeyReused => Kind::KeyReused,
    };
    Failure::new(kind, why.to_string())
}

#[cfg(test)]
mod tests {
    use hushlog_record::ShardId;

    use super::*;

    fn settled(stored: usize, refused: &[Refused]) -> Result<usize, Kind> {
        let mut verdict = Verdict::default();
        for seq in 0..stored {
            let shard = ShardId { bucket: 1, slot: 0 };
            verdict.stored(vec![Receipt {
                shard,
                seq: seq as u64,
                copies: 2,
                policy_epoch: 1,
            }]);
        }
        for why in refused {
            verdict.refused(*why);
        }
        verdict
            .settle()
            .map(|receipts| receipts.len())
            .map_err(|failure| failure.kind)
    }

    #[test]
    fn a_request_is_stored_whole_refused_whole_or_unknown() {
        use Refused::{
            Backlog, Closed, DiskFull, KeyReused, OutcomeUnknown, Unavailable, WritesFailed,
        };
        for stored in [0, 1] {
            let refused = [OutcomeUnknown, KeyReused, Unavailable];
            assert_eq!(settled(stored, &refused), Err(Kind::KeyReused));
        }
        assert_eq!(settled(2, &[]), Ok(2));
        assert_eq!(settled(0, &[Unavailable]), Err(Kind::Unavailable));
        assert_eq!(settled(0, &[WritesFailed, Closed]), Err(Kind::Unavailable));
        assert_eq!(settled(0, &[Unavailable, DiskFull]), Err(Kind::DiskFull));
        assert_eq!(settled(0, &[Backlog, Unavailable]), Err(Kind::Overloaded));
        assert_eq!(
            settled(0, &[DiskFull, OutcomeUnknown]),
            Err(Kind::OutcomeUnknown)
        );
        for why in [
            Unavailable,
            Closed,
            DiskFull,
            Backlog,
            WritesFailed,
            OutcomeUnknown,
        ] {
            assert_eq!(settled(1, &[why]), Err(Kind::OutcomeUnknown), "{why:?}");
        }
    }
}

//! `?receipt=true`: where records are, on how many disks, masked under which version of the patterns.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, Kind};
use crate::gateway::Receipt;

/// What the address of a request that stores records may say of them.
#[derive(Deserialize)]
pub(super) struct Asked {
    receipt: Option<String>,
}

impl Asked {
    /// Whether receipts are asked for.
    pub(super) fn wants(&self) -> bool {
        wants(self.receipt.as_deref())
    }

    /// Refuses, before anything is stored, what the answer has no place for.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        if self.wants() {
            let why = "an answer in protobuf has no place for receipts; send JSON, or leave `receipt` out";
            return Err(Failure::new(Kind::InvalidArgument, why));
        }
        Ok(())
    }
}

/// Whether a value of `receipt` asks for them.
pub(super) fn wants(receipt: Option<&str>) -> bool {
    receipt.is_some_and(|value| value != "false")
}

/// The receipts as JSON.
pub(super) fn rendered(receipts: &[Receipt]) -> Value {
    let one = |receipt: &Receipt| {
        json!({
            "shard": receipt.shard.to_string(),
            "seq": receipt.seq,
            "copies": receipt.copies,
            "policy_epoch": receipt.policy_epoch,
        })
    };
    receipts.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use hushlog_record::ShardId;

    use super::*;
    use crate::limits::RECEIPT_ANSWER_BYTES;

    #[test]
    fn a_receipt_takes_no_more_than_what_is_paid_for_it() {
        let receipt = Receipt {
            shard: ShardId {
                bucket: u64::MAX >> 16,
                slot: u16::MAX,
            },
            seq: u64::MAX,
            copies: u32::MAX,
            policy_epoch: u64::MAX,
        };
        let one = rendered(std::slice::from_ref(&receipt)).to_string();
        let ten = rendered(&vec![receipt; 10]).to_string();
        assert!(
            (ten.len() - one.len()).div_ceil(9) <= RECEIPT_ANSWER_BYTES,
            "{one}"
        );
    }

    #[test]
    fn only_false_asks_for_none() {
        for (value, wanted) in [
            (None, false),
            (Some("false"), false),
            (Some("true"), true),
            (Some(""), true),
        ] {
            assert_eq!(wants(value), wanted, "{value:?}");
        }
    }
}

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
    /// Whether receipts are asked for; to be called before anything is stored.
    ///
    /// # Errors
    /// What is neither yes nor no is refused.
    pub(super) fn wants(&self) -> Result<bool, Failure> {
        wants(self.receipt.as_deref())
    }

    /// Refuses, before anything is stored, what the answer has no place for.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        if self.wants()? {
            let why = "an answer in protobuf has no place for receipts; send JSON, or leave `receipt` out";
            return Err(Failure::new(Kind::InvalidArgument, why));
        }
        Ok(())
    }
}

/// Whether a value of `receipt` asks for them; the name alone does.
pub(super) fn wants(receipt: Option<&str>) -> Result<bool, Failure> {
    let Some(value) = receipt else {
        return Ok(false);
    };
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => {
            let why = "`receipt` must be true or false";
            Err(Failure::new(Kind::InvalidArgument, why))
        }
    }
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
    fn a_truth_value_asks_for_them_or_not_and_anything_else_is_refused() {
        for (value, wanted) in [
            (None, Some(false)),
            (Some("false"), Some(false)),
            (Some("0"), Some(false)),
            (Some("no"), Some(false)),
            (Some("true"), Some(true)),
            (Some("True"), Some(true)),
            (Some("1"), Some(true)),
            (Some("yes"), Some(true)),
            (Some(""), Some(true)),
            (Some("2"), None),
            (Some("maybe"), None),
        ] {
            assert_eq!(wants(value).ok(), wanted, "{value:?}");
        }
    }
}

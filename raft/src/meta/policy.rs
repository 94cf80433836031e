//! What every node masks by, as the cluster agreed on it: numbered, opaque here.

use bytes::Bytes;

use crate::codec::{Decoder, Encoder, Error};

/// A numbered version of the patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its number: one more with every change.
    pub epoch: u64,
    /// The policy as the node encoded it; empty for the one that every release begins with.
    pub bytes: Bytes,
}

impl Policy {
    /// The epoch of the policy that a cluster begins with.
    pub const FIRST_EPOCH: u64 = 1;
}

/// What a cluster begins with.
impl Default for Policy {
    fn default() -> Self {
        Self {
            epoch: Self::FIRST_EPOCH,
            bytes: Bytes::new(),
        }
    }
}

pub(super) fn put_policy(out: &mut Encoder, policy: &Policy) {
    out.u64(policy.epoch).bytes(&policy.bytes);
}

pub(super) fn take_policy(input: &mut Decoder<'_>) -> Result<Policy, Error> {
    Ok(Policy {
        epoch: input.u64()?,
        bytes: Bytes::copy_from_slice(input.bytes()?),
    })
}

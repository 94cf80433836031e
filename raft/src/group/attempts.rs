//! What the attempts to store a block come to, taken together.
//!
//! Never says that nothing was stored when one attempt may have stored it.

use tokio::time::Instant;

use super::Attempt;
use crate::ProposeError;

/// The attempts so far of one proposal.
pub(super) struct Attempts {
    /// Whether a repeat stores nothing twice, so that it is safe to ask again.
    keyed: bool,
    /// When there is no point in waiting for a leader any longer.
    give_up: Instant,
    deadline: Instant,
    /// Why it is not known what an attempt came to, if that is so.
    unknown: Option<String>,
}

/// What an attempt says.
pub(super) enum Verdict<T> {
    /// The proposal has come to an end.
    Ended(Result<T, ProposeError>),
    /// Another attempt may succeed before this time; if there is none, that is the end.
    Again(Instant, ProposeError),
}

impl Attempts {
    pub(super) fn new(keyed: bool, give_up: Instant, deadline: Instant) -> Self {
        Self {
            keyed,
            give_up: give_up.min(deadline),
            deadline,
            unknown: None,
        }
    }

    /// Takes in one more attempt.
    pub(super) fn judge<T>(&mut self, outcome: Result<T, Attempt>) -> Verdict<T> {
        let why = match outcome {
            Ok(stored) => return Verdict::Ended(Ok(stored)),
            Err(Attempt::Final(error)) => return Verdict::Ended(Err(self.ended_by(error))),
            Err(Attempt::Unknown(why)) if !self.keyed => {
                return Verdict::Ended(Err(ProposeError::OutcomeUnknown(why)));
            }
            Err(Attempt::Unknown(why)) => {
                self.unknown = Some(why.clone());
                why
            }
            Err(Attempt::Retry(why)) => why,
        };
        match &self.unknown {
            None => Verdict::Again(self.give_up, ProposeError::Unavailable(why)),
            Some(why) => Verdict::Again(self.deadline, ProposeError::OutcomeUnknown(why.clone())),
        }
    }

    /// What the proposal comes to if its last attempt ends with this. A closed shard has applied all
    /// that it will ever hold, and the shards after it know its request keys: the caller may ask those,
    /// whatever became of an earlier attempt. One that takes no block of this policy any more has applied
    /// all of them that it will ever hold too, and knows their keys. Other refusals speak of the last
    /// attempt alone.
    pub(super) fn ended_by(&self, error: ProposeError) -> ProposeError {
        match &self.unknown {
            Some(_) if matches!(error, ProposeError::Closed | ProposeError::Outdated { .. }) => {
                error
            }
            Some(why) => ProposeError::OutcomeUnknown(why.clone()),
            None => error,
        }
    }
}

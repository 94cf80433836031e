//! How the cluster's policy is changed: the newest one is taken, an edit makes the next of it, and the change
//! is in force when that returns.
//!
//! An edit is made again when another change came first. One that cannot be taken is refused with the
//! reason before anything is changed.

use hushlog_pii::Policy;
use tokio::time::Instant;

use super::{Api, Failure, Kind};
use crate::limits::{POLICY_ATTEMPTS_MAX, POLICY_READ_TIMEOUT, POLICY_TIMEOUT};

/// What an edit makes of a policy.
pub(super) struct Edit<T> {
    /// The policy after it, with the epoch it had; `None` when nothing changes.
    pub(super) policy: Option<Policy>,
    /// What is told of it; `None` when there is nothing to change.
    pub(super) outcome: Option<T>,
}

/// What has become of a change.
pub(super) struct Changed<T> {
    /// The policy by which it is in force.
    pub(super) epoch: u64,
    /// What its edit told.
    pub(super) outcome: T,
    /// Whether this call has made it; else it had been made before.
    pub(super) is_made: bool,
}

/// The cluster's newest policy.
pub(super) async fn newest(api: &Api) -> Result<Policy, Failure> {
    api.policies
        .newest(Instant::now() + POLICY_READ_TIMEOUT)
        .await
}

/// Makes a change. When this returns no record that is masked without it is accepted anywhere. `missing`
/// says that there is nothing to change.
///
/// # Errors
/// [`Kind::PolicyPending`] when the change is made, but not in force everywhere in time: the same
/// request again waits for it. Any other failure but [`Kind::OutcomeUnknown`]: nothing has changed.
pub(super) async fn change<T: Clone + Send + 'static>(
    api: &Api,
    missing: fn() -> Failure,
    edit: impl Fn(Policy) -> Result<Edit<T>, Failure> + Clone + Send + 'static,
) -> Result<Changed<T>, Failure> {
    let deadline = Instant::now() + POLICY_TIMEOUT;
    let mut tried = None;
    for _ in 0..POLICY_ATTEMPTS_MAX {
        let before = api.policies.newest(deadline).await?;
        let epoch = before.epoch;
        let edit = edit.clone();
        // A policy is large, and so is what waits with one.
        let edit = Box::pin(api.offload.run(move || edit(before))).await??;
        let Some(mut policy) = edit.policy else {
            // An earlier request may have made the change and not waited until it was in force.
            api.policies.in_force(epoch, deadline).await?;
            // Its own first attempt may have been one.
            let outcome = edit.outcome.or_else(|| tried.clone());
            return Ok(Changed {
                epoch,
                outcome: outcome.ok_or_else(missing)?,
                is_made: tried.is_some(),
            });
        };
        let epoch = epoch + 1;
        policy.epoch = epoch;
        let outcome = edit.outcome.ok_or_else(missing)?;
        if api.policies.replace(policy, deadline).await? {
            api.policies.in_force(epoch, deadline).await?;
            return Ok(Changed {
                epoch,
                outcome,
                is_made: true,
            });
        }
        tried = Some(outcome);
    }
    Err(Failure::new(
        Kind::Unavailable,
        "the patterns are being changed by others all the time; try again",
    ))
}

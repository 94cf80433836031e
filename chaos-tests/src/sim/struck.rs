//! Whether a fault has struck anything: how much of what it can hit came by while it lasted.
//!
//! A cut link that nobody used, a failing disk that nobody wrote to, a wrong clock that nobody looked at: such
//! a fault is in the schedule and proves nothing, so it is not counted as one that struck.

use super::net;
use super::schedule::Kind;
use super::stage::Base;

/// A thousand messages, of which a lossy link loses so many.
const THOUSAND: u64 = 1_000;

/// How much of what this fault can hit has come by so far. Of what happens at once nothing: that is known
/// when it begins.
pub(super) fn come_by(kind: &Kind, base: &Base) -> u64 {
    match kind {
        Kind::Cut { a, b }
        | Kind::Flap { a, b, .. }
        | Kind::Hold { a, b }
        | Kind::Loss { a, b, .. }
        | Kind::Delay { a, b, .. } => {
            net::sent(|from, to| (from, to) == (*a, *b) || (from, to) == (*b, *a))
        }
        Kind::CutOneWay { from, to } => net::sent(|f, t| (f, t) == (*from, *to)),
        // The clients reach it all the same.
        Kind::Isolate { node } => net::sent(|f, t| f * t > 0 && (f == *node || t == *node)),
        Kind::Mute { node } => net::sent(|f, t| f * t > 0 && f == *node),
        Kind::FailSync { node, .. } | Kind::FailWrite { node } | Kind::Full { node, .. } => {
            base.disk(*node).mem().refusals()
        }
        Kind::SlowDisk { node, .. } => base.slowed(*node),
        Kind::Skew { node, .. } => base.misread(*node),
        _ => 0,
    }
}

/// Whether so much more is enough to say that the fault has struck.
pub(super) fn is_hit(kind: &Kind, before: u64, after: u64) -> bool {
    let more = after.saturating_sub(before);
    match kind {
        // One lost message at least, in the mean.
        Kind::Loss { permille, .. } => more.saturating_mul(*permille) >= THOUSAND,
        _ => more > 0,
    }
}

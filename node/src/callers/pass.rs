//! What a call between nodes shows of its cluster, so that it is known before the call is read.
//!
//! It opens the room that is kept for peers, and nothing else: services look at what a call says.

use std::sync::Arc;

use axum::http::HeaderValue;
use data_encoding::HEXLOWER;

/// Context of the key that is derived from the cluster's.
const CONTEXT: &str = "hushlog call between nodes";
/// How the user agent of every call between nodes begins.
const AGENT: &str = "hushlog-node/";

/// A cluster's pass: the same on all of its nodes, and known to them alone. Cheap to clone.
#[derive(Clone)]
pub struct Pass {
    agent: Arc<str>,
}

impl Pass {
    /// The pass of the cluster with this key.
    pub fn of(cluster_key: &[u8; 32]) -> Self {
        let derived = blake3::derive_key(CONTEXT, cluster_key);
        Self {
            agent: format!("{AGENT}{}", HEXLOWER.encode(&derived)).into(),
        }
    }

    /// The user agent of a node's calls.
    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }

    /// Whether a call's user agent shows it; the gRPC library adds its own name.
    pub(crate) fn is_shown_by(&self, agent: Option<&HeaderValue>) -> bool {
        let first = agent.and_then(|agent| agent.as_bytes().split(|byte| *byte == b' ').next());
        first == Some(self.agent.as_bytes())
    }
}

/// Prints nothing of it.
impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clusters_own_nodes_show_it() {
        let pass = Pass::of(&[7; 32]);
        let shown = |agent: &str| {
            let agent = HeaderValue::from_str(agent).expect("a header");
            pass.is_shown_by(Some(&agent))
        };
        assert!(shown(pass.agent()));
        assert!(shown(&format!("{} tonic/0.14.2", pass.agent())));
        assert!(!shown(&format!("{}0", pass.agent())));
        assert!(!shown(&format!("x {}", pass.agent())));
        assert!(!shown(Pass::of(&[8; 32]).agent()));
        assert!(!shown(AGENT) && !shown("") && !pass.is_shown_by(None));
        assert!(!format!("{pass:?}").contains("hushlog-node"));
    }
}

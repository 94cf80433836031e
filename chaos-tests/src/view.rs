//! What an operator reads from a node's view of the cluster (`GET /api/v1/cluster`).

use serde_json::Value;

/// What is not as it should be in a view: every member is there and takes part, and every shard has its replicas.
/// One that is dead for good, and that nobody has had leave, holds nothing.
pub fn lacks(view: &Value) -> Option<String> {
    let totals = &view["totals"];
    if totals["under_replicated"] != 0 || totals["moving"] != 0 {
        let (lacking, moves) = (&view["under_replicated"], &view["moves"]);
        return Some(format!("{totals} {lacking} {moves}"));
    }
    let none = Vec::new();
    let nodes = view["nodes"].as_array().unwrap_or(&none);
    let well = |node: &&Value| {
        let gone = node["membership"] == "dead" && node["placed"] == 0;
        gone || (node["membership"] == "active" && node["state"] == "ready")
    };
    match nodes.iter().find(|node| !well(node)) {
        Some(amiss) => Some(amiss.to_string()),
        None => nodes.is_empty().then(|| "it has no nodes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_view_lacks_who_is_not_there_and_what_is_missing_or_moving() {
        let view = |membership: &str, state: &str, totals: [u64; 2], placed: u64| {
            json!({
                "nodes": [
                    {"id": 1, "membership": "active", "state": "ready", "placed": 3},
                    {"id": 2, "membership": membership, "state": state, "placed": placed},
                ],
                "totals": {"under_replicated": totals[0], "moving": totals[1]},
            })
        };
        assert_eq!(lacks(&view("active", "ready", [0, 0], 3)), None);
        assert_eq!(lacks(&view("dead", "unreachable", [0, 0], 0)), None);
        for other in [
            view("active", "unready", [0, 0], 3),
            view("active", "ready", [1, 0], 3),
            view("active", "ready", [0, 1], 3),
            view("draining", "ready", [0, 0], 3),
            view("dead", "unreachable", [0, 0], 1),
            json!({"nodes": [], "totals": {"under_replicated": 0, "moving": 0}}),
            json!({}),
        ] {
            assert!(lacks(&other).is_some(), "{other}");
        }
    }
}

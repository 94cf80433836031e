//! The files of a local cluster: `plan.json`, what it consists of, and `cluster.json`, what runs.
//!
//! Each is replaced whole, so that a reader never sees half of it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Exit};

/// What runs, for programs.
const CLUSTER: &str = "cluster.json";
/// What the cluster consists of.
const PLAN: &str = "plan.json";
/// A node's log in its folder.
pub(super) const LOG: &str = "hushlog.log";

/// What a cluster consists of; never changes once it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Number of nodes.
    pub(super) nodes: u16,
    http_base: u16,
    grpc_base: u16,
    /// Process that runs the cluster.
    #[serde(default)]
    runner: i32,
}

/// One node of `cluster.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Number, from 0.
    pub(super) id: u16,
    /// Process.
    pub(super) pid: i32,
    /// HTTP address.
    pub(super) http: String,
    /// gRPC address.
    pub(super) grpc: String,
    /// Data folder.
    pub(super) data: PathBuf,
}

/// The content of `cluster.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) nodes: Vec<Entry>,
}

impl Plan {
    /// A cluster that nobody described.
    const DEFAULT: Self = Self {
        nodes: 3,
        http_base: 7700,
        grpc_base: 4317,
        runner: 0,
    };

    /// The plan of the folder, or a new one; arguments that contradict an old one are refused.
    pub(super) fn of(
        data: &Path,
        nodes: Option<u16>,
        http_base: Option<u16>,
        grpc_base: Option<u16>,
    ) -> Result<Self> {
        let known = Self::load(data)?;
        let base = known.clone().unwrap_or(Self::DEFAULT);
        let plan = Self {
            nodes: nodes.unwrap_or(base.nodes),
            http_base: http_base.unwrap_or(base.http_base),
            grpc_base: grpc_base.unwrap_or(base.grpc_base),
            runner: i32::try_from(std::process::id()).unwrap_or_default(),
        };
        let is_known = known.is_some();
        if let Some(known) = known
            && !known.is_same(&plan)
        {
            let why = format!(
                "the cluster in {} has {} nodes from ports {} (http) and {} (gRPC); \
                 start it as it is or choose another folder",
                data.display(),
                known.nodes,
                known.http_base,
                known.grpc_base
            );
            return Err(Exit::error(Code::Arguments, why));
        }
        let last = plan.nodes.saturating_sub(1);
        // What is no argument stands in the folder.
        let at_fault = if is_known {
            Code::Config
        } else {
            Code::Arguments
        };
        let wrong = |why| Err(Exit::error(at_fault, why));
        if plan.nodes == 0 || plan.nodes > 99 {
            return wrong("a local cluster has 1 to 99 nodes");
        }
        if plan.http_base.checked_add(last).is_none() || plan.grpc_base.checked_add(last).is_none()
        {
            return wrong("ports end at 65535");
        }
        if plan.http_base.abs_diff(plan.grpc_base) <= last {
            return wrong("the ports of HTTP and gRPC overlap");
        }
        Ok(plan)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.nodes, self.http_base, self.grpc_base)
            == (other.nodes, other.http_base, other.grpc_base)
    }

    pub(super) fn load(data: &Path) -> Result<Option<Self>> {
        load(&data.join(PLAN))
    }

    pub(super) fn store(&self, data: &Path) -> Result<()> {
        store(&data.join(PLAN), self)
    }

    /// The process that runs the cluster in this folder, as far as is known.
    pub(super) fn runner(data: &Path) -> Option<i32> {
        Self::load(data).ok().flatten().map(|plan| plan.runner)
    }

    pub(super) fn folder(&self, data: &Path, index: u16) -> PathBuf {
        data.join(format!("node-{index}"))
    }

    pub(super) fn http(&self, index: u16) -> String {
        format!("127.0.0.1:{}", self.http_base + index)
    }

    pub(super) fn grpc(&self, index: u16) -> String {
        format!("127.0.0.1:{}", self.grpc_base + index)
    }

    /// The list of all nodes as a node's settings have it; nodes count from 1 there.
    pub(super) fn peers(&self) -> String {
        let peer = |index| format!("{}={}", index + 1, self.grpc(index));
        (0..self.nodes).map(peer).collect::<Vec<_>>().join(",")
    }

    pub(super) fn entry(&self, data: &Path, index: u16, pid: i32) -> Entry {
        Entry {
            id: index,
            pid,
            http: self.http(index),
            grpc: self.grpc(index),
            data: self.folder(data, index),
        }
    }
}

impl File {
    pub(super) fn load(data: &Path) -> Result<Option<Self>> {
        load(&data.join(CLUSTER))
    }

    pub(super) fn store(&self, data: &Path) -> Result<()> {
        store(&data.join(CLUSTER), self)
    }

    pub(super) fn remove(data: &Path) -> Result<()> {
        match std::fs::remove_file(data.join(CLUSTER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Writes one node's entry anew.
    pub(super) fn replace(data: &Path, entry: Entry) -> Result<()> {
        let mut file = Self::load(data)?.unwrap_or_default();
        file.nodes.retain(|node| node.id != entry.id);
        file.nodes.push(entry);
        file.nodes.sort_by_key(|node| node.id);
        file.store(data)
    }
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("{} cannot be read", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn store(path: &Path, value: &impl Serialize) -> Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, serde_json::to_vec_pretty(value)?)
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_plan() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        let plan = Plan::of(data, Some(3), Some(9000), None).expect("new");
        assert_eq!(
            (plan.http(2).as_str(), plan.grpc(0).as_str()),
            ("127.0.0.1:9002", "127.0.0.1:4317")
        );
        assert_eq!(
            plan.peers(),
            "1=127.0.0.1:4317,2=127.0.0.1:4318,3=127.0.0.1:4319"
        );
        plan.store(data).expect("written");
        assert!(
            Plan::of(data, None, None, None)
                .expect("as before")
                .is_same(&plan)
        );
        assert!(Plan::of(data, Some(5), None, None).is_err());
        assert!(Plan::of(data, None, Some(9100), None).is_err());
    }

    #[test]
    fn impossible_plans_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for (nodes, http, grpc) in [
            (0, 7700, 4317),
            (3, 65_534, 4317),
            (3, 4316, 4317),
            (100, 1, 999),
        ] {
            assert!(Plan::of(folder.path(), Some(nodes), Some(http), Some(grpc)).is_err());
        }
    }

    #[test]
    fn a_node_that_came_back_replaces_its_entry() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        let plan = Plan::of(data, Some(2), None, None).expect("new");
        File {
            nodes: vec![plan.entry(data, 0, 10), plan.entry(data, 1, 11)],
        }
        .store(data)
        .expect("written");
        File::replace(data, plan.entry(data, 0, 20)).expect("written");
        let pids: Vec<_> = File::load(data)
            .expect("read")
            .expect("there")
            .nodes
            .iter()
            .map(|node| node.pid)
            .collect();
        assert_eq!(pids, [20, 11]);
    }
}

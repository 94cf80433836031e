//! The node processes that this process has started.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::file::{Entry, LOG, Plan};
use crate::client::Client;

/// Longest wait for one answer about readiness.
const READY_CALL: Duration = Duration::from_secs(2);

/// A node that was started here.
pub(super) struct Child {
    pub(super) index: u16,
    pub(super) pid: i32,
    process: std::process::Child,
    status: Option<ExitStatus>,
    reported: bool,
    entry: Entry,
}

/// Starts node `index`; it ends when the process `with` does.
pub(super) fn start(plan: &Plan, data: &Path, index: u16, with: Option<u32>) -> Result<Child> {
    let folder = plan.folder(data, index);
    std::fs::create_dir_all(&folder)?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(LOG))?;
    let mut command = Command::new(own_binary()?);
    command
        .arg("serve")
        .arg("--data")
        .arg(&folder)
        .args(["--http", &plan.http(index), "--grpc", &plan.grpc(index)])
        .args([
            "--node-id",
            &(index + 1).to_string(),
            "--cluster-peers",
            &plan.peers(),
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C in the terminal is for the command that runs the cluster; it ends the nodes.
        .process_group(0);
    if let Some(pid) = with {
        command.args(["--end-with", &pid.to_string()]);
    }
    let process = command.spawn().context("a node cannot be started")?;
    let pid = i32::try_from(process.id()).context("process ids are small")?;
    let entry = plan.entry(data, index, pid);
    Ok(Child {
        index,
        pid,
        process,
        status: None,
        reported: false,
        entry,
    })
}

fn own_binary() -> Result<PathBuf> {
    std::env::current_exe().context("the path of this program is not known")
}

impl Child {
    /// Whether it has ended; collects it if so.
    pub(super) fn exit(&mut self) -> bool {
        if self.status.is_none() {
            // An error means that somebody else has collected it: it has ended all the same.
            self.status = self
                .process
                .try_wait()
                .unwrap_or_else(|_| Some(ExitStatus::default()));
        }
        self.status.is_some()
    }

    /// How it ended, told once.
    pub(super) fn newly_dead(&mut self) -> Option<ExitStatus> {
        if self.reported || !self.exit() {
            return None;
        }
        self.reported = true;
        self.status
    }

    /// Its entry in `cluster.json`.
    pub(super) fn entry(&self) -> Entry {
        self.entry.clone()
    }
}

/// Returns when the node says that it is ready, or has ended.
pub(super) async fn ready_or_dead(child: &mut Child, tick: Duration) {
    let client = Client::new(&child.entry.http, READY_CALL);
    while !child.exit() {
        if client.get_json("/readyz").await.is_ok() {
            return;
        }
        tokio::time::sleep(tick).await;
    }
}

//! `hushlog cluster`: a local cluster of real processes of this same binary.
//!
//! Nodes are ended by their process id alone, and only after a look that the id still is theirs. A
//! node that dies is left dead; ending the command ends all nodes.

mod children;
mod file;
pub(crate) mod process;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::args::{ClusterArgs, ClusterCommand};
use crate::exit::{Code, Exit};
use crate::output::{complaint, notice};
use crate::serve::Signals;
use children::{Child, ready_or_dead, start};
use file::{Entry, File, Plan};

/// Time for all nodes to become ready.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// Time for nodes to end by themselves before they are killed.
const END_PATIENCE: Duration = Duration::from_secs(25);
/// How often nodes are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Runs the cluster, or starts one node of it again.
pub(crate) async fn run(args: ClusterArgs) -> Result<()> {
    match args.command {
        Some(ClusterCommand::StartNode { node, data }) => start_node(node, &data).await,
        None => run_all(args).await,
    }
}

async fn run_all(args: ClusterArgs) -> Result<()> {
    let data = std::path::absolute(&args.data)?;
    std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    let plan = Plan::of(&data, args.nodes, args.http_base, args.grpc_base)
        .map_err(|error| Exit::error(Code::Config, format!("{error:#}")))?;
    refuse_a_second(&data)?;
    let mut signals = Signals::new()?;
    plan.store(&data)?;
    File::remove(&data)?;
    let mut children = Vec::new();
    for index in 0..plan.nodes {
        children.push(start(&plan, &data, index, Some(std::process::id()))?);
    }
    let outcome = tokio::select! {
        outcome = serve(&plan, &data, &mut children) => outcome,
        () = signals.any() => Ok(()),
    };
    notice("ending all nodes");
    end_all(&data, &mut children).await;
    outcome
}

/// A cluster that runs already would fight over ports and folders.
fn refuse_a_second(data: &Path) -> Result<()> {
    let running = File::load(data)?
        .into_iter()
        .flat_map(|file| file.nodes)
        .any(|node| process::Identity::of_node(node.pid, &node.data).is_some());
    if running {
        let message = format!("a cluster runs in {} already", data.display());
        return Err(Exit::error(Code::Config, message));
    }
    Ok(())
}

/// Waits until all are ready, says so, and watches them until it is stopped.
async fn serve(plan: &Plan, data: &Path, children: &mut [Child]) -> Result<()> {
    let ready = wait_ready(children);
    if tokio::time::timeout(READY_PATIENCE, ready).await.is_err() {
        bail!("not all nodes were ready within {READY_PATIENCE:?}; see DIR/node-*/hushlog.log");
    }
    if let Some(dead) = children
        .iter_mut()
        .find_map(|child| child.exit().then_some(child.index))
    {
        let log = plan.folder(data, dead).join(file::LOG);
        bail!("node {dead} ended at its start; see {}", log.display());
    }
    let nodes = children
        .iter()
        .map(|child| plan.entry(data, child.index, child.pid))
        .collect();
    File { nodes }.store(data)?;
    banner(plan, data);
    loop {
        for child in children.iter_mut() {
            if let Some(status) = child.newly_dead() {
                notice(format_args!(
                    "node {} has ended ({status}); start it again: hushlog cluster start-node {} --data {}",
                    child.index,
                    child.index,
                    data.display()
                ));
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn wait_ready(children: &mut [Child]) {
    for child in children {
        ready_or_dead(child, TICK).await;
    }
}

fn banner(plan: &Plan, data: &Path) {
    let version = env!("CARGO_PKG_VERSION");
    notice(format_args!(
        "hushlog {version}: {} nodes are ready\n",
        plan.nodes
    ));
    for index in 0..plan.nodes {
        let (http, grpc) = (plan.http(index), plan.grpc(index));
        notice(format_args!(
            "  node {index}   http://{http}   grpc {grpc}   {}",
            plan.folder(data, index).display()
        ));
    }
    let server = format!("--server http://{}", plan.http(0));
    notice(format_args!(
        "
Any node takes records and answers questions. Try, in another terminal:

  echo 'ERROR payment failed' | hushlog send {server}
  hushlog search payment {server}
"
    ));
}

/// Asks every node that runs to end, those started later too, and kills what does not.
async fn end_all(data: &Path, children: &mut [Child]) {
    let mut nodes: Vec<Entry> = match File::load(data) {
        Ok(file) => file.map(|file| file.nodes).unwrap_or_default(),
        Err(error) => {
            complaint(format_args!("{error:#}"));
            Vec::new()
        }
    };
    nodes.extend(children.iter().map(Child::entry));
    // One signal asks a node to end in peace, a second at once.
    nodes.sort_by_key(|node| node.pid);
    nodes.dedup_by_key(|node| node.pid);
    let mut running: Vec<_> = nodes
        .iter()
        .filter_map(|node| process::Identity::of_node(node.pid, &node.data))
        .collect();
    for node in &running {
        node.terminate();
    }
    let deadline = tokio::time::Instant::now() + END_PATIENCE;
    while !running.is_empty() && tokio::time::Instant::now() < deadline {
        // Collects what has ended, so that it does not look alive.
        for child in children.iter_mut() {
            child.exit();
        }
        running.retain(process::Identity::is_alive);
        tokio::time::sleep(TICK).await;
    }
    for node in running {
        complaint(format_args!(
            "process {} did not end by itself and is killed",
            node.pid()
        ));
        node.kill();
    }
}

/// Starts one dead node in the background.
async fn start_node(index: u16, data: &Path) -> Result<()> {
    let data = std::path::absolute(data)?;
    let config = |message: String| Exit::error(Code::Config, message);
    let Some(plan) = Plan::load(&data)? else {
        return Err(config(format!("there is no cluster in {}", data.display())));
    };
    if index >= plan.nodes {
        return Err(config(format!(
            "the cluster has nodes 0 to {}",
            plan.nodes - 1
        )));
    }
    let folder = plan.folder(&data, index);
    let listed = File::load(&data)?.unwrap_or_default();
    let known = listed.nodes.iter().find(|node| node.id == index);
    if known.is_some_and(|node| process::Identity::of_node(node.pid, &node.data).is_some()) {
        bail!("node {index} runs already");
    }
    // Ends with the command that runs the cluster, if it still runs.
    let parent = Plan::runner(&data).filter(|pid| process::Identity::of(*pid).is_some());
    let mut child = start(
        &plan,
        &data,
        index,
        parent.and_then(|pid| u32::try_from(pid).ok()),
    )?;
    if tokio::time::timeout(READY_PATIENCE, ready_or_dead(&mut child, TICK))
        .await
        .is_err()
    {
        let log = folder.join(file::LOG);
        bail!(
            "node {index} runs but was not ready within {READY_PATIENCE:?}; see {}",
            log.display()
        );
    }
    if child.exit() {
        bail!(
            "node {index} ended at its start; see {}",
            folder.join(file::LOG).display()
        );
    }
    File::replace(&data, plan.entry(&data, index, child.pid))?;
    notice(format_args!(
        "node {index} is ready (process {})",
        child.pid
    ));
    Ok(())
}

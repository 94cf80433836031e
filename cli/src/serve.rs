//! `hushlog serve`: one node in the foreground.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use hushlog_node::config::{Config, Layers, Origin};
use hushlog_node::{Node, cluster, node};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::Settings;
use crate::cluster::process;
use crate::exit::{Code, Exit};
use crate::output::{complaint, notice};

/// Open files below which a node says that it may lack some: 256 open segments of sealed shards and 1,024 of
/// each of three open ones, two files each, and the connections.
const FILES_WANTED: u64 = 16_384;
/// How often the process that this one ends with is looked for.
const PARENT_TICK: Duration = Duration::from_millis(500);

/// Serves until a signal comes.
pub(crate) async fn run(settings: Settings) -> Result<()> {
    let config = configuration(&settings)
        .map_err(|error| Exit::error(Code::Config, format!("{error:#}")))?;
    start_log(&config)?;
    raise_file_limit();
    let mut signals = Signals::new()?;
    let starting = Node::start(config.clone());
    let node = tokio::select! {
        started = starting => started.map_err(refusal)?,
        () = signals.any() => return Ok(()),
    };
    banner(&config, &node);
    let mut fatal = node.fatal();
    let mut restart = node.restart_wanted();
    let end = tokio::select! {
        () = signals.any() => End::Asked,
        () = parent_ends(settings.with) => End::Asked,
        reason = fatal.wait_for(Option::is_some) => {
            reason.ok().and_then(|reason| reason.clone()).map_or(End::Asked, End::Fault)
        }
        _ = restart.wait_for(|wanted| *wanted) => End::Restart,
    };
    let late = tokio::select! {
        late = node.shutdown() => late,
        () = signals.any() => vec!["everything, after a second signal".into()],
    };
    if !late.is_empty() {
        tracing::warn!(tasks = late.join(", "), "did not end in time");
    }
    match end {
        End::Asked => Ok(()),
        End::Fault(reason) => Err(Exit::error(Code::Fault, reason)),
        End::Restart => Err(again()),
    }
}

/// Why a node ends.
enum End {
    /// A signal, or the process that it ends with.
    Asked,
    /// It cannot go on.
    Fault(String),
    /// It goes on after a restart.
    Restart,
}

/// Becomes this program anew, with the same arguments, under the same process id; returns only what
/// prevented it. The store cannot be opened twice in one process for as long as anything of the old
/// one is left, and nothing is left this way.
fn again() -> anyhow::Error {
    let failed = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .exec();
    Exit::error(Code::Fault, format!("the restart failed: {failed}"))
}

fn configuration(settings: &Settings) -> Result<Config> {
    let mut layers = Layers::new();
    if let Some(file) = &settings.config {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        layers.add_file(&text)?;
    }
    // Variables of the commands and of the project's own tests are no settings of a node.
    const OTHERS: [&str; 5] = [
        "HUSHLOG_CONFIG",
        "HUSHLOG_SERVER",
        "HUSHLOG_CORPUS",
        "HUSHLOG_BIN",
        "HUSHLOG_MAIN_JOB_RECORDS",
    ];
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()));
    for unknown in layers.add_environment(variables) {
        complaint(format_args!("{unknown}; ignored"));
    }
    for (key, value) in &settings.flags {
        layers.set(key, value, Origin::Flag)?;
    }
    Ok(Config::from_layers(&layers)?)
}

fn start_log(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| Exit::error(Code::Config, format!("`log` is not a filter: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    log.try_init()
        .map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

/// Segments and connections take a file descriptor each: a node uses as many as it may. Shells and service
/// managers often give 1,024 and allow many more.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most).map(|()| most));
    match raised {
        Ok(most) if most < FILES_WANTED => {
            tracing::warn!(
                most,
                "few files may be open at the same time: see `ulimit -Hn`"
            );
        }
        Ok(most) => tracing::debug!(most, "files that may be open at the same time"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

fn refusal(error: node::Error) -> anyhow::Error {
    let code = match &error {
        node::Error::Bind(_) => Code::Unavailable,
        node::Error::Folder { .. }
        | node::Error::Storage(_)
        | node::Error::Secret(_)
        | node::Error::Cluster(cluster::Error::Removed(_)) => Code::Config,
        _ => return error.into(),
    };
    Exit::error(code, error.to_string())
}

fn banner(config: &Config, node: &Node) {
    let http = node.http();
    let server = if http.to_string() == "127.0.0.1:7700" {
        String::new()
    } else {
        format!(" --server http://{http}")
    };
    let mut extra = String::new();
    for (name, address) in node.extra() {
        let scheme = match *name {
            "syslog" => "tcp",
            "udp" => "udp",
            _ => "http",
        };
        extra.push_str(&format!("  {name:<6} {scheme}://{address}\n"));
    }
    notice(format_args!(
        "hushlog {version}

  http   http://{http:<22}  records, queries, OTLP/HTTP, /metrics
  grpc   {grpc:<29}  hushlog.v1, OTLP, health, reflection
{extra}  data   {data}
  node   {id} of {nodes}

Try, in another terminal:

  echo 'ERROR payment failed for bob@example.com' | hushlog send{server}
  hushlog search 'payment'{server}
",
        version = env!("CARGO_PKG_VERSION"),
        grpc = node.grpc().to_string(),
        data = config.data.display(),
        id = config.node.id,
        nodes = config.cluster.peers.len(),
    ));
}

/// Ends when the process does, if there is one to end with.
async fn parent_ends(pid: Option<i32>) {
    let Some(pid) = pid else {
        return std::future::pending().await;
    };
    let Some(parent) = process::Identity::of(pid) else {
        return;
    };
    while parent.is_alive() {
        tokio::time::sleep(PARENT_TICK).await;
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

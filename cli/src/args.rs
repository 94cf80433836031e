//! The command line. The text of each argument's help is its documentation.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use hushlog_node::Level;
use hushlog_node::config::keys::KEYS;
use hushlog_node::limits::TOP_K_MAX;
use jiff::SignedDuration;

use crate::bench::Bench;
use crate::exit;
use crate::pii::args::PiiCommand;
use crate::when;

/// A log store that keeps what it acknowledges, hides what it must not know, and finds what you ask for.
#[derive(Debug, Parser)]
#[command(name = "hushlog", version, after_help = exit::HELP)]
pub(crate) struct Args {
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one node; without anything else: data in ./hushlog-data.
    Serve(Settings),
    /// Runs a local cluster of real processes, one per node.
    Cluster(ClusterArgs),
    /// Sends log files or standard input.
    Send(SendArgs),
    /// Searches: hushlog search 'level:ERROR "timeout"' --since 15m
    Search(SearchArgs),
    /// Shows the most frequent exceptions.
    Top(TopArgs),
    /// Shows and changes what is masked, and tries masking.
    #[command(subcommand)]
    Pii(PiiCommand),
    /// Sets what holds for the whole cluster.
    #[command(subcommand)]
    Admin(Admin),
    /// Measures a running server.
    #[command(subcommand)]
    Bench(Bench),
}

/// Settings of `serve`: the configuration file, and one flag per key of it.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The configuration file.
    pub(crate) config: Option<PathBuf>,
    /// Keys given as flags.
    pub(crate) flags: Vec<(&'static str, String)>,
    /// End when this process ends.
    pub(crate) with: Option<i32>,
}

/// Short names of flags that people type often.
const SHORT_NAMES: [(&str, &str); 1] = [("cluster.peers", "peers")];

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self {
            config: matches.get_one("config").cloned(),
            flags: Vec::new(),
            with: matches.get_one("end-with").copied(),
        };
        for key in KEYS {
            if let Some(value) = matches.get_one::<String>(key.name) {
                settings.flags.push((key.name, value.clone()));
            }
        }
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Settings {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = clap::Arg::new("config")
            .long("config")
            .env("HUSHLOG_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file (TOML); flags and HUSHLOG_… variables override it");
        let with = clap::Arg::new("end-with")
            .long("end-with")
            .value_name("PID")
            .value_parser(clap::value_parser!(i32))
            .hide(true);
        let mut command = command.arg(file).arg(with);
        for key in KEYS {
            // The list is fixed and small; clap wants names that live as long as the program.
            let flag: &'static str = Box::leak(key.flag().into_boxed_str());
            let help = match key.default {
                "" => key.help.to_owned(),
                default => format!("{} [default: {default}]", key.help),
            };
            let mut arg = clap::Arg::new(key.name)
                .long(flag)
                .value_name("VALUE")
                .help(help);
            for (name, short) in SHORT_NAMES {
                if name == key.name {
                    arg = arg.visible_alias(short);
                }
            }
            command = command.arg(arg);
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Arguments of `cluster`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ClusterCommand>,
    /// Number of nodes [default: 3, or what the folder holds]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) nodes: Option<u16>,
    /// Folder of the cluster; one that exists is started again.
    #[arg(long, default_value = "./hushlog-cluster")]
    pub(crate) data: PathBuf,
    /// HTTP port of node 0; node i listens on this + i [default: 7700, or as before]
    #[arg(long)]
    pub(crate) http_base: Option<u16>,
    /// gRPC port of node 0; node i listens on this + i [default: 4317, or as before]
    #[arg(long)]
    pub(crate) grpc_base: Option<u16>,
}

/// What to do with a cluster that exists.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Starts a dead node again, in the background; returns when it is ready.
    StartNode {
        /// Which node, from 0.
        node: u16,
        /// Folder of the cluster.
        #[arg(long, default_value = "./hushlog-cluster")]
        data: PathBuf,
    },
}

/// Arguments of `send`.
#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// Files of text or NDJSON; none or `-`: standard input. A record larger than 1 MiB is rejected,
    /// never cut.
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Service of records that name none.
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Environment of records that name none.
    #[arg(long)]
    pub(crate) environment: Option<String>,
    /// What the input is.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    pub(crate) format: Format,
    /// Records in one request.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch: u32,
    /// How long a refused request is tried again, in seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) retry_for: u64,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// NDJSON if the first line is a JSON object, else text.
    Auto,
    /// Lines of text; stack traces are joined to their line.
    Text,
    /// One JSON object per line.
    Ndjson,
}

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    /// The query; empty: everything.
    #[arg(default_value = "")]
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How far back, in s, m, h, d or w: 15m, 24h, 7d [default: everything retained]
    #[arg(long, value_parser = when::duration)]
    pub(crate) since: Option<SignedDuration>,
    /// Only these services, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub(crate) service: Vec<String>,
    /// Only these levels, separated by commas: DEBUG, INFO, WARN, ERROR, FATAL, or other words for them.
    #[arg(long, value_delimiter = ',', value_parser = level)]
    pub(crate) level: Vec<Level>,
    /// Most records to show.
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) limit: u32,
    /// Oldest first.
    #[arg(long)]
    pub(crate) oldest: bool,
}

/// Reads a level, by any word that loggers use for one.
fn level(word: &str) -> Result<Level, &'static str> {
    Level::from_word(word)
        .ok_or("a level is DEBUG, INFO, WARN, ERROR or FATAL, or another word for one of them")
}

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How far back, in s, m, h, d or w: 5m, 1h, 24h, 7d.
    #[arg(long, default_value = "1h", value_parser = when::window)]
    pub(crate) window: String,
    /// How many.
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(TOP_K_MAX)))]
    pub(crate) k: u32,
    /// Only this service.
    #[arg(long)]
    pub(crate) service: Option<String>,
}

/// What to set.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// How long records are kept: hushlog admin retention set payment --days 7
    Retention(RetentionArgs),
    /// How much services may send: hushlog admin limits set payment --records 5000
    Limits(LimitsArgs),
    /// What came in, by source and service, what became of it, and whether that is what is stored.
    Ledger(LedgerArgs),
    /// The nodes of the cluster: who there is, and whom to let in.
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// Has a node leave: what it leads and holds goes to the others, then it is removed. Shows how far it is,
    /// and ends when the node has left.
    Drain {
        /// Which node, by its number.
        node: u64,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Spreads replicas evenly over the nodes, with nodes that came since. Shows how far it is, and ends when
    /// they are spread.
    Rebalance {
        /// First set how many copies of every record there should be.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=7))]
        replication: Option<u32>,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What `admin nodes` does.
#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// Shows every node: how it takes part, how it is, what it holds.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lets a node in, which can be started then; or has one stay that was to leave.
    Add {
        /// Its number [default: the next free one]
        #[arg(long)]
        id: Option<u64>,
        /// host:port where it will listen for the other nodes; not needed for one that is known.
        #[arg(long, value_name = "HOST:PORT", required_unless_present = "id")]
        grpc: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Whether to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Ask for it and end; it goes on without.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Arguments of `admin ledger`.
#[derive(Debug, clap::Args)]
pub(crate) struct LedgerArgs {
    /// Only this service.
    #[arg(long)]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Arguments of `admin limits`.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitsArgs {
    #[command(subcommand)]
    pub(crate) command: LimitsCommand,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to do with the rate limits.
#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Shows all limits.
    List,
    /// Shows how much a service may send, and by which rule.
    Get {
        /// The service; `default`: each that has no limit of its own.
        service: String,
    },
    /// Sets a limit for the whole cluster. A request over it is refused whole (429), and told when to come.
    Set {
        /// The service; `default`: each that has no limit of its own.
        service: String,
        #[command(flatten)]
        rates: RateArgs,
    },
    /// Removes a limit: the service has that of all others.
    Remove {
        /// The service; `default`: each that has no limit of its own.
        service: String,
    },
}

/// How much; what is not given is not limited.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct RateArgs {
    /// So many records a second.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(crate) records: Option<u64>,
    /// So many bytes of text a second.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(crate) bytes: Option<u64>,
}

/// Arguments of `admin retention`.
#[derive(Debug, clap::Args)]
pub(crate) struct RetentionArgs {
    #[command(subcommand)]
    pub(crate) command: RetentionCommand,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to do with the rules of retention.
#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Shows all rules.
    List,
    /// Shows how long the records of a service are kept, and by which rule.
    Get {
        /// The service; `default`: all that have no rule of their own.
        service: String,
    },
    /// Sets a rule. What is older is hidden at once, and deleted when nothing younger lies beside it.
    Set {
        /// The service; `default`: all that have no rule of their own.
        service: String,
        #[command(flatten)]
        period: PeriodArgs,
    },
    /// Removes a rule: the service has that of all others.
    Remove {
        /// The service; `default`: all that have no rule of their own.
        service: String,
    },
}

/// How long.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PeriodArgs {
    /// So many days.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) days: Option<u32>,
    /// So many hours.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=87_600))]
    pub(crate) hours: Option<u32>,
}

/// Which server to call.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of a node's HTTP interface.
    #[arg(
        long,
        global = true,
        env = "HUSHLOG_SERVER",
        default_value = "http://127.0.0.1:7700",
        value_name = "URL"
    )]
    pub(crate) server: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_key_is_a_flag_of_serve() {
        let args = Args::try_parse_from([
            "hushlog",
            "serve",
            "--data",
            "d",
            "--http",
            "127.0.0.1:1",
            "--node-id",
            "2",
            "--peers",
            "1=a:1,2=b:2",
            "--limits-body",
            "1MiB",
        ]);
        let Command::Serve(settings) = args.expect("valid").command else {
            panic!("serve was asked for");
        };
        let flags: Vec<_> = settings
            .flags
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let expected = [
            ("data", "d"),
            ("http", "127.0.0.1:1"),
            ("node.id", "2"),
            ("cluster.peers", "1=a:1,2=b:2"),
            ("limits.body", "1MiB"),
        ];
        assert_eq!(flags, expected);
    }
}

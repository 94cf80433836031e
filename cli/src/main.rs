//! The `hushlog` binary: the server, a local cluster, and the commands that talk to a server.
//!
//! Nothing here knows how records are stored or found; it reads arguments, calls, and prints.

mod admin;
mod args;
mod bench;
mod client;
mod cluster;
mod exit;
mod ledger;
mod limits;
mod nodes;
mod output;
mod pii;
mod search;
mod send;
mod serve;
mod top;
mod when;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use args::{Args, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what is left of a node may take to end, twice: its tasks, then its store.
const END_PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Args { json, command } = Args::parse();
    let serves = matches!(command, Command::Serve(_));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::anyhow!("no runtime: {error}")),
    };
    let outcome = runtime.block_on(async move {
        match command {
            Command::Serve(settings) => serve::run(settings).await,
            Command::Cluster(args) => cluster::run(args).await,
            Command::Send(args) => send::run(args, json).await,
            Command::Search(args) => search::run(args, json).await,
            Command::Top(args) => top::run(args, json).await,
            Command::Pii(command) => pii::run(command, json).await,
            Command::Admin(admin) => admin::run(admin, json).await,
            Command::Bench(bench) => bench::run(bench, json).await,
        }
    });
    if serves {
        runtime.shutdown_timeout(END_PATIENCE);
        if !hushlog_node::node::wait_until_closed(END_PATIENCE) {
            output::complaint(format_args!("the store is still in use at the end"));
        }
    } else {
        // What is still blocked on standard input must not hold up the end.
        runtime.shutdown_background();
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

//! `hushlog admin nodes|drain|rebalance`: nodes that come and go.
//!
//! What is asked for goes on in the cluster whether this program waits for it or not.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::args::NodesCommand;
use crate::client::Client;
use crate::exit::{Code, Exit};
use crate::output::{line, print, printable, table};
use crate::search::ask;

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const TICK: Duration = Duration::from_secs(1);
/// Looks in a row without an answer after which waiting ends.
const SILENCE_MAX: u32 = 30;
const CLUSTER: &str = "/api/v1/cluster";

/// Shows the nodes, or lets one in.
pub(crate) async fn run(command: NodesCommand, json_output: bool) -> Result<()> {
    match command {
        NodesCommand::List { server } => {
            let client = Client::new(&server.server, DEADLINE);
            let view = ask(&client, Method::GET, CLUSTER, &Value::Null).await?;
            if json_output {
                let keys = [
                    "nodes",
                    "totals",
                    "removed",
                    "copies",
                    "replication",
                    "rebalancing",
                ];
                let part = keys.map(|key| (key.to_owned(), view[key].clone()));
                return print(&Value::Object(part.into_iter().collect()), true);
            }
            show(&view)
        }
        NodesCommand::Add { id, grpc, server } => {
            let client = Client::new(&server.server, DEADLINE);
            let path = format!("{CLUSTER}/nodes");
            let asked = admission(id, grpc.as_deref());
            let answer = ask(&client, Method::POST, &path, &asked).await?;
            if json_output {
                return print(&answer, true);
            }
            line(welcome(&answer))
        }
    }
}

fn admission(id: Option<u64>, grpc: Option<&str>) -> Value {
    let mut asked = json!({});
    if let Some(id) = id {
        asked["id"] = json!(id);
    }
    if let Some(grpc) = grpc {
        asked["grpc"] = json!(grpc);
    }
    asked
}

/// What to do next.
fn welcome(answer: &Value) -> String {
    let text = |value: &Value| printable(value.as_str().unwrap_or_default());
    let (id, state) = (&answer["id"], text(&answer["state"]));
    if state != "joining" {
        return format!("node {id} is {state}");
    }
    let join: Vec<String> = answer["join"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let grpc = text(&answer["grpc"]);
    // It listens on an address; a name is what the others call it by.
    let flag = if grpc.parse::<SocketAddr>().is_ok() {
        "grpc"
    } else {
        "node-advertise"
    };
    let join = join.join(",");
    format!(
        "node {id} may come. Start it on its machine:\n\n  hushlog serve --node-id {id} --{flag} {grpc} \
         --cluster-join {join}"
    )
}

fn show(view: &Value) -> Result<()> {
    let mut rows = table(&[
        "NODE",
        "MEMBERSHIP",
        "STATE",
        "GRPC",
        "ZONE",
        "SHARDS",
        "LEADS",
        "BYTES",
        "FREE",
    ]);
    for node in view["nodes"].as_array().into_iter().flatten() {
        let text = |name: &str| printable(node[name].as_str().unwrap_or_default());
        let number = |value: &Value| value.as_u64().map_or_else(String::new, |n| n.to_string());
        rows.add_row([
            number(&node["id"]),
            text("membership"),
            text("state"),
            text("grpc"),
            text("zone"),
            number(&node["placed"]),
            number(&node["shards"]["leads"]),
            number(&node["bytes"]["segments"]),
            number(&node["disk"]["free"]),
        ]);
    }
    line(rows)?;
    let totals = &view["totals"];
    line(format!(
        "copies of every record: {}; shards that lack a replica: {}; replicas on their way: {}",
        view["copies"], totals["under_replicated"], totals["moving"]
    ))
}

/// Has a node leave.
pub(crate) async fn drain(node: u64, no_wait: bool, server: &str, json_output: bool) -> Result<()> {
    let client = Client::new(server, DEADLINE);
    let own = ask(
        &client,
        Method::GET,
        &format!("{CLUSTER}?scope=node"),
        &Value::Null,
    )
    .await?;
    if own["node"] == json!(node) {
        bail!(
            "{server} is node {node} itself, which ends when it has left; name another with --server"
        );
    }
    let path = format!("{CLUSTER}/nodes/{node}");
    let mut answer = ask(&client, Method::DELETE, &path, &Value::Null).await?;
    if !no_wait {
        let mut bar = Bar::new();
        while answer["state"] != "removed" {
            let left = answer["shards_left"].as_u64().unwrap_or(0);
            bar.show(left, &format!("node {node} leaves"));
            answer = again(&client, Method::DELETE, &path).await?;
        }
    }
    if json_output {
        return print(&answer, true);
    }
    let state = printable(answer["state"].as_str().unwrap_or_default());
    line(format!(
        "node {node} is {state}; {} replicas are left on it",
        answer["shards_left"]
    ))
}

/// Has replicas spread evenly.
pub(crate) async fn rebalance(
    replication: Option<u32>,
    no_wait: bool,
    server: &str,
    json_output: bool,
) -> Result<()> {
    let client = Client::new(server, DEADLINE);
    let asked = replication.map_or(Value::Null, |copies| json!({ "replication": copies }));
    let path = format!("{CLUSTER}/rebalance");
    let mut answer = ask(&client, Method::POST, &path, &asked).await?;
    if !no_wait {
        let mut bar = Bar::new();
        while answer["rebalancing"] == true {
            let left = answer["totals"]["moving"].as_u64().unwrap_or(0);
            bar.show(left, "replicas are spread");
            answer = again(&client, Method::GET, CLUSTER).await?;
        }
    }
    if json_output {
        let keys = ["rebalancing", "replication", "copies"];
        let part = keys.map(|key| (key.to_owned(), answer[key].clone()));
        return print(&Value::Object(part.into_iter().collect()), true);
    }
    let state = if answer["rebalancing"] == true {
        "are being spread"
    } else {
        "are spread"
    };
    line(format!(
        "replicas {state}; copies of every record: {}",
        answer["copies"]
    ))
}

/// Asks again after a pause, and again while there is no answer, for a while.
async fn again(client: &Client, method: Method, path: &str) -> Result<Value> {
    let mut silent = 0;
    loop {
        tokio::time::sleep(TICK).await;
        match ask(client, method.clone(), path, &Value::Null).await {
            Ok(answer) => return Ok(answer),
            Err(error) if silent >= SILENCE_MAX => {
                let why = format!("it goes on, but how far it is cannot be told: {error:#}");
                return Err(Exit::error(Code::Unavailable, why));
            }
            Err(_) => silent += 1,
        }
    }
}

/// Replicas that are left; more may come while it lasts.
struct Bar {
    bar: ProgressBar,
    most: u64,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style =
            ProgressStyle::with_template("{msg} [{bar:30}] {pos} of {len} replicas, {elapsed}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, most: 0 }
    }

    fn show(&mut self, left: u64, message: &str) {
        self.most = self.most.max(left);
        self.bar.set_length(self.most);
        self.bar.set_position(self.most - left);
        self.bar.set_message(message.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Admin, Args, Command};

    fn parsed(words: &[&str]) -> Result<Admin> {
        let words = ["hushlog", "admin"].iter().chain(words);
        match Args::try_parse_from(words)?.command {
            Command::Admin(admin) => Ok(admin),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn a_node_is_let_in_by_its_address_or_its_number() {
        assert_eq!(admission(None, Some("a:1")), json!({"grpc": "a:1"}));
        assert_eq!(admission(Some(4), None), json!({"id": 4}));
        for words in [
            &["nodes", "add", "--grpc", "a:1"][..],
            &["nodes", "add", "--id", "4"],
            &["nodes", "list", "--server", "http://far:1"],
            &["drain", "3", "--no-wait"],
            &["rebalance", "--replication", "3"],
        ] {
            assert!(parsed(words).is_ok(), "{words:?}");
        }
        for words in [
            &["nodes", "add"][..],
            &["drain"],
            &["drain", "three"],
            &["rebalance", "--replication", "0"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn who_may_come_is_told_how() {
        let answer = json!({"id": 4, "state": "joining", "grpc": "10.0.0.4:4317", "join": ["a:4317", "b:4317"]});
        let told = welcome(&answer);
        let command = "hushlog serve --node-id 4 --grpc 10.0.0.4:4317 --cluster-join a:4317,b:4317";
        assert!(told.contains(command), "{told}");
        assert_eq!(
            welcome(&json!({"id": 3, "state": "active"})),
            "node 3 is active"
        );
    }
}

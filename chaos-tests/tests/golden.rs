//! Data folders that earlier builds have written still open, with every record in them, and take more: whole
//! nodes in this process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::client::Client;
use hushlog_chaos_tests::local::{free_ports, until};
use hushlog_node::{Config, Node};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// Records of each folder.
const RECORDS: u64 = 7;
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A node on a folder.
struct Opened {
    node: Node,
    url: String,
    client: Client,
}

impl Opened {
    async fn start(folder: &Path) -> Result<Self> {
        let (http, grpc) = free_ports()?;
        let mut config = Config::defaults();
        config.data = folder.to_owned();
        config.http = ([127, 0, 0, 1], http).into();
        config.grpc = ([127, 0, 0, 1], grpc).into();
        config.node.advertise = config.grpc.to_string();
        config.cluster.peers[0].address = config.grpc.to_string();
        // The records are of one day, and are to be found on every later one.
        config.retention.default = Duration::from_secs(36_500 * 86_400);
        config.threads = 1;
        let node = Node::start(config).await?;
        until("the node is ready", || node.ready().is_ok()).await?;
        Ok(Self {
            node,
            url: format!("http://127.0.0.1:{http}"),
            client: Client::new(DEADLINE),
        })
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        let (status, answer) = self.client.call_json(Method::POST, &url, body).await?;
        ensure!(
            status == StatusCode::OK || status == StatusCode::ACCEPTED,
            "{status} {answer}"
        );
        Ok(answer)
    }

    /// What a question finds: how many, and the newest of them.
    async fn find(&self, query: &str) -> Result<(u64, Vec<Value>)> {
        let question = json!({"query": query, "limit": 100});
        let answer = self.call("/api/v1/logs/query", &question).await?;
        ensure!(answer["partial"] == false, "{answer}");
        let logs = answer["logs"].as_array().cloned().unwrap_or_default();
        Ok((answer["total"].as_u64().context("no total")?, logs))
    }
}

async fn opens(folder: &Path) -> Result<()> {
    let data = tempfile::tempdir()?;
    copy(folder, data.path())?;
    let opened = Opened::start(data.path()).await?;
    let (total, logs) = opened.find("*").await?;
    assert_eq!((total, logs.len() as u64), (RECORDS, RECORDS));
    let (errors, failed) = opened.find("service:shop level:ERROR payment").await?;
    assert_eq!(errors, 3);
    for record in &failed {
        let message = record["message"].as_str().context("a message")?;
        assert!(!message.contains("bob@"), "{record}");
        assert_ne!(record["fields"]["card"], "4111111111111111");
        assert_eq!(record["exception"]["type"], "java.io.IOException");
        let id = record["log_id"].as_str().context("an id")?;
        assert_eq!(opened.find(&format!("log_id:{id}")).await?.0, 1);
    }
    let (carts, _) = opened
        .find("trace_id:0af7651916cd43dd8448eb211c80319c")
        .await?;
    assert_eq!(carts, 2);
    let fresh = json!({"service_name": "shop", "level": "INFO", "message": "after the upgrade"});
    opened.call("/api/v1/logs", &fresh).await?;
    assert_eq!(opened.find("*").await?.0, RECORDS + 1);
    opened.node.shutdown().await;

    let again = Opened::start(data.path()).await?;
    assert_eq!(again.find("*").await?.0, RECORDS + 1);
    again.node.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_every_earlier_version_open() -> Result<()> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders = Vec::new();
    for entry in fs::read_dir(golden)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    assert!(folders.len() >= 6, "{folders:?}");
    for folder in folders {
        let opened = Box::pin(opens(&folder)).await;
        opened.with_context(|| format!("{}", folder.display()))?;
    }
    Ok(())
}

//! `hushlog admin`: what an operator sets for the whole cluster.

use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use crate::args::{Admin, RetentionArgs, RetentionCommand};
use crate::client::Client;
use crate::client::encoded;
use crate::nodes;
use crate::output::{by_service, print};
use crate::search::ask;

/// Longest wait for an answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks or changes, and prints what holds then.
pub(crate) async fn run(admin: Admin, json_output: bool) -> Result<()> {
    match admin {
        Admin::Retention(args) => retention(args, json_output).await,
        Admin::Ledger(args) => crate::ledger::run(args, json_output).await,
        Admin::Limits(args) => crate::limits::run(args, json_output).await,
        Admin::Nodes(command) => nodes::run(command, json_output).await,
        Admin::Drain { node, wait, server } => {
            nodes::drain(node, wait.no_wait, &server.server, json_output).await
        }
        Admin::Rebalance {
            replication,
            wait,
            server,
        } => nodes::rebalance(replication, wait.no_wait, &server.server, json_output).await,
    }
}

async fn retention(args: RetentionArgs, json_output: bool) -> Result<()> {
    let client = Client::new(&args.server.server, DEADLINE);
    let (method, path, body) = request(&args.command);
    let answer = ask(&client, method, &path, &body).await?;
    if json_output {
        return print(&answer, true);
    }
    show(&answer)
}

fn request(command: &RetentionCommand) -> (Method, String, Value) {
    let of = |service: &str| format!("/api/v1/retention/{}", encoded(service));
    match command {
        RetentionCommand::List => (Method::GET, "/api/v1/retention".into(), Value::Null),
        RetentionCommand::Get { service } => (Method::GET, of(service), Value::Null),
        RetentionCommand::Set { service, period } => {
            let body = match (period.days, period.hours) {
                (Some(days), _) => json!({ "days": days }),
                (None, hours) => json!({ "hours": hours }),
            };
            (Method::PUT, of(service), body)
        }
        RetentionCommand::Remove { service } => (Method::DELETE, of(service), Value::Null),
    }
}

/// One rule, or all of them.
fn show(answer: &Value) -> Result<()> {
    by_service(["DAYS", "HOURS"], answer, |rule| {
        [rule["days"].to_string(), rule["hours"].to_string()]
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn asked(words: &[&str]) -> Result<(Method, String, Value)> {
        let words = ["hushlog", "admin", "retention"].iter().chain(words);
        let Command::Admin(Admin::Retention(args)) = Args::try_parse_from(words)?.command else {
            anyhow::bail!("retention was asked for")
        };
        Ok(request(&args.command))
    }

    #[test]
    fn words_become_requests() {
        let pay = || "/api/v1/retention/pay%2Feu".to_owned();
        let all = "/api/v1/retention".to_owned();
        let asked = |words: &[&str]| asked(words).expect("valid");
        assert_eq!(asked(&["list"]), (Method::GET, all, Value::Null));
        assert_eq!(asked(&["get", "pay/eu"]), (Method::GET, pay(), Value::Null));
        assert_eq!(
            asked(&["set", "pay/eu", "--days", "7"]),
            (Method::PUT, pay(), json!({"days": 7}))
        );
        assert_eq!(
            asked(&["set", "pay/eu", "--hours", "12"]),
            (Method::PUT, pay(), json!({"hours": 12}))
        );
        assert_eq!(
            asked(&["remove", "pay/eu"]),
            (Method::DELETE, pay(), Value::Null)
        );
    }

    #[test]
    fn the_server_may_stand_anywhere() {
        let url = ["--server", "http://far:1"];
        for words in [["list", url[0], url[1]], [url[0], url[1], "list"]] {
            let words = ["hushlog", "admin", "retention"].iter().chain(&words);
            let args = Args::try_parse_from(words).expect("valid").command;
            let Command::Admin(Admin::Retention(args)) = args else {
                panic!("retention was asked for")
            };
            assert_eq!(args.server.server, url[1]);
        }
    }

    #[test]
    fn a_period_is_days_or_hours() {
        for words in [
            &["set", "pay"][..],
            &["set", "pay", "--days", "1", "--hours", "1"],
            &["set", "pay", "--days", "0"],
            &["set", "pay", "--days", "3651"],
            &["set", "--days", "1"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }
}

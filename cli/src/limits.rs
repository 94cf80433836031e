//! `hushlog admin limits`: how much each service may send.

use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use crate::admin::DEADLINE;
use crate::args::{LimitsArgs, LimitsCommand};
use crate::client::{Client, encoded};
use crate::output::{by_service, print};
use crate::search::ask;

/// Asks or changes, and prints what holds then.
pub(crate) async fn run(args: LimitsArgs, json_output: bool) -> Result<()> {
    let client = Client::new(&args.server.server, DEADLINE);
    let (method, path, body) = request(&args.command);
    let answer = ask(&client, method, &path, &body).await?;
    if json_output {
        return print(&answer, true);
    }
    show(&answer)
}

fn request(command: &LimitsCommand) -> (Method, String, Value) {
    let of = |service: &str| format!("/api/v1/limits/{}", encoded(service));
    match command {
        LimitsCommand::List => (Method::GET, "/api/v1/limits".into(), Value::Null),
        LimitsCommand::Get { service } => (Method::GET, of(service), Value::Null),
        LimitsCommand::Set { service, rates } => {
            let mut body = json!({});
            if let Some(records) = rates.records {
                body["records_per_second"] = records.into();
            }
            if let Some(bytes) = rates.bytes {
                body["bytes_per_second"] = bytes.into();
            }
            (Method::PUT, of(service), body)
        }
        LimitsCommand::Remove { service } => (Method::DELETE, of(service), Value::Null),
    }
}

/// One limit, or all of them.
fn show(answer: &Value) -> Result<()> {
    by_service(["RECORDS/S", "BYTES/S"], answer, |limit| {
        ["records_per_second", "bytes_per_second"].map(|name| {
            let rate = limit[name].as_u64();
            rate.map_or_else(|| "-".into(), |rate| rate.to_string())
        })
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Admin, Args, Command};

    fn asked(words: &[&str]) -> Result<(Method, String, Value)> {
        let words = ["hushlog", "admin", "limits"].iter().chain(words);
        let Command::Admin(Admin::Limits(args)) = Args::try_parse_from(words)?.command else {
            anyhow::bail!("limits were asked for")
        };
        Ok(request(&args.command))
    }

    #[test]
    fn words_become_requests() {
        let pay = || "/api/v1/limits/pay%2Feu".to_owned();
        let asked = |words: &[&str]| asked(words).expect("valid");
        let all = (Method::GET, "/api/v1/limits".to_owned(), Value::Null);
        assert_eq!(asked(&["list"]), all);
        assert_eq!(asked(&["get", "pay/eu"]), (Method::GET, pay(), Value::Null));
        for (words, body) in [
            (&["--records", "7"][..], json!({"records_per_second": 7})),
            (&["--bytes", "9"], json!({"bytes_per_second": 9})),
            (
                &["--bytes", "9", "--records", "7"],
                json!({"records_per_second": 7, "bytes_per_second": 9}),
            ),
        ] {
            let words: Vec<&str> = ["set", "pay/eu"].iter().chain(words).copied().collect();
            assert_eq!(asked(&words), (Method::PUT, pay(), body));
        }
        assert_eq!(
            asked(&["remove", "pay/eu"]),
            (Method::DELETE, pay(), Value::Null)
        );
    }

    #[test]
    fn a_limit_is_records_or_bytes_or_both() {
        for words in [
            &["set", "pay"][..],
            &["set", "pay", "--records", "0"],
            &["set", "pay", "--bytes", "1000000000001"],
            &["set", "--records", "1"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }
}

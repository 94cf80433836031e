//! The shape of the project, checked: what a reviewer should not have to look for.
//!
//! Reads the tree's own text only; never builds, starts or changes anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

/// Which of our crates each may name: architecture.md, "Layout and direction of dependencies".
const MAY_DEPEND_ON: [(&str, &[&str]); 10] = [
    ("record", &[]),
    ("sketch", &[]),
    ("proto", &[]),
    ("pii", &["record"]),
    ("storage", &["record"]),
    ("index", &["record", "storage"]),
    ("ingest", &["record", "pii"]),
    ("raft", &["record", "storage", "proto"]),
    ("query", &["record", "storage", "index", "sketch"]),
    ("cli", &["node", "proto"]),
];

/// Engines that one crate hides from all others.
const HIDDEN_IN: [(&str, &str); 4] = [
    ("rocksdb", "storage"),
    ("parquet", "storage"),
    ("openraft", "raft"),
    ("tantivy", "index"),
];

/// Crates without runtime, clock, randomness and sockets; time and randomness are arguments.
const PURE: [&str; 5] = ["record", "pii", "ingest", "sketch", "index"];
const IMPURE: [&str; 7] = [
    "tokio",
    "rand",
    "rand_chacha",
    "hyper",
    "axum",
    "tonic",
    "tower",
];

/// Licences that may be linked into an Apache-2.0 program; `deny.toml` has the same list.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a crate lies in the workspace")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(folder: &str) -> Table {
    read(Path::new(folder).join("Cargo.toml"))
        .parse()
        .expect("manifests are TOML")
}

fn members() -> BTreeSet<String> {
    let workspace = manifest("");
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("a workspace has members");
    members
        .iter()
        .map(|member| member.as_str().expect("a folder").to_owned())
        .collect()
}

/// Names in one section of a crate's manifest.
fn named(folder: &str, section: &str) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let table = manifest.get(section).and_then(|section| section.as_table());
    table
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

/// Every Rust file of the project, relative to its root.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for member in members() {
        collect(&root().join(member), &mut found);
    }
    found.sort();
    assert!(found.len() > 20, "the walk finds the sources");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("members exist") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(
                path.strip_prefix(root())
                    .expect("inside the root")
                    .to_path_buf(),
            );
        }
    }
}

fn assert_none(problem: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{problem}:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|path| {
            !read(path)
                .trim_start_matches("#![no_main]")
                .trim_start()
                .starts_with("//!")
        })
        .map(|path| path.display().to_string())
        .collect();
    assert_none("files without a `//!` at the top", &silent);
}

#[test]
fn crates_depend_only_downwards() {
    let mut wrong = Vec::new();
    for (folder, allowed) in MAY_DEPEND_ON {
        let ours = named(folder, "dependencies")
            .into_iter()
            .chain(named(folder, "build-dependencies"));
        for name in ours.filter_map(|name| name.strip_prefix("hushlog-").map(str::to_owned)) {
            if !allowed.contains(&name.as_str()) {
                wrong.push(format!("{folder} → {name}"));
            }
        }
    }
    assert_none("edges that architecture.md does not have", &wrong);
    let known: BTreeSet<String> = MAY_DEPEND_ON
        .iter()
        .map(|(folder, _)| (*folder).to_owned())
        .collect();
    let free: Vec<_> = members().difference(&known).cloned().collect();
    assert_eq!(
        free,
        ["chaos-tests", "node"],
        "only these may depend on anything"
    );
}

#[test]
fn each_engine_is_named_by_one_crate() {
    let mut wrong = Vec::new();
    for folder in members() {
        let all = ["dependencies", "dev-dependencies", "build-dependencies"];
        let names: BTreeSet<_> = all
            .iter()
            .flat_map(|section| named(&folder, section))
            .collect();
        for (engine, owner) in HIDDEN_IN {
            if names.contains(engine) && folder != owner {
                wrong.push(format!("{folder} names {engine}"));
            }
        }
    }
    assert_none("engines outside their crate", &wrong);
}

#[test]
fn pure_crates_have_no_runtime_clock_or_randomness() {
    let mut wrong = Vec::new();
    for folder in PURE {
        for name in named(folder, "dependencies") {
            if IMPURE.contains(&name.as_str()) {
                wrong.push(format!("{folder} names {name}"));
            }
        }
    }
    assert_none("pure crates that are not", &wrong);
}

#[test]
fn the_readme_lists_every_crate() {
    let readme = read("README.md");
    let listed: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("/` |"))
        .map(|(folder, _)| folder.to_owned())
        .filter(|folder| root().join(folder).join("Cargo.toml").exists())
        .collect();
    assert_eq!(listed, members());
}

#[test]
fn only_the_masker_and_the_decoder_vouch_for_a_record() {
    let mut wrong = Vec::new();
    for path in sources() {
        let name = path.display().to_string();
        // The masker, the type and its decoder; and what makes records for tests and trials.
        let allowed = name.starts_with("pii/src/")
            || name.starts_with("record/")
            || ["/tests", "/examples/", "/benches/", "/testing", "/fuzz/"]
                .iter()
                .any(|part| name.contains(part))
            || name == "chaos-tests/tests/tidy.rs";
        if !allowed && read(&path).contains("Masked::vouch") {
            wrong.push(name);
        }
    }
    assert_none("files that call a record masked without masking it", &wrong);
}

#[test]
fn no_build_has_planted_bugs_unless_it_asks_for_them() {
    let naming: Vec<_> = members()
        .into_iter()
        .filter(|folder| read(Path::new(folder).join("Cargo.toml")).contains("museum"))
        .collect();
    assert_eq!(naming, ["chaos-tests", "record"]);
    for folder in naming {
        let default = named(&folder, "features").contains("default");
        assert!(!default, "{folder} has features that are on by default");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let workspace = manifest("");
    let used: BTreeSet<String> = workspace["workspace"]["dependencies"]
        .as_table()
        .expect("a workspace has dependencies")
        .keys()
        .filter(|name| !name.starts_with("hushlog-"))
        .cloned()
        .collect();
    let page = read("docs/dependencies.md");
    let explained: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('|'))
        .flat_map(|(names, _)| {
            names
                .split('`')
                .filter(|name| !matches!(name.trim(), "" | ","))
        })
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = used.difference(&explained).cloned().collect();
    assert_none(
        "dependencies without a line in docs/dependencies.md",
        &missing,
    );
    let stale: Vec<_> = explained.difference(&used).cloned().collect();
    assert_none("lines in docs/dependencies.md for what is not used", &stale);
}

#[test]
fn every_linked_crate_has_a_licence_we_may_use() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let wrong: Vec<_> = packages
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or("none")))
        .map(|package| format!("{} {}", package["name"], package["license"]))
        .collect();
    assert_none("licences outside the list", &wrong);
}

/// Whether an SPDX expression can be met from [`LICENCES`]: `AND` needs both sides, `OR` one.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|name| LICENCES.contains(&name.trim()))
    })
}

//! Every seed, every case that has failed once, and a few thousand inputs of each target: `make fuzz` goes on for
//! as long as one likes.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hushlog_chaos_tests::fuzz::{Mutator, Plan, Target, cases_of, fuzz, replay, targets};

/// Inputs of each target that are tried here.
const RUNS: u64 = 300;

#[test]
fn seeds_cases_and_some_inputs_of_every_target_hold() -> Result<()> {
    let all = targets::all();
    let names: BTreeSet<_> = all.iter().map(|target| target.name).collect();
    ensure!(names.len() == all.len(), "two targets have the same name");
    for target in &all {
        let mut inputs = (target.seeds)();
        ensure!(!inputs.is_empty(), "{} has no seeds", target.name);
        let cases = cases_of(target);
        if cases.is_dir() {
            for case in fs::read_dir(&cases)? {
                let path = case?.path();
                inputs.push(fs::read(&path).with_context(|| path.display().to_string())?);
            }
        }
        for input in inputs {
            let outcome = replay(target, &input);
            ensure!(outcome.is_ok(), "{}: {outcome:?}", target.name);
        }
        let plan = Plan {
            time: Duration::from_secs(600),
            runs_max: RUNS,
            seed: 7,
        };
        let (figures, failure) = fuzz(target, plan, &cases)?;
        ensure!(failure.is_none(), "{}: {failure:?}", target.name);
        ensure!(figures.runs == RUNS, "{}: {figures:?}", target.name);
    }
    Ok(())
}

#[test]
fn every_folder_of_cases_is_one_of_a_target() -> Result<()> {
    let all = targets::all();
    let Some(first) = all.first() else {
        anyhow::bail!("there is no target");
    };
    let folder = cases_of(first);
    let folder = folder.parent().context("cases have a folder")?;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_known = all.iter().any(|target| *name == *target.name) || *name == *"README.md";
        ensure!(is_known, "{}: there is no such target", name.display());
    }
    Ok(())
}

/// A target that fails on what mutations make soon.
fn fragile() -> Target {
    Target {
        name: "fragile",
        what: "nothing",
        seeds: || vec![b"abc 123 def".to_vec()],
        words: &["bang"],
        repair: |_| (),
        run: |bytes| {
            assert!(!bytes.windows(4).any(|four| four == b"bang"), "bang");
            bytes.len() as u64
        },
    }
}

#[test]
fn what_fails_is_found_made_small_and_kept() -> Result<()> {
    let target = fragile();
    let plan = Plan {
        time: Duration::from_secs(600),
        runs_max: 100_000,
        seed: 1,
    };
    let cases = tempfile::tempdir()?;
    let (_, failure) = fuzz(&target, plan, cases.path())?;
    let failure = failure.context("it must be found")?;
    ensure!(
        (&*failure.input, &*failure.message) == (b"bang", "bang"),
        "{failure:?}"
    );
    let kept: Vec<_> = fs::read_dir(cases.path())?.collect::<Result<_, _>>()?;
    ensure!(kept.len() == 1, "{kept:?}");
    Ok(())
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let target = fragile();
    let corpus = (target.seeds)();
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..200)
            .map(|_| mutator.input(&target, &corpus))
            .collect::<Vec<_>>()
    };
    assert_eq!(inputs(3), inputs(3));
    assert_ne!(inputs(3), inputs(4));
}

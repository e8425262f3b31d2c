//! `cargo xtask test`: every test, those of a cluster on real servers of its own.
use std::path::Path;

use clap::Args;
use sordino_stack::Plan;

use crate::{cargo, cargo_with, prereq, reader, stack};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Leave out what needs PostgreSQL, Redis, Kafka and Cassandra.
    #[arg(long)]
    embedded: bool,
}

const EMBEDDED: &[&str] = &["test", "--workspace"];
/// With the cluster's stores in; one build for all tests.
const ALL: &[&str] = &["test", "--workspace", "--features", CLUSTER];
/// What a build with the cluster's stores turns on.
pub(crate) const CLUSTER: &str =
    "sordino-relay/cluster,sordino-tests/cluster,sordino-tests/measure";
/// Away from the stack that a developer may have running.
const BASE_PORT: u16 = 17_500;

/// Gives the directory of what a test has recorded for the reader.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let fresh = reader::fresh()?;
    let recording = (reader::VARIABLE, fresh.as_str());
    if options.embedded {
        return cargo_with(EMBEDDED, &[recording]).map(|()| fresh);
    }
    prereq::ensure_cluster()?;
    // Before the servers start: a build takes minutes, and all of the machine.
    cargo(&[ALL, &["--no-run"]].concat())?;
    let dir = stack::named("test");
    let addresses = up(&dir)?;
    let addresses = addresses.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<_> = addresses.chain([recording]).collect();
    let tested = cargo_with(ALL, &variables);
    stack::remove(&dir).and(tested)?;
    // The test of the stack itself, which starts another one: after the first, for both take memory.
    let own = [ALL, &["--test", "stack"]].concat();
    cargo_with(&own, &[("SORDINO_STACK_TEST", "1")])?;
    Ok(fresh)
}

fn up(dir: &Path) -> Result<String, String> {
    // What an interrupted run left behind.
    stack::remove(dir)?;
    let mut watch = stack::Watch::new()?;
    let plan = Plan::new(dir).map(|plan| plan.base_port(BASE_PORT));
    let up = plan.and_then(|plan| sordino_stack::up(&plan, &mut watch));
    up.map(|addresses| addresses.to_string()).map_err(|error| {
        let _ = stack::remove(dir);
        format!("{error} (`cargo xtask test --embedded` does without servers)")
    })
}

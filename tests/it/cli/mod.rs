//! The binary as people use it: in a repository, mostly on the embedded default.

mod against;
mod begin;
mod checkout;
mod deploy;
mod deployed;
mod environments;
mod faults;
mod files;
mod flows;
mod lease;
mod legacy;
mod links;
mod names;
mod narrow;
mod output;
mod prefect_steps;
mod prefect_yaml;
mod previews;
mod prune;
mod roots;
mod run_python;
mod saved;
mod secrets;
mod services;
mod shards;
mod since;
mod stranger;
mod terminal;
mod triggers;

use std::path::PathBuf;

use crate::support::{Files, Flowyard, Repo, Run, changed, files};

/// The flow of [`small`].
const FLOW: &str = "from prefect import flow


@flow
def hello(n: int = 1):
    print(n)
";

/// A repository with one project `p` of one flow and one deployment `hello/hello`, committed.
fn small() -> Repo {
    let repo = Repo::new();
    project(&repo, "p", "hello");
    repo.commit("Add a flow");
    repo
}

/// Adds a project with the flow of [`FLOW`] and one deployment of it.
fn project(repo: &Repo, path: &str, deployment: &str) {
    repo.write(&format!("{path}/flow.py"), FLOW);
    repo.write(
        &format!("{path}/{deployment}.deployment.yaml"),
        "entrypoint: flow.py:hello\n",
    );
}

/// A call in the repository.
fn flowyard(repo: &Repo, line: &str) -> Flowyard {
    Flowyard::new(repo.path(), line.split_whitespace())
}

/// Runs `flowyard … --local` in the repository; no argument holds a space.
fn local(repo: &Repo, line: &str) -> Run {
    flowyard(repo, &format!("{line} --local")).run()
}

/// Where the embedded default keeps everything.
fn kept(repo: &Repo) -> PathBuf {
    repo.path().join(".flowyard")
}

/// Everything below `.flowyard`.
fn written(repo: &Repo) -> Files {
    files(&kept(repo))
}

/// What a call changes below `.flowyard`, and the call. The state is left out: it follows from the rest.
fn changes(repo: &Repo, line: &str, code: i32) -> (Vec<String>, Run) {
    let before = written(repo);
    let run = local(repo, line).expect_code(code);
    let mut lines = changed(&before, &written(repo));
    lines.retain(|line| {
        !line.contains("storage/.flowyard/state/") && !line.contains("storage/.flowyard/staging/")
    });
    (lines, run)
}

/// Panics if a call changes anything at all below `.flowyard`, or ends with another code.
#[track_caller]
fn expect_untouched(repo: &Repo, line: &str, code: i32) -> Run {
    let before = written(repo);
    let run = local(repo, line).expect_code(code);
    assert_eq!(
        changed(&before, &written(repo)),
        [""; 0],
        "{}",
        run.snapshot()
    );
    run
}

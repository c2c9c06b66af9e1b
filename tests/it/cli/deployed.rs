//! The commit that a deploy leaves behind, and what `deploy --since auto` makes of it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::since::{ALL, B, Clone, LIBRARY, Remote, push, told};
use super::{expect_untouched, local, small};
use crate::support::{Flowyard, Run, git};

const AUTO: &str = "deploy --since auto";
const NONE: &str = "no commit is known to be all that is deployed to default";

fn state(folder: &Path) -> PathBuf {
    folder.join(".flowyard/storage/.flowyard/state/default/applied.json")
}

fn document(folder: &Path) -> Value {
    let bytes = std::fs::read(state(folder)).expect("the state");
    serde_json::from_slice(&bytes).expect("a document")
}

/// The commit that is written down; null without one.
fn recorded(folder: &Path) -> Value {
    document(folder)["revisions"][0]["commit"].clone()
}

/// What `plan --since auto` compares with, and the chains of its projects.
fn planned(clone: &Clone) -> (Value, Vec<String>) {
    told(&clone.call("plan --since auto --format json").expect_code(0))
}

/// What [`planned`] is where no commit is known: everything.
fn nothing_known() -> (Value, Vec<String>) {
    let since = json!({"revision": null, "why": NONE});
    (since, ALL.map(str::to_owned).to_vec())
}

/// Which of the deployments of [`Remote`] a deploy has written, by its last line for each.
fn written(run: &Run) -> Vec<&'static str> {
    let all = ["hello/a", "hello/b", "hello/c"];
    all.into_iter()
        .filter(|id| run.stdout.contains(&format!("  {id}\n")))
        .collect()
}

#[test]
fn the_first_deploy_is_of_everything_and_later_ones_of_what_differs() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.first);
    // The branch was somewhere, and nothing of it is deployed.
    assert_eq!(planned(&clone), nothing_known());
    let run = clone.on("push", &push(&remote.third), &remote.first, AUTO);
    let run = run.expect_code(0);
    assert_eq!(written(&run), ["hello/a", "hello/b", "hello/c"]);
    assert_eq!(recorded(clone.path()), remote.first);

    clone.anew(&remote, &remote.third);
    let since = json!({"revision": remote.first, "why": "deployed to default"});
    let chains = vec![LIBRARY.to_owned(), B.to_owned()];
    assert_eq!(planned(&clone), (since, chains));
    let run = clone.on("push", &push(&remote.second), &remote.third, AUTO);
    assert_eq!(written(&run.expect_code(0)), ["hello/b"]);
    assert_eq!(recorded(clone.path()), remote.third);

    let since = json!({"revision": remote.third, "why": "deployed to default"});
    assert_eq!(planned(&clone), (since, vec![]));
    // Once more: the run again, and by hand. Neither writes anything.
    let before = std::fs::read(state(clone.path())).expect("the state");
    let dispatch = json!({"inputs": {}});
    for (event, payload) in [
        ("push", push(&remote.second)),
        ("workflow_dispatch", dispatch),
    ] {
        let run = clone.on(event, &payload, &remote.third, AUTO);
        let run = run.expect_code(0);
        assert!(run.stdout.contains("Nothing to do."), "{}", run.stdout);
        let after = std::fs::read(state(clone.path())).expect("the state");
        assert_eq!(before, after);
    }
}

#[test]
fn a_dispatch_deploys_what_was_never_deployed() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.first);
    clone.call("deploy").expect_code(0);
    clone.anew(&remote, &remote.second);
    let payload = json!({"inputs": {}});
    let run = clone.on("workflow_dispatch", &payload, &remote.second, AUTO);
    assert_eq!(written(&run.expect_code(0)), ["hello/b"]);
    assert_eq!(recorded(clone.path()), remote.second);
}

#[test]
fn a_forced_push_takes_back_what_was_deployed() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.second);
    clone.call("deploy").expect_code(0);
    let head = remote.turn_back();
    clone.anew(&remote, &head);
    // The push after the forced one has what that left as its past.
    let run = clone.on("push", &push(&remote.first), &head, AUTO);
    assert_eq!(written(&run.expect_code(0)), ["hello/b", "hello/c"]);
    assert_eq!(recorded(clone.path()), head);
}

#[test]
fn what_failed_is_deployed_by_the_push_of_something_else() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.first);
    clone.call("deploy").expect_code(0);
    // No code of b can be stored.
    let place = clone.path().join(".flowyard/storage/projects/b");
    let aside = clone.path().join(".flowyard/aside");
    std::fs::rename(&place, &aside).expect("its releases");
    std::fs::write(&place, "").expect("a file");
    clone.anew(&remote, &remote.second);
    let failed = clone.on("push", &push(&remote.first), &remote.second, AUTO);
    let failed = failed.expect_code(1);
    assert!(failed.said().contains("projects/b"), "{}", failed.said());
    assert_eq!(recorded(clone.path()), Value::Null);

    std::fs::remove_file(&place).expect("the file");
    std::fs::rename(&aside, &place).expect("its releases");
    git(
        remote.repo.path(),
        &["reset", "-q", "--hard", &remote.second],
    );
    remote.repo.write("projects/c/y.sql", "");
    let head = remote.repo.commit("Change c");
    clone.anew(&remote, &head);
    assert_eq!(planned(&clone), nothing_known());
    let run = clone.on("push", &push(&remote.second), &head, AUTO);
    assert_eq!(written(&run.expect_code(0)), ["hello/b", "hello/c"]);
    assert_eq!(recorded(clone.path()), head);
}

#[test]
fn what_was_left_out_as_faulty_counts_until_it_is_deployed() {
    let remote = Remote::new();
    let file = "projects/b/b.deployment.yaml";
    let good = remote.repo.read(file);
    remote.repo.write(file, "entrypoint: nothing.py:hello\n");
    remote.repo.write("projects/c/y.sql", "");
    let faulty = remote.repo.commit("Break b");
    let clone = remote.clone(&remote.third);
    clone.call("deploy").expect_code(0);
    clone.anew(&remote, &faulty);
    let line = "deploy --since auto --keep-going";
    let run = clone.on("push", &push(&remote.third), &faulty, line);
    assert_eq!(written(&run.expect_code(3)), ["hello/c"]);
    assert_eq!(recorded(clone.path()), Value::Null);
    remote.repo.write(file, good);
    let mended = remote.repo.commit("Mend b");
    clone.anew(&remote, &mended);
    assert_eq!(planned(&clone), nothing_known());
}

#[test]
fn a_commit_that_is_gone_makes_everything_count() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.second);
    clone.call("deploy").expect_code(0);
    let gone = "00112233445566778899aabbccddeeff00112233";
    let text = document(clone.path()).to_string();
    let text = text.replace(&remote.second, gone);
    std::fs::write(state(clone.path()), text).expect("the state");
    clone.anew(&remote, &remote.third);
    let run = clone.call("plan --since auto --format json");
    let run = run.expect_code(0);
    let (since, chains) = told(&run);
    let why = since["why"].as_str().expect("a text");
    assert!(
        why.starts_with("deployed to default cannot be had: `git fetch origin 0011"),
        "{why}"
    );
    assert_eq!(since["revision"], Value::Null);
    assert_eq!(chains, ALL);
    let warned = format!("WARN everything counts as changed: {why}");
    assert!(run.stderr.contains(&warned), "{}", run.stderr);
}

#[test]
fn a_commit_of_another_server_does_not_count() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    let mut other = document(repo.path());
    assert!(other["revisions"][0]["commit"].is_string(), "{other}");
    other["revisions"][0]["server"] = "elsewhere".into();
    std::fs::write(state(repo.path()), other.to_string()).expect("the state");
    let run = local(&repo, "plan --since auto --format json").expect_code(0);
    assert_eq!(told(&run).0, json!({"revision": null, "why": NONE}));
}

#[test]
fn a_work_tree_that_is_no_commit_leaves_none() {
    let repo = small();
    let first = repo.commit("Begin");
    local(&repo, "deploy").expect_code(0);
    assert_eq!(recorded(repo.path()), first);
    // What git does not track, in the code of a project.
    repo.write("p/new.sql", "");
    let run = local(&repo, "deploy --since auto").expect_code(0);
    assert_eq!(recorded(repo.path()), Value::Null);
    let warned = "WARN no commit is written down as deployed: p holds or needs what is not in ";
    assert!(run.stderr.contains(warned), "{}", run.stderr);
    let next = "; the next `--since auto` compares everything\n";
    assert!(run.stderr.ends_with(next), "{}", run.stderr);
    repo.commit("Add it");
    // Nothing to do is nothing to write down.
    expect_untouched(&repo, "deploy", 0);
    // A change of what it does.
    repo.write("p/flow.py", format!("{}\n", repo.read("p/flow.py")));
    let run = local(&repo, "deploy").expect_code(0);
    assert_eq!((recorded(repo.path()), &*run.stderr), (Value::Null, ""));
    let head = repo.commit("Change it");
    repo.remove("p/new.sql");
    local(&repo, "deploy").expect_code(0);
    assert_eq!(recorded(repo.path()), Value::Null);
    git(repo.path(), &["checkout", "-q", "."]);
    local(&repo, "deploy").expect_code(0);
    assert_eq!(recorded(repo.path()), head);
}

#[test]
fn files_beside_every_project_are_nothing_that_is_deployed() {
    let repo = small();
    repo.write("gha-creds-0123456789abcdef.json", "{}");
    local(&repo, "plan --out plan.json").expect_code(0);
    local(&repo, "deploy --plan plan.json").expect_code(0);
    let head = git(repo.path(), &["rev-parse", "HEAD"]);
    assert_eq!(recorded(repo.path()), head);
    // Likewise in a run that goes by it.
    repo.write(".gitignore", "*.json\n");
    repo.write("p/x.sql", "");
    let head = repo.commit("Change p");
    repo.remove(".gitignore");
    git(repo.path(), &["rm", "-q", "--cached", ".gitignore"]);
    let head_without = repo.commit("Ignore nothing");
    assert_ne!(head, head_without);
    local(&repo, "deploy --since auto").expect_code(0);
    assert_eq!(recorded(repo.path()), head_without);
}

#[test]
fn a_part_leaves_no_commit() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.first);
    clone.call("deploy").expect_code(0);
    clone.anew(&remote, &remote.second);
    // One that does nothing has taken nothing away.
    clone.call("deploy --project projects/a").expect_code(0);
    assert_eq!(recorded(clone.path()), remote.first);
    // As little has one that goes by another revision, where it does nothing.
    let line = format!("deploy --since {}", remote.second);
    clone.call(&line).expect_code(0);
    assert_eq!(recorded(clone.path()), remote.first);
    clone.call("deploy --project projects/b").expect_code(0);
    assert_eq!(recorded(clone.path()), Value::Null);
    assert_eq!(planned(&clone), nothing_known());

    let clone = remote.clone(&remote.first);
    clone.call("deploy").expect_code(0);
    clone.anew(&remote, &remote.third);
    clone.call("deploy --since HEAD").expect_code(0);
    assert_eq!(recorded(clone.path()), remote.first);
}

#[test]
fn a_state_from_before_is_read_and_gets_one() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.first);
    clone.call("deploy").expect_code(0);
    let mut old = document(clone.path());
    let fields = old.as_object_mut().expect("an object");
    assert!(fields.remove("revisions").is_some());
    std::fs::write(state(clone.path()), old.to_string()).expect("the state");
    assert_eq!(planned(&clone), nothing_known());
    clone.anew(&remote, &remote.second);
    let run = clone.call("deploy").expect_code(0);
    assert_eq!(written(&run), ["hello/b"]);
    assert_eq!(recorded(clone.path()), remote.second);
}

#[test]
fn projects_that_variables_leave_out_are_not_deployed() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.first);
    let narrowed = |line: &str| {
        let call = Flowyard::new(clone.path(), format!("{line} --local").split(' '));
        call.env("FLOWYARD_PROJECTS_INCLUDE", "projects/a")
            .run()
            .expect_code(0)
    };
    assert_eq!(written(&narrowed("deploy")), ["hello/a"]);
    assert_eq!(recorded(clone.path()), Value::Null);
    assert_eq!(
        written(&clone.call("deploy --since auto")),
        ["hello/b", "hello/c"]
    );
    // Nor are they gone.
    let before = std::fs::read(state(clone.path())).expect("the state");
    for line in ["plan --check --prune", "deploy --prune"] {
        let run = narrowed(line);
        assert!(!run.stdout.contains("hello/b"), "{}", run.snapshot());
        assert_eq!(
            run.stderr,
            " WARN --prune removes nothing as long as FLOWYARD_PROJECTS_INCLUDE says what is looked at; say it under \
             `[projects]` in flowyard.toml\n"
        );
    }
    assert_eq!(
        std::fs::read(state(clone.path())).expect("the state"),
        before
    );
}

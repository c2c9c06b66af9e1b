//! `--since`: how changes reach projects, and `--since auto` in the clones that CI makes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{local, small};
use crate::support::{Flowyard, Repo, Run, git};

/// A remote with three projects and a library, and the commits of its `main`.
pub(super) struct Remote {
    pub(super) repo: Repo,
    pub(super) first: String,
    pub(super) second: String,
    pub(super) third: String,
}

impl Remote {
    pub(super) fn new() -> Self {
        let repo = Repo::new();
        for project in ["a", "b", "c"] {
            super::project(&repo, &format!("projects/{project}"), project);
        }
        repo.write("lib/http.py", "");
        repo.write("lib/rss.py", "from . import http\n");
        let flow = repo.read("projects/a/flow.py");
        repo.write("projects/a/flow.py", format!("import lib.rss\n{flow}"));
        let first = repo.commit("Add three projects");
        repo.write("projects/b/x.sql", "");
        let second = repo.commit("Change b");
        repo.write("lib/http.py", "TIMEOUT = 5\n");
        let third = repo.commit("Change the library");
        git(
            repo.path(),
            &["config", "uploadpack.allowAnySHA1InWant", "true"],
        );
        Self {
            repo,
            first,
            second,
            third,
        }
    }

    /// `main` goes back to the first commit and on to another one, which it gives.
    pub(super) fn turn_back(&self) -> String {
        git(self.repo.path(), &["reset", "-q", "--hard", &self.first]);
        self.repo.write("projects/c/y.sql", "");
        self.repo.commit("Change c instead")
    }

    /// A clone of one commit only, as `actions/checkout` makes it.
    pub(super) fn clone(&self, commit: &str) -> Clone {
        let folder = tempfile::tempdir().expect("a folder");
        let clone = Clone { folder };
        clone.init(self, commit);
        clone
    }
}

pub(super) struct Clone {
    folder: TempDir,
}

impl Clone {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it, as `actions/checkout` does.
    fn init(&self, remote: &Remote, commit: &str) {
        let address = format!("file://{}", remote.repo.path().display());
        git(self.path(), &["init", "-q"]);
        git(self.path(), &["remote", "add", "origin", &address]);
        let fetch = ["fetch", "-q", "--no-tags", "--depth=1", "origin", commit];
        git(self.path(), &fetch);
        git(self.path(), &["checkout", "-q", "-f", "--detach", commit]);
    }

    /// Makes it again, of another commit and with nothing of this one; what is deployed stays.
    pub(super) fn anew(&self, remote: &Remote, commit: &str) {
        git(self.path(), &["rm", "-rq", "."]);
        std::fs::remove_dir_all(self.path().join(".git")).expect("a clone");
        self.init(remote, commit);
    }

    /// A call without an event, with `--local`.
    pub(super) fn call(&self, line: &str) -> Run {
        Flowyard::new(self.path(), format!("{line} --local").split(' ')).run()
    }

    fn payload(&self, payload: &Value) -> PathBuf {
        // Beside what git sees.
        let path = self.path().join(".git/event.json");
        std::fs::write(&path, payload.to_string()).expect("a temporary folder can be written");
        path
    }

    /// A plan in a run that this event started, for the commit `sha`.
    fn plan(&self, event: &str, payload: &Value, sha: &str) -> Run {
        self.on(event, payload, sha, "plan --since auto --format json")
    }

    /// Any other call in such a run, with `--local`.
    pub(super) fn on(&self, event: &str, payload: &Value, sha: &str, line: &str) -> Run {
        let line = format!("{line} --local");
        Flowyard::new(self.path(), line.split(' '))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_EVENT_NAME", event)
            .env("GITHUB_EVENT_PATH", self.payload(payload))
            .env("GITHUB_SHA", sha)
            .run()
    }

    fn commits(&self) -> usize {
        let objects = [
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objecttype)",
        ];
        let all = git(self.path(), &objects);
        all.lines().filter(|line| *line == "commit").count()
    }
}

/// What a plan compares with, and the chains of its projects.
pub(super) fn told(run: &Run) -> (Value, Vec<String>) {
    let plan: Value = serde_json::from_str(&run.stdout).expect("one document");
    let projects = plan["projects"].as_array().expect("a list").iter();
    let chains = projects.map(|project| {
        let links = project["reach"].as_array().map_or(&[][..], Vec::as_slice);
        let links = links
            .iter()
            .map(|link| link["path"].as_str().expect("a path"));
        let path = project["path"].as_str().expect("a path");
        [path]
            .into_iter()
            .chain(links)
            .collect::<Vec<_>>()
            .join(" ← ")
    });
    (plan["since"].clone(), chains.collect())
}

pub(super) const ALL: [&str; 3] = ["projects/a", "projects/b", "projects/c"];
pub(super) const LIBRARY: &str = "projects/a ← lib/rss.py ← lib/http.py";
pub(super) const B: &str = "projects/b ← projects/b/x.sql";

pub(super) fn push(before: &str) -> Value {
    json!({"ref": "refs/heads/main", "before": before, "forced": false})
}

/// The projects that a call without a server names, which goes by the event.
fn listed(run: &Run) -> Vec<String> {
    let list: Value = serde_json::from_str(&run.stdout).expect("one document");
    let projects = list["projects"].as_array().expect("a list").iter();
    let path = |project: &Value| project["path"].as_str().expect("a path").to_owned();
    projects.map(path).collect()
}

const LIST: &str = "list --since auto --format json";

#[test]
fn a_push_fetches_the_one_commit_that_is_missing() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.second);
    clone.call("deploy").expect_code(0);
    clone.anew(&remote, &remote.third);
    assert_eq!(clone.commits(), 1);
    // What the event says is not what is deployed.
    let plan = || clone.plan("push", &push(&remote.first), &remote.third);
    let (since, chains) = told(&plan().expect_code(0));
    let why = "deployed to default";
    assert_eq!(since, json!({"revision": remote.second, "why": why}));
    assert_eq!(chains, [LIBRARY]);
    assert_eq!(clone.commits(), 2);

    // Two commits back the one between them is not needed.
    let clone = remote.clone(&remote.first);
    clone.call("deploy").expect_code(0);
    clone.anew(&remote, &remote.third);
    let plan = || clone.plan("push", &push(&remote.second), &remote.third);
    assert_eq!(told(&plan().expect_code(0)).1, [LIBRARY, B]);
    assert_eq!(clone.commits(), 2);
    // Without a server it is what the branch was that counts.
    let list = |before| clone.on("push", &push(before), &remote.third, LIST);
    assert_eq!(listed(&list(&remote.second).expect_code(0)), ["projects/a"]);
    assert_eq!(clone.commits(), 3);
    assert_eq!(listed(&list(&remote.first).expect_code(0)), ALL[..2]);
    // It is no partial clone now, and another attempt needs no remote.
    assert!(!git(clone.path(), &["config", "--list"]).contains("promisor"));
    git(clone.path(), &["remote", "remove", "origin"]);
    assert_eq!(told(&plan().expect_code(0)).1, [LIBRARY, B]);
    assert_eq!(listed(&list(&remote.second).expect_code(0)), ["projects/a"]);
}

#[test]
fn another_attempt_compares_with_what_the_first_did() {
    let remote = Remote::new();
    let (before, sha) = (remote.second.clone(), remote.third.clone());
    // Meanwhile somebody has pushed again, and that was deployed.
    let clone = remote.clone(&sha);
    remote.turn_back();
    let attempt = |number: &str, line: &str| {
        let line = format!("{line} --since auto --format json --local");
        Flowyard::new(clone.path(), line.split(' '))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_EVENT_NAME", "push")
            .env("GITHUB_EVENT_PATH", clone.payload(&push(&before)))
            .env("GITHUB_SHA", &sha)
            .env("GITHUB_RUN_ID", "77")
            .env("GITHUB_RUN_ATTEMPT", number)
            .run()
            .expect_code(0)
    };
    for number in ["1", "2"] {
        assert_eq!(listed(&attempt(number, "list")), ["projects/a"], "{number}");
    }
    // A deploy goes by what is deployed, whichever attempt it is: one that failed leaves no commit behind.
    attempt("1", "deploy");
    let (since, chains) = told(&attempt("2", "plan"));
    assert_eq!(since["revision"], sha);
    assert_eq!(chains, [""; 0]);
}

#[test]
fn a_forced_push_compares_with_what_was_pushed_away() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.third);
    clone.call("deploy").expect_code(0);
    let head = remote.turn_back();
    git(
        remote.repo.path(),
        &["reflog", "expire", "--expire=now", "--all"],
    );
    clone.anew(&remote, &head);
    // Two pushes, of which the first was never deployed: what the branch was is not what is to be undone.
    let mut payload = push(&remote.second);
    payload["forced"] = true.into();
    let (since, chains) = told(&clone.plan("push", &payload, &head).expect_code(0));
    let why = "deployed to default";
    assert_eq!(since, json!({"revision": remote.third, "why": why}));
    // What the push took away counts as what it brought.
    let c = "projects/c ← projects/c/y.sql";
    assert_eq!(chains, [LIBRARY, B, c]);
    let list = clone.on("push", &payload, &head, LIST).expect_code(0);
    assert_eq!(listed(&list), ALL[1..]);
}

#[test]
fn what_the_remote_does_not_have_makes_everything_count() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.third);
    let gone = "00112233445566778899aabbccddeeff00112233";
    let group = json!({"merge_group": {"base_sha": gone, "head_sha": remote.third}});
    let run = clone
        .plan("merge_group", &group, &remote.third)
        .expect_code(0);
    let (since, chains) = told(&run);
    assert_eq!(since["revision"], Value::Null);
    let why = since["why"].as_str().expect("a text");
    assert!(
        why.contains(" cannot be had: `git fetch origin 0011"),
        "{why}"
    );
    assert_eq!(chains, ALL);
    let warned = format!("WARN everything counts as changed: {why}");
    assert!(run.stderr.contains(&warned), "{}", run.stderr);
    let run = clone.on("push", &push(gone), &remote.third, LIST);
    let run = run.expect_code(0);
    assert_eq!(listed(&run), ALL);
    let warned = "WARN everything counts as changed: main before this push cannot be had: `git";
    assert!(run.stderr.contains(warned), "{}", run.stderr);
}

#[test]
fn a_pull_request_compares_with_the_first_parent_of_its_merge() {
    let remote = Remote::new();
    let path = remote.repo.path();
    git(path, &["config", "user.name", "x"]);
    git(path, &["config", "user.email", "x@example.org"]);
    git(path, &["checkout", "-q", "-b", "feature", &remote.first]);
    remote.repo.write("projects/c/y.sql", "");
    let head = remote.repo.commit("Change c");
    git(path, &["checkout", "-q", "--detach", &remote.third]);
    git(path, &["merge", "-q", "--no-ff", "-m", "Merge", &head]);
    let merge = git(path, &["rev-parse", "HEAD"]);
    // The event names a base that is older than the merge, as it often is.
    let payload = json!({"action": "synchronize", "pull_request": {
        "number": 7, "head": {"sha": head}, "base": {"sha": remote.second, "ref": "main"},
    }});
    let clone = remote.clone(&merge);
    let (since, chains) = told(&clone.plan("pull_request", &payload, &merge).expect_code(0));
    let why = "the base of pull request 7";
    assert_eq!(since, json!({"revision": remote.third, "why": why}));
    assert_eq!(chains, ["projects/c ← projects/c/y.sql"]);
    // With its head checked out instead.
    let clone = remote.clone(&head);
    let (since, chains) = told(&clone.plan("pull_request", &payload, &merge).expect_code(0));
    assert_eq!(since["revision"], remote.second);
    assert_eq!(chains, [B, "projects/c ← projects/c/y.sql"]);
}

#[test]
fn a_merge_group_and_runs_that_are_about_no_change() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.third);
    let group = json!({"merge_group": {"base_sha": remote.second, "head_sha": remote.third}});
    let (since, chains) = told(
        &clone
            .plan("merge_group", &group, &remote.third)
            .expect_code(0),
    );
    assert_eq!(since["revision"], remote.second);
    assert_eq!(chains, [LIBRARY]);
    for (event, payload) in [
        ("schedule", json!({"schedule": "0 4 * * *"})),
        ("workflow_dispatch", json!({"inputs": {}})),
        ("push", push("0000000000000000000000000000000000000000")),
    ] {
        let run = clone.plan(event, &payload, &remote.third).expect_code(0);
        let (since, chains) = told(&run);
        assert_eq!(since["revision"], Value::Null, "{event}");
        assert_eq!(chains, ALL, "{event}");
        assert_eq!(run.stderr, "", "{event}");
    }
}

#[test]
fn a_commit_that_is_named_is_fetched_too() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.third);
    let run = |revision: &str| {
        let line = ["plan", "--local", "--format", "json", "--since", revision];
        Flowyard::new(clone.path(), line).run()
    };
    let (since, chains) = told(&run(&remote.second).expect_code(0));
    assert_eq!(since, json!({"revision": remote.second, "why": null}));
    assert_eq!(chains, [LIBRARY]);
    let refused = run("00112233445566778899aabbccddeeff00112233").expect_code(2);
    assert!(
        refused.stderr.contains("fetch it first"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_saved_plan_holds_the_revision() {
    let remote = Remote::new();
    let clone = remote.clone(&remote.third);
    let group = json!({"merge_group": {
        "base_sha": remote.second, "head_sha": remote.third,
    }});
    let line = "plan --since auto --out .git/plan.json";
    clone
        .on("merge_group", &group, &remote.third, line)
        .expect_code(0);
    // Another job has neither the event nor the commit.
    let other = remote.clone(&remote.third);
    std::fs::copy(
        clone.path().join(".git/plan.json"),
        other.path().join(".git/plan.json"),
    )
    .expect("a file");
    let line = "deploy --local --plan .git/plan.json";
    let run = Flowyard::new(other.path(), line.split(' '))
        .run()
        .expect_code(0);
    assert!(
        run.stdout.contains("hello/a") && !run.stdout.contains("hello/b"),
        "{}",
        run.stdout
    );
}

#[test]
fn auto_needs_an_event() {
    let repo = small();
    let run = local(&repo, "check --since auto").expect_code(2);
    insta::assert_snapshot!(run.stderr, @"error: `--since auto` goes by the event of a GitHub Actions run, and GITHUB_ACTIONS or GITHUB_EVENT_NAME is not set; name a revision, such as `--since origin/main`");
    // What is deployed needs none.
    let run = local(&repo, "plan --since auto --format json").expect_code(0);
    let why = "no commit is known to be all that is deployed to default";
    assert_eq!(
        told(&run),
        (json!({"revision": null, "why": why}), vec!["p".to_owned()])
    );
}

#[test]
fn content_decides() {
    let repo = small();
    super::project(&repo, "q", "other");
    repo.write("q/.prefectignore", "");
    repo.write("q/x.csv", "1\n");
    repo.commit("Add q");
    let chains = || {
        let run = local(&repo, "plan --since HEAD --format json").expect_code(0);
        told(&run).1
    };
    // Written again, and taken out of git and left as it was.
    repo.write("q/x.csv", "2\n");
    repo.write("q/x.csv", "1\n");
    git(repo.path(), &["rm", "-q", "--cached", "q/x.csv"]);
    assert_eq!(chains(), [""; 0]);
    git(repo.path(), &["add", "q/x.csv"]);
    // A file that an ignore file of a folder above takes out of the release.
    repo.write(".prefectignore", "x.csv\n");
    assert_eq!(chains(), ["q ← q/x.csv"]);
    repo.commit("Ignore it");
    // What is in no release reaches nobody, except for the configuration.
    repo.write("q/x.csv", "3\n");
    assert_eq!(chains(), [""; 0]);
    repo.write("q/x.csv", "1\n");
    repo.remove(".prefectignore");
    assert_eq!(chains(), ["q ← q/x.csv"]);
}

#[test]
fn the_chains_of_a_plan_for_people() {
    let remote = Remote::new();
    let run = local(&remote.repo, "plan --since HEAD~2").expect_code(0);
    let (chains, _) = run.stdout.split_once("\n\n").expect("a paragraph");
    insta::assert_snapshot!(chains, @"
    reached by the changes since HEAD~2
      projects/a ← lib/rss.py ← lib/http.py
      projects/b ← projects/b/x.sql
    ");
    let run = local(&remote.repo, "plan --since HEAD --format markdown").expect_code(0);
    assert!(
        run.stdout
            .contains("`No project is reached by the changes since HEAD`"),
        "{}",
        run.stdout
    );
}

//! `plan --against REF`: two revisions compared without a server, a network, credentials or even an environment.

use std::fs;
use std::path::Path;

use super::{flowyard, small};
use crate::support::{Flowyard, Repo, Run, git};

/// A plan against `main` with no environment variable at all.
fn against(folder: &Path, arguments: &[&str]) -> Run {
    Flowyard::new(folder, [&["plan", "--against"], arguments].concat())
        .without_environment()
        .run()
}

/// The examples with a changed schedule on a branch `feature`, of which `main` knows nothing.
fn branched() -> Repo {
    let repo = Repo::with_examples();
    git(repo.path(), &["checkout", "-q", "-b", "feature"]);
    repo.replace(
        "projects/news/load_dn/my-hourly.deployment.yaml",
        "5 9-16 * * 1-5",
        "35 9-16 * * 1-5",
    );
    repo.commit("Load later");
    repo
}

/// What [`branched`] changes.
const CHANGE: &str = r#"projects/news/load_dn
  ~ update Load DN/my-hourly
      schedules.schedule.cron: "5 9-16 * * 1-5" -> "35 9-16 * * 1-5"
    1 unchanged

Plan: 0 to create, 1 to update, 15 unchanged, 0 to remove.
"#;

#[test]
fn a_branch_against_main() {
    let repo = branched();
    let run = against(repo.path(), &["main"]).expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (CHANGE, ""));
    against(repo.path(), &["main", "--check"]).expect_code(5);
    against(repo.path(), &["HEAD", "--check"]).expect_code(0);
    let narrowed = against(repo.path(), &["main", "--project", "projects/warehouse"]);
    assert!(narrowed.expect_code(0).stdout.starts_with("No changes."));
    let since = against(repo.path(), &["main", "--since", "main"]).expect_code(0);
    assert!(
        since.stdout.contains("1 to update, 1 unchanged"),
        "{}",
        since.stdout
    );
    assert!(!repo.path().join(".flowyard").exists());
}

#[test]
fn what_is_new_and_what_is_gone() {
    let repo = small();
    repo.remove("p/hello.deployment.yaml");
    super::project(&repo, "q", "other");
    repo.replace("q/flow.py", "n: int = 1", "n: int = 2");
    let run = against(repo.path(), &["main"]).expect_code(0);
    insta::assert_snapshot!(run.snapshot(), @r#"
    exit: 0
    ----- stdout -----
    q
      code: b0264e256ac2 (upload 1 file, 69 B)
      + create hello/other
          entrypoint: "flow.py:hello"

    declared nowhere any more
      - remove hello/hello (was in p)

    Plan: 1 to create, 0 to update, 0 unchanged, 1 to remove; 1 release to upload (1 file, 69 B).
    ----- stderr -----
    "#);
}

#[test]
fn no_network_is_touched() {
    let repo = branched();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("log");
    let log_path = log.to_str().expect("it is UTF-8");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=connect,socket,sendto",
        "-o",
        log_path,
    ];

    // It must see what it is to rule out: with a server there is a socket.
    let refused = format!(
        "http://127.0.0.1:{}/api",
        crate::services::process::free_port()
    );
    Flowyard::through(&strace, repo.path(), ["plan"])
        .env("PREFECT_API_URL", refused)
        .env("FLOWYARD_STORAGE_URL", "file:///nowhere")
        .run()
        .expect_code(4);
    let traced = fs::read_to_string(&log).expect("strace has written it");
    assert!(traced.contains("AF_INET"), "{traced}");

    let run = Flowyard::through(&strace, repo.path(), ["plan", "--against", "main"])
        .run()
        .expect_code(0);
    assert_eq!(run.stdout, CHANGE);
    let traced = fs::read_to_string(&log).expect("strace has written it");
    assert_eq!(traced, "");
}

#[test]
fn in_a_bare_clone() {
    let repo = branched();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let origin = repo.path().to_str().expect("it is UTF-8");
    git(
        folder.path(),
        &["clone", "-q", "--bare", origin, "bare.git"],
    );
    let bare = folder.path().join("bare.git");
    let run = against(&bare, &["main"]).expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (CHANGE, ""));
}

#[test]
fn in_a_shallow_clone() {
    let repo = branched();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let origin = format!("file://{}", repo.path().display());
    git(
        folder.path(),
        &["clone", "-q", "--depth", "1", &origin, "clone"],
    );
    let clone = folder.path().join("clone");
    let run = against(&clone, &["main"]).expect_code(2);
    insta::assert_snapshot!(run.stderr, @"error: unknown revision `main`: this clone is shallow; fetch it first: git fetch --depth=1 origin main:refs/remotes/origin/main");
    // What the message says helps.
    let (_, hint) = run.stderr.trim().rsplit_once(": git ").expect("a command");
    git(&clone, &hint.split(' ').collect::<Vec<_>>());
    let run = against(&clone, &["origin/main"]).expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (CHANGE, ""));
    let run = against(&clone, &["main"]).expect_code(2);
    insta::assert_snapshot!(run.stderr, @"error: unknown revision `main`; there is `origin/main`");
}

#[test]
fn faults_of_main_are_not_this_changes() {
    let repo = small();
    repo.write("p/hello.deployment.yaml", "entrypoint: [\n");
    super::project(&repo, "q", "other");
    repo.commit("Break it");
    repo.write("p/hello.deployment.yaml", "entrypoint: flow.py:hello\n");
    let run = against(repo.path(), &["main"]).expect_code(0);
    insta::assert_snapshot!(run.snapshot(), @r#"
    exit: 0
    ----- stdout -----
    p
      code: 75ec732ef3f0 (already in the store)
      + create hello/hello
          entrypoint: "flow.py:hello"

    Plan: 1 to create, 0 to update, 1 unchanged, 0 to remove.
    ----- stderr -----
    "#);
    // But those of the work tree are.
    repo.write("q/other.deployment.yaml", "entrypoint: [\n");
    against(repo.path(), &["main"]).expect_code(3);
}

#[test]
fn a_change_may_repair_the_configuration() {
    let repo = small();
    repo.write("flowyard.toml", "[prefect]\nwork-pol = \"aks\"\n");
    repo.commit("Break it");
    against(repo.path(), &["main"]).expect_code(2);
    repo.write("flowyard.toml", "[prefect]\nwork-pool = \"aks\"\n");
    let run = against(repo.path(), &["main"]).expect_code(0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    No changes. 1 deployment in 1 project is as the files declare.
    ----- stderr -----
     WARN the configuration at `main` cannot be read, so that this one counts for both sides: flowyard.toml:2:1: unknown key `work-pol`; did you mean `work-pool`?
    ");
    repo.replace("p/flow.py", "int = 1", "int = 2");
    let run = against(repo.path(), &["main", "--check"]).expect_code(5);
    assert!(run.stdout.contains("code: "), "{}", run.snapshot());
}

#[test]
fn templates_of_variables_need_no_variable() {
    let repo = small();
    let file = "p/hello.deployment.yaml";
    let text = "entrypoint: flow.py:hello\njob_variables: {env: {TOKEN: \"{{ $TOKEN }}\"}}\n";
    repo.write(file, text);
    repo.commit("Name a secret");
    repo.write(file, text.replace("$TOKEN", "$OTHER_TOKEN"));
    let run = against(repo.path(), &["main"]).expect_code(0);
    insta::assert_snapshot!(run.snapshot(), @r#"
    exit: 0
    ----- stdout -----
    p
      ~ update hello/hello
          job_variables.env.TOKEN: (hidden) -> "{{ $OTHER_TOKEN }}"

    Plan: 0 to create, 1 to update, 0 unchanged, 0 to remove.
    ----- stderr -----
    "#);
    // One that is set is not looked at either.
    let line = "plan --against main --format json";
    let run = flowyard(&repo, line).env("OTHER_TOKEN", "hush-hush").run();
    assert!(!run.expect_code(0).said().contains("hush-hush"));
}

#[test]
fn both_sides_have_the_same_git() {
    let repo = small();
    let file = "p/hello.deployment.yaml";
    repo.write(
        file,
        "entrypoint: flow.py:hello\nversion: \"{{ flowyard.git.sha }}\"\ntags: [\"{{ flowyard.git.branch }}\"]\n",
    );
    repo.commit("Tag it");
    against(repo.path(), &["HEAD", "--check"]).expect_code(0);
    git(repo.path(), &["checkout", "-q", "-b", "feature"]);
    repo.write("README.md", "Nothing that is deployed.\n");
    repo.commit("Say something");
    against(repo.path(), &["main", "--check"]).expect_code(0);
    // Nor does it matter whether anybody knows the branch.
    git(repo.path(), &["checkout", "-q", "--detach"]);
    against(repo.path(), &["main", "--check"]).expect_code(0);
    // A template in the place of a text is what a change declares.
    repo.write(
        file,
        "entrypoint: flow.py:hello\nversion: \"{{ flowyard.git.sha }}\"\ntags: [main]\n",
    );
    let run = against(repo.path(), &["main", "--check"]).expect_code(5);
    assert!(
        run.stdout
            .contains(r#"tags: ["{{ flowyard.git.branch }}"] -> ["main"]"#),
        "{}",
        run.stdout
    );
}

#[test]
fn an_unknown_revision_is_refused() {
    let repo = small();
    for revision in [
        "nope",
        "HEAD~7",
        "0123456789012345678901234567890123456789",
        "main:p/flow.py",
    ] {
        against(repo.path(), &[revision]).expect_code(2);
    }
    insta::assert_snapshot!(against(repo.path(), &["nope"]).stderr, @"error: unknown revision `nope`");
    insta::assert_snapshot!(against(repo.path(), &["main:p/flow.py"]).stderr, @"error: revision `main:p/flow.py` is no commit");
}

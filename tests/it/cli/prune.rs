//! What is registered and declared nowhere any more: shown, and removed only when that is asked for and safe.

use super::{changes, expect_untouched, local, project, small};
use crate::support::Repo;

/// Two projects with a deployment each, deployed; then the first one's file is renamed, which makes it another one.
fn renamed() -> Repo {
    let repo = small();
    project(&repo, "q", "other");
    repo.commit("Add another");
    local(&repo, "deploy").expect_code(0);
    repo.remove("p/hello.deployment.yaml");
    project(&repo, "p", "renamed");
    repo
}

#[test]
fn it_is_shown_and_kept_without_being_asked() {
    let repo = renamed();
    let plan = expect_untouched(&repo, "plan", 0);
    insta::assert_snapshot!(plan.snapshot(), @r#"
    exit: 0
    ----- stdout -----
    p
      code: 75ec732ef3f0 (already in the store)
      + create hello/renamed
          entrypoint: "flow.py:hello"

    registered, but declared nowhere (deploy --prune removes them)
        hello/hello (was in p)

    Plan: 1 to create, 0 to update, 1 unchanged, 0 to remove.
    ----- stderr -----
    "#);
    let (lines, run) = changes(&repo, "deploy", 0);
    assert_eq!(lines, ["+ registrations/default/hello/renamed.json"]);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    p
      created   hello/renamed

    Deployed: 1 created, 0 updated, 1 unchanged, 0 removed.
    ----- stderr -----
    ");
    // It is still there to be seen, and no reason to do anything.
    let plan = expect_untouched(&repo, "plan --check", 0);
    assert!(
        plan.stdout.contains("hello/hello (was in p)"),
        "{}",
        plan.stdout
    );
}

#[test]
fn it_is_removed_when_asked() {
    let repo = renamed();
    let plan = expect_untouched(&repo, "plan --prune --check", 5);
    insta::assert_snapshot!(plan.snapshot(), @r#"
    exit: 5
    ----- stdout -----
    p
      code: 75ec732ef3f0 (already in the store)
      + create hello/renamed
          entrypoint: "flow.py:hello"

    declared nowhere any more
      - remove hello/hello (was in p)

    Plan: 1 to create, 0 to update, 1 unchanged, 1 to remove.
    ----- stderr -----
    "#);
    let (lines, run) = changes(&repo, "deploy --prune", 0);
    assert_eq!(
        lines,
        [
            "- registrations/default/hello/hello.json",
            "+ registrations/default/hello/renamed.json",
        ]
    );
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    p
      created   hello/renamed
      removed   hello/hello

    Deployed: 1 created, 0 updated, 1 unchanged, 1 removed.
    ----- stderr -----
    ");
    expect_untouched(&repo, "deploy --prune", 0);
}

#[test]
fn the_last_deployment_file_can_go_too() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    repo.remove("p/hello.deployment.yaml");
    let (lines, run) = changes(&repo, "deploy --prune", 0);
    assert_eq!(lines, ["- registrations/default/hello/hello.json"]);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    p
      removed   hello/hello

    Deployed: 0 created, 0 updated, 0 unchanged, 1 removed.
    ----- stderr -----
    ");
}

#[test]
fn it_is_kept_where_not_everything_was_looked_at() {
    let repo = renamed();
    local(&repo, "deploy").expect_code(0);
    for line in ["--project p", "--project **", "--since HEAD"] {
        let run = expect_untouched(&repo, &format!("deploy --prune {line}"), 0);
        assert!(!run.stdout.contains("hello/hello"), "{}", run.snapshot());
        let plan = expect_untouched(&repo, &format!("plan --prune {line} --check"), 0);
        let told = "(deploy --prune removes them)\n    hello/hello (was in p)";
        assert!(plan.stdout.contains(told), "{}", plan.snapshot());
    }
    let run = expect_untouched(&repo, "deploy --prune --project p", 0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    Nothing to do. 1 deployment in 1 project is as the files declare.
    ----- stderr -----
     WARN --prune removes nothing together with --project or --since
    ");
}

/// Three projects, deployed and committed.
fn three() -> Repo {
    let repo = small();
    for name in ["q", "r"] {
        project(&repo, name, name);
    }
    repo.write(".gitignore", ".flowyard\n");
    repo.commit("Add two more");
    local(&repo, "deploy").expect_code(0);
    repo
}

#[test]
fn a_plan_that_is_narrowed_to_what_changed_shows_what_that_takes_away() {
    let repo = three();
    repo.remove("q/q.deployment.yaml");
    repo.commit("Take one away");
    // What went before is not what is asked for.
    repo.remove("r/r.deployment.yaml");
    repo.remove("r/flow.py");
    let plan = expect_untouched(&repo, "plan --since HEAD", 0);
    insta::assert_snapshot!(plan.snapshot(), @"
    exit: 0
    ----- stdout -----
    no project that is left is reached by the changes since HEAD

    registered, but declared nowhere (deploy --prune removes them)
        hello/r (was in r)

    No changes. No deployment is in scope.
    ----- stderr -----
    ");
    let plan = expect_untouched(&repo, "plan --since HEAD~1", 0);
    let both = "\n    hello/q (was in q)\n    hello/r (was in r)\n";
    assert!(plan.stdout.contains(both), "{}", plan.snapshot());
    let plan = expect_untouched(&repo, "plan --since HEAD~1 --project p --project q", 2);
    assert!(
        plan.stderr.contains("no project matches q"),
        "{}",
        plan.stderr
    );
    let plan = expect_untouched(&repo, "plan --since HEAD~1 --project p", 0);
    assert!(!plan.stdout.contains("hello/"), "{}", plan.snapshot());
    // The same without a server, where it is a difference as any other.
    let against = local(&repo, "plan --against HEAD~1 --since HEAD~1 --check").expect_code(5);
    insta::assert_snapshot!(against.snapshot(), @"
    exit: 5
    ----- stdout -----
    no project that is left is reached by the changes since HEAD~1

    declared nowhere any more
      - remove hello/q (was in q)
      - remove hello/r (was in r)

    Plan: 0 to create, 0 to update, 0 unchanged, 2 to remove.
    ----- stderr -----
    ");
    let against = local(&repo, "plan --against HEAD~1 --since HEAD --check").expect_code(5);
    assert!(
        !against.stdout.contains("hello/q"),
        "{}",
        against.snapshot()
    );
    // A deploy of what changed removes nothing, and one of everything just what was shown.
    let (lines, run) = changes(&repo, "deploy --prune --since HEAD~1", 0);
    assert_eq!(lines, [""; 0], "{}", run.snapshot());
    let (lines, _) = changes(&repo, "deploy --prune", 0);
    assert_eq!(
        lines,
        [
            "- registrations/default/hello/q.json",
            "- registrations/default/hello/r.json"
        ]
    );
}

#[test]
fn what_moves_to_another_project_or_out_of_the_configuration() {
    let repo = three();
    repo.remove("q/q.deployment.yaml");
    project(&repo, "p", "q");
    let plan = expect_untouched(&repo, "plan --since HEAD", 0);
    assert!(!plan.stdout.contains("(was in"), "{}", plan.snapshot());
    // Where it went is not looked at, and it is no less declared there.
    let plan = expect_untouched(&repo, "plan --since HEAD --project r", 0);
    assert!(!plan.stdout.contains("hello/"), "{}", plan.snapshot());
    repo.write("flowyard.toml", "[projects]\nexclude = ['r']\n");
    let plan = expect_untouched(&repo, "plan --since HEAD", 0);
    assert!(
        plan.stdout.contains("    hello/r (was in r)\n"),
        "{}",
        plan.snapshot()
    );
}

#[test]
fn it_is_kept_where_not_everything_can_be_read() {
    let repo = renamed();
    local(&repo, "deploy").expect_code(0);
    repo.write("q/other.deployment.yaml", "entrypoint: [\n");
    expect_untouched(&repo, "deploy --prune", 3);
    expect_untouched(&repo, "plan --prune", 3);
    expect_untouched(&repo, "deploy --keep-going", 3);

    project(&repo, "q", "other");
    let (lines, _) = changes(&repo, "deploy --prune", 0);
    assert_eq!(lines, ["- registrations/default/hello/hello.json"]);
}

#[test]
fn what_another_repository_registered_is_nobody_elses() {
    let repo = small();
    let deploy = |owner: &str, line: &str| {
        super::flowyard(&repo, line)
            .env("FLOWYARD_REPOSITORY", owner)
            .run()
    };
    deploy("acme/flows", "deploy --local").expect_code(0);
    let run = deploy("acme/other", "deploy --local").expect_code(3);
    insta::assert_snapshot!(run.snapshot(), @r#"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    p/hello.deployment.yaml:1:1: error: `hello/hello` is already deployed by repository `acme/flows`, environment `default`
      1 | entrypoint: flow.py:hello
        | ^
      hint: rename one of the two, or remove that one there first; where that is this repository by another name, set `repository = "acme/flows"` in flowyard.toml
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
    repo.remove("p/hello.deployment.yaml");
    let run = deploy("acme/other", "deploy --local --prune").expect_code(0);
    assert!(!run.stdout.contains("hello/hello"), "{}", run.snapshot());
    let run = deploy("acme/flows", "deploy --local --prune").expect_code(0);
    assert!(
        run.stdout.contains("removed   hello/hello"),
        "{}",
        run.snapshot()
    );
}

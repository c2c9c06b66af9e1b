//! Checkouts that lack files which git has: sparse ones, and submodules.

use super::{changes, expect_untouched, local, project, small};
use crate::support::{Repo, git};

/// Three projects, deployed and committed; two of them in a folder of their own.
fn three() -> Repo {
    let repo = small();
    repo.write(".gitignore", ".flowyard\n");
    for name in ["a", "b"] {
        project(&repo, &format!("more/{name}"), name);
    }
    repo.commit("Add two more");
    local(&repo, "deploy").expect_code(0);
    repo
}

#[test]
fn a_sparse_checkout_removes_nothing() {
    for index in ["--no-sparse-index", "--sparse-index"] {
        let repo = three();
        let set = ["sparse-checkout", "set", index, "p", "more/a"];
        git(repo.path(), &set);
        assert!(!repo.path().join("more/b").exists());
        let run = expect_untouched(&repo, "deploy --prune", 0);
        assert!(
            run.stderr
                .contains("WARN --prune removes nothing in a sparse checkout"),
            "{}",
            run.snapshot()
        );
        let plan = expect_untouched(&repo, "plan --prune --check", 0);
        if index == "--no-sparse-index" {
            insta::assert_snapshot!(plan.snapshot(), @"
            exit: 0
            ----- stdout -----
            No changes. 2 deployments in 2 projects are as the files declare.
            ----- stderr -----
             WARN --prune removes nothing in a sparse checkout
            more/b: warning: a deployment is registered for it and left alone: not all that git has of it is checked out
              hint: the checkout is sparse; `git sparse-checkout disable` brings everything
            1 warning in 1 file
            ");
        }
        // Not even what is gone for sure, as it may have moved to where nobody looks; but that is shown.
        repo.remove("p/hello.deployment.yaml");
        let plan = expect_untouched(&repo, "plan --prune --check", 0);
        if index == "--no-sparse-index" {
            let told = "(deploy --prune removes them)\n    hello/hello (was in p)";
            assert!(plan.stdout.contains(told), "{}", plan.snapshot());
        }
        git(repo.path(), &["sparse-checkout", "disable"]);
        let (lines, _) = changes(&repo, "deploy --prune", 0);
        assert_eq!(
            lines,
            ["- registrations/default/hello/hello.json"],
            "{index}"
        );
    }
}

#[test]
fn what_is_missing_in_a_project_is_told() {
    let repo = small();
    repo.write("p/sql/x.sql", "");
    repo.commit("Add a query");
    let set = ["sparse-checkout", "set", "--no-cone", "/*", "!/p/sql"];
    git(repo.path(), &set);
    let plan = local(&repo, "check").expect_code(0);
    insta::assert_snapshot!(plan.snapshot(), @"
    exit: 0
    ----- stdout -----
    p/sql: warning: git has files in it that are not checked out: the release is without them
      hint: the checkout is sparse; `git sparse-checkout disable` brings everything
    1 warning in 1 file
    ----- stderr -----
    ");
}

/// A repository with the project `p`, and with one in a submodule at `theirs`, which is checked out; and that other one.
fn with_submodule() -> (Repo, Repo) {
    let (repo, inner) = (small(), Repo::new());
    repo.write(".gitignore", ".flowyard\n");
    project(&inner, "q", "theirs");
    inner.commit("Add a flow");
    let address = inner.path().to_str().expect("UTF-8");
    let allow = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "--quiet", "add", address, "theirs"];
    git(repo.path(), &[&allow[..], &add].concat());
    git(repo.path(), &["add", "--all"]);
    git(repo.path(), &["commit", "-q", "-m", "Add a submodule"]);
    (repo, inner)
}

/// Makes the checkout as it is without `git submodule update`.
fn leave_out_submodule(repo: &Repo) {
    let call = ["submodule", "--quiet", "deinit", "-f", "theirs"];
    git(repo.path(), &call);
}

#[test]
fn a_submodule_that_is_not_checked_out_keeps_what_it_declares() {
    let (repo, _inner) = with_submodule();
    local(&repo, "deploy").expect_code(0);
    leave_out_submodule(&repo);
    // It may have moved there.
    repo.remove("p/hello.deployment.yaml");
    let run = expect_untouched(&repo, "deploy --prune", 0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    Nothing to do. No deployment is in scope.
    ----- stderr -----
     WARN --prune removes nothing as long as the submodule theirs is not checked out; if it holds no projects of this repository, leave it out by `exclude` under `[projects]` in flowyard.toml
    theirs/q: warning: a deployment is registered for it and left alone: not all that git has of it is checked out
      hint: `git submodule update --init` brings a submodule, as `submodules: true` of actions/checkout does
    1 warning in 1 file
    ");
    // The configuration may say that nothing there is of interest.
    for scope in ["include = ['p/**']", "exclude = ['theirs']"] {
        repo.write("flowyard.toml", format!("[projects]\n{scope}\n"));
        let run = expect_untouched(&repo, "plan --prune", 0);
        assert!(
            run.stdout.contains("- remove hello/hello")
                && run.stdout.contains("- remove hello/theirs"),
            "{}",
            run.snapshot()
        );
    }
    repo.remove("flowyard.toml");
    git(repo.path(), &["submodule", "--quiet", "update", "--init"]);
    let (lines, _) = changes(&repo, "deploy --prune", 0);
    assert_eq!(lines, ["- registrations/default/hello/hello.json"]);
}

#[test]
fn a_commit_is_not_all_deployed_without_its_submodules() {
    let (repo, _inner) = with_submodule();
    leave_out_submodule(&repo);
    let run = local(&repo, "deploy --since auto").expect_code(0);
    assert!(
        run.stderr.contains(
            "WARN no commit is written down as deployed: theirs is neither checked out nor left out by `exclude`; the next `--since auto` compares everything"
        ),
        "{}",
        run.snapshot()
    );
    git(repo.path(), &["submodule", "--quiet", "update", "--init"]);
    let (lines, _) = changes(&repo, "deploy --since auto", 0);
    assert!(
        lines.contains(&"+ registrations/default/hello/theirs.json".to_owned()),
        "{lines:?}"
    );
    // Now it is, as it is for those who want nothing of the submodule.
    let run = local(&repo, "deploy --since auto").expect_code(0);
    assert!(!run.stderr.contains("WARN"), "{}", run.snapshot());
    leave_out_submodule(&repo);
    repo.write("flowyard.toml", "[projects]\nexclude = ['theirs']\n");
    git(repo.path(), &["add", "flowyard.toml"]);
    git(repo.path(), &["commit", "-q", "-m", "Leave it out"]);
    let run = local(&repo, "deploy --since auto").expect_code(0);
    assert!(!run.stderr.contains("WARN"), "{}", run.snapshot());
}

#[test]
fn names_of_what_is_not_checked_out_are_let_through() {
    let (repo, _inner) = with_submodule();
    leave_out_submodule(&repo);
    repo.write("config/x", "");
    project(&repo, "old/q", "old");
    git(repo.path(), &["add", "config", "old"]);
    git(
        repo.path(),
        &["commit", "-q", "-m", "Add a file and a project"],
    );
    git(
        repo.path(),
        &[
            "sparse-checkout",
            "set",
            "--no-cone",
            "/*",
            "!/config",
            "!/old",
        ],
    );
    assert!(!repo.path().join("config").exists());
    repo.write(
        "flowyard.toml",
        "[projects]\ninclude = ['p', 'theirs/*']\nexclude = ['theirs/a', 'old/**']\nshared = ['theirs/lib']\n\
         depends-on = ['config/*', 'theirs/x.json']\n",
    );
    let run = local(&repo, "check").expect_code(0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    No faults in 1 deployment in 1 project.
    ----- stderr -----
    ");
    repo.write(
        "flowyard.toml",
        "[projects]\ninclude = ['p', 'their/*']\nshared = ['lib']\ndepends-on = ['ops/*']\n",
    );
    let run = local(&repo, "check").expect_code(3);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 3
    ----- stdout -----
    flowyard.toml:2:17: error: `their/*` matches no project
      2 | include = ['p', 'their/*']
        |                 ^
      hint: a project is a folder with a deployment file, and globs count from the repository's root
    flowyard.toml:3:11: error: there is no folder `lib`
      3 | shared = ['lib']
        |           ^
      hint: folders count from the repository's root, and ignored files do not count
    flowyard.toml:4:15: error: `ops/*` in `depends-on` matches no file
      4 | depends-on = ['ops/*']
        |               ^
      hint: patterns count from the repository's root, and ignored files do not count
    3 errors in 1 file
    ----- stderr -----
    error: 3 faults; nothing was written
    ");
}

#[test]
fn what_a_sparse_checkout_leaves_out_has_not_changed() {
    let repo = three();
    repo.write("flowyard.toml", "[projects]\ndepends-on = ['config/**']\n");
    repo.write("config/x", "");
    repo.write("config/y.big", "1");
    repo.commit("Let all projects depend on files");
    repo.replace("p/flow.py", "int = 1", "int = 2");
    repo.commit("Change a flow");
    let set = [
        "sparse-checkout",
        "set",
        "--no-cone",
        "/*",
        "!*.big",
        "!/more/b",
    ];
    git(repo.path(), &set);
    assert!(!repo.path().join("config/y.big").exists());
    for (since, expected) in [("HEAD", &[][..]), ("HEAD~1", &["p"])] {
        let run = local(&repo, &format!("list --since {since}")).expect_code(0);
        for project in ["p", "more/a"] {
            let listed = run.stdout.lines().any(|line| line.starts_with(project));
            assert_eq!(
                listed,
                expected.contains(&project),
                "{since}\n{}",
                run.snapshot()
            );
        }
    }
    let run = expect_untouched(&repo, "plan --since HEAD~1", 0);
    assert!(!run.stderr.contains("more/b"), "{}", run.snapshot());
    // What was changed is so, here or not.
    let run = local(&repo, "list --since HEAD~2").expect_code(0);
    assert!(run.stdout.contains("more/a"), "{}", run.snapshot());
}

#[test]
fn a_plan_against_a_revision_claims_nothing_of_what_is_registered() {
    let repo = three();
    git(repo.path(), &["sparse-checkout", "set", "p"]);
    let run = expect_untouched(&repo, "plan --against HEAD --check", 0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    No changes. 1 deployment in 1 project is as the files declare.
    ----- stderr -----
    ");
}

#[test]
fn much_that_is_not_checked_out_is_one_warning() {
    let repo = three();
    git(repo.path(), &["sparse-checkout", "set", "p"]);
    let run = expect_untouched(&repo, "plan", 0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    No changes. 1 deployment in 1 project is as the files declare.
    ----- stderr -----
    .: warning: 2 deployments of 2 projects are registered and left alone: not all that git has of them is checked out
      hint: the checkout is sparse; `git sparse-checkout disable` brings everything
    1 warning in 1 file
    ");
}

#[test]
fn a_submodule_is_compared_with_what_it_was() {
    let (repo, _inner) = with_submodule();
    expect_untouched(&repo, "plan --against HEAD --check", 0);
    repo.replace("theirs/q/flow.py", "int = 1", "int = 2");
    let plan = expect_untouched(&repo, "plan --against HEAD --check", 5);
    assert!(
        plan.stdout.contains("~ update hello/theirs"),
        "{}",
        plan.snapshot()
    );
    // A commit of then that nobody has.
    let gone = "00112233445566778899aabbccddeeff00112233";
    let cache = format!("160000,{gone},theirs");
    git(repo.path(), &["update-index", "--cacheinfo", &cache]);
    git(
        repo.path(),
        &["commit", "-q", "-m", "Name a commit that is not here"],
    );
    let plan = expect_untouched(&repo, "plan --against HEAD --check", 0);
    insta::assert_snapshot!(plan.snapshot(), @"
    exit: 0
    ----- stdout -----
    No changes. 1 deployment in 1 project is as the files declare.
    ----- stderr -----
     WARN theirs/q is left out: it is in the submodule theirs, whose commit of then is not here
    ");
}

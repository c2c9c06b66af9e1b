//! A plan that is saved, looked at, and then carried out just so, or refused.

use super::{changes, expect_untouched, kept, local, project, small};
use crate::support::{Repo, Run};

/// A repository whose plan is saved in `plan.json`: one deployment to create.
fn planned() -> Repo {
    let repo = small();
    local(&repo, "plan --out plan.json").expect_code(0);
    assert!(!kept(&repo).exists(), "planning writes nothing");
    repo
}

/// Panics unless the saved plan is refused and nothing is written.
#[track_caller]
fn refused(repo: &Repo) -> Run {
    expect_untouched(repo, "deploy --plan plan.json", 2)
}

#[test]
fn a_saved_plan_is_carried_out() {
    let repo = planned();
    let (lines, _) = changes(&repo, "deploy --plan plan.json", 0);
    assert!(
        lines.contains(&"+ registrations/default/hello/hello.json".to_owned()),
        "{lines:#?}"
    );
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn a_saved_plan_keeps_its_narrowing_and_its_pruning() {
    let repo = small();
    project(&repo, "q", "other");
    local(&repo, "plan --project p --out plan.json").expect_code(0);
    let (lines, _) = changes(&repo, "deploy --plan plan.json", 0);
    assert!(!lines.concat().contains("other"), "{lines:#?}");

    repo.remove("p/hello.deployment.yaml");
    local(&repo, "plan --prune --out plan.json").expect_code(0);
    let (lines, _) = changes(&repo, "deploy --plan plan.json", 0);
    assert!(
        lines.contains(&"- registrations/default/hello/hello.json".to_owned()),
        "{lines:#?}"
    );
    assert!(
        lines.contains(&"+ registrations/default/hello/other.json".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn a_plan_of_nothing_is_carried_out_too() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    local(&repo, "plan --out plan.json").expect_code(0);
    expect_untouched(&repo, "deploy --plan plan.json", 0);
}

#[test]
fn it_is_refused_when_the_files_have_changed() {
    let repo = planned();
    repo.replace("p/flow.py", "print(n)", "print(n + 1)");
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      the code of p is 5756680df2cd now, the plan has 75ec732ef3f0
      hello/hello is declared otherwise than in the plan
      hint: plan again, and look at what is different now
    ");
    repo.replace("p/flow.py", "print(n + 1)", "print(n)");
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [a]\n",
    );
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      hello/hello is declared otherwise than in the plan
      hint: plan again, and look at what is different now
    ");
    repo.write("p/hello.deployment.yaml", "entrypoint: flow.py:hello\n");
    project(&repo, "q", "other");
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      project q is not in the plan
      hello/other is not in the plan; it would be a `create` now
      hint: plan again, and look at what is different now
    ");
    std::fs::remove_dir_all(repo.path().join("q")).expect("it was just written");
    repo.remove("p/hello.deployment.yaml");
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      project p is gone
      hello/hello is neither declared nor registered any more
      hint: plan again, and look at what is different now
    ");
    project(&repo, "p", "hello");
    local(&repo, "deploy --plan plan.json").expect_code(0);
}

#[test]
fn it_is_refused_when_what_is_registered_has_changed() {
    let repo = planned();
    local(&repo, "deploy").expect_code(0);
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      hello/hello has been registered by someone meanwhile
      hint: plan again, and look at what is different now
    ");

    repo.replace("p/flow.py", "print(n)", "print(n + 1)");
    local(&repo, "plan --out plan.json").expect_code(0);
    let registration = ".flowyard/registrations/default/hello/hello.json";
    repo.replace(
        registration,
        "\"fields\": {",
        "\"fields\": {\n    \"tags\": [\"by hand\"],",
    );
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      hello/hello has changed on the server
      hint: plan again, and look at what is different now
    ");
    repo.remove(registration);
    insta::assert_snapshot!(refused(&repo).stderr, @"
    error: the saved plan does not hold any more; nothing was written
      hello/hello has been removed from the server
      hint: plan again, and look at what is different now
    ");
}

#[test]
fn it_is_refused_in_another_environment() {
    let repo = planned();
    let run = expect_untouched(&repo, "deploy --plan plan.json --env prod", 2);
    insta::assert_snapshot!(run.stderr, @"error: the plan is for the environment `default`; leave --env and FLOWYARD_ENV out");
    local(&repo, "plan --env prod --out plan.json").expect_code(0);
    insta::assert_snapshot!(refused(&repo).stderr, @"error: the plan is for the environment `prod`; add --env prod");
    local(&repo, "deploy --plan plan.json --env prod").expect_code(0);
}

#[test]
fn what_is_no_plan_is_refused() {
    let repo = planned();
    let plan = repo.read("plan.json");
    let printed = local(&repo, "plan --format json").expect_code(0).stdout;
    let listed = local(&repo, "list --format json").expect_code(0).stdout;
    let texts = [
        "",
        "{}",
        "no JSON",
        &printed,
        &listed,
        &plan.replacen("\"version\": 1", "\"version\": 99", 1),
        &plan[..plan.len() / 2],
    ];
    let errors: Vec<String> = texts
        .iter()
        .map(|text| {
            repo.write("plan.json", text);
            refused(&repo).stderr
        })
        .collect();
    // Where half of a plan ends depends on all that is in one.
    let place = regex::Regex::new(r"line \d+ column \d{2,}").expect("the pattern is fixed");
    insta::assert_snapshot!(place.replace_all(&errors.concat(), "[PLACE]"), @"
    error: read the plan plan.json: the plan file is not JSON, or not all of it: EOF while parsing a value at line 1 column 0
    error: read the plan plan.json: this is not a plan of flowyard: it has no `kind`
    error: read the plan plan.json: the plan file is not JSON, or not all of it: expected ident at line 1 column 2
    error: read the plan plan.json: the plan has no `snapshot`: only a file written by `plan --out` can be deployed, the output of `plan --format json` cannot
    error: read the plan plan.json: this is a document of kind `list`, not a plan
    error: read the plan plan.json: the plan has version 99, and this flowyard reads version 1: make the plan again
    error: read the plan plan.json: the plan file is not JSON, or not all of it: EOF while parsing a string at [PLACE]
    ");
    let run = expect_untouched(&repo, "deploy --plan absent.json", 2);
    insta::assert_snapshot!(run.stderr, @"error: read the plan absent.json: No such file or directory (os error 2)");
    let run = expect_untouched(&repo, "deploy --plan plan.json --prune", 2);
    assert!(run.stderr.contains("cannot be used with"), "{}", run.stderr);
}

#[test]
fn check_tells_by_its_exit_code_whether_there_are_changes() {
    let repo = small();
    let run = expect_untouched(&repo, "plan --check", 5);
    assert_eq!(run.stderr, "", "the plan has said it all");
    local(&repo, "deploy").expect_code(0);
    expect_untouched(&repo, "plan --check", 0);
    repo.replace("p/flow.py", "n: int", "m: int");
    expect_untouched(&repo, "plan --check", 5);
    // What the saved plan holds is there also where the exit code says that there are changes.
    expect_untouched(&repo, "plan --check --out plan.json", 5);
    local(&repo, "deploy --plan plan.json").expect_code(0);
    expect_untouched(&repo, "plan --check", 0);
}

#[test]
fn a_plan_that_cannot_be_saved_says_so() {
    let repo = small();
    let run = expect_untouched(&repo, "plan --out absent/plan.json", 2);
    insta::assert_snapshot!(run.stderr, @"error: write absent/plan.json: No such file or directory (os error 2)");
}

#[test]
fn a_deploy_whose_outcome_cannot_be_saved_writes_nothing() {
    let repo = small();
    for (out, why) in [
        (
            "absent/outcome.json",
            "No such file or directory (os error 2)",
        ),
        ("p", "is a directory"),
    ] {
        let run = expect_untouched(&repo, &format!("deploy --out {out}"), 2);
        assert_eq!(run.stderr, format!("error: write {out}: {why}\n"));
    }
    local(&repo, "deploy --out outcome.json").expect_code(0);
    assert!(repo.read("outcome.json").contains("hello/hello"));
}

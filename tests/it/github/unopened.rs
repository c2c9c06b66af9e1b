//! Commands that cannot begin, and what a pull request shows of that.

use super::double::GitHub;
use super::job::{Step, pull_request};
use super::pages::small;

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_told_wherever_the_plan_is() {
    let (repo, github) = (small(), GitHub::start().await);
    repo.write("flowyard.toml", "repository = 'acme/data'\n");
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    let line = "plan --local --comment --commit-status";
    step.run(&repo, line).expect_code(0);
    let broken = "repository = 'acme/data'\n\n[prefect]\nwork-pol = 'x'\n";
    repo.write("flowyard.toml", broken);
    let ended = step.run(&repo, line).expect_code(2);
    insta::assert_snapshot!(ended.commands(), @r#"error {"col": "1", "file": "flowyard.toml", "line": "4", "title": "flowyard"}: unknown key `work-pol`; did you mean `work-pool`?"#);
    insta::assert_snapshot!(ended.summary, @"
    ### flowyard plan

    ❌ **It failed.**

    ```text
    flowyard.toml:4:1: unknown key `work-pol`; did you mean `work-pool`?
    ```
    ");
    let comments = github.comments(7);
    assert_eq!(comments.len(), 1, "in the place of the plan");
    insta::assert_snapshot!(comments[0], @"
    <!-- flowyard: plan acme/data default -->
    ### flowyard plan

    ❌ **It failed.**

    ```text
    flowyard.toml:4:1: unknown key `work-pol`; did you mean `work-pool`?
    ```

    <!-- flowyard: end -->
    [The run](https://github.example.org/acme/flows/actions/runs/77/attempts/1) has the log and the whole of it.
    ");
    let (_, status) = github.state().statuses.last().cloned().expect("a status");
    assert_eq!(status["state"], "error");
    assert_eq!(status["context"], "flowyard/plan (default)");

    // Not asked to, it tells the job alone, whatever the command is.
    let writes = github.writes().len();
    let ended = step.run(&repo, "check").expect_code(2);
    assert!(
        ended.summary.contains("unknown key `work-pol`"),
        "{}",
        ended.summary
    );
    assert!(
        ended.commands().contains("\"line\": \"4\""),
        "{}",
        ended.commands()
    );
    assert_eq!(github.writes().len(), writes);
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn so_are_an_unknown_environment_and_a_variable_that_means_nothing() {
    let (repo, github) = (small(), GitHub::start().await);
    repo.write("flowyard.toml", "[environments.prod]\n");
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    let ended = step
        .run(&repo, "deploy --local --comment --env prd")
        .expect_code(2);
    let told = "unknown environment `prd`; flowyard.toml has: prod";
    assert_eq!(
        ended.commands(),
        format!("error {{\"title\": \"flowyard\"}}: {told}")
    );
    assert!(ended.summary.contains(told), "{}", ended.summary);
    assert!(
        github.comments(7)[0].contains(told),
        "{:?}",
        github.comments(7)
    );

    let step = step.env("FLOWYARD_PREFECT_VERSION", "4");
    let ended = step.run(&repo, "destroy --local --comment").expect_code(2);
    let told = "FLOWYARD_PREFECT_VERSION: `4` is no release of Prefect";
    assert!(ended.summary.contains(told), "{}", ended.summary);
    assert!(
        github.comments(7)[1].contains(told),
        "{:?}",
        github.comments(7)
    );
    // One that keeps even this from being told.
    let step = step.without("FLOWYARD_PREFECT_VERSION");
    let ended = step.run(&repo, "plan --comment --env a/b").expect_code(2);
    assert!(
        ended.commands().contains("`a/b` cannot be"),
        "{}",
        ended.commands()
    );
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_without_faults_says_so_in_the_summary() {
    let (repo, github) = (small(), GitHub::start().await);
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    let ended = step.run(&repo, "check").expect_code(0);
    assert_eq!(
        ended.summary,
        "### flowyard check\n\nNo faults in 1 deployment in 1 project.\n\n"
    );
}

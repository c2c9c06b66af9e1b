//! Values that nobody may read, and that are the names of things too: those are found again all the same.

use super::double::GitHub;
use super::job::{Step, pull_request};
use super::pages::small;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_a_hidden_value_stays_a_name() {
    let (repo, github) = (small(), GitHub::start().await);
    // Each of these values is taken out of texts from then on.
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\nversion: \"{{ $BUILD_COMMIT }}\"\n\
         tags: [\"{{ $STAGE }}\", \"{{ $SORT_KEY }}\", \"{{ $REQUIRE_AUTH }}\"]\n",
    );
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"))
        .env("BUILD_COMMIT", "2222222222222222222222222222222222222222")
        .env("STAGE", "production-north")
        .env("SORT_KEY", "acme/flows")
        .env("REQUIRE_AUTH", "false");
    let line = "plan --local --env production-north --comment --commit-status --out plan-production-north.json";
    let ended = step.run(&repo, line).expect_code(0);
    assert!(
        ended
            .outputs()
            .contains("plan-file = plan-production-north.json\n"),
        "{}",
        ended.outputs()
    );
    let written = github.writes().len();
    step.run(&repo, "plan --local --env production-north --comment")
        .expect_code(0);
    assert_eq!(github.writes().len(), written, "{:?}", github.writes());
    let status = github.state().statuses[0].1.clone();
    assert_eq!(status["context"], "flowyard/plan (production-north)");
    let link = "https://github.example.org/acme/flows/actions/runs/77/attempts/1";
    assert_eq!(status["target_url"], link);
    assert!(
        github.comments(7)[0].ends_with(&format!(
            "[The run]({link}) has the log and the whole of it.\n"
        )),
        "{:?}",
        github.comments(7)
    );

    let line = "plan --local --env production-north --check --drift-issue";
    step.run(&repo, line).expect_code(5);
    let written = github.writes().len();
    step.run(&repo, line).expect_code(5);
    assert_eq!(github.writes().len(), written, "{:?}", github.writes());

    // The commit that was pushed is a value too.
    let step = step
        .env("GITHUB_EVENT_NAME", "workflow_dispatch")
        .without("GITHUB_EVENT_PATH");
    step.run(
        &repo,
        "deploy --local --env production-north --github-deployment",
    )
    .expect_code(0);
    let deployment = github.state().deployments[0].clone();
    assert_eq!(deployment["environment"], "production-north");
    assert_eq!(
        deployment["ref"],
        "2222222222222222222222222222222222222222"
    );
    let ended = step.run(&repo, line).expect_code(0);
    assert!(
        ended.outputs().contains("has-changes = false\n"),
        "{}",
        ended.outputs()
    );
    assert_eq!(github.state().issues[0]["state"], "closed");
    // In texts they are hidden as ever.
    for name in ["production-north", "2222222"] {
        assert!(!ended.summary.contains(name), "{}", ended.summary);
    }
    github.expect_nothing_refused();
}

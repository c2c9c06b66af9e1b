//! `examples/workflows/sharded.yml`: a plan, a matrix of jobs, and one report, with a stand-in for GitHub's artifacts.

use std::path::Path;

use serde_json::{Value, json};

use super::job::{Ended, add_workflow};
use super::stage::{API_KEY, Stage, payload};
use crate::github::secrets::{expect_no_form, forms};
use crate::services::azurite;
use crate::services::prefect::Server;
use crate::support::files;

/// Keeps a file below a folder that stands for GitHub's artifacts; one that is called `$LOST` gets lost.
const UPLOAD: &str = "name: upload
description: x
inputs:
  name: {required: true, description: x}
  path: {required: true, description: x}
  if-no-files-found: {description: x}
  overwrite: {description: x}
  retention-days: {description: x}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        NAME: ${{ inputs.name }}
        FILE: ${{ inputs.path }}
      run: |
        if [ \"$NAME\" != \"${LOST:-}\" ]; then
          mkdir -p \"$ARTIFACTS/$NAME\"
          cp \"$FILE\" \"$ARTIFACTS/$NAME/\"
        fi
";

const DOWNLOAD: &str = "name: download
description: x
inputs:
  name: {description: x}
  pattern: {description: x}
  merge-multiple: {description: x}
  path: {required: true, description: x}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        NAME: ${{ inputs.name }}
        PATTERN: ${{ inputs.pattern }}
        TO: ${{ inputs.path }}
      run: |
        for folder in \"$ARTIFACTS\"/${NAME:-$PATTERN}; do cp \"$folder\"/* \"$TO/\"; done
";

/// The whole commit of an action that the workflow uses, as `owner/name@commit`.
fn pinned(stage: &Stage, name: &str) -> String {
    let text = stage.repo.read(".github/workflows/sharded.yml");
    let at = text.find(&format!("{name}@")).expect("it is used");
    text[at..]
        .split_whitespace()
        .next()
        .expect("a word")
        .to_owned()
}

fn run(stage: &Stage, artifacts: &Path, lost: &str, event: &str, payload: &Value) -> Ended {
    stage
        .job("sharded.yml", event, payload)
        .action(&pinned(stage, "actions/upload-artifact"), UPLOAD)
        .action(&pinned(stage, "actions/download-artifact"), DOWNLOAD)
        .env("ARTIFACTS", &artifacts.display().to_string())
        .env("LOST", lost)
        .run()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_is_parted_and_told_as_one() {
    let stage = Stage::set("action-shards").await;
    add_workflow(&stage.repo, "sharded.yml");
    let workflow = ".github/workflows/sharded.yml";
    let text = stage.repo.read(workflow).replace("shards: 8", "shards: 2");
    // act does not know which of the jobs of a matrix it runs.
    let index = "${{ matrix.shard == '1/2' && 1 || 2 }}";
    stage
        .repo
        .write(workflow, text.replace("${{ strategy.job-index }}", index));
    stage.repo.commit("Deploy in shards");
    let pull = json!({"number": 2, "state": "closed"});
    let head = stage.git(&["rev-parse", "HEAD"]);
    stage.github.state().pull_requests.insert(head, vec![pull]);
    let artifacts = tempfile::tempdir().expect("a temporary folder can be made");
    let push = stage.push("push-first", None);
    let ended = run(&stage, artifacts.path(), "", "push", &push).expect_success(true);
    insta::assert_snapshot!("sharded", stage.told(&ended));
    let ours = async || {
        let all = Server::shared().api().deployments().await;
        all.into_keys()
            .filter(|id| id.starts_with(stage.name))
            .count()
    };
    assert_eq!(ours().await, 2);
    let kept = files(artifacts.path());
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "outcome-1/outcome-1.json",
            "outcome-2/outcome-2.json",
            "plan/plan.json"
        ]
    );
    let secrets = forms(&[API_KEY, azurite::KEY]);
    for (name, (content, _)) in &kept {
        expect_no_form(&String::from_utf8_lossy(content), &secrets, name);
    }

    // Nothing to do: no job but the first.
    stage.forget();
    let again = payload("workflow-dispatch");
    let ended = run(&stage, artifacts.path(), "", "workflow_dispatch", &again).expect_success(true);
    assert!(
        ended.outputs().contains("has-changes = false"),
        "{}",
        ended.outputs()
    );
    assert!(
        !ended.summary().contains("flowyard deploy"),
        "{}",
        ended.summary()
    );

    // A job that left nothing is told.
    for project in ["feeds", "reports"] {
        stage.declare(project, "[b]");
    }
    stage.repo.commit("Tag them otherwise");
    let fresh = tempfile::tempdir().expect("a temporary folder can be made");
    let push = stage.push("push", None);
    let ended = run(&stage, fresh.path(), "outcome-2", "push", &push).expect_success(false);
    insta::assert_snapshot!("sharded_missing", stage.told(&ended));

    // What is faulty keeps the plan from being made, and is told as where a deploy is not parted.
    stage.repo.write(
        "feeds/daily.deployment.yaml",
        "entrypoint: flow.py:load\nschedle: x\n",
    );
    let faulty = stage.repo.commit("Misspell a key");
    let pull = json!({"number": 3, "state": "closed"});
    stage.forget();
    stage
        .github
        .state()
        .pull_requests
        .insert(faulty.clone(), vec![pull]);
    let push = stage.push("push", None);
    // What is kept of an attempt before is not gathered.
    run(&stage, fresh.path(), "", "push", &push).expect_success(false);
    let told = stage.github.comments(3);
    assert!(told.len() == 1 && told[0].contains("schedle"), "{told:?}");
    {
        let state = stage.github.state();
        let (commit, status) = &state.statuses[0];
        assert_eq!(*commit, faulty);
        assert_eq!(status["state"], "failure");
        assert_eq!(status["context"], "flowyard/plan (default)");
    }
    stage.github.expect_nothing_refused();
}

//! `prefect.yaml` as teams have written it: what comes of its deployments and of its steps.

use super::{FLOW, flowyard, kept, local, written};
use crate::support::{Repo, Run};

/// A repository with a flow in `p` and this `p/prefect.yaml`, committed.
fn with(yaml: &str) -> Repo {
    let repo = Repo::new();
    repo.write("p/flow.py", FLOW);
    repo.write("p/prefect.yaml", yaml);
    repo.commit("Add a flow");
    repo
}

/// What a plan says of it.
#[track_caller]
fn planned(yaml: &str) -> String {
    local(&with(yaml), "plan").expect_code(0).stdout
}

/// The faults of a file.
#[track_caller]
fn faults(yaml: &str) -> String {
    let repo = with(yaml);
    let run = local(&repo, "plan").expect_code(3);
    assert!(!kept(&repo).exists());
    run.stderr
}

/// Panics unless all of `parts` are said.
#[track_caller]
fn expect(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
}

/// The registrations that the embedded default holds, as text.
fn registered(repo: &Repo) -> String {
    let files = written(repo).into_iter();
    files
        .filter(|(path, _)| path.starts_with("registrations") || path.contains("deployments"))
        .map(|(_, (content, _))| String::from_utf8_lossy(&content).into_owned())
        .collect()
}

#[test]
fn a_file_with_anchors_nulls_and_every_key() {
    let plan = planned(
        r#"
prefect-version: 3.1.0
name: avisa
build: null
push:
pull: null
definitions:
  pools:
    aks: &aks
      name: kubernetes
      work_queue_name: null
      job_variables: &vars {cpu: 1, env: {A: b}}
  tags: &tags [news, Tromsø]
.defaults: &defaults
  version: null
  description:
  schedule: {}
  schedules: null
  concurrency_limit: {limit: 2, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}
deployments:
  - <<: *defaults
    name: Nyheter i dag
    flow_name: null
    entrypoint: flow.py:hello
    tags: *tags
    parameters: {n: 3}
    enforce_parameter_schema: false
    paused: true
    work_pool: *aks
    build:
    push: null
    pull: null
  - <<: *defaults
    name: não urgente
    entrypoint: flow.hello
    is_schedule_active: false
    schedule: {interval: 01:30:00, timezone: null, anchor_date: null}
    work_pool:
      <<: *aks
      job_variables: {<<: *vars, cpu: 2}
  - {name: null, version: null, tags: [], description: null, schedule: {}, flow_name: null, entrypoint: null, parameters: {}, work_pool: {name: null, work_queue_name: null, job_variables: {}}}
"#,
    );
    expect(
        &plan,
        &[
            "+ create hello/Nyheter i dag",
            "tags: [\"Tromsø\", \"news\"]",
            "enforce_parameter_schema: false",
            "paused: true",
            "concurrency_limit: 2",
            "collision_strategy: \"CANCEL_NEW\"",
            "job_variables.cpu: 1",
            "+ create hello/não urgente",
            "schedule schedule: every 1h30m UTC",
            "job_variables.cpu: 2",
            "Plan: 2 to create",
        ],
    );
}

#[test]
fn the_entrypoint_counts_from_the_folder_or_from_the_root() {
    let repo = Repo::new();
    repo.write("flows/flow.py", FLOW);
    repo.write(
        "deploy/prefect.yaml",
        "deployments:\n  - {name: a, entrypoint: flows/flow.py:hello, work_pool: {name: p}}\n",
    );
    repo.commit("Add a flow");
    let plan = local(&repo, "plan").expect_code(0).stdout;
    expect(
        &plan,
        &[
            "entrypoint: \"flows/flow.py:hello\"",
            "note: the entrypoint counts from the repository's root",
        ],
    );
    repo.write("deploy/flows/flow.py", FLOW);
    let plan = local(&repo, "plan").expect_code(0).stdout;
    assert!(!plan.contains("root"), "{plan}");
}

const PUSHED: &str = r#"
build:
  - prefect.deployments.steps.run_shell_script: {id: sha, script: git rev-parse --short HEAD}
  - prefect_docker.deployments.steps.build_docker_image:
      id: build-image
      requires: prefect-docker>=0.3.1
      image_name: acme/flows
      tag: "{{ sha.stdout }}"
      dockerfile: Dockerfile
push:
  - prefect_azure.projects.steps.push_project_to_azure_blob_storage:
      id: push-code
      container: code
      folder: p
      credentials: "{{ prefect.blocks.azure-blob-storage-credentials.prod }}"
pull:
  - prefect_azure.projects.steps.pull_project_from_azure_blob_storage:
      id: pull-code
      container: "{{ push-code.container }}"
      folder: "{{ push-code.folder }}"
      credentials: "{{ prefect.blocks.azure-blob-storage-credentials.prod }}"
deployments:
  - name: a
    entrypoint: flow.py:hello
    version: "{{ sha.stdout }}"
    work_pool: {name: p, job_variables: {image: "{{ build-image.image }}"}}
"#;

#[test]
fn an_image_and_a_push_are_an_image_and_a_release() {
    let repo = with(PUSHED);
    repo.write("flowyard.toml", "[image]\nbuild = false\n");
    let plan = local(&repo, "plan").expect_code(0).stdout;
    let short = &repo.commit("Again")[..7];
    expect(
        &plan,
        &[
            "(upload ",
            "note: the image acme/flows is built elsewhere",
            "note: `push_to_azure_blob_storage` to `code` is not run: the code goes to flowyard's own storage",
            "note: `pull_from_azure_blob_storage` is replaced by the release's own pull step",
        ],
    );
    let plan = local(&repo, "plan").expect_code(0).stdout;
    expect(
        &plan,
        &[
            &format!("job_variables.image: \"acme/flows:{short}\""),
            &format!("version: \"{short}\""),
        ],
    );
    assert!(!plan.contains("pull_steps"), "{plan}");
}

#[test]
fn pull_steps_of_its_own_bring_its_code() {
    let repo = with(
        r#"
pull:
  - prefect.projects.steps.git_clone_project: {id: clone, repository: https://example.org/x.git, branch: "{{ $BRANCH }}"}
  - prefect.deployments.steps.pip_install_requirements: {directory: "{{ clone.directory }}", requirements_file: requirements.txt}
deployments:
  - {name: a, entrypoint: ./flow.py:hello, work_pool: {name: p}}
"#,
    );
    let plan = local(&repo, "plan --format json").expect_code(0).stdout;
    expect(
        &plan,
        &[
            "\"./flow.py:hello\"",
            "prefect.deployments.steps.git_clone",
            "{{ clone.directory }}",
        ],
    );
    expect(&plan, &["\"upload\": null", "{{ $BRANCH }}"]);
}

const SCRIPT: &str = r#"
build:
  - prefect.deployments.steps.run_shell_script:
      id: version
      script: |
        cat VERSION
      stream_output: false
deployments:
  - name: a
    entrypoint: flow.py:hello
    tags: ["v{{ version.stdout }}"]
    work_pool: {name: p, job_variables: {image: "acme/flows:{{ version.stdout }}", tag: "{{ stdout }}"}}
  - name: b
    entrypoint: flow.py:hello
    build: null
    work_pool: {name: p}
"#;

#[test]
fn what_a_script_says_is_known_at_deploy() {
    let repo = with(SCRIPT);
    repo.write("p/VERSION", "1.2\n");
    let plan = local(&repo, "plan").expect_code(0).stdout;
    expect(
        &plan,
        &[
            "tags: [\"v(known at deploy)\"]",
            "job_variables.image: \"acme/flows:(known at deploy)\"",
            "job_variables.tag: (known at deploy)",
            "note: runs at deploy: cat VERSION",
        ],
    );
    local(&repo, "deploy").expect_code(0);
    let registered = registered(&repo);
    expect(&registered, &["acme/flows:1.2", "v1.2"]);
    assert!(!registered.contains("flowyard.step"), "{registered}");
    // A plan cannot tell whether anything will differ; a deploy finds that nothing does.
    let again = local(&repo, "plan").expect_code(0).stdout;
    expect(
        &again,
        &[
            "~ update hello/a",
            "acme/flows:1.2\" -> \"acme/flows:(known at deploy)\"",
        ],
    );
    assert!(!again.contains("rift"), "{again}");
    let markdown = local(&repo, "plan --format markdown").expect_code(0).stdout;
    expect(&markdown, &["(known at deploy)"]);
    let json = local(&repo, "plan --format json").expect_code(0).stdout;
    expect(
        &json,
        &[
            "\"later\"",
            "(known at deploy)",
            "runs at deploy: cat VERSION",
        ],
    );
    let none: Run = local(&repo, "deploy").expect_code(0);
    expect(&none.stdout, &["Nothing to do."]);
}

#[test]
fn a_saved_plan_holds_whatever_a_script_will_say() {
    let repo = with(SCRIPT);
    repo.write("p/VERSION", "1.2\n");
    repo.write("p/.prefectignore", "VERSION\n");
    let plan = repo.path().join("../plan.json");
    let saved = plan.to_string_lossy().into_owned();
    for version in ["1.2\n", "1.3\n"] {
        flowyard(&repo, &format!("plan --local --out {saved}"))
            .run()
            .expect_code(0);
        repo.write("p/VERSION", version);
        flowyard(&repo, &format!("deploy --local --plan {saved}"))
            .run()
            .expect_code(0);
        expect(
            &registered(&repo),
            &[&format!("acme/flows:{}", version.trim())],
        );
    }
    flowyard(&repo, &format!("plan --local --out {saved}"))
        .run()
        .expect_code(0);
    flowyard(&repo, &format!("deploy --local --plan {saved}"))
        .run()
        .expect_code(0);
    std::fs::remove_file(plan).expect("it was saved");
}

#[test]
fn a_script_that_fails_stops_a_deploy_before_it_writes() {
    let repo = with(SCRIPT);
    let run = local(&repo, "deploy").expect_code(3);
    expect(
        &run.stderr,
        &["p/prefect.yaml:3:5: error: the line `cat VERSION` failed"],
    );
    assert!(!kept(&repo).join("storage").exists());
}

#[test]
fn other_steps_need_a_word() {
    let yaml = "build:\n  - acme.steps.notify: {id: n}\ndeployments:\n  - {name: a, entrypoint: flow.py:hello, version: \"{{ n.id }}\", work_pool: {name: p}}\n";
    let said = faults(yaml);
    expect(
        &said,
        &[
            "p/prefect.yaml:2:5: error: the step `acme.steps.notify` is not known",
            "--run-steps",
        ],
    );
    let plan = local(&with(yaml), "plan --run-steps").expect_code(0).stdout;
    expect(
        &plan,
        &[
            "version: (known at deploy)",
            "runs at deploy: acme.steps.notify",
        ],
    );
}

#[test]
fn faults_have_their_places() {
    for (yaml, fault) in [
        (
            "deploymnets: []\n",
            "p/prefect.yaml:1:1: error: unknown key `deploymnets` in `prefect.yaml`",
        ),
        (
            "deployments: {a: 1}\n",
            "p/prefect.yaml:1:14: error: `deployments` is a list, not a mapping",
        ),
        (
            "deployments:\n  - name: a\n    entrypoint: flow.py:hello\n    work_queue: x\n",
            "p/prefect.yaml:4:5: error: unknown key `work_queue` in a deployment",
        ),
        (
            "deployments:\n  - name: a\n    entrypoint: flow.py:hello\n    tags: [\"{{ sha.stdout }}\"]\n",
            "p/prefect.yaml:4:12: error: no step gives `sha.stdout`",
        ),
        (
            "build: text\ndeployments:\n  - name: a\n    entrypoint: flow.py:hello\n",
            "p/prefect.yaml:1:8: error: `build` is a list of steps, not text",
        ),
        (
            "deployments:\n  - name: a\n    entrypoint: flow.py:hello\n    triggers: [{posture: Sometimes}]\n",
            "p/prefect.yaml:4:26: error: unknown posture `Sometimes`",
        ),
        (
            "deployments:\n  - name: \"{{ $NOPE }}\"\n    entrypoint: flow.py:hello\n",
            "p/prefect.yaml:2:11: error: the environment variable `NOPE` is not set",
        ),
        (
            "deployments:\n  - name: a\n    entrypoint: flow.py:hello\n    work_pool: {name: \"{{ prefect.variables.pool }}\"}\n",
            "p/prefect.yaml:4:23: error: nobody looks a block or variable of Prefect up in `work_pool`",
        ),
        (
            "a: &a [x, x]\nb: &b [*a, *a]\n<<: x\n",
            "p/prefect.yaml:3:5: error: `<<` takes a mapping or a list of them",
        ),
    ] {
        expect(&faults(yaml), &[fault]);
    }
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{before}]\n");
    }
    expect(&faults(&bomb), &["more than 200000 values in one file"]);
}

#[test]
fn a_file_that_declares_nothing_is_no_fault() {
    for yaml in [
        "",
        "name: x\n",
        "deployments:\n",
        "deployments: []\n",
        "deployments:\n  - name: null\n",
    ] {
        local(&with(yaml), "plan").expect_code(0);
    }
    let run = local(
        &with("deployments:\n  - entrypoint: flow.py:hello\n"),
        "check",
    )
    .expect_code(0);
    expect(&run.stdout, &["a deployment without a `name`: passed over"]);
}

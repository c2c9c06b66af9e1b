//! `prefect.yaml` as it stands in real repositories.

use super::{FLOW, local};
use crate::support::Repo;

/// A file with anchors, several deployments and the steps of an image and of uploaded code.
const FILE: &str = r#"name: lønn og rapport
prefect-version: 3.4.0

definitions:
  tags: &tags ["økonomi", relatórios]
  pool: &pool
    name: aks
    work_queue_name: null
    job_variables: &variables
      image: "{{ build-image.image }}"
      env: {STAGE: dev}

build:
  - prefect.deployments.steps.run_shell_script:
      id: commit
      script: git rev-parse --short HEAD
      stream_output: false
  - prefect_docker.deployments.steps.build_docker_image:
      id: build-image
      requires: prefect-docker>=0.3.1
      image_name: acme.azurecr.io/lonn
      tag: "1.{{ commit.stdout }}"
      dockerfile: auto
push:
  - prefect_azure.deployments.steps.push_to_azure_blob_storage:
      id: push-code
      requires: prefect-azure[blob_storage]>=0.2.8
      container: flows
      folder: lonn
pull:
  - prefect_azure.deployments.steps.pull_from_azure_blob_storage:
      container: "{{ push-code.container }}"
      folder: "{{ push-code.folder }}"

deployments:
  - name: månedlig lønn
    version: null
    description: null
    flow_name: null
    tags: *tags
    entrypoint: flow.py:hello
    parameters: {n: 3}
    schedule: null
    schedules:
      - cron: "0 6 1 * *"
        timezone: Europe/Oslo
        active: true
        slug: monthly
    work_pool: *pool
  - name: diária
    entrypoint: shared/flow.py:hello
    tags: []
    enforce_parameter_schema: false
    schedule: {interval: 3600, anchor_date: "2024-01-01T00:00:00+00:00"}
    work_pool:
      <<: *pool
      job_variables:
        <<: *variables
        env: {STAGE: prod}
    push: null
    pull:
      - prefect.deployments.steps.git_clone:
          id: clone
          repository: https://example.com/acme/flows.git
          branch: main
          access_token: "{{ prefect.blocks.secret.token }}"
      - prefect.deployments.steps.set_working_directory:
          directory: "{{ clone.directory }}/jobs"
"#;

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("jobs/flow.py", FLOW);
    repo.write(
        "shared/flow.py",
        FLOW.replace("hello", "hello_again")
            .replace("hello_again(n", "hello(n"),
    );
    repo.write("jobs/prefect.yaml", FILE);
    repo.write("flowyard.toml", "[image]\nbuild = false\n");
    repo.commit("Add a prefect.yaml");
    repo
}

#[test]
fn a_real_file_is_planned_deployed_and_then_left_alone() {
    let repo = repository();
    let commit = repo.commit("Nothing new");
    let plan = local(&repo, "plan").expect_code(0);
    let shown = plan.snapshot().replace(&commit[..7], "[commit]");
    insta::assert_snapshot!(shown, @r#"
    exit: 0
    ----- stdout -----
    jobs
      code: 75ec732ef3f0 (upload 1 file, 69 B)
      + create hello/diária
          entrypoint: "shared/flow.py:hello"
          version: "75ec732ef3f0"
          enforce_parameter_schema: false
          work_pool_name: "aks"
          job_variables.env.STAGE: "prod"
          job_variables.image: "acme.azurecr.io/lonn:1.[commit]"
          pull_steps: [{"prefect.deployments.steps.git_clone": {"access_tok…lone.directory }}/jobs"}}]
          schedule schedule: every 1h UTC from [TIME]
          note: `push_to_azure_blob_storage` to `flows` is not run: the code goes to flowyard's own storage
          note: the entrypoint counts from the repository's root
          note: the image acme.azurecr.io/lonn is built elsewhere
      + create hello/månedlig lønn
          entrypoint: "flow.py:hello"
          tags: ["relatórios", "økonomi"]
          parameters.n: 3
          work_pool_name: "aks"
          job_variables.env.STAGE: "dev"
          job_variables.image: "acme.azurecr.io/lonn:1.[commit]"
          schedule monthly: cron "0 6 1 * *" Europe/Oslo
          note: `push_to_azure_blob_storage` to `flows` is not run: the code goes to flowyard's own storage
          note: `pull_from_azure_blob_storage` is replaced by the release's own pull step
          note: the image acme.azurecr.io/lonn is built elsewhere

    Plan: 2 to create, 0 to update, 0 unchanged, 0 to remove; 1 release to upload (1 file, 69 B).
    ----- stderr -----
    "#);
    local(&repo, "deploy").expect_code(0);
    local(&repo, "plan --check --prune").expect_code(0);
}

#[test]
fn it_converts_into_deployment_files_that_declare_the_same() {
    let repo = repository();
    local(&repo, "deploy").expect_code(0);
    let run = local(&repo, "convert").expect_code(0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    jobs/prefect.yaml: wrote jobs/prefect.deployment.yaml
    Delete the originals next (git rm): both declare the same deployments now.
    ----- stderr -----
    ");
    insta::assert_snapshot!(repo.read("jobs/prefect.deployment.yaml"), @r#"
    deployments:
      - name: månedlig lønn
        entrypoint: "flow.py:hello"
        tags:
          - økonomi
          - relatórios
        parameters:
          n: 3
        schedules:
          - cron: 0 6 1 * *
            timezone: Europe/Oslo
            active: true
            slug: monthly
        work_pool:
          name: aks
          work_queue_name: ~
          job_variables:
            image: "acme.azurecr.io/lonn:1.{{ flowyard.git.short_sha }}"
            env:
              STAGE: dev
      - name: diária
        entrypoint: "shared/flow.py:hello"
        tags: []
        schedule:
          interval: 3600
          anchor_date: "2024-01-01T00:00:00+00:00"
        work_pool:
          job_variables:
            env:
              STAGE: prod
            image: "acme.azurecr.io/lonn:1.{{ flowyard.git.short_sha }}"
          name: aks
          work_queue_name: ~
        enforce_parameter_schema: false
        pull:
          - prefect.deployments.steps.git_clone:
              id: clone
              repository: "https://example.com/acme/flows.git"
              branch: main
              access_token: "{{ prefect.blocks.secret.token }}"
          - prefect.deployments.steps.set_working_directory:
              directory: "{{ clone.directory }}/jobs"
    "#);
    // Both declare the same now, which is told.
    local(&repo, "check").expect_code(3);
    repo.remove("jobs/prefect.yaml");
    local(&repo, "plan --check --prune").expect_code(0);
}

#[test]
fn nothing_is_overwritten_and_originals_go_only_when_asked() {
    let repo = repository();
    repo.write("jobs/prefect.deployment.yaml", "deployments: []\n");
    let run = local(&repo, "convert").expect_code(3);
    insta::assert_snapshot!(run.stderr, @"
    jobs/prefect.yaml: error: jobs/prefect.deployment.yaml is there already
      hint: delete one of the two; no file is overwritten
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
    repo.remove("jobs/prefect.deployment.yaml");
    let run = local(&repo, "convert --replace").expect_code(0);
    insta::assert_snapshot!(run.stdout, @"
    jobs/prefect.yaml -> jobs/prefect.deployment.yaml
    ");
    assert!(!repo.path().join("jobs/prefect.yaml").exists());
    local(&repo, "check").expect_code(0);
    insta::assert_snapshot!(local(&repo, "convert").expect_code(0).stdout, @"
    Nothing to convert: no .deployment.py and no prefect.yaml is in scope.
    ");
}

#[test]
fn faults_have_their_places() {
    let repo = repository();
    repo.write(
        "jobs/prefect.yaml",
        "name: x
prefect_version: 3
build:
  - prefect.deployments.steps.run_shell_script: {id: v, script: cat VERSION}
  - acme.steps.notify: {channel: x}
deployments:
  - name: a
    version: '{{ v.stdout }}'
    entrypoint: flow.py:hello
    workpool: {name: x}
  - name: b
    entrypoint: nowhere.py:hello
  - entrypoint: flow.py:hello
  - name: null
    entrypoint: null
",
    );
    insta::assert_snapshot!(local(&repo, "check").expect_code(3).stdout, @"
    jobs/prefect.yaml:2:1: error: unknown key `prefect_version` in `prefect.yaml`
      2 | prefect_version: 3
        | ^
      hint: did you mean `prefect-version`?
    jobs/prefect.yaml:5:5: error: the step `acme.steps.notify` is not known
      5 |   - acme.steps.notify: {channel: x}
        |     ^
      hint: with --run-steps a deploy runs it in Prefect's own Python
    jobs/prefect.yaml:10:5: error: unknown key `workpool` in a deployment
      10 |     workpool: {name: x}
         |     ^
      hint: did you mean `work_pool`?
    jobs/prefect.yaml:12:17: error: the entrypoint's file `nowhere.py` does not exist
      12 |     entrypoint: nowhere.py:hello
         |                 ^
      hint: it counts from the deployment file's folder, or from the repository's root; ignored files do not count
    jobs/prefect.yaml:13:5: warning: a deployment without a `name`: passed over
      13 |   - entrypoint: flow.py:hello
         |     ^
      hint: Prefect passes it over, too; give it a name
    4 errors, 1 warning in 1 file
    ");
}

//! A repository of Prefect 2, deployed by its `*.deployment.py` files, with either release.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Value, json};

use super::{changes, flowyard, kept, local};
use crate::services::prefect::Server;
use crate::support::{Repo, Run};

const DAILY: &str = r#"import os

from flow import load_dn
from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure import KubernetesJob
from prefect.orion.schemas.schedules import CronSchedule

storage = Azure.load("flows")
infrastructure = KubernetesJob.load("prod")
path = os.path.dirname(os.path.abspath(__file__)).split("orion-flows")[-1].strip("/")

deployment = Deployment.build_from_flow(
    flow=load_dn,
    name="my-daily",
    version="1.2",
    description="Every morning.",
    tags=["dn", "news"],
    parameters={"limit": 50},
    schedule=CronSchedule(cron="30 5 * * *", timezone="Europe/Oslo"),
    storage=storage,
    path=path,
    infrastructure=infrastructure,
    infra_overrides={
        "image": f"radbrt/{load_dn.name}:latest",
        "env.EXTRA_PIP_PACKAGES": "s3fs",
        "finished_job_ttl": 60,
    },
    work_queue_name="kubernetes",
)

if __name__ == "__main__":
    deployment.apply()
"#;

const WEEKLY: &str = r#"from flow import load_dn
from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure import KubernetesJob

deployment = Deployment.build_from_flow(
    flow=load_dn,
    name="backfill",
    is_schedule_active=False,
    storage=Azure.load("flows"),
    infrastructure=KubernetesJob.load("prod"),
    infra_overrides={"customizations": [{"op": "add", "path": "/spec/x", "value": 1}]},
    work_queue_name="slow",
)
deployment.apply()
"#;

const AGENT: &str = r#"from prefect.deployments import Deployment
from flow import tidy

Deployment.build_from_flow(tidy, "nightly", work_queue_name="vm").apply()
"#;

const MAPPING: &str = r#"
[legacy.infrastructure."kubernetes-job/prod"]
work-pool = "aks"
job-variables = { namespace = "flows", env = { STAGE = "{{ flowyard.env }}" } }
drop-overrides = ["customizations"]

[legacy.queues]
slow = { work-queue = "patient" }
vm = { work-pool = "machines", work-queue = "default" }

[environments.prod.legacy.infrastructure."kubernetes-job/prod"]
work-pool = "aks-prod"
"#;

/// Two projects as such a repository has them, with a `flowyard.toml`.
fn repository(config: &str) -> Repo {
    let repo = Repo::new();
    repo.write(
        "projects/news/load_dn/flow.py",
        "from prefect import flow\n\n\n@flow\ndef load_dn(limit: int = 10):\n    print(limit)\n",
    );
    repo.write(
        "projects/news/load_dn/requirements.txt",
        "prefect==2.20.26\n",
    );
    repo.write("projects/news/load_dn/my-daily.deployment.py", DAILY);
    repo.write("projects/news/load_dn/backfill.deployment.py", WEEKLY);
    repo.write(
        "projects/ops/tidy/flow.py",
        "from prefect import flow\n\n\n@flow\ndef tidy():\n    pass\n",
    );
    repo.write("projects/ops/tidy/nightly.deployment.py", AGENT);
    repo.write("flowyard.toml", config);
    repo.commit("Add flows of Prefect 2");
    repo
}

fn fields(repo: &Repo, environment: &str, id: &str) -> Value {
    let path = kept(repo).join(format!("registrations/{environment}/{id}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice::<Value>(&text).expect("a registration is JSON")["fields"].clone()
}

const VERSION_2: &str = "[prefect]\nversion = 2\nwork-pool = 'not-for-agents'\n";

#[test]
fn prefect_2_gets_the_documents_by_name() {
    let repo = repository(VERSION_2);
    let run = local(&repo, "plan").expect_code(0);
    insta::assert_snapshot!("plan_for_2", run.snapshot());
    local(&repo, "deploy").expect_code(0);
    let daily = fields(&repo, "default", "load-dn/my-daily");
    assert_eq!(daily["storage_document"], "azure/flows");
    assert_eq!(daily["infrastructure_document"], "kubernetes-job/prod");
    assert_eq!(daily["work_queue_name"], "kubernetes");
    assert_eq!(daily["work_pool_name"], Value::Null);
    assert_eq!(
        daily["job_variables"],
        json!({"image": "radbrt/load-dn:latest", "env.EXTRA_PIP_PACKAGES": "s3fs", "finished_job_ttl": 60})
    );
    assert_eq!(
        fields(&repo, "default", "load-dn/backfill")["paused"],
        Value::Bool(true)
    );
    local(&repo, "plan --check --prune").expect_code(0);
}

#[test]
fn prefect_3_without_a_mapping_is_told_what_is_missing() {
    let repo = repository("");
    for line in ["check", "plan"] {
        let run = local(&repo, line).expect_code(3);
        insta::assert_snapshot!(format!("without_a_mapping_{line}"), run.snapshot());
    }
    assert!(!kept(&repo).join("registrations").exists());
}

#[test]
fn prefect_3_gets_what_the_mapping_says() {
    let repo = repository(MAPPING);
    let run = local(&repo, "plan").expect_code(0);
    insta::assert_snapshot!("plan_for_3", run.snapshot());
    local(&repo, "deploy").expect_code(0);
    let daily = fields(&repo, "default", "load-dn/my-daily");
    assert_eq!(daily["work_pool_name"], "aks");
    assert_eq!(daily["work_queue_name"], "kubernetes");
    assert_eq!(
        daily["job_variables"],
        json!({"namespace": "flows", "image": "radbrt/load-dn:latest", "finished_job_ttl": 60,
               "env": {"STAGE": "default", "EXTRA_PIP_PACKAGES": "s3fs"}})
    );
    for key in ["storage_document", "infrastructure_document"] {
        assert_eq!(daily.get(key), None, "{daily:#}");
    }
    let backfill = fields(&repo, "default", "load-dn/backfill");
    assert_eq!(backfill["work_queue_name"], "patient");
    assert_eq!(backfill["paused"], true);
    let nightly = fields(&repo, "default", "tidy/nightly");
    assert_eq!(nightly["work_pool_name"], "machines");
    assert_eq!(nightly["work_queue_name"], "default");
    local(&repo, "plan --check --prune").expect_code(0);

    local(&repo, "deploy --env prod").expect_code(0);
    let daily = fields(&repo, "prod", "load-dn/my-daily");
    assert_eq!(daily["work_pool_name"], "aks-prod");
    assert_eq!(daily["job_variables"]["env"]["STAGE"], "prod");
}

#[test]
fn faults_of_the_mapping_have_their_places() {
    let text = MAPPING
        .replace("drop-overrides", "drop-override")
        .replace("slow = { work-queue", "slow = { work-queu");
    let run = local(&repository(&text), "check").expect_code(3);
    insta::assert_snapshot!("a_faulty_mapping", run.snapshot());
}

#[test]
fn both_convert_into_files_that_declare_the_same() {
    for (name, config) in [("2", VERSION_2), ("3", MAPPING)] {
        let repo = repository(config);
        local(&repo, "deploy").expect_code(0);
        local(&repo, "convert --replace").expect_code(0);
        let text = repo.read("projects/news/load_dn/my-daily.deployment.yaml");
        insta::assert_snapshot!("converted", text);
        let (lines, run) = changes(&repo, "plan --check --prune", 0);
        assert_eq!(lines, [""; 0], "{name}: {}", run.snapshot());
    }
}

/// The fields of Prefect 2's infrastructure blocks, and the type of work pool that came after each.
const BLOCKS: &[(&str, &str, &str, &str)] = &[
    (
        "process",
        "prefect",
        "process",
        "command env labels name stream_output working_dir",
    ),
    (
        "docker-container",
        "prefect-docker",
        "docker",
        "auto_remove command env image image_pull_policy image_registry labels mem_limit memswap_limit name \
         network_mode networks privileged stream_output volumes",
    ),
    (
        "kubernetes-job",
        "prefect-kubernetes",
        "kubernetes",
        "cluster_config command customizations env finished_job_ttl image image_pull_policy job \
         job_watch_timeout_seconds labels name namespace pod_watch_timeout_seconds service_account_name stream_output",
    ),
    (
        "azure-container-instance-job",
        "prefect-azure",
        "azure-container-instance",
        "aci_credentials command cpu dns_servers entrypoint env gpu_count gpu_sku identities image image_registry \
         keep_container_group labels memory name resource_group_name stream_output subnet_ids subscription_id \
         task_start_timeout_seconds task_watch_poll_interval",
    ),
    (
        "ecs-task",
        "prefect-aws",
        "ecs",
        "auto_deregister_task_definition aws_credentials cloudwatch_logs_options cluster command \
         configure_cloudwatch_logs cpu env execution_role_arn family image labels launch_type memory name \
         stream_output task_customizations task_definition task_definition_arn task_role_arn \
         task_start_timeout_seconds task_watch_poll_interval vpc_id",
    ),
    (
        "cloud-run-job",
        "prefect-gcp",
        "cloud-run",
        "args command cpu credentials env image keep_job labels max_retries memory_unit name region timeout \
         vpc_connector_name",
    ),
    (
        "vertex-ai-custom-training-job",
        "prefect-gcp",
        "vertex-ai",
        "accelerator_count accelerator_type boot_disk_size_gb boot_disk_type command credentials env image \
         job_watch_poll_interval labels machine_type maximum_run_time name network region reserved_ip_ranges \
         service_account",
    ),
];

#[tokio::test]
async fn what_has_a_counterpart_is_what_the_servers_work_pools_have() {
    let workers = Server::shared()
        .api()
        .get("/collections/views/aggregate-worker-metadata")
        .await;
    let repo = Repo::new();
    repo.write("p/flow.py", super::FLOW);
    let (mut config, mut expected) = (String::new(), BTreeSet::new());
    for (block, package, pool, known) in BLOCKS {
        config += &format!("[legacy.infrastructure.\"{block}/x\"]\nwork-pool = 'w'\n");
        let path = "default_base_job_configuration";
        let variables = &workers[package][pool][path]["variables"]["properties"];
        assert!(variables.is_object(), "{package} {pool}");
        let mut text =
            format!("entrypoint: flow.py:hello\ninfrastructure: {block}/x\ninfra_overrides:\n");
        for field in known.split_whitespace() {
            text += &format!("  {field}: x\n");
            if variables.get(field).is_none() {
                expected.insert(format!("{field} {pool}"));
            }
        }
        repo.write(&format!("p/{block}.deployment.yaml"), text);
    }
    repo.write("flowyard.toml", config);
    repo.commit("Add one of each");
    let said = local(&repo, "check").expect_code(3).said();
    let fault = Regex::new(
        r"error: `(\w+)` of `infra_overrides` has no counterpart among the variables of a ([\w-]+) work pool",
    )
    .expect("the pattern is fixed");
    let found: BTreeSet<String> = fault
        .captures_iter(&said)
        .map(|found| format!("{} {}", &found[1], &found[2]))
        .collect();
    assert_eq!(found, expected, "{said}");
    assert_eq!(said.matches(": error: ").count(), expected.len(), "{said}");
}

#[tokio::test]
async fn a_prefect_3_server_holds_what_the_mapping_says() {
    // One of its own: whoever deploys to the shared one would have to wait for its turn.
    let server = Server::start();
    let api = server.api();
    let workers = api
        .get("/collections/views/aggregate-worker-metadata")
        .await;
    let template = &workers["prefect-kubernetes"]["kubernetes"]["default_base_job_configuration"];
    let pool = json!({"name": "aks", "type": "kubernetes", "base_job_template": template});
    api.post("/work_pools/", pool).await;
    api.create_process_pool("machines").await;

    let repo = repository(MAPPING);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let storage = format!("file://{}", folder.path().join("storage").display());
    let call = |line: &str| -> Run {
        flowyard(&repo, line)
            .env("PREFECT_API_URL", server.api_url())
            .env("FLOWYARD_STORAGE_URL", &storage)
            .run()
    };
    call("deploy").expect_code(0);
    let deployments = api.deployments().await;
    let names: Vec<&String> = deployments.keys().collect();
    assert_eq!(
        names,
        ["load-dn/backfill", "load-dn/my-daily", "tidy/nightly"]
    );
    let daily = &deployments["load-dn/my-daily"];
    for (key, value) in [
        ("work_pool_name", json!("aks")),
        ("work_queue_name", json!("kubernetes")),
        (
            "job_variables",
            json!({"namespace": "flows", "image": "radbrt/load-dn:latest", "finished_job_ttl": 60,
                   "env": {"STAGE": "default", "EXTRA_PIP_PACKAGES": "s3fs"}}),
        ),
        ("storage_document_id", Value::Null),
        ("infrastructure_document_id", Value::Null),
        ("entrypoint", json!("flow.py:load_dn")),
        ("version", json!("1.2")),
        ("description", json!("Every morning.")),
        ("tags", json!(["dn", "news"])),
        ("parameters", json!({"limit": 50})),
        ("paused", json!(false)),
    ] {
        assert_eq!(daily.get(key).unwrap_or(&Value::Null), &value, "{key}");
    }
    let schedules = daily["schedules"].as_array().expect("a list");
    assert_eq!(schedules.len(), 1);
    assert_eq!(schedules[0]["schedule"]["cron"], "30 5 * * *");
    assert_eq!(schedules[0]["schedule"]["timezone"], "Europe/Oslo");
    let steps = daily["pull_steps"].to_string();
    assert!(steps.contains("projects/news/load_dn/"), "{steps}");
    let backfill = &deployments["load-dn/backfill"];
    assert_eq!(backfill["work_queue_name"], "patient");
    assert_eq!(backfill["paused"], true);
    let nightly = &deployments["tidy/nightly"];
    assert_eq!(nightly["work_pool_name"], "machines");
    assert_eq!(nightly["work_queue_name"], "default");
    call("plan --check --prune").expect_code(0);
}

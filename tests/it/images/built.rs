//! The same project by every builder: built, pushed, pulled, and its flow run to its end in a container.

use std::fs;

use super::{base, flowyard, repository, with_programs};
use crate::services::dockerd::Dockerd;
use crate::services::prefect::{Api, Server};
use crate::services::{process, uv};
use crate::support::{Flowyard, Repo};

const FLOW: &str = r#"
import humanize
from prefect import flow, task


@task
def count(rows: int) -> str:
    return humanize.intcomma(rows)


@flow(log_prints=True)
def FLOW(rows: int = 1234567):
    print("rows:", count(rows))
    assert count(rows) == "1,234,567"
"#;

/// What a Dockerfile of the field does, with `uv` for `pip`.
const DOCKERFILE: &str = r#"
FROM BASE_IMAGE
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY uv /usr/local/bin/uv
COPY requirements.txt constraints.txt /opt/
RUN SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_CACHE_DIR=/tmp/uv \
    uv pip install --quiet --python /usr/bin/python3 --break-system-packages --target /opt/site -r /opt/requirements.txt \
    && rm -rf /tmp/uv /usr/local/bin/uv
ENV PYTHONPATH=/opt/site
WORKDIR /app
COPY flow.py /app/
"#;

/// A project called `builder`, whose image that program makes.
fn project(repo: &Repo, builder: &str) {
    let folder = |name: &str| format!("{builder}/{name}");
    repo.write(
        &folder("flow.py"),
        FLOW.replace("FLOW", &format!("{builder}_rows")),
    );
    repo.write(
        &folder("requirements.txt"),
        "-c constraints.txt\nprefect==3.8.8\nhumanize\n",
    );
    repo.write(
        &folder("constraints.txt"),
        include_str!("../../services/prefect3.txt"),
    );
    let image = match builder {
        "oci" => format!("{{base: '{}', code: true}}", base()),
        _ => {
            repo.write(
                &folder("Dockerfile"),
                DOCKERFILE.replace("BASE_IMAGE", &base()),
            );
            let certificates = std::env::var_os("SSL_CERT_FILE")
                .unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
            fs::copy(
                certificates,
                repo.path().join(folder("ca-certificates.crt")),
            )
            .expect("certificates");
            fs::copy(uv::folder().join("bin/uv"), repo.path().join(folder("uv")))
                .expect("uv is installed");
            format!(
                "{{builder: {builder}}}\npull:\n- prefect.deployments.steps.set_working_directory: {{directory: /app}}"
            )
        }
    };
    repo.write(
        &folder("daily.deployment.yaml"),
        format!("entrypoint: flow.py:{builder}_rows\nwork_pool: built\nimage: {image}\n"),
    );
}

/// A deploy that registers with a real Prefect and pushes to a real registry.
fn deploy(repo: &Repo, buildah: &std::path::Path) -> Flowyard {
    with_programs(flowyard(repo, "deploy"), buildah)
        .env("PREFECT_API_URL", Server::shared().api_url())
        .env(
            "FLOWYARD_STORAGE_URL",
            format!("file://{}/.flowyard/store", repo.path().display()),
        )
        .env("FLOWYARD_IMAGE_REPOSITORY", repository("built"))
}

/// Runs a deployment's flow in a container of its image, as a worker would.
async fn run(api: &Api, deployment: &str) {
    let all = api.deployments().await;
    let registered = &all[deployment];
    let image = registered["job_variables"]["image"]
        .as_str()
        .expect("an image");
    assert!(image.contains("@sha256:"), "{image}");
    let id = api
        .create_run(registered["id"].as_str().expect("an id"))
        .await;
    let (address, run) = (
        format!("PREFECT_API_URL={}", Server::shared().api_url()),
        format!("PREFECT__FLOW_RUN_ID={id}"),
    );
    let said = Dockerd::shared().run(
        &[
            "--env",
            &address,
            "--env",
            &run,
            "--env",
            "PREFECT_HOME=/tmp/prefect",
        ],
        image,
        &["python3", "-m", "prefect.engine"],
    );
    let state = api.run_state(&id).await;
    assert_eq!(state.kind, "COMPLETED", "{} {said}", state.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flow_of_each_builders_image_runs() {
    let api = Server::shared().api();
    api.create_process_pool("built").await;
    let repo = Repo::new();
    for builder in ["oci", "docker", "buildah"] {
        project(&repo, builder);
    }
    repo.commit("Add three projects");
    let buildah = process::folder("buildah-of-flowyard");
    let said = deploy(&repo, &buildah).run().expect_code(0);
    assert!(said.stdout.contains("; 3 images built"), "{}", said.stdout);
    // What the builds print is told with their projects, and kept.
    assert!(said.stderr.contains("docker | "), "{}", said.stderr);
    assert!(said.stderr.contains("buildah | "), "{}", said.stderr);
    let logs = fs::read_dir(repo.path().join(".flowyard/logs"))
        .expect("logs")
        .count();
    assert_eq!(logs, 3);
    for builder in ["oci", "docker", "buildah"] {
        run(&api, &format!("{builder}-rows/daily")).await;
    }
    let again = deploy(&repo, &buildah).run().expect_code(0).stdout;
    assert!(again.starts_with("Nothing to do."), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_image_skips_exactly_its_deployments() {
    let api = Server::shared().api();
    api.create_process_pool("built-apart").await;
    let repo = Repo::new();
    for (name, command) in [
        ("fails", "RUN echo why it fails >&2; exit 3"),
        ("works", "RUN true"),
    ] {
        repo.write(
            &format!("{name}/flow.py"),
            FLOW.replace("FLOW", &format!("image_{name}")),
        );
        repo.write(
            &format!("{name}/Dockerfile"),
            format!("FROM {}\n{command}\n", base()),
        );
        repo.write(
            &format!("{name}/daily.deployment.yaml"),
            format!(
                "entrypoint: flow.py:image_{name}\nwork_pool: built-apart\nimage: {{builder: buildah}}\n"
            ),
        );
    }
    repo.commit("Add two projects");
    let buildah = process::folder("buildah-that-fails");
    let run = deploy(&repo, &buildah).run().expect_code(1);
    let said = run.said();
    assert!(said.contains("failed to build"), "{said}");
    assert!(said.contains("why it fails"), "{said}");
    assert!(
        said.contains("skipped to create image-fails/daily"),
        "{said}"
    );
    assert!(said.contains("created   image-works/daily"), "{said}");
    let all = api.deployments().await;
    assert!(all.contains_key("image-works/daily") && !all.contains_key("image-fails/daily"));
    // Mended, the next deploy goes on from there.
    repo.replace("fails/Dockerfile", "; exit 3", "");
    let run = deploy(&repo, &buildah).run().expect_code(0);
    assert!(
        run.stdout.contains("created   image-fails/daily"),
        "{}",
        run.stdout
    );
}

//! What a plan says of images, and what a deploy without changes sends.

use std::process::Command;

use serde_json::Value;

use super::{base, flowyard, repository};
use crate::services::buildah::skopeo;
use crate::services::prefect::Server;
use crate::services::proxy::Proxy;
use crate::services::registry::Registry;
use crate::support::{Flowyard, Repo};

const FLOW: &str = "import humanize\nfrom prefect import flow\n\n\n@flow\ndef FLOW(n: int = 1):\n    return humanize.intcomma(n)\n";

/// A repository with one project whose image holds its code and one small package.
fn project(flow: &str, image: &str) -> Repo {
    let repo = Repo::new();
    repo.write("p/flow.py", FLOW.replace("FLOW", flow));
    repo.write("p/requirements.txt", "humanize==4.9.0\n");
    repo.write(
        "p/daily.deployment.yaml",
        format!("entrypoint: flow.py:{flow}\nwork_pool: images-{flow}\n"),
    );
    repo.write("flowyard.toml", image);
    repo.commit("Add a flow");
    repo
}

/// With registrations in a real Prefect.
pub(super) fn registered(repo: &Repo, line: &str) -> Flowyard {
    flowyard(repo, line)
        .env("PREFECT_API_URL", Server::shared().api_url())
        .env(
            "FLOWYARD_STORAGE_URL",
            format!("file://{}/.flowyard/store", repo.path().display()),
        )
}

pub(super) async fn image_of(deployment: &str) -> String {
    let all = Server::shared().api().deployments().await;
    let deployment = all
        .get(deployment)
        .unwrap_or_else(|| panic!("{deployment} is not registered"));
    deployment["job_variables"]["image"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_made_once_and_pinned() {
    Server::shared()
        .api()
        .create_process_pool("images-once")
        .await;
    let proxy = Proxy::start(Registry::shared().port());
    let through = format!("127.0.0.1:{}/acme/once", proxy.port());
    let based = base().replace(
        &Registry::shared().name(),
        &format!("127.0.0.1:{}", proxy.port()),
    );
    let repo = project(
        "once",
        &format!("[image]\nrepository = '{through}'\nbase = '{based}'\ncode = true\n"),
    );

    let plan = registered(&repo, "plan").run().expect_code(0).stdout;
    assert!(plan.contains("images\n  + build "), "{plan}");
    assert!(plan.contains("(oci: new; for 1 deployment)"), "{plan}");
    assert!(
        plan.contains("job_variables.image: (known at deploy)"),
        "{plan}"
    );
    assert!(plan.contains("; 1 image to build."), "{plan}");
    assert_eq!(proxy.take().writes().len(), 0, "a plan writes nothing");

    let deploy = registered(&repo, "deploy").run().expect_code(0).stdout;
    assert!(deploy.contains("  built     127.0.0.1:"), "{deploy}");
    assert!(deploy.contains("; 1 image built."), "{deploy}");
    let first = image_of("once/daily").await;
    assert!(first.starts_with(&format!("{through}@sha256:")), "{first}");
    assert!(!proxy.take().writes().is_empty());

    // Nothing changed: nothing is sent, to the registry either.
    registered(&repo, "deploy --prune").run().expect_code(0);
    let sent = proxy.take();
    assert_eq!(sent.writes().len(), 0, "{:?}", sent.writes());
    registered(&repo, "plan --check").run().expect_code(0);

    // One line of code: the layers of the base and the packages stay.
    repo.replace("p/flow.py", "intcomma(n)", "intcomma(n + 1)");
    let plan = registered(&repo, "plan").run().expect_code(0).stdout;
    assert!(
        plan.contains("(oci: code changed; for 1 deployment)"),
        "{plan}"
    );
    registered(&repo, "deploy").run().expect_code(0);
    let second = image_of("once/daily").await;
    let (a, b) = (layers(&first), layers(&second));
    assert_eq!(a[..a.len() - 1], b[..b.len() - 1]);
    assert_ne!(a.last(), b.last());

    // Back again: the registry has it.
    repo.replace("p/flow.py", "intcomma(n + 1)", "intcomma(n)");
    let plan = registered(&repo, "plan").run().expect_code(0).stdout;
    assert!(
        plan.contains("  ~ reuse ") && plan.contains("(already in the registry; for 1 deployment)"),
        "{plan}"
    );
    assert!(
        plan.contains(&format!("-> \"{first}\"")) || plan.contains(&first[first.len() - 20..]),
        "{plan}"
    );

    // One requirement: only the layer of packages.
    repo.write("p/requirements.txt", "humanize==4.10.0\n");
    let plan = registered(&repo, "plan").run().expect_code(0).stdout;
    assert!(plan.contains("requirements"), "{plan}");
    registered(&repo, "deploy").run().expect_code(0);
    let third = layers(&image_of("once/daily").await);
    let differing = a
        .iter()
        .zip(&third)
        .filter(|(one, other)| one != other)
        .count();
    assert_eq!(
        (a.len(), differing),
        (third.len(), 1 + usize::from(a.last() != third.last()))
    );
}

/// The digests of an image's layers, in their order.
fn layers(image: &str) -> Vec<String> {
    let manifest = inspected(&format!("docker://{image}"));
    let layers = manifest["layers"].as_array().expect("layers");
    layers
        .iter()
        .map(|layer| layer["digest"].as_str().expect("a digest").to_owned())
        .collect()
}

pub(super) fn inspected(image: &str) -> Value {
    let mut command: Command = skopeo();
    let output = command
        .args(["inspect", "--raw", "--tls-verify=false", image])
        .output()
        .expect("skopeo is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{image}: {error} {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_image_is_pinned_or_refused() {
    Server::shared()
        .api()
        .create_process_pool("images-bakery")
        .await;
    let repo = project("bakery", "env-files = ['.env']\n");
    repo.write(".env", format!("BAKERY_IMAGE={}\n", base()));
    let plan = registered(&repo, "plan").run().expect_code(0).stdout;
    assert!(
        plan.contains(&format!("~ pin {} (for 1 deployment)", base())),
        "{plan}"
    );
    registered(&repo, "deploy").run().expect_code(0);
    let image = image_of("bakery/daily").await;
    let repository = base().rsplit_once(':').expect("a tag").0.to_owned();
    assert!(
        image.starts_with(&format!("{repository}@sha256:")),
        "{image}"
    );
    registered(&repo, "plan --check").run().expect_code(0);

    repo.write(".env", format!("BAKERY_IMAGE={repository}:none\n"));
    let run = registered(&repo, "plan").run().expect_code(3);
    let fault = format!("the image {repository}:none does not exist");
    assert!(run.stderr.contains(&fault), "{}", run.stderr);
    assert!(
        run.stderr.contains("p/daily.deployment.yaml:1:1: error"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_cannot_be_built_is_a_fault_of_the_plan() {
    for (base, requirement, faults) in [
        (
            base().replace("3.11", "none"),
            "humanize==4.9.0",
            "there is no such base image",
        ),
        (
            base(),
            "no-such-package-of-flowyard==1",
            "no-such-package-of-flowyard",
        ),
    ] {
        let image = format!(
            "[image]\nrepository = '{}'\nbase = '{base}'\n",
            repository("faulty")
        );
        let repo = project("faulty", &image);
        repo.write("p/requirements.txt", format!("{requirement}\n"));
        let run = registered(&repo, "plan").run().expect_code(3);
        assert!(run.stderr.contains(faults), "{}", run.stderr);
        assert!(
            run.stderr.contains("p/daily.deployment.yaml:1:1: error"),
            "{}",
            run.stderr
        );
        registered(&repo, "deploy").run().expect_code(3);
    }
    // A name that is none is told where it stands.
    let image = format!("[image]\nrepository = '{}'\n", repository("faulty"));
    let repo = project("faulty", &image);
    repo.write(
        "p/daily.deployment.yaml",
        "entrypoint: flow.py:faulty\nwork_pool: images-faulty\nimage: {base: not a name}\n",
    );
    let run = registered(&repo, "plan").run().expect_code(3);
    let fault = "p/daily.deployment.yaml:3:8: error: images: `not a name`";
    assert!(run.stderr.contains(fault), "{}", run.stderr);
}

#[test]
fn without_an_account_images_are_in_a_layout() {
    let repo = project(
        "kept",
        &format!("[image]\nbase = '{}'\ncode = true\n", base()),
    );
    let deploy = flowyard(&repo, "deploy --local")
        .run()
        .expect_code(0)
        .stdout;
    assert!(deploy.contains("; 1 image built."), "{deploy}");
    let list = flowyard(&repo, "plan --local --format json --verbose")
        .run()
        .expect_code(0)
        .stdout;
    let plan: Value = serde_json::from_str(&list).expect("JSON");
    let image = &plan["images"][0];
    assert_eq!(
        (&image["action"], &image["builder"]),
        (&"keep".into(), &"oci".into()),
        "{plan}"
    );
    let (name, tag) = (
        image["repository"].as_str().expect("a name"),
        image["tag"].as_str().expect("a tag"),
    );
    let layout = repo.path().join(".flowyard/images");
    let manifest = inspected(&format!("oci:{}:{name}:{tag}", layout.display()));
    let digest = image["digest"].as_str().expect("a digest");
    assert!(
        manifest["layers"]
            .as_array()
            .is_some_and(|layers| layers.len() >= 3),
        "{digest} {manifest}"
    );
    flowyard(&repo, "plan --local --check").run().expect_code(0);
}

#[test]
fn a_password_without_its_registry_is_told() {
    let repo = project("shown", "");
    let plan = |repository: &str| {
        let call = flowyard(&repo, "plan --local").env("FLOWYARD_REGISTRY_USERNAME", "robot");
        call.env("FLOWYARD_REGISTRY_PASSWORD", "hush")
            .env("FLOWYARD_IMAGE_REPOSITORY", repository)
            .run()
    };
    let warning = "FLOWYARD_REGISTRY_USERNAME and FLOWYARD_REGISTRY_PASSWORD are shown to no registry: they are for that \
                   of `repository` under `[image]` in flowyard.toml (FLOWYARD_IMAGE_REPOSITORY), which is missing";
    let said = plan("").expect_code(0).stderr;
    assert!(said.contains(warning), "{said}");
    let said = plan("acme.azurecr.io/flows").expect_code(0).stderr;
    assert!(!said.contains("FLOWYARD_REGISTRY"), "{said}");
    let said = plan("https://acme.azurecr.io/flows").expect_code(2).stderr;
    assert!(said.contains("leave out the scheme"), "{said}");
}

#[test]
fn told_to_go_on_a_deploy_leaves_out_what_an_image_cannot_be_for() {
    let repo = Repo::new();
    for (name, image) in [
        ("sound", ""),
        ("nowhere", "image: {base: '127.0.0.1:9/none:1'}\n"),
        ("other", "image: {base: '127.0.0.1:9/none:1'}\n"),
        ("unnamed", "image: {base: not a name}\n"),
    ] {
        repo.write(
            &format!("{name}/flow.py"),
            FLOW.replace("FLOW", &format!("image_{name}")),
        );
        repo.write(
            &format!("{name}/daily.deployment.yaml"),
            format!("entrypoint: flow.py:image_{name}\nwork_pool: p\n{image}"),
        );
    }
    repo.commit("Add projects");
    // Without it nothing is written, and a registry that cannot be reached is no fault of the files.
    let run = flowyard(&repo, "deploy --local").run().expect_code(4);
    assert!(run.stderr.contains("ask for the images"), "{}", run.stderr);

    let plan = flowyard(&repo, "plan --local --keep-going").run();
    let plan = plan.expect_code(3);
    assert!(plan.stdout.contains("image-sound/daily"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("image-other"), "{}", plan.stdout);
    let run = flowyard(&repo, "deploy --local --keep-going").run();
    let run = run.expect_code(3);
    assert!(
        run.stdout.contains("created   image-sound/daily"),
        "{}",
        run.stdout
    );
    for name in ["nowhere", "other", "unnamed"] {
        assert!(
            !run.stdout.contains(&format!("image-{name}")),
            "{}",
            run.stdout
        );
    }
    for said in [&plan.stderr, &run.stderr] {
        for part in [
            "nowhere/daily.deployment.yaml:3:8: error: ",
            "127.0.0.1:9",
            "other/daily.deployment.yaml:1:1: needs it too",
            "unnamed/daily.deployment.yaml:3:8: error: images: `not a name`",
            "2 faults; the projects that hold them were left out",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    // What is there of a project that is left out stays.
    let again = flowyard(&repo, "deploy --local --keep-going").run();
    let again = again.expect_code(3).stdout;
    assert!(again.starts_with("Nothing to do."), "{again}");
}

#[test]
fn a_repository_from_the_environment_is_shown_as_written() {
    let repo = Repo::new();
    let image = format!("[image]\nbase = '{}'\n", base());
    repo.write(
        "flowyard.toml",
        format!("env-files = ['.env']\n{image}code = true\n"),
    );
    repo.write(".gitignore", ".env\n");
    repo.write(".env", "FLOWS_AT=hush.example/acme\n");
    for name in ["asked", "built"] {
        let flow = format!("from prefect import flow\n\n\n@flow\ndef shown_{name}():\n    pass\n");
        repo.write(&format!("{name}/flow.py"), flow);
    }
    repo.write(
        "asked/daily.deployment.yaml",
        "entrypoint: flow.py:shown_asked\nwork_pool: p\nimage: {repository: '{{ $FLOWS_AT }}/asked'}\n\
         job_variables: {env: {RUNS_IN: 'in {{ flowyard.image }}'}}\n",
    );
    repo.write(
        "built/prefect.yaml",
        "build:\n- prefect_docker.deployments.steps.build_docker_image:\n    id: build\n    \
         image_name: '{{ $FLOWS_AT }}/built'\n    dockerfile: auto\ndeployments:\n- name: daily\n  \
         entrypoint: flow.py:shown_built\n  work_pool: {name: p, job_variables: {image: '{{ build.image }}'}}\n",
    );
    repo.commit("Add flows");
    let said = |line: &str| {
        let run = flowyard(&repo, line).run().expect_code(0);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(!said.contains("hush.example"), "{line}: {said}");
        said
    };
    let plan = said("plan --local --out plan.json");
    for part in [
        "+ build {{ $FLOWS_AT }}/asked:",
        "+ build {{ $FLOWS_AT }}/built:",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let saved = std::fs::read_to_string(repo.path().join("plan.json")).expect("it is saved");
    assert!(!saved.contains("hush.example"), "{saved}");
    std::fs::remove_file(repo.path().join("plan.json")).expect("it is there");
    said("plan --local --format json --verbose");
    said("deploy --local --verbose");
    // Another digest of the same name.
    repo.replace("asked/flow.py", "pass", "return 1");
    said("deploy --local --verbose");
    let plan = said("plan --local --verbose --format json");
    assert!(plan.contains("{{ $FLOWS_AT }}/asked"), "{plan}");
    // Back at the first: what it becomes is known, and what it was.
    repo.replace("asked/flow.py", "return 1", "pass");
    let plan = said("plan --local");
    assert!(
        plan.contains("job_variables.image: (hidden) -> \"{{ $FLOWS_AT }}/asked\""),
        "{plan}"
    );
}

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

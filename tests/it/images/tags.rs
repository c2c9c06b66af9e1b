//! Tags that images get beside the digest of their inputs.

use super::planned::{image_of, inspected, registered};
use super::{base, flowyard};
use crate::services::prefect::Server;
use crate::services::proxy::Proxy;
use crate::services::registry::Registry;
use crate::support::Repo;

const FLOW: &str = "from prefect import flow\n\n\n@flow\ndef tagged():\n    return 1\n";

fn file(tags: &str) -> String {
    format!("entrypoint: flow.py:tagged\nwork_pool: images-tagged\nimage: {{tags: {tags}}}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_follow_the_image_that_is_deployed() {
    Server::shared()
        .api()
        .create_process_pool("images-tagged")
        .await;
    let proxy = Proxy::start(Registry::shared().port());
    let through = format!("127.0.0.1:{}/acme/tagged", proxy.port());
    let repo = Repo::new();
    repo.write("p/flow.py", FLOW);
    repo.write("p/daily.deployment.yaml", file("[latest]"));
    let image = format!(
        "[image]\nrepository = '{through}'\nbase = '{}'\ncode = true\n",
        base()
    );
    repo.write("flowyard.toml", image);
    repo.commit("Add a flow");
    let run = |line: &str, code| registered(&repo, line).run().expect_code(code).stdout;
    let tagged = |tag: &str| inspected(&format!("docker://{through}:{tag}"));
    let deployed = async || inspected(&format!("docker://{}", image_of("tagged/daily").await));

    run("deploy", 0);
    let first = deployed().await;
    assert_eq!(tagged("latest"), first);
    repo.replace("p/flow.py", "return 1", "return 2");
    run("deploy", 0);
    assert_eq!(tagged("latest"), deployed().await);
    assert_ne!(tagged("latest"), first);

    // Back again: the registry has the image, and `latest` names another one.
    repo.replace("p/flow.py", "return 2", "return 1");
    let plan = run("plan", 0);
    assert!(plan.contains("  ~ tag 127.0.0.1:"), "{plan}");
    assert!(plan.contains("(as latest; for 1 deployment)"), "{plan}");
    assert!(plan.contains("; 1 image to tag"), "{plan}");
    let said = run("deploy", 0);
    assert!(said.contains("  tagged    127.0.0.1:"), "{said}");
    assert!(said.contains("; 1 image tagged"), "{said}");
    assert_eq!(tagged("latest"), first);
    assert_eq!(deployed().await, first);

    // Nothing changed: nothing is written.
    proxy.take();
    assert!(run("deploy", 0).starts_with("Nothing to do."));
    assert_eq!(proxy.take().writes().len(), 0);

    // Only the tags.
    repo.write("p/daily.deployment.yaml", file("[latest, v2]"));
    assert!(run("plan --check", 5).contains("(as v2; for 1 deployment)"));
    run("deploy", 0);
    assert_eq!(tagged("v2"), first);
    run("plan --check", 0);
}

#[test]
fn a_tag_that_two_images_want_stays() {
    let repo = Repo::new();
    for project in ["p", "q"] {
        let flow = FLOW.replace("return 1", &format!("return '{project}'"));
        repo.write(&format!("{project}/flow.py"), flow);
        let name = format!("{project}/{project}.deployment.yaml");
        repo.write(&name, file("[latest]"));
    }
    repo.write(
        "flowyard.toml",
        format!("[image]\nbase = '{}'\ncode = true\n", base()),
    );
    repo.commit("Add two flows");
    let run = |line: &str| flowyard(&repo, line).run().expect_code(0).stdout;
    assert!(run("deploy --local").contains("; 2 images built"));
    assert!(run("deploy --local").starts_with("Nothing to do."));
}

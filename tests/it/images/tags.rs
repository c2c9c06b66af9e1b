//! Tags that images get beside the digest of their inputs.

use super::base;
use super::planned::{image_of, inspected, registered};
use super::repository;
use crate::services::prefect::Server;
use crate::support::Repo;

const PROJECTS: usize = 8;

/// `latest` of many projects with one repository, as copied files have it.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_many_images_want_is_the_last_ones_and_no_previews() {
    let server = Server::shared().api();
    server.create_process_pool("images-tagged").await;
    let repo = Repo::new();
    for at in 0..PROJECTS {
        let flow =
            format!("from prefect import flow\n\n\n@flow\ndef tagged{at}():\n    return {at}\n");
        repo.write(&format!("p{at}/flow.py"), flow);
        repo.write(
            &format!("p{at}/daily.deployment.yaml"),
            format!(
                "entrypoint: flow.py:tagged{at}\nwork_pool: images-tagged\nimage: {{tags: [latest]}}\n"
            ),
        );
    }
    let settings = format!(
        "[image]\nrepository = '{}'\nbase = '{}'\ncode = true\n[environments.\"pr-*\"]\npreview = true\n",
        repository("tagged"),
        base()
    );
    repo.write("flowyard.toml", settings);
    repo.commit("Add flows");

    let run = registered(&repo, "deploy").run().expect_code(0);
    let built = format!("; {PROJECTS} images built");
    assert!(run.stdout.contains(&built), "{}", run.snapshot());
    let tagged = || inspected(&format!("docker://{}:latest", repository("tagged")));
    let latest = tagged();
    let mut images = Vec::new();
    for at in 0..PROJECTS {
        let image = image_of(&format!("tagged{at}/daily")).await;
        images.push(inspected(&format!("docker://{image}")));
    }
    assert!(images.contains(&latest), "{latest} is none of {images:?}");

    repo.replace("p0/flow.py", "return 0", "return 'preview'");
    let run = registered(&repo, "deploy --env pr-1 --project p0").run();
    let run = run.expect_code(0);
    assert!(run.stdout.contains("; 1 image built"), "{}", run.snapshot());
    let preview = image_of("tagged0/daily-pr-1").await;
    assert_ne!(inspected(&format!("docker://{preview}")), latest);
    assert_eq!(tagged(), latest);
}

//! `buildah`, which needs no daemon.

use std::sync::Arc;

use flowyard::backend::docker::{Buildah, Settings};
use flowyard::backend::{Build as _, Kind};
use flowyard::model::{FileMode, Recipe};

use super::{Given, Project, TOKEN, registered, repository, settings};
use crate::services::buildah::Buildah as Storage;
use crate::services::dockerd::Dockerd;
use crate::services::registry::Registry;

/// A storage of its own, and commands that run in a plain chroot: all that a container on CI is able to.
fn with_storage(storage: &Storage) -> Settings {
    // Without any: those of who runs the tests are not to be used.
    let credentials = storage.folder().join("auth.json");
    std::fs::write(&credentials, "{}").expect("the folder is ours");
    Settings {
        buildah: storage.flags(),
        ..settings(&[
            ("BUILDAH_ISOLATION", "chroot"),
            ("REGISTRY_AUTH_FILE", credentials.to_str().expect("UTF-8")),
        ])
    }
}

/// Takes note that the Dockerfile begins with `FROM scratch`.
fn on_nothing(project: &mut Project) {
    project.pinned.bases.clear();
    if let Recipe::Dockerfile(recipe) = &mut project.image.recipe {
        recipe.bases.clear();
        recipe.named.clear();
    }
}

#[tokio::test]
async fn an_image_is_built_pushed_and_run_and_is_the_same_each_time() {
    let repository = repository("buildah");
    let mut digests = Vec::new();
    for tags in [["latest", "abc"], ["other", "def"]] {
        // Nothing of the first build is there at the second.
        let storage = Storage::new();
        let buildah = Buildah::new(with_storage(&storage));
        assert_eq!(buildah.version(), "buildah 1");
        let project = Project::greeting(&repository);
        let digest = project.build(&buildah, &tags).await.expect("it is built");
        let log = project.log();
        assert!(log.contains("STEP"), "{log}");
        assert!(!log.contains(TOKEN), "{log}");
        for tag in tags {
            let (found, _) = registered(&repository, tag).await;
            assert_eq!(found, digest, "{tag}");
        }
        digests.push(digest.expect("buildah tells it"));
    }
    assert_eq!(digests[0], digests[1]);
    let reference = format!("{repository}@sha256:{}", digests[0]);
    let said = Dockerd::shared().run(&[], &reference, &[]);
    assert_eq!(said, format!("{repository} {}\n", TOKEN.len()));
}

#[tokio::test]
async fn one_image_is_made_for_two_platforms() {
    let storage = Storage::new();
    let repository = repository("buildah-index");
    let file = ("x", "same on both", FileMode::Regular);
    let mut project = Project::new(&repository, "FROM scratch\nCOPY x /x\n", &[file]);
    project.image.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    on_nothing(&mut project);
    let buildah = Buildah::new(with_storage(&storage));
    let digest = project.build(&buildah, &["1"]).await.expect("it is built");
    let (found, index) = registered(&repository, "1").await;
    assert!(found.is_some());
    assert_eq!(found, digest);
    let platforms: Vec<_> = index["manifests"]
        .as_array()
        .expect("an index")
        .iter()
        .map(|one| one["platform"]["architecture"].as_str())
        .collect();
    assert_eq!(platforms, [Some("amd64"), Some("arm64")]);
    // A second build adds nothing to the first.
    let again = project.build(&buildah, &["1"]).await.expect("it is built");
    assert_eq!(again, digest);
}

#[tokio::test]
async fn faults_of_a_dockerfile_are_told() {
    let storage = Storage::new();
    let repository = repository("buildah-faults");
    let fails = async |text: &str| {
        let project = Project::new(&repository, text, &[]);
        project.fails(&Buildah::new(with_storage(&storage))).await
    };
    let error = fails("FROM BASE\nRUNN x\n").await;
    assert!(
        error.message.contains("Unknown instruction: \"RUNN\""),
        "{error}"
    );

    // In a chroot, buildah 1.28 may end before it has passed on what a command printed last.
    let error = fails("FROM BASE\nARG TOKEN\nRUN echo \"$TOKEN\"; sleep 1; exit 7\n").await;
    assert_eq!(error.kind, Kind::Other);
    assert!(error.message.contains("\n    ***\n"), "{error}");
    assert!(error.message.contains("exit status 7"), "{error}");

    // It takes `..` for the context itself, so that there is no such file either.
    let error = fails("FROM BASE\nCOPY ../../../../../../etc/passwd /x\n").await;
    assert!(error.message.contains("no such file"), "{error}");
    let hint = error.hint.expect("there is one");
    assert!(hint.contains("its context, the folder `p`"), "{hint}");
    let (found, _) = registered(&repository, "1").await;
    assert_eq!(found, None, "nothing was pushed");
}

#[tokio::test]
async fn a_registry_that_refuses_is_told() {
    let storage = Storage::new();
    let registry = Registry::start_with_password();
    let mut project = Project::new(
        &format!("{}/flows", registry.name()),
        "FROM scratch\nCOPY x /x\n",
        &[("x", "y", FileMode::Regular)],
    );
    on_nothing(&mut project);
    let error = project.fails(&Buildah::new(with_storage(&storage))).await;
    assert_eq!(error.kind, Kind::Denied, "{error}");
    let login = format!("log in: `buildah login {}`", registry.name());
    assert_eq!(error.hint, Some(login));
    let settings = Settings {
        logins: Some(Arc::new(Given)),
        ..with_storage(&storage)
    };
    let digest = project.build(&Buildah::new(settings), &["1"]).await;
    assert!(digest.expect("it may").is_some());
}

#[tokio::test]
async fn without_buildah_one_is_told_what_to_do() {
    let project = Project::greeting("registry.example.org/flows");
    let error = project
        .fails(&Buildah::new(settings(&[("PATH", "/nonexistent")])))
        .await;
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(error.message, "there is no program `buildah` on PATH");
    let hint = error.hint.expect("there is one");
    assert!(hint.contains("builder = \"docker\""), "{hint}");
}

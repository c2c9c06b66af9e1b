//! `docker` with its own daemon.

use std::sync::Arc;

use flowyard::backend::docker::{Docker, Settings};
use flowyard::backend::{Build as _, Kind};

use super::{Given, Project, TOKEN, platform, registered, repository, settings};
use crate::services::dockerd::Dockerd;
use crate::services::process::free_port;
use crate::services::registry::{PASSWORD, Registry};

/// The real client and the shared daemon. The client's folder has no plugin; one that the machine has for all users is
/// another way to the same image.
fn with_daemon(dockerd: &Dockerd) -> Settings {
    let config = dockerd.config();
    let config = config.to_str().expect("UTF-8");
    settings(&[("DOCKER_HOST", &dockerd.host()), ("DOCKER_CONFIG", config)])
}

#[tokio::test]
async fn an_image_is_built_pushed_and_run() {
    let dockerd = Dockerd::shared();
    let repository = repository("daemon");
    let project = Project::greeting(&repository);
    let docker = Docker::new(with_daemon(dockerd));
    assert_eq!(docker.version(), "docker 1");
    let digest = project
        .build(&docker, &["latest", "abc"])
        .await
        .expect("it is built");
    let log = project.log();
    assert!(log.contains("COPY . /app/"), "{log}");
    assert!(
        log.contains("docker-test/base@sha256:"),
        "the base is pinned: {log}"
    );
    assert!(!log.contains(TOKEN) && !log.contains('\u{1b}'), "{log}");
    for tag in ["latest", "abc"] {
        let (found, _) = registered(&repository, tag).await;
        assert_eq!(found, digest, "{tag}");
    }
    let digest = digest.expect("docker tells it");
    let reference = format!("{repository}@sha256:{digest}");
    let said = dockerd.run(&["--pull", "always"], &reference, &[]);
    assert_eq!(said, format!("{repository} {}\n", TOKEN.len()));

    // The same again: everything is there.
    let again = project.build(&docker, &["abc"]).await.expect("it is built");
    assert_eq!(again, Some(digest), "{}", project.log());
}

#[tokio::test]
async fn stages_take_from_each_other() {
    let dockerd = Dockerd::shared();
    let repository = repository("daemon-stages");
    let text = "FROM BASE AS made\n\
                RUN echo made > /said\n\
                FROM BASE\n\
                COPY --from=made /said /said\n";
    let project = Project::new(&repository, text, &[]);
    let docker = Docker::new(with_daemon(dockerd));
    let digest = project.build(&docker, &["1"]).await.expect("it is built");
    let log = project.log();
    assert_eq!(log.matches("docker-test/base@sha256:").count(), 2, "{log}");
    let reference = format!("{repository}@sha256:{}", digest.expect("docker tells it"));
    assert_eq!(dockerd.run(&[], &reference, &["cat", "/said"]), "made\n");
}

#[tokio::test]
async fn faults_of_a_dockerfile_are_told() {
    let dockerd = Dockerd::shared();
    let repository = repository("daemon-faults");
    let fails = async |text: &str| {
        let project = Project::new(&repository, text, &[]);
        project.fails(&Docker::new(with_daemon(dockerd))).await
    };

    let error = fails("FROM BASE\n\nRUNN x\n").await;
    assert_eq!(error.kind, Kind::Other);
    let start =
        format!("docker: failed to build {repository} at p/Dockerfile:3 (exit status: 1)\n");
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(
        error.message.contains("unknown instruction: RUNN"),
        "{error}"
    );

    let error = fails("FROM BASE\nARG TOKEN\nRUN seq 100; echo \"$TOKEN\"; exit 7\n").await;
    assert_eq!(error.kind, Kind::Other);
    assert!(error.message.contains("\n    100\n    ***\n"), "{error}");
    assert!(!error.message.contains("\n    50\n"), "{error}");

    let error = fails("FROM BASE\nCOPY ../x /x\n").await;
    assert!(error.message.contains("../x"), "{error}");
    let hint = error.hint.expect("there is one");
    assert!(hint.contains("its context, the folder `p`"), "{hint}");

    let missing = format!("FROM {}/nothing:1\n", Registry::shared().name());
    assert_eq!(fails(&missing).await.kind, Kind::NotFound);
    let (found, _) = registered(&repository, "1").await;
    assert_eq!(found, None, "nothing was pushed");
}

#[tokio::test]
async fn a_registry_that_refuses_or_is_away_is_told() {
    let dockerd = Dockerd::shared();
    let docker = Docker::new(with_daemon(dockerd));
    let registry = Registry::start_with_password();
    let project = Project::greeting(&format!("{}/flows", registry.name()));
    let error = project.fails(&docker).await;
    assert_eq!(error.kind, Kind::Denied, "{error}");
    let login = format!("log in: `docker login {}`", registry.name());
    assert_eq!(error.hint, Some(login));
    let settings = Settings {
        logins: Some(Arc::new(Given)),
        ..with_daemon(dockerd)
    };
    let digest = project.build(&Docker::new(settings), &["1"]).await;
    assert!(digest.expect("it may").is_some());
    assert!(!project.log().contains(PASSWORD), "{}", project.log());

    let project = Project::greeting(&format!("127.0.0.1:{}/flows", free_port()));
    let error = project.fails(&docker).await;
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn without_docker_one_is_told_what_to_do() {
    let project = Project::greeting("registry.example.org/flows");
    let nobody = settings(&[("DOCKER_HOST", "unix:///nonexistent/sock")]);
    let error = project.fails(&Docker::new(nobody)).await;
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    let hint = error.hint.expect("there is one");
    assert!(
        hint.contains("start Docker") && hint.contains("builder = \"buildah\""),
        "{hint}"
    );

    let nothing = settings(&[("PATH", "/nonexistent")]);
    let error = project.fails(&Docker::new(nothing)).await;
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    assert_eq!(error.message, "there is no program `docker` on PATH");
    let hint = error.hint.expect("there is one");
    assert!(
        hint.contains("install Docker") && hint.contains("builder = \"oci\""),
        "{hint}"
    );
}

#[tokio::test]
async fn two_platforms_need_buildx() {
    let dockerd = Dockerd::shared();
    let mut project = Project::greeting("registry.example.org/flows");
    project.image.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    let error = project.fails(&Docker::new(with_daemon(dockerd))).await;
    let (message, hint) = (error.message, error.hint.unwrap_or_default());
    // Without buildx we say it, with it the daemon does.
    assert!(
        message.contains("one platform") || message.contains("ulti"),
        "{message}"
    );
    assert!(
        hint.contains("buildx") && hint.contains("one platform"),
        "{hint}"
    );
    assert!(platform().starts_with("linux/"));
}

//! What cannot be an image, and what is said about it.

use flowyard::backend::{Error, Kind};

use super::index::Index;
use super::{GLIBC, Machine, Project, base, layout};

const FLOWS: &str = "registry.example.org/acme/flows";
const BASE: &str = "registry.example.org/base";

/// The fault of a project with these requirements.
async fn fault(index: &Index, requirements: &str) -> Error {
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let project = Project::new(FLOWS, &format!("{BASE}:1"), &[("flow.py", "")])
        .require(&[("p/requirements.txt", requirements)]);
    let oci = Machine::with_index(index).local(&layout);
    let error = project.build(&oci).await.expect_err(requirements);
    assert!(error.hint.is_some(), "{error}");
    let kept = layout.named(FLOWS);
    let tag = flowyard::backend::oci::Version::Tag("latest".to_owned());
    let head = flowyard::backend::oci::Repository::head(&kept, &tag).await;
    assert_eq!(head.expect("an answer"), None);
    error
}

#[tokio::test]
async fn packages_that_cannot_be_had_are_named() {
    let index = Index::start().await;
    let wrong = format!("words==1.0 --hash=sha256:{}\n", "0".repeat(64));
    let missing = index.pinned("greet", "1.0");
    for (requirements, kind, said) in [
        (
            "words\nno-such-package\n",
            Kind::NotFound,
            "p/requirements.txt: package `no-such-package` is not in the package index",
        ),
        (
            "words==9\n",
            Kind::NotFound,
            "p/requirements.txt: package `words==9` has no such version",
        ),
        (
            "source-only\n",
            Kind::Other,
            "p/requirements.txt: package `source-only` has no wheel for Python 3.11 on linux/amd64 (glibc)",
        ),
        (
            &wrong,
            Kind::Other,
            "p/requirements.txt: package `words==1.0` has another hash than the file says: expected sha256:0000",
        ),
        (
            &missing,
            Kind::Other,
            "p/requirements.txt: package `words` is needed, but is not pinned with a hash",
        ),
        (
            "words=1\n",
            Kind::Other,
            "p/requirements.txt: a requirement cannot be read",
        ),
        (
            "words\n-e ../lib\n",
            Kind::Other,
            "p/requirements.txt:2: `../lib` is a folder or file of this machine",
        ),
        (
            "-r ../../../../etc/passwd\n",
            Kind::Other,
            "p/requirements.txt:1: `../../../../etc/passwd` is no file of the repository",
        ),
    ] {
        let error = fault(&index, requirements).await;
        assert!(error.to_string().starts_with(said), "{error}");
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.to_string().contains("/tmp"), "{error}");
    }
}

#[tokio::test]
async fn an_index_that_is_not_there_is_unavailable() {
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let port = crate::services::process::free_port();
    let mut machine = Machine::new();
    machine.index = Some(format!("http://127.0.0.1:{port}/simple"));
    let project =
        Project::new(FLOWS, &format!("{BASE}:1"), &[]).require(&[("requirements.txt", "words\n")]);
    let error = project
        .pin(&machine.local(&layout))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_base_must_be_there_and_have_a_python() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    let oci = Machine::with_index(&index).local(&layout);
    let absent = Project::new(FLOWS, "registry.example.org/absent:1", &[]);
    let error = absent.build(&oci).await.expect_err("no base");
    assert_eq!(error.kind, Kind::NotFound);
    assert_eq!(
        error.to_string(),
        "registry.example.org/absent:1: there is no such base image"
    );
    let digest = flowyard::model::Digest::of(b"x");
    let pinned = format!("registry.example.org/absent@sha256:{digest}");
    let error = Project::new(FLOWS, &pinned, &[]).build(&oci).await;
    assert_eq!(error.expect_err("no base").kind, Kind::NotFound);

    let name = base(&layout, "registry.example.org/bare", &["bin/sh"]).await;
    let bare = Project::new(FLOWS, &name, &[]).require(&[("requirements.txt", "words\n")]);
    let error = bare.pin(&oci).await.expect_err("no Python");
    assert!(
        error.message.contains("no `python3` on its PATH"),
        "{error}"
    );
    let mut told = Project::new(FLOWS, &name, &[]).require(&[("requirements.txt", "words\n")]);
    told.layers().python = Some("3.12".to_owned());
    told.make(&Machine::with_index(&index).local(&layout)).await;
}

#[tokio::test]
async fn files_that_would_leave_the_image_are_refused() {
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    for (path, folder) in [
        ("../x", "/code"),
        ("a/../../x", "/code"),
        ("x", "/code/../.."),
    ] {
        let mut project = Project::new(FLOWS, &format!("{BASE}:1"), &[(path, "x")]);
        project.layers().folder = folder.to_owned();
        let oci = Machine::new().local(&layout);
        let error = project.build(&oci).await.expect_err(path);
        assert!(
            error.message.contains("cannot be a path in an image"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_stops_the_build() {
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let mut project = Project::new(FLOWS, &format!("{BASE}:1"), &[("flow.py", "1\n")]);
    project
        .files
        .insert("p/flow.py".to_owned(), "2\n".to_owned());
    let oci = Machine::new().local(&layout);
    let error = project.build(&oci).await.expect_err("another content");
    assert!(
        error.message.contains("flow.py: its content is not"),
        "{error}"
    );
}

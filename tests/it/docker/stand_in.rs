//! What cannot be had for tests, by a stand-in that records how it is called: the Azure CLI, and the buildx plugin of the
//! real `docker`.

use std::fs;
use std::path::{Path, PathBuf};

use flowyard::backend::docker::{Acr, Docker};
use flowyard::backend::{Destination, Kind};
use tempfile::TempDir;

use super::{Project, TOKEN, platform, settings};
use crate::services::process::script;

/// A folder with a program of that name, which writes its arguments, its environment and the context into the folder,
/// then goes on with `before`.
fn stand_in(path: &str, before: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(path);
    fs::create_dir_all(program.parent().expect("below the folder")).expect("it is ours");
    let text = format!(
        "{before}\n\
         cd {}\n\
         printf '%s\\n' \"$@\" > arguments\n\
         env > environment\n\
         for last; do :; done\n\
         tar -C \"$last\" -cf context.tar .\n\
         while [ $# -gt 0 ]; do\n\
         case $1 in --file) cp \"$2\" Dockerfile;; --metadata-file) cp metadata.json \"$2\";;\n\
         --output=type=oci,dest=*) echo 'a mark' > oci-layout; tar -cf \"${{1#*dest=}}\" oci-layout;; esac\n\
         shift\n\
         done\n\
         echo \"made with $TOKEN\"\n",
        folder.path().display()
    );
    script(&program, &text);
    (folder, program)
}

/// The arguments of the last call; the paths of the context and the Dockerfile are replaced.
fn arguments(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("arguments")).expect("it was called");
    text.lines()
        .map(|line| match line.split_once("flowyard-build-") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, end)| end).to_owned(),
            None => line.to_owned(),
        })
        .collect()
}

fn listing(folder: &Path) -> Vec<String> {
    let output = std::process::Command::new("tar")
        .args([
            "--list",
            "--verbose",
            "--numeric-owner",
            "--full-time",
            "--utc",
            "--file",
        ])
        .arg(folder.join("context.tar"))
        .output()
        .expect("tar is everywhere");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[3], words[5])
        })
        .collect()
}

/// With the folder first on PATH.
fn path_with(folder: &Path) -> String {
    let path = std::env::var("PATH").expect("there is one");
    format!("{}:{path}", folder.display())
}

#[tokio::test]
async fn azure_builds_what_it_is_sent() {
    let (folder, _) = stand_in("az", "");
    let acr = Acr::new(settings(&[
        ("PATH", &path_with(folder.path())),
        ("AZURE_CONFIG_DIR", "/home/me/.azure"),
        ("AZURE_CLIENT_SECRET", "ours"),
    ]));
    let project = Project::greeting("acme.azurecr.io/team/flows");
    let digest = project
        .build(&acr, &["latest", "abc"])
        .await
        .expect("it is built");
    assert_eq!(digest, None, "the registry knows");
    assert_eq!(project.log(), "made with ***");
    let expected = [
        "acr",
        "build",
        "--output=none",
        "--registry",
        "acme",
        "--image=team/flows:latest",
        "--image=team/flows:abc",
        &format!("--platform={}", platform()),
        "--secret-build-arg",
        "TOKEN",
        "--file",
        "file/Dockerfile",
        "context",
    ];
    assert_eq!(arguments(folder.path()), expected);
    let mut listing = listing(folder.path());
    listing.sort();
    assert_eq!(
        listing,
        [
            "-rw-r--r-- 1980-01-01 ./name",
            "-rwxr-xr-x 1980-01-01 ./bin/greet.py",
            "drwxr-xr-x 1980-01-01 ./",
            "drwxr-xr-x 1980-01-01 ./bin/",
        ]
    );
    let environment = fs::read_to_string(folder.path().join("environment")).expect("it was called");
    assert!(environment.contains(&format!("TOKEN={TOKEN}\n")));
    assert!(environment.contains("AZURE_CONFIG_DIR=/home/me/.azure\n"));
    for ours in ["AZURE_STORAGE_KEY", "AZURE_CLIENT_SECRET"] {
        assert!(!environment.contains(ours), "{ours}");
    }
    let dockerfile = fs::read_to_string(folder.path().join("Dockerfile")).expect("it is there");
    assert_eq!(
        dockerfile.matches("/base@sha256:").count(),
        1,
        "{dockerfile}"
    );
}

#[tokio::test]
async fn azure_refuses() {
    let script = "echo \"ERROR: Please run 'az login' to setup account. $TOKEN\" >&2; exit 1";
    let (folder, _) = stand_in("az", script);
    let acr = |path: &str| Acr::new(settings(&[("PATH", path)]));
    let project = Project::greeting("acme.azurecr.io/flows");
    let error = project.fails(&acr(&path_with(folder.path()))).await;
    assert_eq!(error.kind, Kind::Denied);
    assert_eq!(
        error.to_string(),
        "az acr build: failed to build acme.azurecr.io/flows (exit status: 1)\n    \
         ERROR: Please run 'az login' to setup account. ***"
    );
    let hint = error.hint.expect("there is one");
    assert!(hint.contains("az login"), "{hint}");

    let error = project.fails(&acr("/nonexistent")).await;
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(error.message, "there is no program `az` on PATH");

    let project = Project::greeting("ghcr.io/acme/flows");
    let error = project.fails(&acr("/nonexistent")).await;
    assert_eq!(
        error.message,
        "`ghcr.io/acme/flows` is in no registry on Azure"
    );
}

/// The real client with a stand-in of its plugin, whose builder has that driver.
fn buildx(driver: &str) -> TempDir {
    let script = format!(
        "case \"$*\" in\n\
         docker-cli-plugin-metadata)\n\
         echo '{{\"SchemaVersion\":\"0.1.0\",\"Vendor\":\"x\",\"Version\":\"v0.12.0\",\"ShortDescription\":\"x\"}}'; exit;;\n\
         'buildx version') echo v0.12.0; exit;;\n\
         'buildx inspect') printf 'Name:   x\\nDriver: {driver}\\n'; exit;;\n\
         esac"
    );
    let (folder, _) = stand_in("cli-plugins/docker-buildx", &script);
    let metadata = format!(
        "{{\"containerimage.digest\": \"sha256:{}\"}}",
        "1".repeat(64)
    );
    fs::write(folder.path().join("metadata.json"), metadata).expect("it is ours");
    folder
}

#[tokio::test]
async fn buildx_builds_for_all_platforms_and_keeps_its_cache() {
    for (driver, cached) in [("docker-container", true), ("docker", false)] {
        let folder = buildx(driver);
        let mut settings = settings(&[("DOCKER_CONFIG", folder.path().to_str().expect("UTF-8"))]);
        settings.registry_cache = true;
        let mut project = Project::greeting("ghcr.io/acme/flows");
        project.image.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
        let digest = project
            .build(&Docker::new(settings), &["latest", "abc"])
            .await
            .expect("it is built");
        // That of a daemon may be that of its own copy.
        let told = cached.then(|| "1".repeat(64));
        assert_eq!(digest.map(|one| one.to_string()), told);
        assert_eq!(project.log(), "made with ***");
        let cache = "type=registry,ref=ghcr.io/acme/flows:buildcache";
        let to = "mode=max,ignore-error=true,oci-mediatypes=true,image-manifest=true";
        let mut expected = vec![
            "buildx".to_owned(),
            "build".to_owned(),
            "--push".to_owned(),
            "--progress=plain".to_owned(),
            "--metadata-file".to_owned(),
            "output".to_owned(),
            "--platform=linux/amd64,linux/arm64".to_owned(),
            "--tag=ghcr.io/acme/flows:latest".to_owned(),
            "--tag=ghcr.io/acme/flows:abc".to_owned(),
            "--network=host".to_owned(),
            "--allow=network.host".to_owned(),
        ];
        if cached {
            expected.push(format!("--cache-from={cache}"));
            expected.push(format!("--cache-to={cache},{to}"));
        }
        let rest = [
            "--build-arg",
            "TOKEN",
            "--file",
            "file/Dockerfile",
            "context",
        ];
        expected.extend(rest.map(str::to_owned));
        assert_eq!(arguments(folder.path()), expected);
        let environment =
            fs::read_to_string(folder.path().join("environment")).expect("it was called");
        for line in [
            "SOURCE_DATE_EPOCH=315532800",
            "BUILDX_NO_DEFAULT_ATTESTATIONS=1",
        ] {
            assert!(environment.contains(line), "{line}");
        }
    }
}

#[tokio::test]
async fn a_buildkit_of_its_own_writes_a_layout() {
    let folder = buildx("docker-container");
    let mut settings = settings(&[("DOCKER_CONFIG", folder.path().to_str().expect("UTF-8"))]);
    settings.registry_cache = true;
    let project = Project::greeting("flowyard.local/flows");
    let layout = folder.path().join("made/layout");
    let to = Destination::Layout(&layout);
    let built = project.build_to(&Docker::new(settings), &["abc"], to).await;
    assert_eq!(built.expect("it is built"), None);
    let mark = fs::read_to_string(layout.join("oci-layout"));
    assert_eq!(mark.expect("it is unpacked"), "a mark\n");
    let arguments = arguments(folder.path());
    // Where it writes, and no cache in a registry that there may not be.
    assert!(
        arguments.contains(&"archive.tar".to_owned()),
        "{arguments:?}"
    );
    let pushes = |one: &String| one.starts_with("--push") || one.starts_with("--cache");
    assert!(!arguments.iter().any(pushes), "{arguments:?}");
    assert!(arguments.contains(&"--tag=flowyard.local/flows:abc".to_owned()));
}

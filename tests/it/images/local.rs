//! Images that stay on this machine: what `--local` leaves below `.flowyard/images`, by every builder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{base, flowyard, with_programs};
use crate::services::buildah::skopeo;
use crate::services::dockerd::Dockerd;
use crate::services::process;
use crate::support::Repo;

/// A repository with one project of a Dockerfile for each of these builders.
fn projects(builders: &[&str]) -> Repo {
    let repo = Repo::new();
    for builder in builders {
        repo.write(
            &format!("{builder}/flow.py"),
            format!(
                "from prefect import flow\n\n\n@flow\ndef {builder}_local():\n    print('{builder}')\n"
            ),
        );
        repo.write(
            &format!("{builder}/Dockerfile"),
            format!(
                "FROM {}\nRUN echo made by {builder} > /made\nCOPY flow.py /app/\n",
                base()
            ),
        );
        repo.write(
            &format!("{builder}/daily.deployment.yaml"),
            format!(
                "entrypoint: flow.py:{builder}_local\nwork_pool: p\nimage: {{builder: {builder}}}\n"
            ),
        );
    }
    repo.commit("Add projects");
    repo
}

/// What a plan says of the images, by their builders: action, and the name in the layout.
fn planned(repo: &Repo, buildah: &std::path::Path) -> Vec<(String, String, String)> {
    let call = flowyard(repo, "plan --local --format json --verbose");
    let said = with_programs(call, buildah).run().expect_code(0).stdout;
    let plan: Value = serde_json::from_str(&said).expect("JSON");
    let images = plan["images"].as_array().expect("images").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    images
        .map(|image| {
            let name = format!("{}:{}", text(&image["repository"]), text(&image["tag"]));
            (text(&image["builder"]), text(&image["action"]), name)
        })
        .collect()
}

#[test]
fn images_of_dockerfiles_are_in_the_layout_and_run() {
    let dockerd = Dockerd::shared();
    let buildah = process::folder("buildah-of-local");
    let repo = projects(&["docker", "buildah"]);
    let call = flowyard(&repo, "deploy --local");
    let said = with_programs(call, &buildah).run().expect_code(0).stdout;
    assert!(said.contains("; 2 images built;"), "{said}");

    let layout = repo.path().join(".flowyard/images");
    let images = planned(&repo, &buildah);
    let builders: BTreeSet<&str> = images
        .iter()
        .map(|(builder, ..)| builder.as_str())
        .collect();
    assert_eq!(builders, BTreeSet::from(["buildah", "docker"]));
    for (builder, action, name) in &images {
        assert_eq!(action, "keep");
        let from = format!("oci:{}:{name}", layout.display());
        let output = skopeo().args(["inspect", &from]).output().expect("skopeo");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{builder}: {said}");
        // Copied into a daemon, it is a whole image.
        let archive = buildah.join(format!("{builder}.tar"));
        process::run(skopeo().args(["copy", "--quiet", &from]).arg(format!(
            "docker-archive:{}:local:{builder}",
            archive.display()
        )));
        process::run(dockerd.docker().args(["load", "--input"]).arg(&archive));
        let made = dockerd.run(
            &[],
            &format!("local:{builder}"),
            &["cat", "/made", "/app/flow.py"],
        );
        let start = format!("made by {builder}\nfrom prefect import flow\n");
        assert!(made.starts_with(&start), "{made}");
    }
    // Nothing changed: nothing is built.
    let call = flowyard(&repo, "deploy --local");
    let again = with_programs(call, &buildah).run().expect_code(0).stdout;
    assert!(again.starts_with("Nothing to do."), "{again}");
    let _ = std::fs::remove_dir_all(buildah);
}

/// The paths in the last layer of an image of the layout.
fn last_layer(layout: &Path, name: &str) -> BTreeSet<String> {
    let said = |command: &mut Command| {
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let from = format!("oci:{}:{name}", layout.display());
    let manifest = said(skopeo().args(["inspect", "--raw", &from]));
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    let layer = manifest["layers"].as_array().expect("layers").last();
    let digest = layer.expect("a layer")["digest"].as_str().expect("a text");
    let blob = layout.join("blobs").join(digest.replace(':', "/"));
    let listed = said(Command::new("tar").arg("--list").arg("--file").arg(blob));
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn a_build_sees_what_was_planned_and_nothing_else() {
    let buildah = process::folder("buildah-of-seen");
    let repo = projects(&["docker", "buildah"]);
    for builder in ["docker", "buildah"] {
        let mount = match builder {
            "buildah" => format!(
                "RUN --mount=type=bind,from={},source=/etc,target=/other ls /other > /listed\n",
                base()
            ),
            // Without buildx it knows no mounts.
            _ => String::new(),
        };
        let text = format!("FROM {}\n{mount}COPY . /app/\n", base());
        repo.write(&format!("{builder}/Dockerfile"), text);
        repo.write(&format!("{builder}/secret.txt"), "1");
        repo.write(
            &format!("{builder}/Dockerfile.dockerignore"),
            "secret.txt\nD*\n",
        );
        repo.write(&format!("{builder}/.dockerignore"), "*");
    }
    repo.commit("Ignore files");
    let call = flowyard(&repo, "deploy --local");
    let said = with_programs(call, &buildah).run().expect_code(0);
    let repository = base().rsplit_once(':').expect("a tag").0.to_owned();
    let mounted = format!("from={repository}@sha256:");
    assert!(said.stderr.contains(&mounted), "{}", said.stderr);
    for (builder, _, name) in planned(&repo, &buildah) {
        let paths = last_layer(&repo.path().join(".flowyard/images"), &name);
        let files: Vec<&str> = paths
            .iter()
            .map(|path| path.trim_start_matches('/'))
            .filter(|path| !path.ends_with('/'))
            .collect();
        let expected = ["app/daily.deployment.yaml", "app/flow.py"];
        assert_eq!(files, expected, "{builder}");
    }
    let _ = std::fs::remove_dir_all(buildah);
}

#[test]
fn azure_builds_nothing_on_this_machine() {
    let repo = projects(&["acr"]);
    let buildah = process::folder("buildah-unused");
    let call = flowyard(&repo, "deploy --local");
    let run = with_programs(call, &buildah).run().expect_code(1);
    let said = run.said();
    assert!(said.contains("is built in its registry alone"), "{said}");
    assert!(said.contains("`docker` or `buildah`"), "{said}");
    let _ = std::fs::remove_dir_all(buildah);
}

/// The images of a plan that may run Python files.
fn images_of(repo: &Repo, line: &str, buildah: &std::path::Path) -> Vec<Value> {
    let call = with_programs(flowyard(repo, line), buildah);
    let said = call.run().expect_code(0).stdout;
    let plan: Value = serde_json::from_str(&said).expect("JSON");
    plan["images"].as_array().expect("images").clone()
}

#[test]
fn an_image_that_a_python_file_builds_is_built_here() {
    let buildah = process::folder("buildah-of-python");
    let repo = projects(&["docker"]);
    std::fs::remove_file(repo.path().join("docker/daily.deployment.yaml")).expect("was there");
    let file = "docker/daily.deployment.py";
    let text = "from prefect.docker import DockerImage\nfrom flow import docker_local\n\ndocker_local.deploy(\n    \
                'daily',\n    work_pool_name='p',\n    image=DockerImage(name='r.io/acme/daily', tag='1', \
                dockerfile='Dockerfile'),\n)\n";
    repo.write(file, text);
    repo.commit("Deploy by Python");
    let call = with_programs(flowyard(&repo, "deploy --local"), &buildah);
    let said = call.run().expect_code(0).stdout;
    assert!(said.contains("; 1 image built;"), "{said}");
    let read = images_of(&repo, "plan --local --format json --verbose", &buildah);
    assert_eq!(read[0]["repository"], "r.io/acme/daily");
    assert_eq!(read[0]["builder"], "docker");
    assert_eq!(read[0]["action"], "keep");

    // The same file, if it has to be run.
    let undecided = "import hashlib\nname = hashlib.md5(b'x').hexdigest()\n__import__('flow').docker_local.deploy(name, \
                     work_pool_name='p')\n";
    repo.write(file, format!("{text}{undecided}"));
    let line = "plan --local --run-python --format json --verbose";
    let run = images_of(&repo, line, &buildah);
    let image = run
        .iter()
        .find(|one| one["repository"] == "r.io/acme/daily");
    let image = image.expect("it is built there too");
    assert_eq!(image["tag"], read[0]["tag"]);
    let _ = std::fs::remove_dir_all(buildah);
}

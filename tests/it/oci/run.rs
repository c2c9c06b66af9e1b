//! Images in a real registry, and containers of them.

use std::sync::OnceLock;

use flowyard::backend::oci::{Registries, Version};
use flowyard::backend::{Images as _, Kind};
use flowyard::model::{Digest, Image};

use super::index::Index;
use super::{
    GLIBC, Machine, Project, base, configuration, digest_of, layers_of, output, repository, stored,
};
use crate::services::base_image;
use crate::services::buildah::skopeo;
use crate::services::dockerd::Dockerd;
use crate::services::proxy::{Exchange, Proxy};
use crate::services::registry::Registry;

/// A base that runs, in the shared registry.
fn real_base() -> &'static str {
    static PUSHED: OnceLock<String> = OnceLock::new();
    PUSHED.get_or_init(|| {
        let repository = format!("{}/oci-test/base", Registry::shared().name());
        base_image::push(&repository)
    })
}

fn named(name: &str) -> String {
    format!("{}/oci-test/{name}", Registry::shared().name())
}

fn registries() -> Registries {
    Registries::new(Default::default()).expect("a client")
}

/// Programs of packages, modules of ours and of the base, files for Python's start, and `RECORD`s that are true.
const CHECK: &str = r#"
import base64, hashlib, importlib.metadata, pathlib, sys
import greet, native, pip
assert sys.started
for name in ("greet", "words", "native", "startup"):
    for file in importlib.metadata.files(name):
        path = pathlib.Path(file.locate())
        if file.hash is not None:
            digest = hashlib.sha256(path.read_bytes()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, path
        else:
            assert path.exists(), path
print(native.PLACE, __file__)
"#;

#[tokio::test]
async fn a_container_finds_packages_and_code() {
    let index = Index::start().await;
    let repository = named("container");
    let code = [("check.py", CHECK), ("start", "#!/bin/sh\nexec greet\n")];
    let mut project = Project::new(&repository, real_base(), &code)
        .require(&[("requirements.txt", "greet\nnative\nstartup\n")]);
    project.layers().user = Some("nobody".to_owned());
    let digest = project.make(&Machine::with_index(&index).remote()).await;
    let image = format!("{repository}@sha256:{digest}");
    let ran = tokio::task::spawn_blocking(move || {
        let dockerd = Dockerd::shared();
        let checked = dockerd.run(&[], &image, &["python", "check.py"]);
        let greeted = dockerd.run(&[], &image, &["./start"]);
        let user = dockerd.run(&[], &image, &["id", "-un"]);
        (checked, greeted, user)
    });
    let (checked, greeted, user) = ran.await.expect("no panic");
    assert_eq!(
        checked,
        "manylinux_2_17_x86_64 /opt/flowyard/code/check.py\n"
    );
    assert_eq!(greeted, "hei 2.0\n");
    assert_eq!(user, "nobody\n");
}

#[tokio::test]
async fn a_container_runs_byte_code() {
    let index = Index::start().await;
    let repository = named("byte-code");
    let project = Project::new(&repository, real_base(), &[("flow.py", "")])
        .require(&[("requirements.txt", "greet\n")]);
    let mut machine = Machine::with_index(&index);
    machine.bytecode = true;
    let digest = project.make(&machine.remote()).await;
    let image = format!("{repository}@sha256:{digest}");
    let command = "python -v -c 'import greet' 2>&1 | grep 'code object from.*greet'";
    let ran = tokio::task::spawn_blocking(move || {
        Dockerd::shared().run(&[], &image, &["sh", "-c", command])
    });
    let said = ran.await.expect("no panic");
    let compiled = "/opt/flowyard/site-packages/__pycache__/greet.cpython-311.pyc";
    assert!(said.contains(compiled), "{said}");
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let index = Index::start().await;
    let proxy = Proxy::start(Registry::shared().port());
    let host = format!("127.0.0.1:{}", proxy.port());
    // The same registry by another name, so that all requests are seen.
    let base_name = real_base().replacen(&Registry::shared().name(), &host, 1);
    let flows = format!("{host}/oci-test/counted");
    let project = |code: &str| {
        Project::new(&flows, &base_name, &[("flow.py", code)])
            .require(&[("requirements.txt", "greet==1.0\n")])
    };
    let machine = Machine::with_index(&index);
    let first = project("1\n").make(&machine.remote()).await;
    let sent: usize = proxy.take().0.iter().map(|one| one.length).sum();
    assert!(sent < 100_000, "{sent} bytes: the base was taken over");

    // Nothing changed: it is pinned and found.
    let oci = machine.remote();
    let unchanged = project("1\n");
    let pinned = unchanged.pin(&oci).await.expect("pinned");
    let identity = Image::identity(&unchanged.image.inputs(&pinned));
    let found = oci.find(&format!("{flows}:{identity}")).await;
    assert_eq!(found.expect("an answer"), Some(first));
    let recorded = proxy.take();
    assert_eq!(recorded.writes().len(), 0);
    assert_eq!(recorded.0.len(), 2, "one for the base, one for the image");
    // Made again all the same, no layer is sent: the configuration is, which is not asked for, and the manifest.
    let again = project("1\n").make(&machine.remote()).await;
    assert_eq!(first, again);
    let recorded = proxy.take();
    let written = recorded.writes();
    let written = |method: &str, at: &str| {
        let fits = |one: &&&Exchange| one.method.as_str() == method && one.path.contains(at);
        written.iter().filter(fits).count()
    };
    let repository = repository(&registries(), &flows);
    let config = digest_of(&stored(&*repository, &first).await["config"]);
    assert_eq!(written("PUT", &format!("digest=sha256%3A{config}")), 1);
    assert_eq!(written("PUT", &format!("/manifests/{identity}")), 1);
    assert_eq!(written("PUT", ""), 2, "{recorded:#?}");
    assert_eq!(written("POST", "/blobs/uploads/"), 2, "{recorded:#?}");
    assert_eq!(recorded.writes().len(), 4, "{recorded:#?}");

    // One line of code, on a machine that has never seen the project: a layer, a configuration, a manifest.
    let changed = project("2\n");
    let second = changed.make(&Machine::with_index(&index).remote()).await;
    let recorded = proxy.take();
    let blobs = recorded.writes().len();
    assert!((3..=5).contains(&blobs), "{blobs}");
    assert!(!changed.log().contains("packages for"), "{}", changed.log());
    let (one, two) = (
        layers_of(&*repository, &first).await,
        layers_of(&*repository, &second).await,
    );
    assert_eq!(one[..one.len() - 1], two[..two.len() - 1]);
    assert_ne!(one.last(), two.last());
}

#[tokio::test]
async fn a_base_of_another_registry_is_copied() {
    let other = Registry::start();
    let base_name = base(&registries(), &format!("{}/base", other.name()), GLIBC).await;
    let project = Project::new(&named("copied"), &base_name, &[("flow.py", "1\n")]);
    let digest = project.make(&Machine::new().remote()).await;
    let repository = repository(&registries(), &named("copied"));
    for layer in layers_of(&*repository, &digest).await {
        assert!(repository.has(&layer).await.expect("an answer"));
    }
}

#[tokio::test]
async fn a_base_in_dockers_format_is_taken_over_as_it_is() {
    let docker = named("docker-base");
    output(
        skopeo()
            .args(["copy", "--quiet", "--format", "v2s2"])
            .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
            .arg(format!("docker://{}", real_base()))
            .arg(format!("docker://{docker}:1")),
    );
    let code = [("hello.py", "print('hello')\n")];
    let project = Project::new(&named("gzip"), &format!("{docker}:1"), &code);
    let digest = project.make(&Machine::new().remote()).await;
    let repository = repository(&registries(), &named("gzip"));
    let image = stored(&*repository, &digest).await;
    let layers = image["layers"].as_array().expect("layers");
    for layer in layers {
        let media_type = layer["mediaType"].as_str().expect("a type");
        assert_eq!(media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    }
    let config = configuration(&*repository, &digest).await;
    let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("a list");
    assert_eq!(diff_ids.len(), layers.len());
    let reference = format!("{}@sha256:{digest}", named("gzip"));
    let ran = tokio::task::spawn_blocking(move || {
        Dockerd::shared().run(&[], &reference, &["python", "hello.py"])
    });
    assert_eq!(ran.await.expect("no panic"), "hello\n");
}

#[tokio::test]
async fn a_layer_that_the_registry_lost_is_made_again() {
    let index = Index::start().await;
    let base_name = base(&registries(), &named("lost-base"), GLIBC).await;
    let flows = named("lost");
    let project = |name: &str| {
        Project::new(name, &base_name, &[("flow.py", "1\n")])
            .require(&[("requirements.txt", "words\n")])
    };
    let machine = Machine::with_index(&index);
    let first = project(&flows).make(&machine.remote()).await;
    // The machine remembers a layer that this repository has never had.
    let other = project(&named("lost-other"));
    let second = other.make(&machine.remote()).await;
    assert!(other.log().contains("packages for"), "{}", other.log());
    let places = registries();
    let (one, two) = (
        layers_of(&*repository(&places, &flows), &first).await,
        layers_of(&*repository(&places, &named("lost-other")), &second).await,
    );
    assert_eq!(one, two);
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    let port = crate::services::process::free_port();
    let flows = format!("127.0.0.1:{port}/flows");
    let base_name = base(&registries(), &named("alone-base"), GLIBC).await;
    let project = Project::new(&flows, &base_name, &[("flow.py", "1\n")]);
    let error = project.build(&Machine::new().remote()).await;
    let error = error.expect_err("nobody is there");
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn an_index_of_the_registry_names_both_platforms() {
    let index = Index::start().await;
    let places = registries();
    let bases = repository(&places, &named("two-base"));
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let platform = format!("linux/{architecture}");
        let manifest = super::base_for(&*bases, &platform, GLIBC).await;
        let version = Version::Digest(manifest.digest);
        bases
            .put_manifest(&version, &manifest)
            .await
            .expect("written");
        manifests.push(serde_json::json!({
            "mediaType": manifest.media_type, "digest": format!("sha256:{}", manifest.digest),
            "size": manifest.bytes.len(), "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let list =
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    let bytes = bytes::Bytes::from(list.to_string());
    let list = flowyard::backend::oci::Manifest {
        digest: Digest::of(&bytes),
        media_type: media_type.to_owned(),
        bytes,
    };
    let tag = Version::Tag("1".to_owned());
    bases.put_manifest(&tag, &list).await.expect("written");

    let base_name = format!("{}:1", named("two-base"));
    let mut project = Project::new(&named("two"), &base_name, &[("flow.py", "1\n")])
        .require(&[("requirements.txt", "native\n")]);
    project.image.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    let digest = project.make(&Machine::with_index(&index).remote()).await;
    let flows = repository(&places, &named("two"));
    let made = stored(&*flows, &digest).await;
    let mut seen = Vec::new();
    for manifest in made["manifests"].as_array().expect("manifests") {
        let layers = layers_of(&*flows, &digest_of(manifest)).await;
        let texts = super::texts_of(&*flows, &layers[1]).await;
        seen.push(texts["opt/flowyard/site-packages/native.py"].clone());
    }
    assert_eq!(
        seen,
        [
            "PLACE = 'manylinux_2_17_x86_64'\n",
            "PLACE = 'manylinux_2_17_aarch64'\n"
        ]
    );
}

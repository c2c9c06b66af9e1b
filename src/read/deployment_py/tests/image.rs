//! Images that `deploy()` builds.

use super::*;

const IMPORTS: &str = "from prefect.docker import DockerImage\nfrom flow import my_flow\n";

fn repository() -> Repository {
    Repository::new(&[
        ("p/Dockerfile", "FROM x\n"),
        ("docker/Dockerfile.p", "FROM x\n"),
    ])
}

/// The key `image` for these arguments.
fn image(repository: &Repository, arguments: &str) -> Value {
    let source = format!("{IMPORTS}my_flow.deploy('x', work_pool_name='w', {arguments})\n");
    let (drafts, faults) = repository.read(&source);
    assert_eq!(faults, [""; 0], "{arguments}");
    drafts[0]["image"].clone()
}

#[test]
fn what_is_not_built_is_named() {
    let mut repository = repository();
    let named = |repository: &Repository, arguments: &str| {
        let arguments = format!("build=False, image={arguments}");
        image(repository, &arguments)
    };
    assert_eq!(named(&repository, "'r.io/a:2'"), "r.io/a:2");
    assert_eq!(named(&repository, "DockerImage('r.io/a')"), "r.io/a");
    let docker = "DockerImage(name='r.io/a', tag='1', dockerfile='Dockerfile')";
    assert_eq!(named(&repository, docker), "r.io/a:1");
    assert_eq!(
        image(&repository, "image='r.io/a@sha256:00'"),
        "r.io/a@sha256:00"
    );
    repository.images.build = false;
    assert_eq!(image(&repository, &format!("image={docker}")), "r.io/a:1");
}

#[test]
fn a_text_is_built_as_prefect_would() {
    let mut repository = repository();
    let automatic = json!({
        "repository": "localhost:5000/a",
        "base": "prefecthq/prefect:3-latest",
        "code": true,
        "folder": "/opt/prefect/p",
        "tags": ["2"],
    });
    assert_eq!(image(&repository, "image='localhost:5000/a:2'"), automatic);
    let docker = "image=DockerImage('localhost:5000/a', tag='2', dockerfile='auto')";
    assert_eq!(image(&repository, docker), automatic);
    repository.images.base = Some("base".to_owned());
    assert_eq!(
        image(&repository, "image='localhost:5000/a'"),
        json!({"repository": "localhost:5000/a", "code": true, "folder": "/opt/prefect/p"})
    );
}

#[test]
fn a_dockerfile_is_found_from_the_file_or_the_root() {
    let repository = repository();
    let of = |dockerfile: &str| {
        let arguments = format!(
            "image=DockerImage(name='r.io/a', tag='1', dockerfile={dockerfile}, platform='linux/arm64', \
             buildargs={{'A': '1'}})"
        );
        image(&repository, &arguments)
    };
    let own = json!({
        "repository": "r.io/a",
        "dockerfile": "Dockerfile",
        "context": ".",
        "arguments": {"A": "1"},
        "platforms": ["linux/arm64"],
        "tags": ["1"],
    });
    assert_eq!(of("'Dockerfile'"), own);
    assert_eq!(of("'p/Dockerfile'"), own);
    let mut shared = own;
    shared["dockerfile"] = "../docker/Dockerfile.p".into();
    shared["context"] = "..".into();
    assert_eq!(of("'docker/Dockerfile.p'"), shared);
    assert_eq!(of("'none'")["dockerfile"], "none");
}

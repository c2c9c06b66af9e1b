//! Which image a deployment gets.

use std::collections::BTreeMap;

use super::*;
use crate::discover::{self, Scope};
use crate::model::{Desired, Field};
use crate::read::{Settings, desired};

const FLOW: &str = "from prefect import flow\n\n@flow\ndef load():\n    pass\n";

fn with(defaults: Defaults, files: &[(&str, &str)]) -> Desired {
    let files = files.iter().chain([&("p/flow.py", FLOW)]);
    let files = files.map(|(path, text)| (RepoPath::new(*path), text.as_bytes().to_vec()));
    let tree = Tree::memory(files.collect::<BTreeMap<_, _>>());
    let settings = Settings {
        work_pool: Some("aks".to_owned()),
        image: defaults,
        ..Settings::default()
    };
    desired(&tree, &discover::find(&tree, &Scope::default()), &settings)
}

fn configured() -> Defaults {
    Defaults {
        build: true,
        repository: Some("r.io/acme".to_owned()),
        base: Some("python:3.12".to_owned()),
        ..Defaults::default()
    }
}

/// One deployment with more keys.
fn deployment(more: &str) -> String {
    format!("entrypoint: flow.py:load\n{more}")
}

/// `base` or the Dockerfile's path, the repository, the builder and the `image` among the job variables, for each image.
fn images(desired: &Desired) -> Vec<(String, String, Builder)> {
    let told = desired.images.values().map(|image| {
        let made_of = match &image.recipe {
            Recipe::Layers(layers) => layers.base.clone(),
            Recipe::Dockerfile(dockerfile) => dockerfile.file.to_string(),
            Recipe::Named => "named".to_owned(),
        };
        (made_of, image.repository.clone(), image.builder)
    });
    told.collect()
}

fn faults(desired: &Desired) -> Vec<String> {
    let said = desired.diagnostics.iter();
    said.map(|one| format!("{}: {}", one.place, one.message))
        .collect()
}

fn variable(desired: &Desired) -> Option<String> {
    let variables = desired.projects[0].deployments[0]
        .fields
        .get(&Field::JobVariables)?;
    Some(variables["image"].as_str()?.to_owned())
}

#[test]
fn the_configuration_gives_an_image_and_a_file_has_the_last_word() {
    let desired = with(configured(), &[("p/a.deployment.yaml", &deployment(""))]);
    assert_eq!(faults(&desired), [""; 0]);
    let layered = (
        "python:3.12".to_owned(),
        "r.io/acme".to_owned(),
        Builder::Oci,
    );
    assert_eq!(images(&desired), std::slice::from_ref(&layered));
    let key = desired.images.keys().next().expect("an image");
    assert_eq!(
        variable(&desired),
        Some(format!("{{{{ flowyard.step.{key}.image }}}}"))
    );
    assert_eq!(desired.projects[0].deployments[0].images, [key.as_str()]);

    for alone in [
        "image: false\n",
        "image: other:1\n",
        "job_variables: {image: other:1}\n",
    ] {
        let desired = with(configured(), &[("p/a.deployment.yaml", &deployment(alone))]);
        assert_eq!(
            (faults(&desired), images(&desired)),
            (vec![], vec![]),
            "{alone}"
        );
    }
    let nothing = with(
        Defaults::default(),
        &[("p/a.deployment.yaml", &deployment(""))],
    );
    assert_eq!((faults(&nothing), images(&nothing)), (vec![], vec![]));
    // A Dockerfile alone has no place to go to.
    let files = [
        ("p/a.deployment.yaml", deployment("")),
        ("p/Dockerfile", "FROM a\n".to_owned()),
    ];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    assert_eq!(images(&with(Defaults::default(), &files)), []);
    let docker = (
        "p/Dockerfile".to_owned(),
        "r.io/acme".to_owned(),
        Builder::Docker,
    );
    assert_eq!(images(&with(configured(), &files)), [docker]);
    let base = deployment("image: {base: 'other:1', code: true, builder: oci}\n");
    let desired = with(configured(), &[("p/a.deployment.yaml", &base), files[1]]);
    assert_eq!(images(&desired)[0].0, "other:1");
    let Recipe::Layers(layers) = &desired.images.values().next().expect("one").recipe else {
        panic!("no layers: {desired:?}");
    };
    assert_eq!(layers.code.as_ref().map(|code| code.files().len()), Some(2));
}

#[test]
fn deployments_with_the_same_inputs_share_an_image() {
    let list = "deployments:\n- {name: a, entrypoint: flow.py:load}\n- {name: b, entrypoint: flow.py:load}\n\
                - {name: c, entrypoint: flow.py:load, image: {python: '3.11'}}\n";
    let desired = with(
        configured(),
        &[
            ("p/a.deployment.yaml", list),
            ("q/other.deployment.yaml", &deployment("")),
            ("q/flow.py", FLOW),
        ],
    );
    assert_eq!(faults(&desired), [""; 0]);
    assert_eq!(desired.images.len(), 2);
    // Not with other requirements.
    let files = [
        ("p/a.deployment.yaml", list),
        ("requirements.txt", "x"),
        ("q/other.deployment.yaml", &deployment("")),
    ];
    let other = [("q/flow.py", FLOW), ("q/requirements.txt", "y")];
    let desired = with(configured(), &[&files[..], &other[..]].concat());
    assert_eq!(desired.images.len(), 3);
}

#[test]
fn an_image_that_is_not_made_here_is_named() {
    let named = Defaults {
        name: Some("pangeo/forge:2024".to_owned()),
        ..Defaults::default()
    };
    let desired = with(named, &[("p/a.deployment.yaml", &deployment(""))]);
    assert_eq!(images(&desired)[0].1, "pangeo/forge:2024");
    let own = deployment("image: {name: 'x:1'}\n");
    let desired = with(configured(), &[("p/a.deployment.yaml", &own)]);
    assert_eq!(
        images(&desired)[0],
        ("named".to_owned(), "x:1".to_owned(), Builder::Oci)
    );
}

#[test]
fn a_dockerfile_sees_what_it_copies() {
    let dockerfile = "FROM a\nCOPY flow.py lib/ /app/\n";
    let mut files = vec![
        ("p/a.deployment.yaml", "entrypoint: flow.py:load\n"),
        ("p/Dockerfile", dockerfile),
        ("p/lib/x.py", "1"),
        ("p/lib/x.md", "1"),
        ("p/data.csv", "1"),
        ("p/.dockerignore", "**/*.md\n"),
    ];
    let held = |desired: &Desired| {
        let image = desired.images.values().next().expect("an image");
        let Recipe::Dockerfile(dockerfile) = &image.recipe else {
            panic!("no Dockerfile: {image:?}");
        };
        let paths = dockerfile
            .context
            .files()
            .iter()
            .map(|file| file.path.clone());
        (paths.collect::<Vec<_>>(), image.key())
    };
    let (paths, key) = held(&with(configured(), &files));
    assert_eq!(paths, ["flow.py", "lib/x.py"]);
    files[4].1 = "2";
    assert_eq!(
        held(&with(configured(), &files)).1,
        key,
        "data.csv is not copied"
    );
    files[2].1 = "2";
    assert_ne!(held(&with(configured(), &files)).1, key);
    files[1].1 = "FROM a\nCOPY . /app\n";
    assert!(
        held(&with(configured(), &files))
            .0
            .contains(&"data.csv".to_owned())
    );
}

/// The files that the context of the only image holds.
fn held(files: &[(&str, &str)]) -> Vec<String> {
    let desired = with(configured(), files);
    assert_eq!(faults(&desired), [""; 0]);
    let image = desired.images.values().next().expect("an image");
    let Recipe::Dockerfile(dockerfile) = &image.recipe else {
        panic!("no Dockerfile: {image:?}");
    };
    let files = dockerfile.context.files().iter();
    files.map(|file| file.path.clone()).collect()
}

#[test]
fn a_dockerfile_has_ignored_files_of_its_own() {
    let mut files = vec![
        ("p/a.deployment.yaml", "entrypoint: flow.py:load\n"),
        ("p/Dockerfile", "FROM a\nCOPY . /app\n"),
        (
            "p/.dockerignore",
            "\u{feff}secret.txt\n.\na.*\nDockerfile\n",
        ),
        ("p/secret.txt", "1"),
    ];
    assert_eq!(held(&files), [".dockerignore", "flow.py"]);
    // The common one does not count then, and no builder is to find it.
    files[2].1 = "*";
    files.push((
        "p/Dockerfile.dockerignore",
        "\u{feff}secret.txt\nDockerfile*\n",
    ));
    assert_eq!(held(&files), ["a.deployment.yaml", "flow.py"]);
}

#[test]
fn what_builders_take_is_taken() {
    let deployment = ("p/a.deployment.yaml", "entrypoint: flow.py:load\n");
    for (text, expected) in [
        // A wildcard need not match.
        ("FROM a\nCOPY flow.py requirements*.txt /app/\n", "flow.py"),
        ("\u{feff}FROM a\nCOPY none/../flow.py /app/\n", "flow.py"),
        (
            "FROM a-$TARGETARCH\nRUN A=$((1 << 20))\nCOPY flow.py /\n",
            "flow.py",
        ),
    ] {
        assert_eq!(
            held(&[deployment, ("p/Dockerfile", text)]),
            [expected],
            "{text}"
        );
    }
}

#[test]
fn what_cannot_be_built_is_said_where_it_stands() {
    let dockerfile = |text: &str, image: &str| {
        let files = [
            ("p/a.deployment.yaml", deployment(image)),
            ("p/Dockerfile", text.to_owned()),
        ];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        faults(&with(configured(), &files))
    };
    assert_eq!(
        dockerfile("FROM a\nRNU x\n", ""),
        ["p/Dockerfile:2:1: unknown instruction `RNU` in a Dockerfile"]
    );
    assert_eq!(
        dockerfile("FROM a\nCOPY ../x /\n", ""),
        ["p/Dockerfile:2:1: `../x` leads out of the build's context"]
    );
    assert_eq!(
        dockerfile("FROM a\nCOPY x.py /\n", ""),
        ["p/Dockerfile:2:1: `x.py` is not in the build's context p"]
    );
    assert_eq!(
        dockerfile("FROM a\n", "image: {context: ../..}\n"),
        ["p/a.deployment.yaml:2:18: the build's context `../..` leads out of the repository"]
    );
    for (context, why) in [
        ("nosuch", "does not exist"),
        ("flow.py", "is no folder"),
        // Not that of the machine, and not the repository's either.
        ("/p", "is no path from the deployment file"),
    ] {
        let image = format!("image: {{context: {context}}}\n");
        assert_eq!(
            dockerfile("FROM a\nCOPY . /app\n", &image),
            [format!(
                "p/a.deployment.yaml:2:18: the build's context `{context}` {why}"
            )]
        );
    }
    assert_eq!(
        dockerfile("FROM a\nCOPY no.py flow.py nor/../none.py /\n", ""),
        [
            "p/Dockerfile:2:1: `no.py` is not in the build's context p",
            "p/Dockerfile:2:1: `nor/../none.py` is not in the build's context p"
        ]
    );
    assert_eq!(
        dockerfile("FROM a\n", "image: {dockerfile: Dockerfle}\n"),
        ["p/a.deployment.yaml:2:8: the Dockerfile `Dockerfle` does not exist"]
    );
    let one = |image: &str, defaults| {
        faults(&with(
            defaults,
            &[("p/a.deployment.yaml", &deployment(image))],
        ))
    };
    for (image, fault) in [
        ("image: {bse: x}\n", "2:9: unknown key `bse` in `image`"),
        (
            "image: {builder: dokcer}\n",
            "2:18: `dokcer` builds no images",
        ),
        (
            "image: {base: a, dockerfile: b}\n",
            "2:8: `image` has both `base` and `dockerfile`",
        ),
        (
            "image: {platforms: [amd64]}\n",
            "2:8: `amd64` is no platform",
        ),
        (
            "image: {folder: app}\n",
            "2:17: `app` is no folder of an image",
        ),
        ("image: {folder: /}\n", "2:17: `/` is no folder of an image"),
        (
            "image: {folder: /srv/../x}\n",
            "2:17: `/srv/../x` is no folder of an image",
        ),
        (
            "image: {environment: {A: [1]}}\n",
            "2:26: `A` is a text, not a list",
        ),
        (
            "image: 3.12\n",
            "2:8: `image` is a text, a mapping, true or false, not a number",
        ),
        (
            "image: [python]\n",
            "2:8: `image` is a text, a mapping, true or false, not a list",
        ),
    ] {
        let said = one(image, configured());
        assert_eq!(
            said.first(),
            Some(&format!("p/a.deployment.yaml:{fault}")),
            "{said:?}"
        );
    }
    assert_eq!(
        one("image: {folder: /srv/app/, code: true}\n", configured()),
        [""; 0]
    );
    assert_eq!(
        one("image: true\n", Defaults::default()),
        ["p/a.deployment.yaml:2:8: the image has neither a base nor a Dockerfile"]
    );
    let no_place = Defaults {
        base: Some("a".to_owned()),
        ..Defaults::default()
    };
    assert_eq!(
        one("image: true\n", no_place),
        ["p/a.deployment.yaml:2:8: the image has no `repository`, so there is no place for it"]
    );
    let told = one(
        "job_variables: {image: x, other: '{{ flowyard.image }}'}\n",
        configured(),
    );
    assert!(
        told[0].contains("stands in a deployment that has no image"),
        "{told:?}"
    );
}

const PREFECT_YAML: &str = "build:\n- prefect_docker.deployments.steps.build_docker_image:\n    id: b\n    image_name: \
    r.io/x\n    tag: v1\n    dockerfile: Dockerfile\n    buildargs: {A: 1}\npush:\n- \
    prefect_docker.deployments.steps.push_docker_image:\n    image_name: '{{ b.image_name }}'\n    tag: '{{ b.tag \
    }}'\ndeployments:\n- {name: a, entrypoint: 'flow.py:load', work_pool: {name: aks, job_variables: {image: '{{ b.image \
    }}'}}}\n- {name: b, entrypoint: 'flow.py:load', work_pool: {name: aks, job_variables: {image: '{{ b.image_name }}:{{ b.tag }}'}}}\n";

#[test]
fn steps_of_a_prefect_yaml_become_images() {
    let files = [
        ("p/prefect.yaml", PREFECT_YAML),
        ("p/Dockerfile", "ARG A=2\nFROM base:$A\n"),
    ];
    let desired = with(configured(), &files);
    assert_eq!(faults(&desired), [""; 0]);
    let image = desired.images.values().next().expect("an image");
    assert_eq!(
        (image.repository.as_str(), image.tags.as_slice()),
        ("r.io/x", &["v1".to_owned()][..])
    );
    let Recipe::Dockerfile(dockerfile) = &image.recipe else {
        panic!("no Dockerfile: {image:?}");
    };
    assert_eq!(dockerfile.bases, ["base:1"]);
    for deployment in &desired.projects[0].deployments {
        let variables = &deployment.fields[&Field::JobVariables];
        assert_eq!(
            variables["image"],
            format!("{{{{ flowyard.step.{}.image }}}}", image.key())
        );
    }
    // The configuration says for which machines, unless the step does.
    let arm = || Defaults {
        platforms: vec!["linux/arm64".to_owned()],
        ..configured()
    };
    let own = PREFECT_YAML.replace("    tag: v1", "    platform: linux/amd64\n    tag: v1");
    for (text, platform) in [(PREFECT_YAML, "linux/arm64"), (&own, "linux/amd64")] {
        let desired = with(arm(), &[("p/prefect.yaml", text), files[1]]);
        assert_eq!(faults(&desired), [""; 0]);
        let image = desired.images.values().next().expect("an image");
        assert_eq!(image.platforms, [platform]);
    }
    // Someone else builds them.
    let elsewhere = with(
        Defaults {
            build: false,
            ..configured()
        },
        &files,
    );
    assert_eq!(
        (elsewhere.images.len(), variable(&elsewhere).as_deref()),
        (0, Some("r.io/x:v1"))
    );
    // Without a tag and without a Dockerfile.
    let auto = PREFECT_YAML
        .replace("    tag: v1\n", "")
        .replace("dockerfile: Dockerfile", "dockerfile: auto");
    let desired = with(configured(), &[("p/prefect.yaml", &auto)]);
    assert_eq!(faults(&desired), [""; 0]);
    let image = desired.images.values().next().expect("an image");
    let Recipe::Layers(layers) = &image.recipe else {
        panic!("no layers: {image:?}");
    };
    assert_eq!(
        (layers.base.as_str(), layers.folder.as_str()),
        ("python:3.12", "/opt/prefect/p")
    );
    assert!(image.tags.is_empty());
    assert_eq!(desired.projects[0].deployments[1].images.len(), 1);
}

#[test]
fn an_image_that_two_files_build_gets_the_tags_of_both() {
    let other = PREFECT_YAML
        .replace("tag: v1", "tag: v2")
        .replace("name: a", "name: c")
        .replace("name: b", "name: d");
    let files = [
        ("p/prefect.yaml", PREFECT_YAML),
        ("p/Dockerfile", "ARG A=2\nFROM base:$A\n"),
        ("q/prefect.yaml", other.as_str()),
        ("q/Dockerfile", "ARG A=2\nFROM base:$A\n"),
        ("q/flow.py", FLOW),
    ];
    let desired = with(configured(), &files);
    assert_eq!(faults(&desired), [""; 0]);
    let images: Vec<_> = desired.images.values().collect();
    let [image] = images[..] else {
        panic!("not one: {images:?}");
    };
    assert_eq!(image.tags, ["v1", "v2"]);
    assert_eq!(image.place.path.as_str(), "p/prefect.yaml");
}

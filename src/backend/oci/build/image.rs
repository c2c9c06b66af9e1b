//! The configuration of an image that stands on a base.
//!
//! Source: [config.md](https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md). Nothing in it depends on when
//! and where it is made, nor on the revision of the repository: the same inputs give the same bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::base::Base;
use super::python::install::{PACKAGES, PROGRAMS};
use crate::backend::oci::document::Sha256;
use crate::backend::{Error, Kind, Result};
use crate::model::{Digest, Layers};

/// The time of everything.
const EPOCH: &str = "1970-01-01T00:00:00Z";
/// What a process has that is given no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Labels that say what an image is; those of a base are not true of what stands on it.
const OWN_LABELS: &str = "org.opencontainers.image.";

/// A layer that is put on the base.
#[derive(Clone, Debug)]
pub(super) struct Added {
    /// The digest of its archive before packing.
    pub(super) diff_id: Digest,
    /// What made it, for the history.
    pub(super) by: String,
}

/// The labels and annotations that say what the image is and what it stands on.
pub(super) fn labels(base: &Base, base_digest: &Digest, title: &str) -> BTreeMap<String, String> {
    let reference = match &base.reference.version {
        // A digest is told apart from the name.
        Some(crate::backend::oci::Version::Digest(_)) | None => base.reference.name(),
        Some(_) => base.reference.to_string(),
    };
    [
        ("base.name", reference),
        ("base.digest", Sha256(*base_digest).to_string()),
        ("title", title.to_owned()),
    ]
    .map(|(name, value)| (format!("{OWN_LABELS}{name}"), value))
    .into()
}

/// The configuration of the base with these layers added.
///
/// Entry point, command, ports, volumes and all else of the base stay. With packages, `PATH` and `PYTHONPATH` start with
/// ours; with code, work starts in its folder. Triggers of `ONBUILD` are left out: there is no build that could run them.
pub(super) fn config(
    base: &Base,
    layers: &Layers,
    added: &[Added],
    labels: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let fault = |what: &str| Error::new(Kind::Other, &base.written, what);
    let mut whole = Map::new();
    for name in ["architecture", "os", "os.features", "os.version", "variant"] {
        if let Some(value) = base.config.get(name) {
            whole.insert(name.to_owned(), value.clone());
        }
    }
    whole.insert("created".to_owned(), EPOCH.into());

    let mut run = match base.config.get("config") {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::new(),
    };
    run.remove("OnBuild");
    // What old versions of Docker noted about the container that the base was made in.
    run.remove("Image");
    run.remove("Hostname");
    run.insert("Env".to_owned(), environment(base, layers).into());
    run.insert("Labels".to_owned(), all_labels(base, layers, labels));
    if let Some(user) = &layers.user {
        run.insert("User".to_owned(), user.as_str().into());
    }
    if layers.code.is_some() {
        run.insert("WorkingDir".to_owned(), layers.folder.as_str().into());
    }
    whole.insert("config".to_owned(), run.into());

    let diff_ids = base.config["rootfs"]["diff_ids"].as_array();
    let mut diff_ids = diff_ids.cloned().unwrap_or_default();
    if diff_ids.len() != base.layers.len() {
        return Err(fault(
            "its configuration has another number of layers than its manifest",
        ));
    }
    diff_ids.extend(added.iter().map(|one| json!(Sha256(one.diff_id))));
    whole.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    if let Some(history) = history(base, added) {
        whole.insert("history".to_owned(), history);
    }
    serde_json::to_vec(&Value::from(whole)).map_err(|error| fault(&error.to_string()))
}

/// `NAME=value` for each variable: those of the base in its order, then ours by name.
fn environment(base: &Base, layers: &Layers) -> Vec<String> {
    let mut ours = layers.environment.clone();
    if layers.requirements.is_some() {
        let mut prepend = |name: &str, folder: &str, otherwise: Option<&str>| {
            let rest = ours.get(name).map(String::as_str);
            let rest = rest.or_else(|| base.variable(name)).or(otherwise);
            let value = match rest {
                Some(rest) if !rest.is_empty() => format!("{folder}:{rest}"),
                _ => folder.to_owned(),
            };
            ours.insert(name.to_owned(), value);
        };
        prepend("PATH", PROGRAMS, Some(DEFAULT_PATH));
        prepend("PYTHONPATH", PACKAGES, None);
    }
    let mut all = Vec::new();
    for (name, value) in base.environment() {
        let value = ours.remove(name).unwrap_or_else(|| value.to_owned());
        all.push(format!("{name}={value}"));
    }
    all.extend(ours.iter().map(|(name, value)| format!("{name}={value}")));
    all
}

fn all_labels(base: &Base, layers: &Layers, labels: &BTreeMap<String, String>) -> Value {
    let mut all = Map::new();
    if let Some(Value::Object(theirs)) = base.config["config"].get("Labels") {
        all.extend(
            theirs
                .iter()
                .filter(|(name, _)| !name.starts_with(OWN_LABELS))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    for (name, value) in labels.iter().chain(&layers.labels) {
        all.insert(name.clone(), value.as_str().into());
    }
    all.into()
}

/// The base's history and ours; `None` where the base has none, or one that does not fit its layers.
fn history(base: &Base, added: &[Added]) -> Option<Value> {
    let mut history = base.config.get("history")?.as_array()?.clone();
    let layers = history
        .iter()
        .filter(|one| one["empty_layer"].as_bool() != Some(true));
    if layers.count() != base.layers.len() {
        return None;
    }
    history.extend(
        added
            .iter()
            .map(|one| json!({"created": EPOCH, "created_by": one.by})),
    );
    Some(history.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::oci::document::Descriptor;
    use crate::model::{CodeTree, RepoPath, Requirements};

    const BASE: &str = "registry.example.org/python:3.12";

    fn base() -> Base {
        let digest = Digest::of(b"base");
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
            "container": "abc", "docker_version": "20",
            "config": {
                "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "EMPTY="],
                "Entrypoint": ["/start"], "Cmd": ["python3"], "User": "10", "WorkingDir": "/app",
                "OnBuild": ["RUN x"], "Hostname": "abc",
                "Labels": {"org.opencontainers.image.revision": "abc", "maintainer": "kari"},
            },
            "rootfs": {"type": "layers", "diff_ids": [Sha256(digest)]},
            "history": [{"created_by": "a"}, {"created_by": "b", "empty_layer": true}],
        });
        let mut base = Base::fake(BASE, config);
        base.layers = vec![Descriptor::new("x", digest, 1)];
        base
    }

    fn layers() -> Layers {
        Layers {
            base: BASE.into(),
            requirements: Some(Requirements {
                file: RepoPath::new("requirements.txt"),
                files: CodeTree::default(),
            }),
            code: Some(CodeTree::default()),
            folder: "/opt/flowyard/code".to_owned(),
            environment: [("LANG", "nb_NO.UTF-8"), ("A", "1=2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            user: Some("1000:1000".into()),
            labels: [("team".to_owned(), "news".to_owned())].into(),
            ..Layers::default()
        }
    }

    fn made(base: &Base, layers: &Layers) -> Value {
        let added = [Added {
            diff_id: Digest::of(b"layer"),
            by: "flowyard: packages".to_owned(),
        }];
        let labels = labels(base, &Digest::of(b"index"), "flows");
        let bytes = config(base, layers, &added, &labels).expect("a configuration");
        assert_eq!(bytes, config(base, layers, &added, &labels).expect("again"));
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[test]
    fn what_the_base_says_stays_unless_said_otherwise() {
        let config = made(&base(), &layers());
        let run = &config["config"];
        assert_eq!(
            run["Env"],
            json!([
                "PATH=/opt/flowyard/bin:/usr/bin",
                "LANG=nb_NO.UTF-8",
                "EMPTY=",
                "A=1=2",
                "PYTHONPATH=/opt/flowyard/site-packages",
            ])
        );
        assert_eq!(run["Entrypoint"], json!(["/start"]));
        assert_eq!(run["Cmd"], json!(["python3"]));
        assert_eq!(run["User"], "1000:1000");
        assert_eq!(run["WorkingDir"], "/opt/flowyard/code");
        assert_eq!(run.get("OnBuild"), None);
        assert_eq!(
            run["Labels"],
            json!({
                "maintainer": "kari",
                "org.opencontainers.image.base.digest": Sha256(Digest::of(b"index")),
                "org.opencontainers.image.base.name": BASE,
                "org.opencontainers.image.title": "flows",
                "team": "news",
            })
        );
        assert_eq!(config["created"], EPOCH);
        assert_eq!(config.get("container"), None);
        assert_eq!(
            config["rootfs"]["diff_ids"].as_array().map(Vec::len),
            Some(2)
        );
        assert_eq!(config["history"][2]["created_by"], "flowyard: packages");
        assert_eq!(config["history"][2]["created"], EPOCH);
    }

    #[test]
    fn without_packages_and_code_nothing_moves() {
        let config = made(&base(), &Layers::default());
        let run = &config["config"];
        assert_eq!(
            run["Env"],
            json!(["PATH=/usr/bin", "LANG=C.UTF-8", "EMPTY="])
        );
        assert_eq!(run["WorkingDir"], "/app");
        assert_eq!(run["User"], "10");
    }

    #[test]
    fn folders_go_before_what_is_there() {
        let mut layers = layers();
        layers.environment = [("PATH", "/mine"), ("PYTHONPATH", "/lib")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let bare = Base::fake(BASE, json!({"os": "linux"}));
        let config = made(&bare, &layers);
        assert_eq!(
            config["config"]["Env"],
            json!([
                "PATH=/opt/flowyard/bin:/mine",
                "PYTHONPATH=/opt/flowyard/site-packages:/lib"
            ])
        );
        layers.environment.clear();
        let config = made(&bare, &layers);
        let path = format!("PATH=/opt/flowyard/bin:{DEFAULT_PATH}");
        assert_eq!(config["config"]["Env"][0], json!(path));
        assert_eq!(config.get("history"), None, "the base has none");
    }

    #[test]
    fn a_base_that_contradicts_itself_is_a_fault() {
        let mut base = base();
        base.layers.clear();
        let error = config(&base, &layers(), &[], &BTreeMap::new()).expect_err("a fault");
        assert!(
            error.message.contains("another number of layers"),
            "{error}"
        );
        base.layers = vec![Descriptor::new("x", Digest::of(b"base"), 1)];
        base.config["history"] = json!([{}, {}]);
        assert_eq!(made(&base, &layers()).get("history"), None);
    }
}

//! The logins that flowyard was given, for programs that read only files of their own.
//!
//! Sources: [docker/cli, `cli/config/configfile`](https://github.com/docker/cli/tree/master/cli/config/configfile) (an
//! entry in `credHelpers` comes before `credsStore`, an empty one means the file itself), and
//! [`containers-auth.json(5)`](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{Settings, in_full};
use crate::backend::Result;
use crate::model::{Image, Pinned};

/// User names and passwords, by the hosts of registries.
pub(super) type Found = BTreeMap<String, (String, SecretString)>;

/// Docker Hub as Docker's own file calls it.
const HUB: &str = "https://index.docker.io/v1/";

/// The logins for the registries that a build needs: those of its repository and of its bases.
pub(super) async fn needed(settings: &Settings, image: &Image, pinned: &Pinned) -> Result<Found> {
    let mut found = BTreeMap::new();
    let Some(logins) = &settings.logins else {
        return Ok(found);
    };
    let own = host(&image.repository);
    let names = pinned.bases.keys();
    let hosts: BTreeSet<String> = names.map(|name| host(name)).chain([own.clone()]).collect();
    for host in hosts {
        let login = match logins.login(&host).await {
            // A base may be for everybody.
            Err(_) if host != own => None,
            login => login?,
        };
        if let Some(login) = login {
            found.insert(host, login);
        }
    }
    Ok(found)
}

/// A registry as Docker's own file calls it.
fn docker_key(host: &str) -> &str {
    if host == "docker.io" { HUB } else { host }
}

/// The host of the registry of a name.
pub(super) fn host(name: &str) -> String {
    let full = in_full(name);
    full.split('/').next().unwrap_or_default().to_owned()
}

/// A folder to be `DOCKER_CONFIG`: all that `original` holds, and the logins before its own. Removed on drop.
pub(super) fn for_docker(original: Option<&Path>, logins: &Found) -> anyhow::Result<TempDir> {
    let folder = folder()?;
    if let Some(entries) = original.and_then(|folder| fs::read_dir(folder).ok()) {
        for entry in entries.flatten() {
            if entry.file_name() != CONFIG {
                link(&entry.path(), &folder.path().join(entry.file_name()))?;
            }
        }
    }
    let mut config = original.map_or_else(Map::new, |folder| read(&folder.join(CONFIG)));
    add(&mut config, logins);
    for host in logins.keys() {
        // Else the helper for all would be asked for it.
        put(&mut config, "credHelpers", docker_key(host), json!(""));
    }
    write(&folder.path().join(CONFIG), config)?;
    Ok(folder)
}

/// A folder with the file `auth.json` to be `REGISTRY_AUTH_FILE`: what the files of `originals` know, of which a later one
/// counts more, and the logins before that. Removed on drop.
pub(super) fn for_buildah(originals: &[PathBuf], logins: &Found) -> anyhow::Result<TempDir> {
    let folder = folder()?;
    let mut merged = Map::new();
    for original in originals {
        let mut file = read(original);
        for name in ["auths", "credHelpers"] {
            if let Some(Value::Object(entries)) = file.remove(name) {
                for (key, value) in entries {
                    put(&mut merged, name, &key, value);
                }
            }
        }
    }
    add(&mut merged, logins);
    write(&folder.path().join(AUTH), merged)?;
    Ok(folder)
}

/// Docker's file in its folder.
const CONFIG: &str = "config.json";
/// The file in the folder of [`for_buildah`].
pub(super) const AUTH: &str = "auth.json";

/// One that only its owner may enter.
fn folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("flowyard-login-")
        .tempdir()
        .context("make a folder for logins")
}

/// The object in a file; an empty one where there is none, as the programs have it.
fn read(path: &Path) -> Map<String, Value> {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn put(object: &mut Map<String, Value>, name: &str, key: &str, value: Value) {
    if !object.get(name).is_some_and(Value::is_object) {
        object.insert(name.to_owned(), json!({}));
    }
    if let Some(Value::Object(inner)) = object.get_mut(name) {
        inner.insert(key.to_owned(), value);
    }
}

fn add(config: &mut Map<String, Value>, logins: &Found) {
    for (host, (username, password)) in logins {
        let pair = format!("{username}:{}", password.expose_secret());
        let entry = json!({ "auth": BASE64_STANDARD.encode(pair) });
        for key in BTreeSet::from([host.as_str(), docker_key(host)]) {
            put(config, "auths", key, entry.clone());
            if let Some(Value::Object(helpers)) = config.get_mut("credHelpers") {
                helpers.remove(key);
            }
        }
    }
}

fn write(path: &Path, object: Map<String, Value>) -> anyhow::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(Value::Object(object).to_string().as_bytes())
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    let from = fs::canonicalize(from).unwrap_or_else(|_| from.to_owned());
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_file() {
        fs::copy(from, to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(host: &str) -> Found {
        let login = ("me".to_owned(), "hush".to_owned().into());
        BTreeMap::from([(host.to_owned(), login)])
    }

    #[test]
    fn docker_finds_a_login_beside_all_that_it_had() {
        let original = tempfile::tempdir().expect("a folder");
        fs::create_dir(original.path().join("contexts")).expect("it is ours");
        fs::write(original.path().join("contexts/x"), "y").expect("it is ours");
        let config = r#"{"auths": {"quay.io": {"auth": "a"}}, "credsStore": "desktop", "currentContext": "x"}"#;
        fs::write(original.path().join(CONFIG), config).expect("it is ours");
        let folder = for_docker(Some(original.path()), &logins("docker.io")).expect("made");
        let said = read(&folder.path().join(CONFIG));
        let entry = json!({ "auth": "bWU6aHVzaA==" });
        let expected = json!({
            "auths": { "quay.io": { "auth": "a" }, "docker.io": entry, HUB: entry },
            "credHelpers": { HUB: "" },
            "credsStore": "desktop",
            "currentContext": "x",
        });
        assert_eq!(Value::Object(said), expected);
        let linked = fs::read_to_string(folder.path().join("contexts/x"));
        assert_eq!(linked.expect("a link"), "y");
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
        assert!(original.path().join("contexts/x").exists());
        // Where there is no folder yet.
        let folder = for_docker(None, &logins("ghcr.io")).expect("made");
        let said = read(&folder.path().join(CONFIG));
        assert_eq!(said["credHelpers"], json!({ "ghcr.io": "" }));
    }

    #[test]
    fn buildah_finds_a_login_before_those_of_its_files() {
        let original = tempfile::tempdir().expect("a folder");
        let paths = ["a", "b", "absent"].map(|name| original.path().join(name));
        let first = r#"{"auths": {"quay.io": {"auth": "a"}, "ghcr.io": {}}, "credsStore": "x"}"#;
        fs::write(&paths[0], first).expect("it is ours");
        let second =
            r#"{"auths": {"quay.io": {"auth": "b"}}, "credHelpers": {"ghcr.io": "h", "x": "h"}}"#;
        fs::write(&paths[1], second).expect("it is ours");
        let folder = for_buildah(&paths, &logins("ghcr.io")).expect("made");
        let said = read(&folder.path().join(AUTH));
        let expected = json!({
            "auths": { "quay.io": { "auth": "b" }, "ghcr.io": { "auth": "bWU6aHVzaA==" } },
            "credHelpers": { "x": "h" },
        });
        assert_eq!(Value::Object(said), expected);
    }
}

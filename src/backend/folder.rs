//! The embedded default: registrations as readable files, one a deployment.
//!
//! `<folder>/<flow>/<name>.json` holds the owner and every field of [`Field`]'s docs. Characters that a
//! file system may refuse are percent-encoded in the names. There are no work pools, blocks or variables here, so none
//! of them is ever missing.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Error, Kind, Orchestrator, Question, Result};
use crate::model::{
    DeploymentId, Dialect, Field, Fields, Live, LiveDeployment, Owner, Registration,
};

/// What Windows or Unix refuse in file names, and the percent sign itself.
const UNSAFE: &[char] = &['/', '\\', ':', '*', '?', '"', '<', '>', '|', '%'];

/// A registration as its file holds it.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    flow: String,
    name: String,
    owner: Owner,
    fields: Fields,
}

/// The registrations of one environment below a folder.
#[derive(Debug)]
pub struct Registrations {
    folder: PathBuf,
    dialect: Dialect,
}

impl Registrations {
    /// Registrations below `folder`, which is made by the first of them, as a server of this release would hold them.
    pub fn new(folder: PathBuf, dialect: Dialect) -> Self {
        Self { folder, dialect }
    }

    fn path(&self, id: &DeploymentId) -> PathBuf {
        self.folder
            .join(file_name(&id.flow))
            .join(file_name(&id.name) + ".json")
    }

    fn error(&self, path: &Path, doing: &str, error: &std::io::Error) -> Error {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Kind::Denied,
            _ => Kind::Other,
        };
        Error::new(
            kind,
            self.subject(),
            format!("{doing} {}: {error}", path.display()),
        )
    }

    fn read_file(&self, path: &Path) -> Result<(DeploymentId, Arc<LiveDeployment>)> {
        let bytes = std::fs::read(path).map_err(|error| self.error(path, "read", &error))?;
        let file: File = serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!("{} is no registration: {error}", path.display());
            Error::new(Kind::Other, self.subject(), message)
                .hint("delete the file; the next deploy writes it anew")
        })?;
        let live = Arc::new(LiveDeployment {
            handle: String::new(),
            fields: file.fields,
            owner: Some(file.owner),
        });
        Ok((
            DeploymentId {
                flow: file.flow,
                name: file.name,
            },
            live,
        ))
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        // Only folders are ours; a stray file is left alone.
        let flows = self.entries(&self.folder)?;
        let files: Vec<Vec<PathBuf>> = flows
            .par_iter()
            .filter(|flow| flow.is_dir())
            .map(|flow| self.entries(flow))
            .collect::<Result<_>>()?;
        let json = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        Ok(files.into_iter().flatten().filter(json).collect())
    }

    fn entries(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let failed = |error: &std::io::Error| self.error(folder, "list", error);
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        entries
            .map(|entry| {
                entry
                    .map(|entry| entry.path())
                    .map_err(|error| failed(&error))
            })
            .collect()
    }
}

/// Makes the folder of the embedded default, which git ignores from inside, as it does a virtual environment.
pub fn prepare(folder: &Path) -> Result<()> {
    let ignore = folder.join(".gitignore");
    std::fs::create_dir_all(folder)
        .and_then(|()| {
            if ignore.exists() {
                Ok(())
            } else {
                std::fs::write(&ignore, "*\n")
            }
        })
        .map_err(|error| {
            Error::new(
                Kind::Denied,
                folder.display(),
                format!("make the folder: {error}"),
            )
        })
}

/// A name as a file name: `.` and `..` are no files, so a leading dot is encoded too.
fn file_name(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for (at, one) in name.chars().enumerate() {
        // All of these are ASCII, two hexadecimal digits each.
        if UNSAFE.contains(&one) || one.is_ascii_control() || (at == 0 && one == '.') {
            file.push_str(&format!("%{:02X}", u32::from(one)));
        } else {
            file.push(one);
        }
    }
    file
}

#[async_trait]
impl Orchestrator for Registrations {
    fn subject(&self) -> String {
        format!("registrations in {}", self.folder.display())
    }

    async fn dialect(&self) -> Result<Dialect> {
        Ok(self.dialect)
    }

    fn link(&self, _live: &LiveDeployment) -> Option<String> {
        None
    }

    async fn read(&self, question: &Question) -> Result<Live> {
        let wanted = match &question.deployments {
            Some(ids) => ids
                .iter()
                .map(|id| self.path(id))
                .filter(|path| path.exists())
                .collect(),
            None => self.files()?,
        };
        let deployments = wanted
            .par_iter()
            .map(|path| self.read_file(path))
            .collect::<Result<_>>()?;
        Ok(Live {
            deployments,
            pools: None,
            ..Live::default()
        })
    }

    async fn register(
        &self,
        registration: &Registration,
        _live: Option<&LiveDeployment>,
        _changed: &BTreeSet<Field>,
    ) -> Result<String> {
        let path = self.path(&registration.id);
        let failed = |error: std::io::Error| self.error(&path, "write", &error);
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = File {
            flow: registration.id.flow.clone(),
            name: registration.id.name.clone(),
            owner: registration.owner.clone(),
            fields: registration.fields.clone(),
        };
        let text =
            serde_json::to_string_pretty(&file).expect("names and JSON values are always JSON");
        // Written beside it and renamed, so that a reader sees the old or the new one.
        let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        beside
            .write_all(text.as_bytes())
            .and_then(|()| beside.write_all(b"\n"))
            .map_err(failed)?;
        beside.persist(&path).map_err(|error| failed(error.error))?;
        Ok(String::new())
    }

    async fn remove(&self, id: &DeploymentId, _live: &LiveDeployment) -> Result<()> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.error(&path, "delete", &error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::model::RepoPath;

    fn registration(flow: &str, name: &str) -> Registration {
        let owner = Owner {
            repository: "acme/flows".into(),
            environment: "default".into(),
            project: RepoPath::new("p"),
        };
        let fields = BTreeMap::from([(Field::Parameters, json!({"n": 1}))]);
        Registration {
            id: DeploymentId {
                flow: flow.into(),
                name: name.into(),
            },
            owner,
            fields,
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let registrations = Registrations::new(folder.path().join("none/yet"), Dialect::Prefect3);
        assert!(
            registrations
                .read(&Question::default())
                .await
                .expect("empty")
                .deployments
                .is_empty()
        );
        for (flow, name) in [
            ("Load DN", "daily"),
            ("..", "."),
            ("a:b*?", "ü \\ %2F"),
            ("Load DN", "hourly"),
        ] {
            let one = registration(flow, name);
            registrations
                .register(&one, None, &BTreeSet::new())
                .await
                .expect("written");
        }
        let live = registrations
            .read(&Question::default())
            .await
            .expect("read");
        assert_eq!(live.deployments.len(), 4);
        let id = registration("..", ".").id;
        assert_eq!(
            live.deployments[&id].fields[&Field::Parameters],
            json!({"n": 1})
        );
        let one = Question {
            deployments: Some([id.clone()].into()),
            ..Question::default()
        };
        assert_eq!(
            registrations
                .read(&one)
                .await
                .expect("read")
                .deployments
                .len(),
            1
        );
        for _ in 0..2 {
            registrations
                .remove(&id, &live.deployments[&id])
                .await
                .expect("removed");
        }
        assert_eq!(
            registrations
                .read(&Question::default())
                .await
                .expect("read")
                .deployments
                .len(),
            3
        );
    }
}

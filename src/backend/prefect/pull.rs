//! The pull step that brings a release to a worker, and the way back from a step to the release.
//!
//! The argument names are those of `prefect_azure.deployments.steps` 0.4.13, `prefect_aws.deployments.steps` 0.7.12 and
//! `prefect_gcp.deployments.steps` 0.6.22. No step carries `requires`: with an extra in brackets, as Prefect's own pages
//! have it, the import test fails and every run starts `pip install`.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::model::{ReleaseRef, RepoPath};

/// Where a worker gets a release from: the store that releases are uploaded to, as a worker sees it.
///
/// `credentials` is the text of a block placeholder, `{{ prefect.blocks.azure-blob-storage-credentials.prod }}`; it is
/// stored as it is, and the worker resolves it. `None` leaves it to what the worker's surroundings offer (a managed
/// identity, an instance's role, variables of the environment). `prefix` is the store's own key prefix, with or without
/// slashes at its ends; empty where releases start at the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// A container of Azure Blob Storage.
    Azure {
        /// `https://ACCOUNT.blob.core.windows.net`; used where there are no credentials.
        account_url: String,
        /// The container's name.
        container: String,
        /// The key prefix.
        prefix: String,
        /// A placeholder for an `azure-blob-storage-credentials` block.
        credentials: Option<String>,
    },
    /// A bucket of S3 or a service that speaks like it.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The key prefix.
        prefix: String,
        /// A placeholder for an `aws-credentials` block.
        credentials: Option<String>,
        /// The service's URL where it is not Amazon's.
        endpoint: Option<String>,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// The bucket's name.
        bucket: String,
        /// The key prefix.
        prefix: String,
        /// A placeholder for a `gcp-credentials` block.
        credentials: Option<String>,
    },
    /// A folder that workers see under the same path.
    Folder {
        /// The store's folder, absolute.
        path: PathBuf,
    },
}

impl Pull {
    /// The steps that put the files of `release` into the working directory of a run, and nothing else.
    ///
    /// Prefect's own steps list blobs by plain text prefix, so a folder ends with `/`, or `abc` would bring `abcd` too.
    ///
    /// For a folder the step is Python's `shutil.copytree` (a step may be any importable function): it copies the
    /// release into the run's own temporary directory, so that neither `__pycache__` nor a flow's files get into the
    /// release. Prefect's `set_working_directory` would run inside of the release, and its `pull_from_remote_storage`
    /// loses the leading slash of a `file://` URL.
    pub fn steps(&self, release: &ReleaseRef) -> Value {
        let (step, mut inputs) = match self {
            Self::Azure {
                account_url,
                container,
                credentials,
                ..
            } => {
                // Unlike the other two, this step does not do without credentials; an account's URL alone
                // makes it use the Azure SDK's default chain.
                let credentials = match credentials {
                    Some(placeholder) => json!(placeholder),
                    None => json!({"account_url": account_url}),
                };
                (
                    "prefect_azure.deployments.steps.pull_from_azure_blob_storage",
                    json!({"container": container, "credentials": credentials}),
                )
            }
            Self::S3 {
                bucket,
                credentials,
                endpoint,
                ..
            } => {
                let mut inputs = json!({"bucket": bucket});
                if let Some(placeholder) = credentials {
                    inputs["credentials"] = json!(placeholder);
                }
                if let Some(url) = endpoint {
                    inputs["client_parameters"] = json!({"endpoint_url": url});
                }
                ("prefect_aws.deployments.steps.pull_from_s3", inputs)
            }
            Self::Gcs {
                bucket,
                credentials,
                ..
            } => {
                let mut inputs = json!({"bucket": bucket});
                if let Some(placeholder) = credentials {
                    inputs["credentials"] = json!(placeholder);
                }
                ("prefect_gcp.deployments.steps.pull_from_gcs", inputs)
            }
            Self::Folder { .. } => (
                "shutil.copytree",
                json!({"dst": ".", "dirs_exist_ok": true}),
            ),
        };
        inputs[self.folder_key()] = json!(format!("{}{}", self.prefix(), release.folder()));
        let mut steps = Map::new();
        steps.insert(step.to_owned(), inputs);
        Value::Array(vec![Value::Object(steps)])
    }

    /// The release that `steps` bring, where they are exactly ours; `None` for steps of anyone else, and for ours of
    /// another store or with other credentials: those have to be written anew.
    pub fn release(&self, steps: &[Value]) -> Option<ReleaseRef> {
        let [Value::Object(step)] = steps else {
            return None;
        };
        let folder = step.values().next()?.get(self.folder_key())?.as_str()?;
        let release = ReleaseRef::of_folder(folder.strip_prefix(&self.prefix())?)?;
        let ours = self.steps(&release);
        crate::model::same(ours.get(0)?, steps.first()?).then_some(release)
    }

    /// Where releases are stored, in the words of the storage's URL but without the account: `azure://container/prefix`.
    pub(super) fn location(&self) -> String {
        let (scheme, bucket) = match self {
            Self::Azure { container, .. } => ("azure", container.as_str()),
            Self::S3 { bucket, .. } => ("s3", bucket.as_str()),
            Self::Gcs { bucket, .. } => ("gs", bucket.as_str()),
            Self::Folder { .. } => {
                return format!("file://{}", self.prefix().trim_end_matches('/'));
            }
        };
        let whole = format!("{scheme}://{bucket}/{}", self.prefix());
        whole.trim_end_matches('/').to_owned()
    }

    /// The input that says which folder.
    fn folder_key(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "src",
            _ => "folder",
        }
    }

    /// What precedes a release's folder: empty, or ending in `/`.
    fn prefix(&self) -> String {
        match self {
            Self::Azure { prefix, .. } | Self::S3 { prefix, .. } | Self::Gcs { prefix, .. } => {
                match prefix.trim_matches('/') {
                    "" => String::new(),
                    prefix => format!("{prefix}/"),
                }
            }
            Self::Folder { path } => {
                let path = path.to_string_lossy();
                format!("{}/", path.trim_end_matches('/'))
            }
        }
    }
}

/// The text of [`Field::Code`](crate::model::Field::Code): `projects/news/load_dn@<64 digits>`, or `.@<64 digits>` for a
/// project at the root.
pub(super) fn code_text(release: &ReleaseRef) -> String {
    format!("{}@{}", release.project, release.digest)
}

/// The release that such a text names; `None` for any other text.
pub(super) fn parse_code_text(text: &str) -> Option<ReleaseRef> {
    let (project, digest) = text.rsplit_once('@')?;
    Some(ReleaseRef {
        project: RepoPath::new(project),
        digest: digest.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    const BLOCK: &str = "{{ prefect.blocks.azure-blob-storage-credentials.prod }}";

    fn release(project: &str) -> ReleaseRef {
        ReleaseRef {
            project: RepoPath::new(project),
            digest: Digest::of(b"x"),
        }
    }

    fn azure(prefix: &str, credentials: Option<&str>) -> Pull {
        Pull::Azure {
            account_url: "https://acc.blob.core.windows.net".into(),
            container: "code".into(),
            prefix: prefix.into(),
            credentials: credentials.map(str::to_owned),
        }
    }

    fn all() -> Vec<Pull> {
        vec![
            azure("flows", Some(BLOCK)),
            azure("", None),
            Pull::S3 {
                bucket: "b".into(),
                prefix: "/a/b/".into(),
                credentials: Some("{{ prefect.blocks.aws-credentials.x }}".into()),
                endpoint: Some("http://127.0.0.1:9000".into()),
            },
            Pull::Gcs {
                bucket: "b".into(),
                prefix: String::new(),
                credentials: None,
            },
            Pull::Folder {
                path: "/srv/flows".into(),
            },
        ]
    }

    #[test]
    fn steps_name_the_release_and_back() {
        for pull in all() {
            for project in ["projects/news/load_dn", "", "a@b"] {
                let release = release(project);
                let steps = pull.steps(&release);
                let list = steps.as_array().expect("a list of steps");
                assert_eq!(pull.release(list), Some(release), "{steps}");
                assert!(!steps.to_string().contains("requires"));
            }
        }
    }

    #[test]
    fn folders_end_with_a_slash_below_the_prefix() {
        let digest = Digest::of(b"x");
        assert_eq!(
            azure("/flows/", Some(BLOCK)).steps(&release("p")),
            json!([{"prefect_azure.deployments.steps.pull_from_azure_blob_storage": {
                "container": "code", "folder": format!("flows/p/{digest}/"), "credentials": BLOCK,
            }}])
        );
        assert_eq!(
            all()[4].steps(&release("")),
            json!([{"shutil.copytree": {
                "src": format!("/srv/flows/{digest}/"), "dst": ".", "dirs_exist_ok": true,
            }}])
        );
        assert_eq!(
            azure("", None).steps(&release(""))[0]["prefect_azure.deployments.steps.pull_from_azure_blob_storage"]
                ["credentials"],
            json!({"account_url": "https://acc.blob.core.windows.net"})
        );
    }

    #[test]
    fn steps_of_others_are_foreign() {
        let ours = azure("flows", Some(BLOCK));
        let foreign = [
            azure("other", Some(BLOCK)).steps(&release("p")),
            azure("flows", None).steps(&release("p")),
            json!([{"prefect.deployments.steps.git_clone": {"repository": "https://example.org/x.git"}}]),
            json!([{}]),
            json!(["x"]),
            json!([]),
        ];
        for steps in foreign {
            assert_eq!(
                ours.release(steps.as_array().expect("a list")),
                None,
                "{steps}"
            );
        }
    }

    #[test]
    fn code_text_goes_both_ways() {
        for project in ["projects/a@b", ""] {
            let release = release(project);
            assert_eq!(parse_code_text(&code_text(&release)), Some(release));
        }
        assert_eq!(parse_code_text("p@123"), None);
        assert_eq!(parse_code_text("p"), None);
    }
}

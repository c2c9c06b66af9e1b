//! Azure Blob Storage: one container, over Microsoft's own client.

mod auth;
mod entra;
mod fault;
mod job;
mod retry;
mod shared_key;
mod upload;

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{ClientOptions, Etag, RetryOptions, StatusCode, Transport};
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientDownloadOptions, BlobClientGetPropertiesResultHeaders as _,
    BlobClientStartCopyFromUrlOptions, BlobClientStartCopyFromUrlResultHeaders as _,
    BlobContainerClientListBlobsOptions, CopyStatus, DeleteSnapshotsOptionType,
    ListBlobsIncludeItem,
};
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use futures::TryStreamExt as _;
use secrecy::ExposeSecret as _;

pub use auth::Auth;
pub use entra::{Identity, entra};
pub use job::{Hide, Job, JobTokens};

use super::transfer::{Pieces, check_key, clean_prefix, root, share};
use super::{Content, Entry, Error, Kind, Put, Result, Store, Tag};
use auth::Proof;
use fault::{is_no_container, is_taken};
use retry::Retry;
use upload::{BLOCK, Condition};

/// The metadata by which an account with a hierarchical namespace marks its folders, which it lists as empty blobs.
const FOLDER_MARK: &str = "hdi_isfolder";

/// For how long we wait for the service to copy a blob, which within an account is done at once.
const COPY_PATIENCE: Duration = Duration::from_secs(120);

/// A container of a storage account, or what lies below a prefix in it.
pub struct Container {
    client: BlobContainerClient,
    container: String,
    /// Ends with `/`, or is empty.
    prefix: String,
    subject: String,
    hint: &'static str,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Container").field(&self.subject).finish()
    }
}

impl Container {
    /// Prepares the client; sends nothing, so a wrong name or key shows with the first request.
    ///
    /// `account` is the account's name, or its blob endpoint for other clouds (`https://name.blob.core.usgovcloudapi.net`);
    /// a connection string and an account key name their account themselves. The container must exist: it is never
    /// created silently, as its access and its region are not ours to choose.
    pub fn open(
        account: Option<&str>,
        container: &str,
        prefix: &str,
        auth: Auth,
        http: &reqwest::Client,
    ) -> Result<Self> {
        let access = auth::resolve(account, auth)?;
        let subject = format!(
            "azure://{}/{container}/{}",
            access.account,
            prefix.trim_matches('/')
        );
        let subject = subject.trim_end_matches('/').to_owned();
        let fault = |message: String| Error::new(Kind::Other, &subject, message);
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '$';
        if !(3..=63).contains(&container.len()) || !container.chars().all(valid) {
            return Err(fault(format!(
                "use {container:?} as a container: its name has 3 to 63 lower-case letters, digits and hyphens"
            )));
        }
        let mut url = access.endpoint;
        url.path_segments_mut()
            .map_err(|()| fault("use the blob endpoint: it cannot have a path".to_owned()))?
            .pop_if_empty()
            .push(container);
        let hint = access.proof.hint();
        let mut options = ClientOptions {
            per_call_policies: vec![Arc::new(Retry::default())],
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(http.clone()))),
            ..Default::default()
        };
        let mut token = None;
        match access.proof {
            Proof::Key(key) => options.per_try_policies.push(Arc::new(key)),
            Proof::Sas(sas) => url.set_query(Some(sas.expose_secret())),
            Proof::Token(credential) => token = Some(credential),
        }
        if token.is_some() && url.scheme() != "https" {
            return Err(fault(
                "send an Entra token over http: Azure takes it over https only".to_owned(),
            ));
        }
        let options = BlobContainerClientOptions {
            client_options: options,
            ..Default::default()
        };
        let client = BlobContainerClient::new(url, token, Some(options))
            .map_err(|error| fault(format!("set up the client: {}", root(&error))))?;
        Ok(Self {
            client,
            container: container.to_owned(),
            prefix: clean_prefix(&subject, prefix)?,
            subject,
            hint,
        })
    }

    fn blob(&self, key: &str) -> Result<BlobClient> {
        check_key(&self.subject, key)?;
        Ok(self.client.blob_client(&format!("{}{key}", self.prefix)))
    }

    /// Waits for a copy that the service has accepted; `false` if it failed there.
    async fn copied(&self, to: &BlobClient, key: &str) -> Result<bool> {
        let waiting = async {
            let mut pause = Duration::from_millis(20);
            loop {
                let now = to.get_properties(None).await;
                let status = now.and_then(|now| now.copy_status());
                match status.map_err(|error| self.failed("copy to", key, &error))? {
                    Some(CopyStatus::Pending) => {}
                    Some(CopyStatus::Success) => return Ok(true),
                    _ => return Ok(false),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        };
        tokio::time::timeout(COPY_PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| {
                let message = format!(
                    "copy to `{key}`: it is not done after {} s",
                    COPY_PATIENCE.as_secs()
                );
                Err(Error::new(Kind::Unavailable, &self.subject, message))
            })
    }
}

#[async_trait]
impl Store for Container {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let full = format!("{}{prefix}", self.prefix);
        let options = BlobContainerClientListBlobsOptions {
            prefix: Some(full).filter(|prefix| !prefix.is_empty()),
            include: Some(vec![ListBlobsIncludeItem::Metadata]),
            ..Default::default()
        };
        let failed = |error: &azure_core::Error| self.failed("list", prefix, error);
        let mut pages = self
            .client
            .list_blobs(Some(options))
            .map_err(|error| failed(&error))?
            .into_pages();
        let mut entries = Vec::new();
        loop {
            let page = match pages.try_next().await {
                Ok(Some(page)) => page.into_model().map_err(|error| failed(&error))?,
                Ok(None) => break,
                Err(error) if is_no_container(&error) => return Ok(Vec::new()),
                Err(error) => return Err(failed(&error)),
            };
            for blob in page.blob_items {
                let (Some(name), Some(properties)) = (blob.name, blob.properties) else {
                    continue;
                };
                let metadata = blob
                    .metadata
                    .and_then(|metadata| metadata.values)
                    .unwrap_or_default();
                if metadata.get(FOLDER_MARK).is_some_and(|mark| mark == "true") {
                    continue;
                }
                if let Some(key) = name.strip_prefix(&self.prefix) {
                    entries.push(Entry {
                        key: key.to_owned(),
                        length: properties.content_length.unwrap_or_default(),
                    });
                }
            }
        }
        entries.sort();
        Ok(entries)
    }

    async fn get(&self, key: &str) -> Result<(Bytes, Tag)> {
        let failed = |error: &azure_core::Error| self.failed("read", key, error);
        let options = BlobClientDownloadOptions {
            // Otherwise the client looks up the number of cores, for each blob.
            parallel: Some(NonZero::<usize>::MIN),
            ..Default::default()
        };
        let got = self
            .blob(key)?
            .download(Some(options))
            .await
            .map_err(|error| failed(&error))?;
        let Some(etag) = got.properties.etag else {
            return Err(Error::new(
                Kind::Other,
                &self.subject,
                format!("read `{key}`: the answer has no ETag"),
            ));
        };
        let bytes = got.body.collect().await.map_err(|error| failed(&error))?;
        Ok((bytes, Tag(etag.into())))
    }

    async fn put_if_absent(&self, key: &str, content: Content) -> Result<Put> {
        let (bytes, _share) = match content {
            Content::Bytes(bytes) => (bytes, None),
            Content::File { path, length } => {
                let pieces = Pieces::new(&self.subject, &path, length);
                if length > BLOCK as u64 {
                    return self.put_blocks(key, pieces, length).await;
                }
                let share = share(length as usize).await;
                (pieces.whole().await?, Some(share))
            }
        };
        let written = self.put_whole(key, bytes, Condition::Absent).await?;
        Ok(if written.is_some() {
            Put::Created
        } else {
            Put::Exists
        })
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, tag: Option<&Tag>) -> Result<Tag> {
        let condition = tag.map_or(Condition::Absent, Condition::Unchanged);
        let conflict = || {
            let message = format!("write `{key}`: someone else changed it meanwhile");
            Error::new(Kind::Conflict, &self.subject, message)
        };
        match self.put_whole(key, bytes, condition).await {
            Ok(written) => written.ok_or_else(conflict),
            // Azurite's answer to `If-Match` where there is no blob.
            Err(error) if tag.is_some() && error.kind == Kind::NotFound && error.hint.is_none() => {
                Err(conflict())
            }
            Err(error) => Err(error),
        }
    }

    async fn copy_if_absent(&self, from: &str, to: &str) -> Result<Option<Put>> {
        // With a shared access signature the source's URL carries it too, which is what the service demands.
        let source = self.blob(from)?.url().to_string();
        let target = self.blob(to)?;
        let options = BlobClientStartCopyFromUrlOptions {
            if_none_match: Some(Etag::from("*")),
            ..Default::default()
        };
        let status = match target.start_copy_from_url(source, Some(options)).await {
            Ok(started) => started
                .copy_status()
                .map_err(|error| self.failed("copy to", to, &error))?,
            Err(error) if is_taken(&error) => return Ok(Some(Put::Exists)),
            Err(error) if is_no_container(&error) => return Err(self.failed("copy to", to, &error)),
            Err(error) => {
                let refused = self.failed("copy to", to, &error);
                tracing::debug!(error = %refused, "the service does not copy");
                return match refused.kind {
                    // The caller's upload would meet the same.
                    Kind::Unavailable if error.http_status().is_none() => Err(refused),
                    _ => Ok(None),
                };
            }
        };
        let done = match status {
            Some(CopyStatus::Success) => true,
            Some(CopyStatus::Pending) => self.copied(&target, to).await?,
            _ => false,
        };
        if !done {
            // A failed copy leaves an empty blob, which must not pass for the object.
            self.delete(to).await?;
            return Ok(None);
        }
        Ok(Some(Put::Created))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let options = BlobClientDeleteOptions {
            delete_snapshots: Some(DeleteSnapshotsOptionType::Include),
            ..Default::default()
        };
        match self.blob(key)?.delete(Some(options)).await {
            Ok(_) => Ok(()),
            Err(error) if error.http_status() == Some(StatusCode::NotFound) => Ok(()),
            Err(error) => Err(self.failed("delete", key, &error)),
        }
    }
}

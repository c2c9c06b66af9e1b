//! Stores of the crate `object_store`: buckets of S3 and of Google Cloud Storage; and folders, which have their own code.

mod folder;
mod http;

use std::sync::Arc;
use std::time::Duration;

use ::object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut, S3CopyIfNotExists,
};
use ::object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use ::object_store::list::{PaginatedListOptions, PaginatedListStore};
use ::object_store::path::Path;
use ::object_store::{
    BackoffConfig, CopyMode, CopyOptions, MultipartUpload, ObjectStore, ObjectStoreExt as _,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, RetryConfig, StaticCredentialProvider,
    UpdateVersion,
};
use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;

pub use folder::Folder;

use super::transfer::{Pieces, check_key, clean_prefix, piece_size, root, share};
use super::{Content, Entry, Error, Kind, Put, Result, Store, Tag};
use http::{FileBody, Shared, Unreachable};

/// Files up to this length go in one request; longer ones to S3 in parts of this length, of which 5 MiB is the least.
const PART: usize = 8 << 20;

/// The parts of one object that are on their way at once.
const PARTS_IN_FLIGHT: usize = 3;

/// The parts that an object may have. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MOST_PARTS: u64 = 10_000;

/// How to reach and use a bucket of S3, or of a service that speaks its protocol.
#[derive(Clone, Debug, Default)]
pub struct S3 {
    /// The access key's id.
    pub access_key: Option<String>,
    /// Its secret.
    pub secret_key: Option<SecretString>,
    /// The bucket's region; `us-east-1` where nothing says another.
    pub region: Option<String>,
    /// The service's URL where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Whether that may be `http://`.
    pub allow_http: bool,
    /// Settings by the names of the standard variables (`AWS_SESSION_TOKEN`, `AWS_ROLE_ARN`,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` …); names that the crate does not know are passed over. The fields above win.
    pub settings: Vec<(String, SecretString)>,
}

/// How to reach and use a bucket of Google Cloud Storage.
#[derive(Clone, Debug, Default)]
pub struct Gcs {
    /// The path of a service account's key file. Without it and without a setting that says otherwise, the application
    /// default credentials are used: gcloud's own file, else the machine's metadata server.
    pub service_account: Option<String>,
    /// The service's URL where it is not Google's: an emulator, which is spoken to without credentials.
    pub endpoint: Option<String>,
    /// Settings by the names of the standard variables (`GOOGLE_APPLICATION_CREDENTIALS`,
    /// `GOOGLE_SERVICE_ACCOUNT_KEY` …); names that the crate does not know are passed over. The fields above win.
    pub settings: Vec<(String, SecretString)>,
}

/// A bucket of S3 or of Google Cloud Storage, or what lies below a prefix in it.
#[derive(Debug)]
pub struct Bucket {
    objects: Arc<dyn Objects>,
    service: Service,
    bucket: String,
    /// Ends with `/`, or is empty.
    prefix: String,
    subject: String,
}

/// What we need of the crate's stores: listing by plain text is a trait of its own.
trait Objects: ObjectStore + PaginatedListStore {}

impl<T: ObjectStore + PaginatedListStore> Objects for T {}

/// Where the services differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    S3,
    Gcs,
}

impl Service {
    fn hint(self) -> &'static str {
        match self {
            Self::S3 => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and that they may read, write and list this bucket"
            }
            Self::Gcs => {
                "check the service account and that it has the role \"Storage Object Admin\" on this bucket"
            }
        }
    }
}

impl Bucket {
    /// Prepares a client for `s3://bucket/prefix`; sends nothing, so a wrong name or key shows with the first request.
    pub fn s3(bucket: &str, prefix: &str, access: &S3, http: &reqwest::Client) -> Result<Self> {
        let subject = subject("s3", bucket, prefix);
        let mut builder = AmazonS3Builder::new();
        for (name, value) in &access.settings {
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        if let Some(id) = &access.access_key {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &access.secret_key {
            builder = builder.with_secret_access_key(secret.expose_secret());
        }
        if let Some(region) = &access.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        check_scheme(&subject, endpoint.as_deref(), access.allow_http)?;
        let objects = builder
            .with_bucket_name(bucket)
            .with_allow_http(access.allow_http)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
            // A plain DELETE, which every service that speaks S3 has.
            .with_disable_bulk_delete(true)
            .with_retry(retry())
            .with_http_connector(Shared(http.clone()))
            .build()
            .map_err(|error| {
                Error::new(
                    Kind::Other,
                    &subject,
                    format!("set up the client: {}", root(&error)),
                )
            })?;
        Self::new(Arc::new(objects), Service::S3, bucket, prefix, subject)
    }

    /// Prepares a client for `gs://bucket/prefix`; sends nothing, so a wrong name or key shows with the first request.
    pub fn gcs(bucket: &str, prefix: &str, access: &Gcs, http: &reqwest::Client) -> Result<Self> {
        let subject = subject("gs", bucket, prefix);
        let mut builder = GoogleCloudStorageBuilder::new();
        for (name, value) in &access.settings {
            if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        if let Some(path) = &access.service_account {
            builder = builder.with_service_account_path(path);
        }
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_base_url(endpoint.trim_end_matches('/'));
            if access.service_account.is_none() {
                let nobody = GcpCredential {
                    bearer: String::new(),
                };
                builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
            }
        }
        let objects = builder
            .with_bucket_name(bucket)
            .with_retry(retry())
            .with_http_connector(Shared(http.clone()))
            .build()
            .map_err(|error| {
                Error::new(
                    Kind::Other,
                    &subject,
                    format!("set up the client: {}", root(&error)),
                )
            })?;
        Self::new(Arc::new(objects), Service::Gcs, bucket, prefix, subject)
    }

    fn new(
        objects: Arc<dyn Objects>,
        service: Service,
        bucket: &str,
        prefix: &str,
        subject: String,
    ) -> Result<Self> {
        if bucket.is_empty() || bucket.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(Error::new(
                Kind::Other,
                &subject,
                format!("use {bucket:?} as a bucket's name"),
            ));
        }
        Ok(Self {
            prefix: clean_prefix(&subject, prefix)?,
            objects,
            service,
            bucket: bucket.to_owned(),
            subject,
        })
    }

    /// The place of a key: parsed, not converted, since a conversion would rewrite `ü`, `~`, `#`, `%` and `[`.
    fn path(&self, key: &str) -> Result<Path> {
        check_key(&self.subject, key)?;
        Path::parse(format!("{}{key}", self.prefix)).map_err(|error| {
            let message = format!("use {key:?} as a key: {}", root(&error));
            Error::new(Kind::Other, &self.subject, message)
        })
    }

    /// The version in the form that the service compares: an entity tag, or a generation.
    fn tag(&self, key: &str, e_tag: Option<String>, version: Option<String>) -> Result<Tag> {
        let tag = match self.service {
            Service::S3 => e_tag,
            Service::Gcs => version,
        };
        tag.map(Tag).ok_or_else(|| {
            let message = format!("use `{key}`: the answer does not tell its version");
            Error::new(Kind::Other, &self.subject, message)
        })
    }

    async fn put(&self, key: &str, bytes: Bytes, options: PutOptions) -> Result<Option<Tag>> {
        let path = self.path(key)?;
        let payload = PutPayload::from(bytes);
        let mut tries = 0;
        loop {
            match self
                .objects
                .put_opts(&path, payload.clone(), options.clone())
                .await
            {
                Ok(done) => return self.tag(key, done.e_tag, done.version).map(Some),
                // S3: another conditional write is under way, which may still fail.
                Err(error) if tries < 5 && is_under_way(&error) => tries += 1,
                Err(error) if is_taken(&error) => return Ok(None),
                Err(error) => return Err(self.failed("write", key, &error)),
            }
            tokio::time::sleep(Duration::from_millis(50 << tries)).await;
        }
    }

    /// Uploads a long file part by part; it appears with the last request, which carries the condition.
    async fn put_parts(&self, key: &str, pieces: Pieces, length: u64) -> Result<Put> {
        let path = self.path(key)?;
        let started = self
            .objects
            .put_multipart_opts(&path, PutMultipartOptions::default())
            .await;
        let mut upload = started.map_err(|error| self.failed("write", key, &error))?;
        let size = piece_size(length, PART, MOST_PARTS);
        let done = match self.send_parts(key, &mut *upload, pieces, size).await {
            Ok(()) => match upload.complete().await {
                Ok(_) => return Ok(Put::Created),
                Err(error) if is_taken(&error) => Ok(Put::Exists),
                Err(error) => Err(self.failed("write", key, &error)),
            },
            Err(error) => Err(error),
        };
        // Parts of an upload that is neither completed nor aborted cost money for ever.
        if let Err(error) = upload.abort().await {
            tracing::debug!(error = %root(&error), key, "could not abort an upload");
        }
        done
    }

    async fn send_parts(
        &self,
        key: &str,
        upload: &mut dyn MultipartUpload,
        mut pieces: Pieces,
        size: usize,
    ) -> Result<()> {
        // Tasks of their own, which go on while this one waits for memory.
        let mut sending = JoinSet::new();
        loop {
            let share = share(size).await;
            let piece = pieces.next(size).await?;
            let last = piece.is_none();
            if let Some(piece) = piece {
                let part = upload.put_part(piece.into());
                sending.spawn(async move {
                    let sent = part.await;
                    drop(share);
                    sent
                });
            }
            while sending.len() == PARTS_IN_FLIGHT || (last && !sending.is_empty()) {
                match sending.join_next().await {
                    None | Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => return Err(self.failed("write", key, &error)),
                    Some(Err(error)) => {
                        return Err(Error::new(
                            Kind::Other,
                            &self.subject,
                            format!("write `{key}`: {error}"),
                        ));
                    }
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Streams a long file in one request, which alone can carry GCS's condition.
    async fn put_stream(&self, key: &str, path: std::path::PathBuf, length: u64) -> Result<Put> {
        let mut options = PutOptions::from(PutMode::Create);
        options.extensions.insert(FileBody {
            service: self.subject.clone(),
            path,
            length,
        });
        let written = self.put(key, Bytes::new(), options).await?;
        Ok(if written.is_some() {
            Put::Created
        } else {
            Put::Exists
        })
    }

    fn failed(&self, verb: &str, key: &str, error: &::object_store::Error) -> Error {
        let error = self.translate(error);
        Error {
            message: format!("{verb} `{key}`: {}", error.message),
            ..error
        }
    }

    /// Says what an error means. The crate's own text is not shown: it holds URLs and whole answers.
    fn translate(&self, error: &::object_store::Error) -> Error {
        use ::object_store::Error as Source;
        let new = |kind, message: String| Error::new(kind, &self.subject, message);
        let mut cause: &dyn std::error::Error = error;
        loop {
            if let Some(ours) = cause.downcast_ref::<Error>() {
                return new(ours.kind, ours.message.clone());
            }
            if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
                return new(
                    Kind::Unavailable,
                    format!("cannot reach the service: {unreachable}"),
                )
                .hint("check the endpoint, the network and any proxy");
            }
            match cause.source() {
                Some(source) => cause = source,
                None => break,
            }
        }
        let text = error.to_string();
        let status = status(&text);
        let code = code(&text);
        let said = match (code, status) {
            (Some(code), _) => code.to_owned(),
            (None, Some(status)) => status.to_string(),
            (None, None) => root(error),
        };
        if code == Some("NoSuchBucket") {
            let hint = match self.service {
                Service::S3 => format!("create it: aws s3 mb s3://{}", self.bucket),
                Service::Gcs => format!(
                    "create it: gcloud storage buckets create gs://{}",
                    self.bucket
                ),
            };
            return new(
                Kind::NotFound,
                format!("there is no bucket `{}`", self.bucket),
            )
            .hint(hint);
        }
        match (error, status) {
            (Source::NotFound { .. }, _) | (_, Some(404)) => {
                new(Kind::NotFound, format!("there is no such object ({said})"))
            }
            (Source::PermissionDenied { .. } | Source::Unauthenticated { .. }, _)
            | (_, Some(401 | 403)) => new(Kind::Denied, format!("the service refuses us ({said})"))
                .hint(self.service.hint()),
            (Source::AlreadyExists { .. } | Source::Precondition { .. }, _)
            | (_, Some(409 | 412)) => {
                new(Kind::Conflict, format!("someone else was first ({said})"))
            }
            (_, Some(408 | 429 | 500..)) => {
                new(Kind::Unavailable, format!("the service fails ({said})"))
            }
            (_, Some(_)) => new(
                Kind::Other,
                format!("the service refuses the request ({said})"),
            ),
            (_, None) => new(Kind::Unavailable, said),
        }
    }
}

fn subject(scheme: &str, bucket: &str, prefix: &str) -> String {
    let subject = format!("{scheme}://{bucket}/{}", prefix.trim_matches('/'));
    subject.trim_end_matches('/').to_owned()
}

fn check_scheme(subject: &str, endpoint: Option<&str>, allow_http: bool) -> Result<()> {
    match endpoint {
        Some(endpoint) if endpoint.starts_with("http://") && !allow_http => Err(Error::new(
            Kind::Other,
            subject,
            "use an endpoint with http://: it is not encrypted",
        )
        .hint("allow it explicitly where the network is trusted")),
        _ => Ok(()),
    }
}

/// Five repetitions over at most half a minute; refused connections end earlier, see [`Shared`].
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 5,
        retry_timeout: Duration::from_secs(30),
    }
}

/// The HTTP status in the crate's text, which is the only place that has it for lists and multipart uploads.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The service's own code in the XML that the crate's text ends with: `NoSuchBucket`.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

fn is_under_way(error: &::object_store::Error) -> bool {
    code(&error.to_string()) == Some("ConditionalRequestConflict")
}

fn is_taken(error: &::object_store::Error) -> bool {
    use ::object_store::Error as Source;
    matches!(
        error,
        Source::AlreadyExists { .. } | Source::Precondition { .. }
    ) || matches!(status(&error.to_string()), Some(412))
}

#[async_trait]
impl Store for Bucket {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let full = format!("{}{prefix}", self.prefix);
        let mut entries = Vec::new();
        let mut options = PaginatedListOptions::default();
        loop {
            let asked = Some(full.as_str()).filter(|prefix| !prefix.is_empty());
            let page = match self.objects.list_paginated(asked, options.clone()).await {
                Ok(page) => page,
                Err(error) => {
                    let error = self.failed("list", prefix, &error);
                    return if error.kind == Kind::NotFound {
                        Ok(entries)
                    } else {
                        Err(error)
                    };
                }
            };
            entries.extend(page.result.objects.into_iter().filter_map(|object| {
                Some(Entry {
                    key: object
                        .location
                        .as_ref()
                        .strip_prefix(&self.prefix)?
                        .to_owned(),
                    length: object.size,
                })
            }));
            options.page_token = page.page_token.filter(|token| !token.is_empty());
            if options.page_token.is_none() {
                break;
            }
        }
        entries.sort();
        Ok(entries)
    }

    async fn get(&self, key: &str) -> Result<(Bytes, Tag)> {
        let got = self.objects.get(&self.path(key)?).await;
        let got = got.map_err(|error| self.failed("read", key, &error))?;
        let tag = self.tag(key, got.meta.e_tag.clone(), got.meta.version.clone())?;
        let bytes = got
            .bytes()
            .await
            .map_err(|error| self.failed("read", key, &error))?;
        Ok((bytes, tag))
    }

    async fn put_if_absent(&self, key: &str, content: Content) -> Result<Put> {
        let (bytes, _share) = match content {
            Content::Bytes(bytes) => (bytes, None),
            Content::File { path, length } => {
                let pieces = Pieces::new(&self.subject, &path, length);
                if length > PART as u64 {
                    // Spares the transfer where the answer is known beforehand.
                    match self.objects.head(&self.path(key)?).await {
                        Ok(_) => return Ok(Put::Exists),
                        Err(::object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(self.failed("write", key, &error)),
                    }
                    return match self.service {
                        Service::S3 => self.put_parts(key, pieces, length).await,
                        Service::Gcs => self.put_stream(key, path, length).await,
                    };
                }
                let share = share(length as usize).await;
                (pieces.whole().await?, Some(share))
            }
        };
        let written = self.put(key, bytes, PutMode::Create.into()).await?;
        Ok(if written.is_some() {
            Put::Created
        } else {
            Put::Exists
        })
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, tag: Option<&Tag>) -> Result<Tag> {
        let mode = match tag {
            None => PutMode::Create,
            // S3 compares the first, GCS the second.
            Some(tag) => PutMode::Update(UpdateVersion {
                e_tag: Some(tag.0.clone()),
                version: Some(tag.0.clone()),
            }),
        };
        self.put(key, bytes, mode.into()).await?.ok_or_else(|| {
            let message = format!("write `{key}`: someone else changed it meanwhile");
            Error::new(Kind::Conflict, &self.subject, message)
        })
    }

    async fn copy_if_absent(&self, from: &str, to: &str) -> Result<Option<Put>> {
        let options = CopyOptions::new().with_mode(CopyMode::Create);
        match self
            .objects
            .copy_opts(&self.path(from)?, &self.path(to)?, options)
            .await
        {
            Ok(()) => Ok(Some(Put::Created)),
            Err(error) if is_taken(&error) => Ok(Some(Put::Exists)),
            Err(error) => {
                let error = self.failed("copy to", to, &error);
                let no_bucket = error.kind == Kind::NotFound && error.hint.is_some();
                if error.kind == Kind::Unavailable || error.kind == Kind::Denied || no_bucket {
                    return Err(error);
                }
                tracing::debug!(%error, "the service does not copy");
                Ok(None)
            }
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.objects.delete(&self.path(key)?).await {
            Ok(()) | Err(::object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", key, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_code_are_read_from_the_text() {
        let text = "Generic S3 error: Error performing GET http://x - Server returned non-2xx status code: 404 Not Found: \
                    <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>m</Message></Error>";
        assert_eq!(status(text), Some(404));
        assert_eq!(code(text), Some("NoSuchBucket"));
        assert_eq!(status("connection closed"), None);
        assert_eq!(code("connection closed"), None);
    }

    #[test]
    fn secrets_show_nowhere_and_http_needs_leave() {
        let http = crate::backend::transfer::client().expect("a client");
        let mut access = S3 {
            access_key: Some("id".to_owned()),
            secret_key: Some("hush".to_owned().into()),
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            settings: vec![("AWS_SESSION_TOKEN".to_owned(), "hush".to_owned().into())],
            ..S3::default()
        };
        assert!(!format!("{access:?}").contains("hush"));
        let error = Bucket::s3("b", "p", &access, &http).expect_err("http");
        assert!(error.message.contains("not encrypted"), "{error}");
        access.allow_http = true;
        let bucket = Bucket::s3("b", "/p/", &access, &http).expect("a bucket");
        assert_eq!(bucket.subject(), "s3://b/p");
    }
}

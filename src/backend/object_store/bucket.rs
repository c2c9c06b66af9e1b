//! Buckets of S3 and of Google Cloud Storage.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::object_store::list::{PaginatedListOptions, PaginatedListStore};
use ::object_store::path::Path;
use ::object_store::{
    CopyMode, CopyOptions, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::fault::{is_taken, is_under_way};
use super::http::FileBody;
use crate::backend::transfer::{Pieces, check_key, clean_prefix, piece_size, root, share};
use crate::backend::{Content, Entry, Error, Kind, Put, Result, Store, Tag};

/// Files up to this length go in one request; longer ones to S3 in parts of this length, of which 5 MiB is the least.
const PART: usize = 8 << 20;

/// The parts of one object that are on their way at once.
const PARTS_IN_FLIGHT: usize = 3;

/// The parts that an object may have. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MOST_PARTS: u64 = 10_000;

/// A bucket of S3 or of Google Cloud Storage, or what lies below a prefix in it.
pub struct Bucket {
    objects: Arc<dyn Objects>,
    pub(super) service: Service,
    pub(super) bucket: String,
    /// Ends with `/`, or is empty.
    prefix: String,
    pub(super) subject: String,
}

// The crate's stores would show what they were made of.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.subject).finish()
    }
}

/// What we need of the crate's stores: listing by plain text is a trait of its own.
pub(super) trait Objects: ObjectStore + PaginatedListStore {}

impl<T: ObjectStore + PaginatedListStore> Objects for T {}

/// Where the services differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    S3,
    Gcs,
}

impl Service {
    /// Where it takes credentials from.
    pub(super) fn credentials(self) -> &'static str {
        match self {
            Self::S3 => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE"
            }
            Self::Gcs => {
                "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`"
            }
        }
    }

    /// What to do when it refuses us.
    pub(super) fn hint(self) -> &'static str {
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
    pub(super) fn new(
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

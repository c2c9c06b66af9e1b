//! Writing a blob: in one request, or in blocks.

use std::num::NonZero;
use std::sync::Arc;

use azure_core::http::{Etag, StatusCode};
use azure_storage_blob::models::{
    BlockBlobClientCommitBlockListOptions, BlockBlobClientUploadOptions, BlockLookupList,
};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::Container;
use super::fault::{code, is_no_container, is_taken};
use crate::backend::transfer::{Pieces, piece_size, share};
use crate::backend::{Error, Kind, Put, Result, Tag};

/// Files up to this length go in one request; longer ones in blocks of this length.
pub(super) const BLOCK: usize = 4 << 20;

/// The blocks of one blob that are on their way at once.
const BLOCKS_IN_FLIGHT: usize = 4;

/// The blocks that a blob may have. <https://learn.microsoft.com/azure/storage/blobs/scalability-targets>
const MOST_BLOCKS: u64 = 50_000;

impl Container {
    /// One request. `Ok(None)`: there is such a blob already.
    pub(super) async fn put_whole(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Option<Tag>> {
        let (if_match, if_none_match) = condition.headers();
        let options = BlockBlobClientUploadOptions {
            if_match,
            if_none_match,
            // The client would cut what is longer into blocks, and look up the number of cores for each blob, which
            // costs more than signing it.
            parallel: Some(NonZero::<usize>::MIN),
            partition_size: NonZero::new(bytes.len().max(1) as u64),
            ..Default::default()
        };
        match self.blob(key)?.upload(bytes.into(), Some(options)).await {
            Ok(done) => match done.etag {
                Some(etag) => Ok(Some(Tag(etag.into()))),
                None => Err(Error::new(
                    Kind::Other,
                    &self.subject,
                    format!("write `{key}`: the answer has no ETag"),
                )),
            },
            Err(error) if is_taken(&error) => Ok(None),
            Err(error) => Err(self.failed("write", key, &error)),
        }
    }

    /// Uploads a long file block by block; it appears with the last request, which carries the condition.
    pub(super) async fn put_blocks(
        &self,
        key: &str,
        mut pieces: Pieces,
        length: u64,
    ) -> Result<Put> {
        let blob = self.blob(key)?;
        // Spares the transfer where the answer is known beforehand.
        match blob.get_properties(None).await {
            Ok(_) => return Ok(Put::Exists),
            Err(error)
                if error.http_status() == Some(StatusCode::NotFound)
                    && !is_no_container(&error) => {}
            Err(error) => return Err(self.failed("write", key, &error)),
        }
        let client = Arc::new(blob.block_blob_client());
        let size = piece_size(length, BLOCK, MOST_BLOCKS);
        // Ids of one upload: another one of the same blob must not mix its blocks with ours.
        let upload = azure_core::Uuid::new_v4();
        let mut ids = Vec::new();
        // Tasks of their own, which go on while this one waits for memory.
        let mut sending = JoinSet::new();
        loop {
            let share = share(size).await;
            let Some(piece) = pieces.next(size).await? else {
                break;
            };
            let id = [
                upload.as_bytes().as_slice(),
                &(ids.len() as u32).to_be_bytes(),
            ]
            .concat();
            ids.push(id.clone());
            let client = Arc::clone(&client);
            sending.spawn(async move {
                let sent = client
                    .stage_block(&id, piece.len() as u64, piece.into(), None)
                    .await;
                drop(share);
                sent.map(|_| ())
            });
            if sending.len() == BLOCKS_IN_FLIGHT {
                self.sent(key, &mut sending).await?;
            }
        }
        while !sending.is_empty() {
            self.sent(key, &mut sending).await?;
        }
        let list = BlockLookupList {
            latest: Some(ids),
            ..Default::default()
        };
        let list = list
            .try_into()
            .map_err(|error: azure_core::Error| self.failed("write", key, &error))?;
        let options = BlockBlobClientCommitBlockListOptions {
            if_none_match: Some(Etag::from("*")),
            ..Default::default()
        };
        match client.commit_block_list(list, Some(options)).await {
            Ok(_) => Ok(Put::Created),
            Err(error) if is_taken(&error) => Ok(Put::Exists),
            // Who commits first throws away everyone else's blocks.
            Err(error)
                if code(&error) == "InvalidBlockList" && blob.exists().await.unwrap_or(false) =>
            {
                Ok(Put::Exists)
            }
            Err(error) => Err(self.failed("write", key, &error)),
        }
    }

    /// Waits for one of the blocks on their way.
    async fn sent(&self, key: &str, sending: &mut JoinSet<azure_core::Result<()>>) -> Result<()> {
        match sending.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(self.failed("write", key, &error)),
            Some(Err(error)) => Err(Error::new(
                Kind::Other,
                &self.subject,
                format!("write `{key}`: {error}"),
            )),
        }
    }
}

/// What must be true for a write to happen.
pub(super) enum Condition<'a> {
    Absent,
    Unchanged(&'a Tag),
}

impl Condition<'_> {
    fn headers(&self) -> (Option<Etag>, Option<Etag>) {
        match self {
            Self::Absent => (None, Some(Etag::from("*"))),
            Self::Unchanged(tag) => (Some(Etag::from(tag.0.as_str())), None),
        }
    }
}

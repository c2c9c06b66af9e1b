//! The body of a request, in pieces, and whether it still moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::backend::transfer::{Pieces, Share, share};
use crate::backend::{Content, Result};

/// Pieces of a file that may wait to be sent.
const PIECE: usize = 1 << 20;

/// The body of a request that can be sent again.
#[derive(Clone, Debug)]
pub(super) enum Body<'a> {
    /// None at all.
    Empty,
    /// What is small, or a chunk of what is not.
    Bytes(Bytes),
    /// A whole blob.
    Content(&'a Content),
}

/// A body on its way.
pub(super) struct Sending {
    /// Its length in bytes, and itself; `None` where there is none.
    pub(super) body: Option<(u64, reqwest::Body)>,
    /// How far it is.
    pub(super) moved: Moved,
    /// The memory that it may use.
    _share: Option<Share>,
}

impl Body<'_> {
    /// Begins to send it to `registry`, as soon as there is memory for a file's pieces.
    pub(super) async fn sending(&self, registry: &str) -> Sending {
        let moved = Moved::default();
        let (body, share) = match self {
            Body::Empty => (None, None),
            Body::Bytes(bytes) | Body::Content(Content::Bytes(bytes)) => {
                let stream = counted(bytes.clone(), moved.clone());
                (Some((bytes.len() as u64, stream)), None)
            }
            Body::Content(Content::File { path, length }) => {
                let share = share(2 * PIECE).await;
                let stream = read(Pieces::new(registry, path, *length), moved.clone());
                (Some((*length, stream)), Some(share))
            }
        };
        Sending {
            body: body.map(|(length, stream)| (length, reqwest::Body::wrap_stream(stream))),
            moved,
            _share: share,
        }
    }
}

/// Counts the pieces of a body as they are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved(Arc<AtomicU64>);

impl Moved {
    fn on(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for as long as that, of a body or, after its end, of an answer.
    pub(super) async fn stalled(&self, patience: Duration) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(patience).await;
            let now = self.0.load(Ordering::Relaxed);
            if now == seen {
                return;
            }
            seen = now;
        }
    }
}

type Stream = BoxStream<'static, Result<Bytes>>;

/// Pieces of a file.
fn read(pieces: Pieces, moved: Moved) -> Stream {
    let next = move |mut pieces: Pieces| {
        moved.on();
        async move {
            let piece = pieces.next(PIECE).await?;
            Ok(piece.map(|piece| (piece, pieces)))
        }
    };
    Box::pin(futures::stream::try_unfold(pieces, next))
}

/// Pieces of what is in memory.
fn counted(bytes: Bytes, moved: Moved) -> Stream {
    let next = move |mut rest: Bytes| {
        moved.on();
        let piece = rest.split_to(rest.len().min(PIECE));
        std::future::ready(Ok((!piece.is_empty()).then_some((piece, rest))))
    };
    Box::pin(futures::stream::try_unfold(bytes, next))
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_in_memory_goes_in_pieces() {
        let moved = Moved::default();
        let bytes = Bytes::from(vec![7; 2 * PIECE + 1]);
        let stream = counted(bytes, moved.clone());
        let lengths = stream.map_ok(|piece| piece.len()).try_collect::<Vec<_>>();
        assert_eq!(lengths.await.expect("pieces"), [PIECE, PIECE, 1]);
        assert_eq!(moved.0.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn what_moves_is_waited_for() {
        let moved = Moved::default();
        let counter = moved.clone();
        let moving = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                counter.on();
            }
        });
        moved.stalled(Duration::from_secs(1)).await;
        assert!(moving.is_finished());
        assert_eq!(moved.0.load(Ordering::Relaxed), 10);
    }
}

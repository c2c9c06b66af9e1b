//! What every store does alike: keys are checked, files are read in pieces, and the memory of all uploads together is
//! bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Error, Kind, Result, tls};

/// The longest key in bytes; S3, GCS and Azure agree on it (Azure counts characters).
const LONGEST_KEY: usize = 1024;

/// The bytes of files that all uploads of the process may hold at once.
const BUDGET_BYTES: usize = 40 << 20;

static BUDGET: Semaphore = Semaphore::const_new(BUDGET_BYTES);

/// Makes the HTTP client that all stores of a process share.
///
/// A connection must stand within five seconds and an answer may pause for a minute; redirects are not followed, because
/// a storage service has no reason to send one.
pub fn client() -> Result<reqwest::Client> {
    build(builder().read_timeout(Duration::from_secs(60)))
}

/// Makes a client for requests that may take any time, as long as something moves: its user has to see to that.
///
/// The other one's minute counts from when a request is sent, also while its body is still on the way, so that a slow
/// upload would never end.
pub(super) fn patient_client() -> Result<reqwest::Client> {
    build(builder())
}

/// Makes a client for a service on the link itself, such as the metadata of a virtual machine: never by way of a proxy, and
/// quick to be missing.
pub(super) fn link_client() -> Result<reqwest::Client> {
    let builder = builder()
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(10));
    build(builder.no_proxy())
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config())
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("flowyard/", env!("CARGO_PKG_VERSION")))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|error| {
        Error::new(
            Kind::Other,
            "HTTP",
            format!("set up the client: {}", root(&error)),
        )
    })
}

/// Refuses keys that some storage would change or misread: empty components, `.` and `..`, control characters,
/// backslashes (to Azure, and to every URL, a slash), and more than 1,024 bytes.
pub(super) fn check_key(service: &str, key: &str) -> Result<()> {
    let fault = if key.is_empty() {
        "it is empty"
    } else if key.len() > LONGEST_KEY {
        "it is longer than 1,024 bytes"
    } else if key.chars().any(char::is_control) {
        "it holds a control character"
    } else if key.contains('\\') {
        "it holds a backslash"
    } else if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "it holds an empty, `.` or `..` component"
    } else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Other,
        service,
        format!("use {key:?} as a key: {fault}"),
    ))
}

/// Brings a store's prefix into the form in which it goes before a key: without a leading slash, with one at the end,
/// or empty.
pub(super) fn clean_prefix(service: &str, prefix: &str) -> Result<String> {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() {
        return Ok(String::new());
    }
    check_key(service, prefix)?;
    Ok(format!("{prefix}/"))
}

/// The innermost cause of an error: what happened, without the URLs (and their signatures) that outer layers add.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The error of ours inside of one of a library's; `None` where all of it is the library's.
pub(super) fn ours<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Error> {
    let mut inner = error;
    loop {
        if let Some(error) = inner.downcast_ref() {
            return Some(error);
        }
        inner = inner.source()?;
    }
}

/// A share of the memory that uploads may use, given back on drop.
pub(super) type Share = SemaphorePermit<'static>;

/// Waits until `bytes` of memory are free for a piece of a file.
pub(super) async fn share(bytes: usize) -> Share {
    let bytes = bytes.clamp(1, BUDGET_BYTES);
    BUDGET
        .acquire_many(bytes as u32)
        .await
        .expect("the budget is never closed")
}

/// A file that is read from its start in pieces and must keep its length until the end.
#[derive(Debug)]
pub(super) struct Pieces {
    service: String,
    path: PathBuf,
    length: u64,
    at: u64,
    file: Option<File>,
}

impl Pieces {
    /// Prepares to read the file, which is opened with the first piece.
    pub(super) fn new(service: &str, path: &Path, length: u64) -> Self {
        Self {
            service: service.to_owned(),
            path: path.to_owned(),
            length,
            at: 0,
            file: None,
        }
    }

    /// The next piece of at most `size` bytes; `None` at the end. An empty file has no pieces, but is opened and
    /// checked too.
    pub(super) async fn next(&mut self, size: usize) -> Result<Option<Bytes>> {
        if self.at > 0 && self.at == self.length {
            return Ok(None);
        }
        let want = usize::try_from(self.length - self.at).map_or(size, |rest| rest.min(size));
        let file = self.file.take();
        let (path, length, last) = (
            self.path.clone(),
            self.length,
            self.at + want as u64 == self.length,
        );
        let read = tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => File::open(&path)?,
            };
            let mut piece = Vec::with_capacity(want);
            (&mut file).take(want as u64).read_to_end(&mut piece)?;
            // At the end the file's own length is compared too, which tells a file that grew.
            let now = if piece.len() < want || last {
                file.metadata()?.len()
            } else {
                length
            };
            std::io::Result::Ok((file, piece, now))
        })
        .await
        .expect("reading a file does not panic");
        let (file, piece, now) = read.map_err(|error| {
            Error::new(
                Kind::Other,
                &self.service,
                format!("read {}: {error}", self.path.display()),
            )
        })?;
        if now != self.length || piece.len() != want {
            return Err(Error::new(
                Kind::Other,
                &self.service,
                format!(
                    "read {}: it has {now} bytes instead of {}; it changed meanwhile",
                    self.path.display(),
                    self.length
                ),
            ));
        }
        self.file = Some(file);
        self.at += want as u64;
        Ok((want > 0).then(|| piece.into()))
    }

    /// All of a file that is small enough.
    pub(super) async fn whole(mut self) -> Result<Bytes> {
        let size = usize::try_from(self.length).unwrap_or(usize::MAX);
        Ok(self.next(size).await?.unwrap_or_default())
    }
}

/// The size of a file's pieces: `least`, or more where that would make more than `most` pieces.
pub(super) fn piece_size(length: u64, least: usize, most: u64) -> usize {
    usize::try_from(length.div_ceil(most)).map_or(usize::MAX, |size| size.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_storage_would_change_are_refused() {
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            ".",
            "a\nb",
            "a\0b",
            "a\\b",
            &"x".repeat(1025),
        ] {
            assert!(check_key("test", key).is_err(), "{key:?}");
        }
        for key in ["a", "a b+ü%#?.txt", "a/.flowyard/b", "...", "~[x]"] {
            assert!(check_key("test", key).is_ok(), "{key:?}");
        }
    }

    #[test]
    fn pieces_grow_only_where_there_would_be_too_many() {
        assert_eq!(piece_size(1 << 30, 4 << 20, 50_000), 4 << 20);
        assert_eq!(piece_size(50_000 * (8 << 20), 4 << 20, 50_000), 8 << 20);
    }

    #[tokio::test]
    async fn a_file_is_read_in_pieces_and_must_keep_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        std::fs::write(&path, b"0123456789").expect("a file");
        let mut pieces = Pieces::new("test", &path, 10);
        let mut seen = Vec::new();
        while let Some(piece) = pieces.next(4).await.expect("a piece") {
            seen.push(piece);
        }
        assert_eq!(seen, ["0123", "4567", "89"]);
        for length in [0, 9, 11] {
            let error = Pieces::new("test", &path, length)
                .whole()
                .await
                .expect_err("another length");
            assert!(error.message.contains("10 bytes instead of"), "{error}");
        }
    }
}

//! The HTTP client under the crate `object_store`, and what the crate leaves out.

use std::time::Duration;

use ::object_store::ClientOptions;
use ::object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};

use crate::backend::transfer::{Pieces, root, share};

/// Pieces of a streamed file that may wait to be sent.
const PIECE: usize = 1 << 20;

/// The longest pause that we let a server ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where a machine in the cloud asks who it is; elsewhere nobody answers.
const METADATA: [&str; 3] = ["169.254.169.254", "metadata.google.internal", "metadata"];

/// For how long that may take: it is on the link itself.
const METADATA_PATIENCE: Duration = Duration::from_secs(2);

/// A file that is sent instead of a request's own body; travels in the request's extensions.
#[derive(Clone, Debug)]
pub(super) struct FileBody {
    pub(super) service: String,
    pub(super) path: std::path::PathBuf,
    pub(super) length: u64,
}

/// Sends every request with one shared client, and adds:
///
/// - `If-None-Match: *` where a multipart upload is completed, since all of ours must not overwrite. S3 takes the
///   condition there, but the crate has no option for it; for GCS, which does not, nothing is uploaded in parts.
/// - The body of a [`FileBody`].
/// - Respect for `Retry-After`, which the crate ignores when it repeats a request.
/// - An early end where no connection can be made: three tries within a second instead of the crate's long patience.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) reqwest::Client);

impl HttpConnector for Shared {
    fn connect(&self, _: &ClientOptions) -> ::object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Shared {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        if request.method() == Method::POST
            && query.split('&').any(|pair| pair.starts_with("uploadId="))
        {
            request
                .headers_mut()
                .insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let host = request.uri().host().unwrap_or_default().to_owned();
        let metadata = METADATA.contains(&host.as_str());
        let mut pause = Duration::from_millis(200);
        let mut tries = 1;
        loop {
            let sent = if metadata {
                tokio::time::timeout(METADATA_PATIENCE, self.send(request.clone()))
                    .await
                    .unwrap_or_else(|late| Err(HttpError::new(HttpErrorKind::Connect, late)))
            } else {
                self.send(request.clone()).await
            };
            match sent {
                Err(error) if error.kind() != HttpErrorKind::Connect => return Err(error),
                Ok(response) => return Ok(response),
                Err(error) if metadata || tries == 3 => {
                    let cause = root(&error);
                    let unreachable = Unreachable {
                        host,
                        cause,
                        metadata,
                    };
                    // As `Unknown`, the crate does not try again.
                    return Err(HttpError::new(HttpErrorKind::Unknown, unreachable));
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 3;
            tries += 1;
        }
    }
}

impl Shared {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = match request.extensions_mut().remove::<FileBody>() {
            None => self.0.call(request).await?,
            Some(file) => self.send_file(request, file).await?,
        };
        if matches!(response.status().as_u16(), 429 | 503) {
            let asked = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            if let Some(seconds) = asked.and_then(|asked| asked.trim().parse().ok()) {
                tokio::time::sleep(Duration::from_secs(seconds).min(LONGEST_PAUSE)).await;
            }
        }
        Ok(response)
    }

    async fn send_file(
        &self,
        request: HttpRequest,
        file: FileBody,
    ) -> Result<HttpResponse, HttpError> {
        let (parts, _) = request.into_parts();
        let url = parts.uri.to_string();
        let _share = share(2 * PIECE).await;
        let pieces = Pieces::new(&file.service, &file.path, file.length);
        let stream = futures::stream::try_unfold(pieces, |mut pieces| async move {
            Ok::<_, crate::backend::Error>(pieces.next(PIECE).await?.map(|piece| (piece, pieces)))
        });
        let mut headers = parts.headers;
        headers.insert(CONTENT_LENGTH, file.length.into());
        let sent = self
            .0
            .request(parts.method, url)
            .headers(headers)
            .body(reqwest::Body::wrap_stream(stream))
            .send()
            .await;
        let response = sent.map_err(|error| {
            let kind = if error.is_connect() {
                HttpErrorKind::Connect
            } else if error.is_timeout() {
                HttpErrorKind::Timeout
            } else {
                HttpErrorKind::Unknown
            };
            HttpError::new(kind, error.without_url())
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error.without_url()))?;
        let mut answer = HttpResponse::new(body.into());
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

/// No connection could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach {host}: {cause}")]
pub(super) struct Unreachable {
    host: String,
    cause: String,
    /// It is the machine's metadata service, which is asked where nobody gave credentials.
    pub(super) metadata: bool,
}

//! Azure Blob Storage and Prefect that answer at once, so that what is measured is the client.
//!
//! The storage keeps names, lengths and flowyard's own small objects, and forgets the content of everything else;
//! signatures are not checked. Prefect has nothing, and accepts everything. Both have the part of their REST APIs that
//! `deploy` uses (<https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api>,
//! <https://docs.prefect.io/v3/api-ref/rest-api>).
//!
//! It prints the port of 127.0.0.1 that it listens on, and ends when its standard input does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use url::form_urlencoded;

/// The part of a path whose objects are read back.
const KEPT: &str = "/.flowyard/";

/// Every object has been written at this moment.
const WRITTEN: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.spawn(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        writeln!(std::io::stdout(), "{port}")?;
        let storage = Arc::new(Storage::default());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let storage = Arc::clone(&storage);
                    async move { Ok::<_, Infallible>(storage.answer(request).await) }
                });
                // A client that goes away is the client's affair.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
        #[expect(unreachable_code, reason = "it tells the type of the errors above")]
        std::io::Result::Ok(())
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.shutdown_background();
    Ok(())
}

/// All objects, by `/account/container/name`.
#[derive(Default)]
struct Storage(Mutex<Objects>);

#[derive(Default)]
struct Objects {
    by_path: BTreeMap<String, Object>,
    writes: u64,
}

struct Object {
    length: u64,
    /// Empty unless the object is [`KEPT`].
    content: Bytes,
    etag: String,
}

impl Storage {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let path = percent_encoding::percent_decode_str(head.uri.path())
            .decode_utf8_lossy()
            .into_owned();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let header = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let keeps = path.contains(KEPT);
        let (mut length, mut content) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return plain(StatusCode::BAD_REQUEST);
            };
            if let Some(data) = frame.data_ref() {
                length += data.len() as u64;
                if keeps {
                    content.extend_from_slice(data);
                }
            }
        }
        if let Some(path) = path.strip_prefix("/api/") {
            return prefect(path);
        }
        let part = query.get("comp").map(String::as_str);
        let mut objects = self.lock();
        match (&head.method, part) {
            (&Method::PUT, None) if query.contains_key("restype") => plain(StatusCode::CREATED),
            (&Method::PUT, Some("block")) => plain(StatusCode::CREATED),
            (&Method::PUT, None | Some("blocklist")) => {
                let there = objects.by_path.get(&path).map(|object| &object.etag);
                if header(IF_NONE_MATCH.as_str()).is_some() && there.is_some() {
                    return refused(StatusCode::CONFLICT, "BlobAlreadyExists");
                }
                if header(IF_MATCH.as_str()).is_some_and(|tag| Some(&tag) != there) {
                    return refused(StatusCode::PRECONDITION_FAILED, "ConditionNotMet");
                }
                objects.put(path, length, content.into())
            }
            (&Method::GET, Some("list")) => {
                let prefix = query.get("prefix").map_or("", String::as_str);
                objects.list(&format!("{}/", path.trim_end_matches('/')), prefix)
            }
            (&Method::GET | &Method::HEAD, None) => {
                let ranged = header("range").or_else(|| header("x-ms-range")).is_some();
                match objects.by_path.get(&path) {
                    None => refused(StatusCode::NOT_FOUND, "BlobNotFound"),
                    Some(object) => object.answer(head.method == Method::HEAD, ranged),
                }
            }
            (&Method::DELETE, None) => match objects.by_path.remove(&path) {
                None => refused(StatusCode::NOT_FOUND, "BlobNotFound"),
                Some(_) => plain(StatusCode::ACCEPTED),
            },
            _ => plain(StatusCode::NOT_IMPLEMENTED),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    fn put(&mut self, path: String, length: u64, content: Bytes) -> Response<Full<Bytes>> {
        self.writes += 1;
        let etag = format!("\"{:#x}\"", self.writes);
        let object = Object {
            length,
            content,
            etag: etag.clone(),
        };
        self.by_path.insert(path, object);
        response(StatusCode::CREATED, Bytes::new(), &[(ETAG.as_str(), &etag)])
    }

    fn list(&self, container: &str, prefix: &str) -> Response<Full<Bytes>> {
        let from = format!("{container}{prefix}");
        let mut xml =
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>".to_owned();
        let below = self
            .by_path
            .range(from.clone()..)
            .take_while(|(path, _)| path.starts_with(&from));
        for (path, object) in below {
            // The names that a generated project has need no escaping.
            let name = &path[container.len()..];
            let (length, etag) = (object.length, &object.etag);
            let _ = write!(
                xml,
                "<Blob><Name>{name}</Name><Properties><Last-Modified>{WRITTEN}</Last-Modified><Etag>{etag}</Etag>\
                 <Content-Length>{length}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            );
        }
        xml.push_str("</Blobs><NextMarker /></EnumerationResults>");
        let headers = [("content-type", "application/xml")];
        response(StatusCode::OK, xml.into(), &headers)
    }
}

impl Object {
    fn answer(&self, head_only: bool, ranged: bool) -> Response<Full<Bytes>> {
        let length = self.length.to_string();
        let mut headers = vec![(ETAG.as_str(), self.etag.as_str())];
        if head_only {
            headers.push((CONTENT_LENGTH.as_str(), &length));
            return response(StatusCode::OK, Bytes::new(), &headers);
        }
        if !ranged {
            return response(StatusCode::OK, self.content.clone(), &headers);
        }
        let range = format!("bytes 0-{}/{length}", self.length.saturating_sub(1));
        headers.push((CONTENT_RANGE.as_str(), &range));
        response(StatusCode::PARTIAL_CONTENT, self.content.clone(), &headers)
    }
}

/// A server of Prefect without any flow or pool.
fn prefect(path: &str) -> Response<Full<Bytes>> {
    const ID: &str = "00000000-0000-4000-8000-000000000001";
    let (status, json) = match path {
        "admin/version" => (StatusCode::OK, "\"3.8.8\"".to_owned()),
        "flows/" => (
            StatusCode::CREATED,
            format!(r#"{{"id": "{ID}", "name": "one"}}"#),
        ),
        "deployments/" => (
            StatusCode::CREATED,
            format!(r#"{{"id": "{ID}", "name": "one", "flow_id": "{ID}"}}"#),
        ),
        _ if path.ends_with("/filter") => (StatusCode::OK, "[]".to_owned()),
        _ => (
            StatusCode::NOT_FOUND,
            r#"{"detail": "Not Found"}"#.to_owned(),
        ),
    };
    response(status, json.into(), &[("content-type", "application/json")])
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    response(status, Bytes::new(), &[])
}

fn refused(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    response(status, Bytes::new(), &[("x-ms-error-code", code)])
}

fn response(status: StatusCode, body: Bytes, headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let mut builder = Response::builder()
        .status(status)
        .header("x-ms-version", "2026-02-06")
        .header("x-ms-request-id", "instant")
        .header(LAST_MODIFIED, WRITTEN);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Full::new(body))
        .expect("these headers are valid")
}

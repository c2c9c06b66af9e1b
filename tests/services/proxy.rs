//! A reverse proxy that records what passes: the judge of what flowyard sends, in place of its own word.

use std::convert::Infallible;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// One request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The method.
    pub(crate) method: Method,
    /// Path and query as they were sent, still encoded.
    pub(crate) path: String,
    /// The answer; `None` where the service hung up instead.
    pub(crate) status: Option<StatusCode>,
    /// The length of the request's body in bytes.
    pub(crate) length: usize,
}

impl Exchange {
    /// Whether it could have changed something. Prefect reads by POST at paths that end in `filter`, `count` or
    /// `paginate`.
    pub(crate) fn is_write(&self) -> bool {
        if self.method == Method::GET || self.method == Method::HEAD {
            return false;
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let last = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        !(self.method == Method::POST && ["filter", "count", "paginate"].contains(&last))
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or(0, |status| status.as_u16());
        write!(
            f,
            "{} {} ({} bytes) -> {status}",
            self.method, self.path, self.length
        )
    }
}

/// What passed since the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded(pub(crate) Vec<Exchange>);

impl Recorded {
    /// The requests that could have changed something.
    pub(crate) fn writes(&self) -> Vec<&Exchange> {
        self.0
            .iter()
            .filter(|exchange| exchange.is_write())
            .collect()
    }

    /// The writes that succeeded: SQLite lets one write at a time, and what it refuses is sent again.
    pub(crate) fn landed(&self) -> Vec<&Exchange> {
        let mut writes = self.writes();
        writes.retain(|one| one.status.is_some_and(|status| status.is_success()));
        writes
    }
}

/// What a proxy does to a request instead of passing it on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It takes this many bytes of the body, or a little more, and hangs up.
    Cut(usize),
    /// It answers by itself.
    Answer(StatusCode),
    /// It passes the request on, and answers by itself all the same.
    Lose(StatusCode),
    /// It passes the request on, and keeps the answer to itself for as long as the client waits.
    Keep,
}

/// A fault for the next requests of a kind.
struct Disturbance {
    times: usize,
    method: Method,
    least: u64,
    fault: Fault,
}

/// A running proxy, stopped on drop.
///
/// It forwards request and answer unchanged but for `Connection`, which belongs to each of the two connections: path,
/// query and `Host` reach the service as they were sent, so that signatures over them hold. WebSockets do not pass.
pub(crate) struct Proxy {
    port: u16,
    recorded: Arc<Mutex<Vec<Exchange>>>,
    disturbances: Arc<Mutex<Vec<Disturbance>>>,
    // Dropping it ends the proxy's thread.
    _stop: oneshot::Sender<Infallible>,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of another port there.
    pub(crate) fn start(target: u16) -> Self {
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let disturbances = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a free port can be bound");
        let port = listener.local_addr().expect("it is bound").port();
        listener
            .set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        let target = Target {
            port: target,
            client: Client::builder(TokioExecutor::new()).build_http(),
            recorded: Arc::clone(&recorded),
            disturbances: Arc::clone(&disturbances),
        };
        // A thread of its own: it serves tests that have no runtime, and outlives those of the others.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, target) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            recorded,
            disturbances,
            _stop: stop,
        }
    }

    /// The proxy's own port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets the next requests with this method and a body of at least so many bytes run into a fault.
    pub(crate) fn disturb(&self, times: usize, method: Method, least: u64, fault: Fault) {
        let disturbance = Disturbance {
            times,
            method,
            least,
            fault,
        };
        self.disturbances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(disturbance);
    }

    /// What passed since the last call, in the order in which it was answered.
    pub(crate) fn take(&self) -> Recorded {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        Recorded(std::mem::take(&mut recorded))
    }
}

/// Where requests go, and where they are written down.
#[derive(Clone)]
struct Target {
    port: u16,
    client: Client<HttpConnector, Full<Bytes>>,
    recorded: Arc<Mutex<Vec<Exchange>>>,
    disturbances: Arc<Mutex<Vec<Disturbance>>>,
}

impl Target {
    fn record(&self, exchange: Exchange) {
        self.recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(exchange);
    }

    /// The fault for a request, where there is one.
    fn fault(&self, request: &Request<Incoming>) -> Option<Fault> {
        let length = request.body().size_hint().lower();
        let mut disturbances = self
            .disturbances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = disturbances
            .iter_mut()
            .find(|one| one.times > 0 && one.method == *request.method() && one.least <= length)?;
        found.times -= 1;
        Some(found.fault)
    }
}

async fn serve(listener: std::net::TcpListener, target: Target) {
    let listener = TcpListener::from_std(listener).expect("it is a listener in non-blocking mode");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let target = target.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| forward(target.clone(), request));
            // A client that goes away is the client's affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Passes one request on. An error makes the server hang up, as the service behind it did.
async fn forward(
    target: Target,
    request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Full<Bytes>>>, Box<dyn std::error::Error + Send + Sync>> {
    let fault = target.fault(&request);
    let (mut head, mut body) = request.into_parts();
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let mut exchange = Exchange {
        method: head.method.clone(),
        path: path.clone(),
        status: None,
        length: 0,
    };
    if let Some(Fault::Cut(after)) = fault {
        while exchange.length < after
            && let Some(frame) = body.frame().await
        {
            exchange.length += frame?.data_ref().map_or(0, Bytes::len);
        }
        target.record(exchange);
        return Err("cut off, as asked".into());
    }
    let body = body.collect().await?.to_bytes();
    exchange.length = body.len();
    let by_itself = |status| {
        let mut answer = Response::new(Either::Right(Full::default()));
        *answer.status_mut() = status;
        Ok(answer)
    };
    if let Some(Fault::Answer(status)) = fault {
        exchange.status = Some(status);
        target.record(exchange);
        return by_itself(status);
    }
    head.uri = Uri::try_from(format!("http://127.0.0.1:{}{path}", target.port))?;
    drop_connection_headers(&mut head.headers);
    let answer = target
        .client
        .request(Request::from_parts(head, Full::new(body)))
        .await;
    exchange.status = answer.as_ref().ok().map(Response::status);
    // A refusal is passed on: it is sent again, and what then lands is kept.
    let landed = exchange.status.is_some_and(|status| status.is_success());
    target.record(exchange);
    match fault {
        Some(Fault::Keep) if landed => return std::future::pending().await,
        Some(Fault::Lose(status)) => return by_itself(status),
        _ => {}
    }
    let mut answer = answer?;
    drop_connection_headers(answer.headers_mut());
    Ok(answer.map(Either::Left))
}

fn drop_connection_headers(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::azurite::Azurite;
    use crate::services::prefect::Server;

    fn exchange(method: Method, path: &str) -> Exchange {
        Exchange {
            method,
            path: path.to_owned(),
            status: Some(StatusCode::OK),
            length: 0,
        }
    }

    #[test]
    fn reading_by_post_is_no_write() {
        for path in [
            "/api/flows/filter",
            "/api/deployments/count?x=/y",
            "/api/deployments/paginate",
        ] {
            assert!(!exchange(Method::POST, path).is_write(), "{path}");
        }
        assert!(!exchange(Method::GET, "/api/deployments/1").is_write());
        assert!(!exchange(Method::HEAD, "/c/blob").is_write());
        for path in ["/api/flows/", "/api/deployments/filter/create_flow_run"] {
            assert!(exchange(Method::POST, path).is_write(), "{path}");
        }
        // A blob may have any name.
        assert!(exchange(Method::PUT, "/account/container/filter").is_write());
        assert!(exchange(Method::DELETE, "/account/container/count").is_write());
    }

    #[tokio::test]
    async fn what_passes_is_recorded_and_unchanged() {
        let azurite = Azurite::shared();
        let proxy = Proxy::start(azurite.port());
        // The signature over path and query still holds behind the proxy.
        let through = azurite.at(proxy.port());
        through.create_container("through-a-proxy").await;
        assert!(through.blobs("through-a-proxy").await.is_empty());

        let recorded = proxy.take();
        let lines: Vec<_> = recorded.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "PUT /devstoreaccount1/through-a-proxy?restype=container (0 bytes) -> 201",
                "GET /devstoreaccount1/through-a-proxy?comp=list&restype=container (0 bytes) -> 200",
            ]
        );
        assert_eq!(recorded.writes(), [&recorded.0[0]]);
        assert!(proxy.take().0.is_empty(), "taken once");
    }

    #[tokio::test]
    async fn prefect_is_read_through_it_without_a_write() {
        let server = Server::shared();
        let proxy = Proxy::start(server.port());
        server.at(proxy.port()).deployments().await;
        let recorded = proxy.take();
        let lines: Vec<_> = recorded.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "POST /api/deployments/filter (24 bytes) -> 200",
                "POST /api/flows/filter (24 bytes) -> 200",
            ]
        );
        assert!(recorded.writes().is_empty());
    }

    #[tokio::test]
    async fn a_service_that_is_gone_is_recorded_and_hangs_up() {
        let proxy = Proxy::start(crate::services::process::free_port());
        let answer = crate::services::client()
            .post(format!("http://127.0.0.1:{}/api/flows/", proxy.port()))
            .body("12345")
            .send()
            .await;
        assert!(answer.is_err());
        let recorded = proxy.take();
        assert!(!recorded.0.is_empty());
        assert!(
            recorded
                .0
                .iter()
                .all(|one| one.status.is_none() && one.length == 5)
        );
    }
}

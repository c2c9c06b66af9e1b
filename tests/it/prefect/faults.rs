//! Faults that a real server cannot be made to show, by a double.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flowyard::backend::prefect::Auth;
use flowyard::backend::{Error, Kind, Orchestrator};
use flowyard::model::Fields;
use serde_json::json;
use wiremock::matchers::{header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{client, id, registration};

/// A double that gives its version, and one answer after the other to `POST /flows/`.
async fn double(answers: Vec<ResponseTemplate>) -> MockServer {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("3.8.8"))
        .mount(&double)
        .await;
    for answer in answers {
        Mock::given(method("POST"))
            .and(path("/api/flows/"))
            .respond_with(answer)
            .up_to_n_times(1)
            .mount(&double)
            .await;
    }
    Mock::given(method("POST"))
        .and(path("/api/flows/"))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"id": "F", "name": "f"})))
        .mount(&double)
        .await;
    let made = json!({"id": "D", "name": "d", "flow_id": "F"});
    Mock::given(method("POST"))
        .and(path("/api/deployments/"))
        .respond_with(ResponseTemplate::new(201).set_body_json(made))
        .mount(&double)
        .await;
    double
}

async fn register_at(double: &MockServer) -> Result<Duration, Error> {
    let server = client(&format!("{}/api", double.uri()), Auth::None);
    let start = Instant::now();
    let wanted = registration(&id("f", "d"), Fields::new());
    let handle = server.register(&wanted, None, &BTreeSet::new()).await?;
    assert_eq!(handle, "D");
    Ok(start.elapsed())
}

#[tokio::test]
async fn retry_after_is_kept_to() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "2");
    let double = double(vec![busy]).await;
    let took = register_at(&double).await.expect("a registration");
    assert!(took >= Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_locked_database_and_a_gateway_are_waited_for() {
    let locked = ResponseTemplate::new(503)
        .set_body_json(json!({"exception_message": "Service Unavailable"}));
    let double = double(vec![locked.clone(), locked, ResponseTemplate::new(502)]).await;
    register_at(&double).await.expect("a registration");
}

/// It would take hours to be patient with each of thousands.
#[tokio::test]
async fn a_server_that_was_given_up_is_not_waited_for_as_long_again() {
    let locked = || ResponseTemplate::new(503);
    // More patience than anybody has is asked for: the first is given up at once.
    let down = locked().insert_header("Retry-After", "1000");
    let mut answers = vec![down];
    answers.extend(vec![locked(); 3]);
    // What is answered in good order, be it a refusal, brings the patience back.
    answers.push(ResponseTemplate::new(409));
    answers.extend(vec![locked(); 4]);
    let double = double(answers).await;
    let server = client(&format!("{}/api", double.uri()), Auth::None);
    let wanted = registration(&id("f", "d"), Fields::new());
    let sent = async || {
        let requests = double.received_requests().await.expect("they are kept");
        let flows = requests
            .iter()
            .filter(|one| one.url.path() == "/api/flows/");
        flows.count()
    };
    for so_far in [1, 4, 5] {
        let error = server.register(&wanted, None, &BTreeSet::new()).await;
        error.expect_err("no server that takes it");
        assert_eq!(sent().await, so_far);
    }
    let handle = server.register(&wanted, None, &BTreeSet::new()).await;
    assert_eq!(handle.expect("a registration"), "D");
    assert_eq!(sent().await, 10);
}

#[tokio::test]
async fn a_crash_is_not_repeated() {
    let crash = ResponseTemplate::new(500)
        .set_body_json(json!({"exception_message": "Internal Server Error"}));
    let double = double(vec![crash]).await;
    let error = register_at(&double).await.expect_err("a crash");
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(
        error
            .message
            .starts_with("registering the flow `f`: Internal Server Error (500"),
        "{error}"
    );
}

#[tokio::test]
async fn a_web_page_is_told_as_such() {
    let page = ResponseTemplate::new(200).set_body_raw("<!doctype html><html></html>", "text/html");
    let double = double(vec![page]).await;
    let error = register_at(&double).await.expect_err("a page");
    assert!(error.message.contains("web page"), "{error}");
    assert!(error.hint.expect("a hint").contains("/api"));
}

#[tokio::test]
async fn old_servers_are_refused_before_anything_is_written() {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("2.19.9"))
        .expect(1)
        .mount(&double)
        .await;
    let error = register_at(&double).await.expect_err("too old");
    assert!(error.message.contains("2.19.9"), "{error}");
}

#[tokio::test]
async fn an_expired_csrf_token_is_replaced_once_for_all() {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("3.8.8"))
        .mount(&double)
        .await;
    for token in ["one", "two"] {
        Mock::given(method("GET"))
            .and(path("/api/csrf-token"))
            .respond_with(
                ResponseTemplate::new(200).set_body_json(json!({"token": token, "client": "x"})),
            )
            .up_to_n_times(1)
            .expect(1)
            .mount(&double)
            .await;
    }
    // `one` is good for the flow and has expired by the time of the deployment.
    Mock::given(method("POST"))
        .and(path("/api/flows/"))
        .and(header("Prefect-Csrf-Token", "one"))
        .and(header_exists("Prefect-Csrf-Client"))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"id": "F", "name": "f"})))
        .expect(1)
        .mount(&double)
        .await;
    Mock::given(method("POST"))
        .and(path("/api/deployments/"))
        .and(header("Prefect-Csrf-Token", "two"))
        .respond_with(
            ResponseTemplate::new(201)
                .set_body_json(json!({"id": "D", "name": "d", "flow_id": "F"})),
        )
        .expect(1)
        .mount(&double)
        .await;
    let denied = |text: &str| ResponseTemplate::new(403).set_body_json(json!({"detail": text}));
    Mock::given(method("POST"))
        .and(header_exists("Prefect-Csrf-Token"))
        .respond_with(denied("Invalid CSRF token or client identifier."))
        .mount(&double)
        .await;
    Mock::given(method("POST"))
        .respond_with(denied("Missing CSRF token."))
        .mount(&double)
        .await;
    register_at(&double).await.expect("a registration");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_anew() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind a port");
    let url = format!("http://{}/api", listener.local_addr().expect("an address"));
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.expect("a request");
            let line = String::from_utf8_lossy(&request[..length])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let answer = match (seen.len(), line.split(' ').nth(1)) {
                (0, _) => r#""3.8.8""#,
                // The request has been read, and perhaps carried out, when the connection breaks.
                (1, _) => "",
                (_, Some("/api/flows/")) => r#"{"id": "F", "name": "f"}"#,
                _ => r#"{"id": "D", "name": "d", "flow_id": "F"}"#,
            };
            seen.push(line);
            if !answer.is_empty() {
                let length = answer.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                socket
                    .write_all((head + answer).as_bytes())
                    .await
                    .expect("answer");
            }
        }
        seen
    });
    let wanted = registration(&id("f", "d"), Fields::new());
    client(&url, Auth::None)
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let seen = seen.await.expect("requests");
    assert_eq!(seen[1], seen[2], "the same request again");
}

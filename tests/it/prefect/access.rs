//! Reaching a real server: authentication, CSRF protection, wrong URLs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flowyard::backend::prefect::Auth;
use flowyard::backend::{Kind, Orchestrator, Question};
use flowyard::model::Fields;

use super::{client, id, registration, shared_url};
use crate::services::prefect;
use crate::services::process::{free_port, listens};

#[tokio::test]
async fn a_wrong_auth_string_is_denied_and_the_right_one_is_not() {
    let own = prefect::Server::start_with_auth("admin:pass");
    let url = own.api_url();
    for auth in [
        Auth::None,
        Auth::Basic("admin:wrong".to_owned().into()),
        Auth::ApiKey("pnu_x".to_owned().into()),
    ] {
        let error = client(&url, auth)
            .read(&Question::default())
            .await
            .expect_err("a refusal");
        assert_eq!(error.kind, Kind::Denied);
        let hint = error.hint.clone().unwrap_or_default();
        assert!(
            hint.contains("PREFECT_API_KEY") && hint.contains("PREFECT_API_AUTH_STRING"),
            "{hint}"
        );
        assert!(
            !format!("{error:?}").contains("wrong\"") && !format!("{error:?}").contains("pnu_x")
        );
    }
    let right = client(&url, Auth::Basic("admin:pass".to_owned().into()));
    right.read(&Question::default()).await.expect("a reading");
    let wanted = registration(&id("Guarded", "d"), Fields::new());
    right
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let port = own.port();
    // Ended with all of its processes, so that no test leaves one behind.
    drop(own);
    assert!(!listens(port));
}

#[tokio::test]
async fn a_server_with_csrf_protection_is_written_to() {
    let own = prefect::Server::start_with_csrf_protection();
    let server = client(&own.api_url(), Auth::None);
    server.read(&Question::default()).await.expect("a reading");
    let wanted = registration(&id("Protected", "d"), Fields::new());
    server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
}

#[tokio::test]
async fn a_wrong_url_is_told_soon() {
    let url = format!("http://127.0.0.1:{}/api", free_port());
    let start = Instant::now();
    let error = client(&url, Auth::None)
        .read(&Question::default())
        .await
        .expect_err("nobody there");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.service.contains(&url), "{error}");
    assert!(error.hint.expect("a hint").contains("PREFECT_API_URL"));

    let root = shared_url().trim_end_matches("/api").to_owned();
    let error = client(&root, Auth::None)
        .read(&Question::default())
        .await
        .expect_err("no API there");
    assert!(error.hint.expect("a hint").contains("/api"));
}

//! GitHub as a [`Host`], against the double.

use std::sync::Arc;

use flowyard::backend::github::{Options, Repository};
use flowyard::backend::{CommitStatus, Host, Kind, Posted, Sticky, Verdict};
use flowyard::model::Secrets;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::double::{GitHub, READING, TOKEN};
use crate::services;

fn repository(github: &GitHub, token: &str, secrets: &[&str]) -> Repository {
    at(&github.api_url(), token, secrets)
}

fn at(api_url: &str, token: &str, secrets: &[&str]) -> Repository {
    let secrets = Secrets::new(secrets.iter().map(|one| (*one).to_owned()));
    Repository::new(Options {
        api_url: api_url.parse().expect("a URL"),
        repository: "acme/flows".to_owned(),
        token: token.to_owned().into(),
        redact: Arc::new(move |text| secrets.redact(text).into_owned()),
        client: services::client(),
    })
    .expect("valid options")
}

fn sticky(key: &str, text: &str) -> Sticky {
    Sticky {
        key: key.to_owned(),
        text: text.to_owned(),
        footer: "[run](https://github.example.org/run)".to_owned(),
    }
}

fn status(name: &str, description: &str) -> CommitStatus {
    CommitStatus {
        name: name.to_owned(),
        verdict: Verdict::Success,
        description: description.to_owned(),
        link: Some("https://github.example.org/run".to_owned()),
    }
}

#[tokio::test]
async fn one_comment_is_kept_up_to_date() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &[]);
    // More than a page of others, and some that only look like ours.
    for at in 0..130 {
        github.add_comment(7, &format!("comment {at}"), "User", "NONE");
    }
    let post = async |text: &str| {
        host.comment(7, &sticky("plan x prod", text))
            .await
            .expect("an answer")
    };
    github.add_comment(
        7,
        "<!-- flowyard: plan x prod -->\nfrom a stranger",
        "User",
        "CONTRIBUTOR",
    );
    assert_eq!(post("one").await, Posted::Created);
    assert_eq!(post("one").await, Posted::Unchanged);
    assert_eq!(post("two").await, Posted::Updated);
    let other = host.comment(7, &sticky("plan x staging", "other")).await;
    assert_eq!(other.expect("an answer"), Posted::Created);
    let all = github.comments(7);
    assert_eq!(all.len(), 133);
    assert_eq!(
        all[131],
        "<!-- flowyard: plan x prod -->\ntwo\n\n<!-- flowyard: end -->\n[run](https://github.example.org/run)\n"
    );
    assert_eq!(
        github.writes(),
        [
            "POST /api/v3/repos/acme/flows/issues/7/comments",
            "PATCH /api/v3/repos/acme/flows/issues/comments/1132",
            "POST /api/v3/repos/acme/flows/issues/7/comments",
        ]
    );
    github.expect_nothing_refused();
}

#[tokio::test]
async fn a_busy_github_gets_one_comment_all_the_same() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &[]);
    github.fail("GET", ResponseTemplate::new(502), false);
    // The comment is written, and the answer lost.
    github.fail("POST", ResponseTemplate::new(502), true);
    let posted = host
        .comment(7, &sticky("k", "text"))
        .await
        .expect("an answer");
    assert_eq!(posted, Posted::Unchanged, "it was found again");
    assert_eq!(github.comments(7).len(), 1);
    let wait = ResponseTemplate::new(403)
        .insert_header("retry-after", "1")
        .set_body_json(json!({"message": "You have exceeded a secondary rate limit"}));
    github.fail("PATCH", wait, false);
    let posted = host
        .comment(7, &sticky("k", "text 2"))
        .await
        .expect("an answer");
    assert_eq!(posted, Posted::Updated);
    let hourly = ResponseTemplate::new(403)
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", "9999999999")
        .set_body_json(json!({"message": "API rate limit exceeded"}));
    github.fail("GET", hourly, false);
    let error = host
        .comment(7, &sticky("k", "text 3"))
        .await
        .expect_err("an hour is not waited for");
    assert!(
        error.to_string().ends_with("403: API rate limit exceeded"),
        "{error}"
    );
    github.expect_nothing_refused();
}

#[tokio::test]
async fn what_a_token_may_not_is_told() {
    let github = GitHub::start().await;
    let error = repository(&github, READING, &[])
        .comment(7, &sticky("k", "text"))
        .await
        .expect_err("it may only read");
    assert_eq!(error.kind, Kind::Denied);
    assert!(
        error
            .message
            .contains("403: Resource not accessible by integration"),
        "{error}"
    );
    assert!(error.hint.expect("a hint").contains("permissions"));
    let error = repository(&github, "ghs_old", &[])
        .pull_request_of("abc")
        .await
        .expect_err("unknown");
    assert_eq!(error.kind, Kind::Denied);
    // A port that nobody listens on any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let host = at(&format!("http://127.0.0.1:{port}"), TOKEN, &[]);
    let error = host
        .status("abc", &status("x", "y"))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn statuses_and_deployments_are_shown() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &[]);
    host.status("abc", &status("flowyard/plan (prod)", &"ø".repeat(300)))
        .await
        .expect("it is set");
    let handle = host
        .deploying("abc", "prod", Some("https://run"))
        .await
        .expect("it is shown");
    host.deployed(&handle, &status("flowyard/deploy (prod)", "1 created"))
        .await
        .expect("it is shown");
    {
        let state = github.state();
        let (commit, shown) = &state.statuses[0];
        assert_eq!(
            (commit.as_str(), &shown["state"]),
            ("abc", &json!("success"))
        );
        assert_eq!(
            shown["description"]
                .as_str()
                .expect("a text")
                .chars()
                .count(),
            140
        );
        let deployment = &state.deployments[0];
        assert_eq!(deployment["required_contexts"], json!([]));
        assert_eq!(deployment["auto_merge"], false);
        let states: Vec<&Value> = state
            .deployment_statuses
            .iter()
            .map(|one| &one.1["state"])
            .collect();
        assert_eq!(states, ["in_progress", "success"]);
    }
    let pulls = [
        json!({"number": 3, "state": "closed"}),
        json!({"number": 4, "state": "open"}),
    ];
    github
        .state()
        .pull_requests
        .insert("abc".to_owned(), pulls.to_vec());
    assert_eq!(
        host.pull_request_of("abc").await.expect("an answer"),
        Some(4)
    );
    assert_eq!(host.pull_request_of("def").await.expect("an answer"), None);
    github.expect_nothing_refused();
}

#[tokio::test]
async fn one_issue_is_open_as_long_as_there_is_drift() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &[]);
    let set = async |text: Option<&str>| {
        let sticky = text.map(|text| sticky("drift x prod", text));
        let wanted = sticky.as_ref().map(|sticky| ("drift", sticky));
        host.issue("drift x prod", wanted).await.expect("an answer")
    };
    assert_eq!(set(None).await, Posted::Unchanged);
    assert_eq!(set(Some("a")).await, Posted::Created);
    assert_eq!(set(Some("a")).await, Posted::Unchanged);
    assert_eq!(set(Some("b")).await, Posted::Updated);
    assert_eq!(set(None).await, Posted::Updated);
    assert_eq!(set(None).await, Posted::Unchanged);
    assert_eq!(
        set(Some("a")).await,
        Posted::Created,
        "a closed one is not opened again"
    );
    let states: Vec<Value> = github
        .state()
        .issues
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["closed", "open"]);
    github.expect_nothing_refused();
}

#[tokio::test]
async fn no_secret_is_sent() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &["hush-hush"]);
    host.comment(7, &sticky("k", "a hush-hush b aHVzaC1odXNo c"))
        .await
        .expect("it is sent");
    host.status("abc", &status("x", "hush-hush"))
        .await
        .expect("it is sent");
    let sent = github.state().bodies.join("\n");
    assert!(
        sent.contains("a *** b *** c") && !sent.contains("hush"),
        "{sent}"
    );
}

#[tokio::test]
async fn what_was_taken_out_is_no_change_and_no_name() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &["production", "acme/flows"]);
    let comment = sticky("plan acme/flows production", "in production");
    for posted in [Posted::Created, Posted::Unchanged] {
        assert_eq!(host.comment(7, &comment).await.expect("an answer"), posted);
    }
    let drift = sticky("drift acme/flows production", "in production");
    for posted in [Posted::Created, Posted::Unchanged] {
        let wanted = Some(("`production` has drifted", &drift));
        let issue = host.issue(&drift.key, wanted).await;
        assert_eq!(issue.expect("an answer"), posted);
    }
    host.status(
        "abc",
        &status("flowyard/plan (production)", "in production"),
    )
    .await
    .expect("it is set");
    host.deploying("abc", "production", None)
        .await
        .expect("it is shown");
    let state = github.state();
    assert_eq!(state.statuses[0].1["context"], "flowyard/plan (production)");
    assert_eq!(state.statuses[0].1["description"], "in ***");
    assert_eq!(state.deployments[0]["environment"], "production");
    assert_eq!(state.issues[0]["title"], "`***` has drifted");
    assert_eq!(state.refused, [""; 0]);
}

#[tokio::test]
async fn a_secret_is_taken_out_before_a_description_is_cut() {
    let github = GitHub::start().await;
    let host = repository(&github, TOKEN, &["hush-hush-hush"]);
    for at in 120..142 {
        let text = format!("{}hush-hush-hush and more", "x".repeat(at));
        host.status("abc", &status("x", &text))
            .await
            .expect("it is set");
    }
    let sent = github.state().bodies.join("\n");
    assert!(!sent.contains("hush"), "{sent}");
    github.expect_nothing_refused();
}

#[tokio::test]
async fn the_double_refuses_what_github_refuses() {
    let github = GitHub::start().await;
    let send = async |method: &str, path: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let url = format!("{}/repos/acme/flows/{path}", github.api_url());
        let client = services::client()
            .request(method, url)
            .bearer_auth(TOKEN)
            .header("user-agent", "test");
        let answer = client.json(&body).send().await.expect("an answer");
        answer.status().as_u16()
    };
    let long = "x".repeat(65_537);
    for (method, path, body, code) in [
        ("POST", "issues/7/comments", json!({"body": "x"}), 201),
        ("POST", "issues/7/comments", json!({"body": long}), 422),
        ("POST", "issues/7/comments", json!({}), 422),
        ("POST", "issues/comments/1001", json!({"body": "x"}), 405),
        ("PATCH", "issues/comments/1001", json!({"body": "x"}), 200),
        ("PATCH", "issues/comments/9", json!({"body": "x"}), 404),
        ("PATCH", "issues/comments/nine", json!({"body": "x"}), 404),
        ("POST", "statuses/abc", json!({"state": "good"}), 422),
        (
            "POST",
            "statuses/abc",
            json!({"state": "success", "descriptoin": "x"}),
            422,
        ),
        (
            "POST",
            "deployments/5/statuses",
            json!({"state": "success"}),
            404,
        ),
        ("POST", "nothing", json!({}), 404),
    ] {
        assert_eq!(
            send(method, path, body.clone()).await,
            code,
            "{method} {path} {body:.60}"
        );
    }
}

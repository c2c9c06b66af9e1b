//! GitHub's API for tests, with a memory: it refuses what GitHub's own description refuses (`api.json`, which says where
//! it comes from), and some of what only GitHub itself does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

/// The token that may read and write.
pub(crate) const TOKEN: &str = "ghs_writes-everything-0123456789";
/// The token that may only read, as in the pull request of a fork.
pub(crate) const READING: &str = "ghs_only-reads-9876543210";

/// How many characters a comment or an issue may have.
const LONGEST: usize = 65_536;

/// GitHub with the repository `acme/flows`.
pub(crate) struct GitHub {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

/// What GitHub knows.
#[derive(Default)]
pub(crate) struct State {
    last_id: u64,
    /// Comments by the number of the issue or pull request.
    pub(crate) comments: BTreeMap<u64, Vec<Value>>,
    pub(crate) issues: Vec<Value>,
    /// Commit statuses, in the order in which they came, with their commits.
    pub(crate) statuses: Vec<(String, Value)>,
    pub(crate) deployments: Vec<Value>,
    /// Statuses of deployments with the deployments' ids.
    pub(crate) deployment_statuses: Vec<(u64, Value)>,
    /// Pull requests by a commit of theirs.
    pub(crate) pull_requests: BTreeMap<String, Vec<Value>>,
    /// Every request: `POST /repos/…`.
    pub(crate) requests: Vec<String>,
    /// Everything that was sent.
    pub(crate) bodies: Vec<String>,
    /// What was refused, which a test that expects no refusal looks at.
    pub(crate) refused: Vec<String>,
    /// Answers in the place of the right ones, by method; true: the request is carried out all the same.
    pub(crate) faults: VecDeque<(&'static str, ResponseTemplate, bool)>,
}

impl GitHub {
    /// A GitHub that knows nothing yet.
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let state = Arc::new(Mutex::new(State {
            last_id: 1_000,
            ..State::default()
        }));
        let double = Double {
            description: serde_json::from_str(include_str!("api.json")).expect("it is JSON"),
            state: Arc::clone(&state),
        };
        Mock::given(any()).respond_with(double).mount(&server).await;
        Self { server, state }
    }

    /// Where its API is: below a path, as on a server of one's own.
    pub(crate) fn api_url(&self) -> String {
        format!("{}/api/v3", self.server.uri())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test fails while it holds it")
    }

    /// The texts of the comments on a pull request.
    pub(crate) fn comments(&self, number: u64) -> Vec<String> {
        let state = self.state();
        let all = state.comments.get(&number).into_iter().flatten();
        all.map(|one| text(&one["body"])).collect()
    }

    /// Puts a comment there, as somebody.
    pub(crate) fn add_comment(&self, number: u64, body: &str, kind: &str, association: &str) {
        let mut state = self.state();
        let id = state.next_id();
        let comment = json!({"id": id, "body": body, "user": {"login": "x", "type": kind}, "author_association": association});
        state.comments.entry(number).or_default().push(comment);
    }

    /// Lets the next request of a method fail; whether it is carried out all the same.
    pub(crate) fn fail(&self, method: &'static str, answer: ResponseTemplate, landed: bool) {
        self.state().faults.push_back((method, answer, landed));
    }

    /// The requests that change something.
    pub(crate) fn writes(&self) -> Vec<String> {
        let state = self.state();
        let writes = state.requests.iter().filter(|one| !one.starts_with("GET "));
        writes.cloned().collect()
    }

    /// Panics where GitHub would have refused something.
    #[track_caller]
    pub(crate) fn expect_nothing_refused(&self) {
        assert_eq!(self.state().refused, [""; 0]);
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

struct Double {
    description: Value,
    state: Arc<Mutex<State>>,
}

/// Why GitHub does not do something.
type Refusal = (u16, String);

impl Respond for Double {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (method, path) = (request.method.as_str(), request.url.path());
        let mut state = self.state.lock().expect("no test fails while it holds it");
        state.requests.push(format!("{method} {path}"));
        state
            .bodies
            .push(String::from_utf8_lossy(&request.body).into_owned());
        let fault = match state.faults.front() {
            Some((of, _, _)) if *of == method => state.faults.pop_front(),
            _ => None,
        };
        if let Some((_, answer, false)) = fault {
            return answer;
        }
        let done = self
            .check(request)
            .and_then(|found| carry_out(&mut state, request, &found));
        let answer = match done {
            Ok((code, body)) => ResponseTemplate::new(code).set_body_json(body),
            Err((code, message)) => {
                state
                    .refused
                    .push(format!("{method} {path}: {code} {message}"));
                let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": code.to_string()});
                ResponseTemplate::new(code).set_body_json(body)
            }
        };
        fault.map_or(answer, |(_, instead, _)| instead)
    }
}

/// An operation of the description, and the parts of the path that it takes.
struct Found {
    operation: String,
    parts: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    body: Value,
}

impl Double {
    /// Holds a request against the description.
    fn check(&self, request: &Request) -> Result<Found, Refusal> {
        let authorization = request
            .headers
            .get("authorization")
            .and_then(|one| one.to_str().ok());
        let reading = authorization == Some(&format!("Bearer {READING}"));
        if !reading && authorization != Some(&format!("Bearer {TOKEN}")) {
            return Err((401, "Bad credentials".to_owned()));
        }
        if request.headers.get("user-agent").is_none() {
            return Err((403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header".to_owned()));
        }
        let Some(path) = request.url.path().strip_prefix("/api/v3") else {
            return Err((404, "Not Found".to_owned()));
        };
        let paths = self.description["paths"].as_object().expect("paths");
        let candidates: Vec<(&Value, BTreeMap<String, String>)> = paths
            .iter()
            .filter_map(|(template, methods)| Some((methods, matched(template, path)?)))
            .collect();
        // `issues/comments` is no number of an issue.
        let Some((methods, parts)) = candidates.into_iter().min_by_key(|(_, parts)| parts.len())
        else {
            return Err((404, format!("no such path: {path}")));
        };
        let method = request.method.as_str().to_lowercase();
        let Some(operation) = methods.get(&method) else {
            return Err((405, format!("{path} has no {method}")));
        };
        if reading && method != "get" {
            return Err((403, "Resource not accessible by integration".to_owned()));
        }
        if parts["owner"] != "acme" || parts["repo"] != "flows" {
            return Err((404, "Not Found".to_owned()));
        }
        let query: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        check_parameters(operation, &parts, &query)?;
        let body = check_body(operation, request)?;
        Ok(Found {
            operation: text(&operation["operationId"]),
            parts,
            query,
            body,
        })
    }
}

/// The parts that a template takes of a path; `None` where it is not of its form.
fn matched(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (wanted, given) = (
        template.split('/').collect::<Vec<_>>(),
        path.split('/').collect::<Vec<_>>(),
    );
    if wanted.len() != given.len() {
        return None;
    }
    let mut parts = BTreeMap::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) => {
                let given = percent_encoding::percent_decode_str(given).decode_utf8_lossy();
                parts.insert(name.to_owned(), given.into_owned());
            }
            None if wanted == given => {}
            None => return None,
        }
    }
    Some(parts)
}

fn check_parameters(
    operation: &Value,
    parts: &BTreeMap<String, String>,
    query: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let parameters = operation["parameters"].as_array().expect("parameters");
    let mut known = BTreeSet::new();
    for parameter in parameters {
        let name = text(&parameter["name"]);
        let given = if parameter["in"] == "path" {
            parts.get(&name)
        } else {
            query.get(&name)
        };
        if let Some(given) = given {
            let value = match parameter["schema"]["type"].as_str() {
                Some("integer") => given
                    .parse::<i64>()
                    .map_or_else(|_| json!(given), |number| json!(number)),
                _ => json!(given),
            };
            let code = if parameter["in"] == "path" { 404 } else { 422 };
            valid(&parameter["schema"], &value)
                .map_err(|fault| (code, format!("{name}: {fault}")))?;
        } else if parameter["required"] == true {
            return Err((422, format!("`{name}` is missing")));
        }
        known.insert(name);
    }
    match query.keys().find(|name| !known.contains(*name)) {
        Some(name) => Err((422, format!("`{name}` is no parameter"))),
        None => Ok(()),
    }
}

fn check_body(operation: &Value, request: &Request) -> Result<Value, Refusal> {
    let wanted = &operation["requestBody"];
    if request.body.is_empty() {
        return match wanted["required"] == true {
            true => Err((400, "a body is missing".to_owned())),
            false => Ok(json!({})),
        };
    }
    let kind = request
        .headers
        .get("content-type")
        .and_then(|kind| kind.to_str().ok());
    if kind != Some("application/json") {
        return Err((415, format!("a body of type {kind:?}")));
    }
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|_| (400, "Problems parsing JSON".to_owned()))?;
    valid(&wanted["schema"], &body)
        .map_err(|fault| (422, format!("Validation Failed: {fault}")))?;
    let known = wanted["schema"]["properties"].as_object();
    for (key, value) in body.as_object().into_iter().flatten() {
        if known.is_none_or(|known| !known.contains_key(key)) {
            return Err((422, format!("`{key}` is no key of this body")));
        }
        // What the description does not tell.
        let longest = match key.as_str() {
            "body" => LONGEST,
            "description" => 140,
            "title" => 256,
            _ => continue,
        };
        if value
            .as_str()
            .is_some_and(|text| text.chars().count() > longest)
        {
            return Err((
                422,
                format!("{key} is too long (maximum is {longest} characters)"),
            ));
        }
    }
    Ok(body)
}

fn valid(schema: &Value, value: &Value) -> Result<(), String> {
    let validator = jsonschema::draft4::new(&plain(schema)).expect("the description holds schemas");
    validator.validate(value).map_err(|error| error.to_string())
}

/// A schema of OpenAPI 3.0 as one of JSON Schema, which knows no `nullable`.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let rest: Map<String, Value> = map
                .iter()
                .filter(|(key, value)| *key != "nullable" || !value.is_boolean())
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect();
            if map.get("nullable") == Some(&json!(true)) {
                return json!({"anyOf": [rest, {"type": "null"}]});
            }
            Value::Object(rest)
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn carry_out(state: &mut State, request: &Request, found: &Found) -> Result<(u16, Value), Refusal> {
    let number = |name: &str| {
        found.parts[name]
            .parse::<u64>()
            .expect("the description says so")
    };
    let page = |all: &[Value]| {
        let of = |name: &str, usual: usize| {
            found
                .query
                .get(name)
                .map_or(usual, |text| text.parse().expect("a number"))
        };
        let (size, page) = (of("per_page", 30).min(100), of("page", 1));
        Value::from(
            all.iter()
                .skip(size * (page - 1))
                .take(size)
                .cloned()
                .collect::<Vec<_>>(),
        )
    };
    let bot = json!({"login": "github-actions[bot]", "type": "Bot"});
    let body = &found.body;
    let mut made = body.clone();
    Ok(match found.operation.as_str() {
        "issues/list-comments" => {
            let all = state.comments.get(&number("issue_number"));
            (200, page(all.map_or(&[], Vec::as_slice)))
        }
        "issues/create-comment" => {
            made = json!({"id": state.next_id(), "body": body["body"], "user": bot, "author_association": "NONE"});
            state
                .comments
                .entry(number("issue_number"))
                .or_default()
                .push(made.clone());
            (201, made)
        }
        "issues/update-comment" => {
            let id = number("comment_id");
            let mut all = state.comments.values_mut().flatten();
            let Some(one) = all.find(|one| one["id"] == id) else {
                return Err((404, "Not Found".to_owned()));
            };
            one["body"] = body["body"].clone();
            (200, one.clone())
        }
        "issues/list-for-repo" => {
            let open = state
                .issues
                .iter()
                .rev()
                .filter(|one| one["state"] == "open");
            let open: Vec<Value> = open.cloned().collect();
            (200, page(&open))
        }
        "issues/create" => {
            let id = state.next_id();
            let number = state.issues.len() + 1;
            made = json!({"id": id, "number": number, "title": body["title"], "body": body["body"], "state": "open", "user": bot, "author_association": "NONE"});
            state.issues.push(made.clone());
            (201, made)
        }
        "issues/update" => {
            let number = number("issue_number");
            let Some(one) = state.issues.iter_mut().find(|one| one["number"] == number) else {
                return Err((404, "Not Found".to_owned()));
            };
            for (key, value) in body.as_object().expect("an object") {
                one[key] = value.clone();
            }
            (200, one.clone())
        }
        "repos/create-commit-status" => {
            made["id"] = state.next_id().into();
            state
                .statuses
                .push((found.parts["sha"].clone(), body.clone()));
            (201, made)
        }
        "repos/list-pull-requests-associated-with-commit" => {
            let all = state.pull_requests.get(&found.parts["commit_sha"]);
            (200, page(all.map_or(&[], Vec::as_slice)))
        }
        "repos/create-deployment" => {
            made["id"] = state.next_id().into();
            state.deployments.push(made.clone());
            (201, made)
        }
        "repos/create-deployment-status" => {
            let id = number("deployment_id");
            if !state.deployments.iter().any(|one| one["id"] == id) {
                return Err((404, "Not Found".to_owned()));
            }
            made["id"] = state.next_id().into();
            state.deployment_statuses.push((id, body.clone()));
            (201, made)
        }
        other => {
            return Err((
                501,
                format!("the double does not do {other}: {}", request.url.path()),
            ));
        }
    })
}

//! What went wrong with a request, and how a person is told.
//!
//! A server has three shapes of error bodies: `{"detail": …}`, `{"exception_message": …, "exception_detail": […],
//! "request_body": …}` for what fails validation, and `{"exception_message": …}`. The second echoes the request, so
//! nothing of a body is shown but the messages, and in those no value of parameters or job variables.

use std::error::Error as _;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::limit::Load;
use crate::backend::{Error, Kind, tls};

/// The longest message of a server that is shown, in characters: a wrong time zone would list them all.
const LONGEST: usize = 300;
/// The shortest value that is taken out of a server's message, in bytes; shorter ones would tear words apart.
const SHORTEST_HIDDEN: usize = 4;

/// A request that came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// No connection came about: refused, no such host, TLS.
    Unreachable(String),
    /// Connected, but the answer did not come in time.
    TimedOut,
    /// The connection broke before the whole answer was there.
    Cut(String),
    /// The server answered that it will not.
    Status {
        code: StatusCode,
        retry_after: Option<Duration>,
        body: String,
    },
    /// The server said yes, but with something that is not what the API says.
    Unreadable { body: String, cause: String },
}

impl Fault {
    pub(super) fn of(error: reqwest::Error) -> Self {
        // The URL stands in the error's service already, and may hold a password.
        let error = error.without_url();
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            cause = inner.to_string();
            source = inner.source();
        }
        if error.is_connect() {
            Self::Unreachable(cause)
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Cut(cause)
        }
    }

    /// Whether the same request may do better a little later. A 500 does not: what crashes a server (a name with a
    /// slash, an unknown pool in a PATCH) crashes it again.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Cut(_) => true,
            Self::Status { code, .. } => matches!(code.as_u16(), 408 | 429 | 502 | 503 | 504),
            Self::Unreadable { .. } => false,
        }
    }

    /// What it tells the [`Limit`](super::limit::Limit).
    pub(super) fn load(&self) -> Load {
        match self {
            Self::TimedOut => Load::TooMuch,
            Self::Status { code, .. } if matches!(code.as_u16(), 429 | 503 | 504) => Load::TooMuch,
            Self::Status { .. } | Self::Unreadable { .. } => Load::Fine,
            Self::Unreachable(_) | Self::Cut(_) => Load::Unknown,
        }
    }

    /// Whether the server wants a CSRF token, a first or a fresh one.
    pub(super) fn wants_csrf_token(&self) -> bool {
        matches!(self, Self::Status { code, body, .. }
            if *code == StatusCode::FORBIDDEN && body.to_ascii_lowercase().contains("csrf token"))
    }

    pub(super) fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The fault in the user's words. `what` was being done: `reading deployments`; `sent` is the request's body.
    pub(super) fn explain(&self, service: &str, what: &str, sent: Option<&Value>) -> Error {
        let error = |kind, message: String| Error::new(kind, service, format!("{what}: {message}"));
        match self {
            Self::Unreachable(cause) => {
                let hint = tls::hint(cause).unwrap_or(
                    "check that a Prefect server listens there, and that PREFECT_API_URL is right",
                );
                error(Kind::Unavailable, format!("cannot connect: {cause}")).hint(hint)
            }
            Self::TimedOut => error(Kind::Unavailable, "no answer in time".into()),
            Self::Cut(cause) => error(Kind::Unavailable, format!("the connection broke: {cause}")),
            Self::Unreadable { body, .. } if is_html(body) => web_page(error(
                Kind::Other,
                "answered with a web page instead of JSON".into(),
            )),
            Self::Unreadable { cause, .. } => error(
                Kind::Other,
                format!("answered with something unexpected: {cause}"),
            ),
            Self::Status { code, body, .. } if is_html(body) => {
                let kind = kind_of(*code, "");
                web_page(error(kind, format!("answered {code} with a web page")))
            }
            Self::Status { code, body, .. } => {
                let reason = reason(body, sent);
                let kind = kind_of(*code, reason.as_deref().unwrap_or_default());
                let message = match (&reason, kind) {
                    (_, Kind::Denied) if *code == StatusCode::UNAUTHORIZED => {
                        "not authorised".to_owned()
                    }
                    (Some(reason), Kind::Unavailable) => format!("{reason} ({code})"),
                    (Some(reason), _) => reason.clone(),
                    (None, _) => format!("answered {code}"),
                };
                let error = error(kind, message);
                match code.as_u16() {
                    401 => error.hint(
                        "set PREFECT_API_KEY for Prefect Cloud, or PREFECT_API_AUTH_STRING to what the server was \
                         started with; if it is set, it is wrong or expired",
                    ),
                    403 => error.hint("the key or its role lacks the permission for this"),
                    // What FastAPI says of a path that it does not know; a missing object is named in full.
                    404 if reason.as_deref() == Some("Not Found") => error.hint(
                        "PREFECT_API_URL should end in /api (a Prefect server) or in \
                         /api/accounts/…/workspaces/… (Prefect Cloud)",
                    ),
                    413 => error.hint("the deployment is too large; look at its parameters and job variables"),
                    429 => error.hint("the account's request limit is used up; try again in a minute"),
                    500 => error.hint("the server's log says more"),
                    _ => error,
                }
            }
        }
    }
}

fn kind_of(code: StatusCode, reason: &str) -> Kind {
    match code.as_u16() {
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        // Any other 409 is a refusal of what was sent (parameters that do not fit their schema).
        409 if reason.starts_with("Data integrity conflict") => Kind::Conflict,
        408 | 429 | 500..=599 => Kind::Unavailable,
        _ => Kind::Other,
    }
}

fn is_html(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

fn web_page(error: Error) -> Error {
    error.hint(
        "PREFECT_API_URL should be the API's URL, such as http://127.0.0.1:4200/api; a proxy's login page also looks \
         like this",
    )
}

/// The messages of an error body, joined; `None` where there is none.
fn reason(body: &str, sent: Option<&Value>) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let mut messages = Vec::new();
    for key in ["exception_detail", "detail"] {
        match body.get(key) {
            Some(Value::String(text)) => messages.push(text.clone()),
            Some(Value::Array(items)) => {
                messages.extend(items.iter().filter_map(|item| item_message(item, sent)));
            }
            _ => {}
        }
    }
    if messages.is_empty() {
        messages.push(body.get("exception_message")?.as_str()?.to_owned());
    }
    let more = messages.len().saturating_sub(5);
    messages.truncate(5);
    let mut text = hide(messages.join("; "), sent);
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    Some(text)
}

/// One item of a list of faults: a plain string, or `{"loc": […], "msg": …}`. `None` for an item about a kind of schedule
/// that was not meant: a union's error lists every branch.
fn item_message(item: &Value, sent: Option<&Value>) -> Option<String> {
    if let Some(text) = item.as_str() {
        return Some(text.to_owned());
    }
    let message = item.get("msg")?.as_str()?;
    let message = message.strip_prefix("Value error, ").unwrap_or(message);
    let mut path = String::new();
    let mut here = sent;
    let location = item.get("loc").and_then(Value::as_array);
    for (index, step) in location.into_iter().flatten().enumerate() {
        let step = match step {
            Value::String(text) if index == 0 && text == "body" => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let meant = match step.trim_end_matches(']').rsplit([' ', '[']).next() {
            Some("CronSchedule") => "cron",
            Some("IntervalSchedule") => "interval",
            Some("RRuleSchedule") => "rrule",
            _ => {
                here = here.and_then(|value| match value {
                    Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                    other => other.get(&step),
                });
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(&step);
                continue;
            }
        };
        if here.is_some_and(|value| value.get(meant).is_none()) {
            return None;
        }
    }
    Some(if path.is_empty() {
        message.to_owned()
    } else {
        format!("{path}: {message}")
    })
}

/// Takes the values of parameters and job variables out of a server's message: they may come from the environment.
fn hide(mut text: String, sent: Option<&Value>) -> String {
    fn values<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::String(text) if text.len() >= SHORTEST_HIDDEN => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| values(item, found)),
            Value::Object(map) => map.values().for_each(|item| values(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for key in ["parameters", "job_variables", "schedules"] {
        let part = sent.and_then(|sent| sent.get(key));
        let Some(part) = part else { continue };
        match part {
            // Of schedules only the parameters: the text of a cron line helps.
            Value::Array(items) => items
                .iter()
                .filter_map(|item| item.get("parameters"))
                .for_each(|item| values(item, &mut found)),
            part => values(part, &mut found),
        }
    }
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in found {
        if text.contains(value) {
            text = text.replace(value, "…");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(code: u16, body: &Value) -> Fault {
        Fault::Status {
            code: StatusCode::from_u16(code).expect("a status code"),
            retry_after: None,
            body: body.to_string(),
        }
    }

    fn message(fault: &Fault, sent: Option<&Value>) -> String {
        let error = fault.explain("Prefect at http://x/api", "registering `f/d`", sent);
        match error.hint.clone() {
            Some(hint) => format!("{error} | {hint}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn each_body_shape_is_told() {
        let detail = refusal(404, &json!({"detail": "Work pool \"x\" not found."}));
        assert_eq!(
            message(&detail, None),
            "Prefect at http://x/api: registering `f/d`: Work pool \"x\" not found."
        );
        let list = refusal(
            422,
            &json!({"detail": ["one", {"loc": ["body", "n"], "msg": "two"}]}),
        );
        assert!(message(&list, None).ends_with("one; n: two"));
        let bare = refusal(503, &json!({"exception_message": "Service Unavailable"}));
        assert!(message(&bare, None).contains("Service Unavailable (503 Service Unavailable)"));
        assert!(bare.is_transient());
        assert!(!refusal(500, &json!({})).is_transient());
    }

    /// As 3.8.8 answers, shortened.
    #[test]
    fn of_a_union_only_the_branch_that_was_meant_is_shown() {
        let body = json!({"exception_message": "Invalid request received.", "exception_detail": [
            {"type": "missing", "loc": ["body", "schedules", 0, "schedule",
                "function-after[validate_timezone(), IntervalSchedule]", "interval"], "msg": "Field required"},
            {"type": "value_error", "loc": ["body", "schedules", 0, "schedule",
                "function-after[validate_timezone(), CronSchedule]", "cron"],
                "msg": "Value error, Invalid cron string: \"x y\""},
            {"type": "missing", "loc": ["body", "schedules", 0, "schedule", "RRuleSchedule", "rrule"],
                "msg": "Field required"},
        ], "request_body": {"parameters": {"token": "hunter22"}}});
        let sent = json!({"schedules": [{"schedule": {"cron": "x y"}}]});
        let told = message(&refusal(422, &body), Some(&sent));
        assert!(
            told.ends_with("schedules.0.schedule.cron: Invalid cron string: \"x y\""),
            "{told}"
        );
        assert!(!told.contains("hunter22"));
    }

    #[test]
    fn values_of_parameters_and_job_variables_are_not_repeated() {
        let sent = json!({
            "parameters": {"n": "sekret-1"},
            "job_variables": {"env": {"TOKEN": ["sekret-2"]}},
            "schedules": [{"parameters": {"n": "sekret-3"}}],
        });
        let body = json!({"exception_detail": [{"loc": ["body"], "msg":
            "Value error, Validation failed for field 'n'. Failure reason: 'sekret-1' is not of type 'integer', \
             ['sekret-2'], sekret-3"}]});
        let told = message(&refusal(422, &body), Some(&sent));
        assert!(told.contains("'…' is not of type 'integer'"), "{told}");
        assert!(!told.contains("sekret"), "{told}");
    }

    #[test]
    fn hints_name_the_setting() {
        let unauthorised = refusal(401, &json!({"exception_message": "Unauthorized"}));
        let error = unauthorised.explain("Prefect", "reading", None);
        assert_eq!(error.kind, Kind::Denied);
        let hint = error.hint.expect("a hint");
        assert!(hint.contains("PREFECT_API_KEY") && hint.contains("PREFECT_API_AUTH_STRING"));
        let path = refusal(404, &json!({"detail": "Not Found"}));
        assert!(message(&path, None).contains("should end in /api"));
        let page = Fault::Unreadable {
            body: "<!DOCTYPE html><html>".into(),
            cause: String::new(),
        };
        assert!(message(&page, None).contains("web page"));
        assert!(refusal(403, &json!({"detail": "Missing CSRF token."})).wants_csrf_token());
        assert!(
            refusal(
                403,
                &json!({"detail": "Invalid CSRF token or client identifier."})
            )
            .wants_csrf_token()
        );
        assert!(!refusal(403, &json!({"detail": "no"})).wants_csrf_token());
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let body = json!({"detail": "ü".repeat(1000)});
        let told = reason(&body.to_string(), None).expect("a reason");
        assert_eq!(told.chars().count(), LONGEST + 1);
    }
}

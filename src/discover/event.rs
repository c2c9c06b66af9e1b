//! Which revision a run of GitHub Actions compares with, by the event that started it.
//!
//! The payloads are those of [Events that trigger workflows](https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows)
//! and [Webhook events and payloads](https://docs.github.com/en/webhooks/webhook-events-and-payloads). A second attempt of
//! a run has the payload of the first, and so the same base.

use serde_json::Value;

/// What started a run.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// `GITHUB_EVENT_NAME`: `push`, `pull_request` …
    pub name: &'a str,
    /// The document at `GITHUB_EVENT_PATH`.
    pub payload: &'a Value,
    /// `GITHUB_SHA`; for a pull request it is the commit that merges it into its base.
    pub sha: Option<&'a str>,
}

/// What to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The first parent of a commit, where that is checked out.
    Parent {
        /// The commit.
        of: String,
        /// What to compare with where another commit is checked out; `None` if nothing will do.
        otherwise: Option<String>,
        /// What it is: a lower-case fragment.
        why: String,
    },
    /// A commit.
    Revision {
        /// 40 or 64 hexadecimal digits.
        sha: String,
        /// What it is: a lower-case fragment.
        why: String,
    },
    /// Nothing: everything counts as changed.
    Everything {
        /// Why: a lower-case fragment.
        why: String,
    },
}

/// The base of an event.
///
/// | event | base |
/// |---|---|
/// | `pull_request` | the first parent of the merge commit that is checked out, which is just what the pull request changes; the base branch's commit where its head is checked out instead |
/// | `merge_group` | `merge_group.base_sha` |
/// | `push` to a branch, forced or not | `before`: the commit that the branch was at |
/// | the first push of a branch, a tag, and every other event | everything |
pub fn base(event: &Event<'_>) -> Base {
    let payload = event.payload;
    let everything = |why: &str| Base::Everything {
        why: why.to_owned(),
    };
    match event.name {
        "push" => {
            let reference = payload["ref"].as_str().unwrap_or_default();
            let Some(branch) = reference.strip_prefix("refs/heads/") else {
                return everything("a tag was pushed");
            };
            match (commit(&payload["before"]), payload["forced"] == true) {
                (None, _) => everything("this is the first push of its branch"),
                (Some(sha), forced) => Base::Revision {
                    sha,
                    why: if forced {
                        format!("{branch} before this forced push")
                    } else {
                        format!("{branch} before this push")
                    },
                },
            }
        }
        "pull_request" | "pull_request_review" | "pull_request_review_comment" => {
            let request = &payload["pull_request"];
            let why = match request["number"].as_u64() {
                Some(number) => format!("the base of pull request {number}"),
                None => "the base of the pull request".to_owned(),
            };
            let otherwise = commit(&request["base"]["sha"]);
            match (event.sha.and_then(hexadecimal), otherwise) {
                (Some(of), otherwise) => Base::Parent { of, otherwise, why },
                (None, Some(sha)) => Base::Revision { sha, why },
                (None, None) => everything("the event names no base of the pull request"),
            }
        }
        // It runs on the base branch, so that only a checkout of the pull request itself differs from this.
        "pull_request_target" => match commit(&payload["pull_request"]["base"]["sha"]) {
            Some(sha) => Base::Revision {
                sha,
                why: "the base of the pull request".to_owned(),
            },
            None => everything("the event names no base of the pull request"),
        },
        "merge_group" => match commit(&payload["merge_group"]["base_sha"]) {
            Some(sha) => Base::Revision {
                sha,
                why: "what the merge group comes after".to_owned(),
            },
            None => everything("the event names no base of the merge group"),
        },
        name => Base::Everything {
            why: format!("a run for `{name}` compares everything"),
        },
    }
}

/// The commit of a payload; `None` for all zeros, which mean that there is none, and for what is none.
fn commit(value: &Value) -> Option<String> {
    value.as_str().and_then(hexadecimal)
}

fn hexadecimal(text: &str) -> Option<String> {
    let digits = text.bytes().all(|one| one.is_ascii_hexdigit());
    let names = matches!(text.len(), 40 | 64) && digits && text.bytes().any(|one| one != b'0');
    names.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;

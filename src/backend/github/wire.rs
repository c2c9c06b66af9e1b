//! What GitHub answers, as far as it matters here.

use serde::{Deserialize, Deserializer};

/// Something that was created or changed.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    /// Its number among all of its kind on GitHub.
    pub(super) id: u64,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    #[serde(default, deserialize_with = "text")]
    pub(super) body: String,
    #[serde(flatten)]
    pub(super) author: Author,
}

/// An issue; in listings also a pull request.
#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) number: u64,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) body: String,
    /// Anything where it is one.
    pub(super) pull_request: Option<serde::de::IgnoredAny>,
    #[serde(flatten)]
    pub(super) author: Author,
}

/// A pull request in the listing of a commit's.
#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    pub(super) number: u64,
    /// `open` or `closed`.
    #[serde(default)]
    pub(super) state: String,
}

/// Who wrote something.
#[derive(Debug, Deserialize)]
pub(super) struct Author {
    user: Option<User>,
    #[serde(default)]
    author_association: String,
}

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default, rename = "type")]
    kind: String,
}

impl Author {
    /// Whether it is an app, such as GitHub Actions itself, or somebody who may write to the repository: a stranger's
    /// comment is never taken for ours, as its author could change it afterwards.
    pub(super) fn is_trusted(&self) -> bool {
        let bot = self.user.as_ref().is_some_and(|user| user.kind == "Bot");
        bot || ["OWNER", "MEMBER", "COLLABORATOR"].contains(&self.author_association.as_str())
    }
}

/// Text that may be `null`.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

//! What Azure's refusals mean.

use azure_core::error::ErrorKind;
use azure_core::http::StatusCode;

use super::Container;
use crate::backend::transfer::{ours, root};
use crate::backend::{Error, Kind};

/// What to do where no identity works.
const NO_IDENTITY: &str = "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_TENANT_ID, AZURE_CLIENT_ID and \
    AZURE_CLIENT_SECRET, or run `az login`";

impl Container {
    /// Says that `verb` failed for `key` (empty: for the store as a whole) and why.
    pub(super) fn failed(&self, verb: &str, key: &str, error: &azure_core::Error) -> Error {
        let error = self.translate(error);
        let message = if key.is_empty() {
            format!("{verb}: {}", error.message)
        } else {
            format!("{verb} `{key}`: {}", error.message)
        };
        Error { message, ..error }
    }

    /// Says what an error means; the URL and its signature, which outer layers of it may hold, are left out.
    fn translate(&self, error: &azure_core::Error) -> Error {
        let new = |kind, message: String| Error::new(kind, &self.subject, message);
        // An identity told what is wrong, and what to do about it.
        if let Some(error) = ours(error) {
            let hint = error.hint.as_deref().unwrap_or(NO_IDENTITY);
            return new(error.kind, error.message.clone()).hint(hint);
        }
        let code = code(error);
        match error.kind() {
            ErrorKind::HttpResponse { .. } if code == "ContainerNotFound" => new(
                Kind::NotFound,
                format!("there is no container `{}`", self.container),
            )
            .hint(format!(
                "create it: az storage container create --name {}",
                self.container
            )),
            ErrorKind::HttpResponse { status, .. } => {
                let said = if code.is_empty() {
                    status.to_string()
                } else {
                    code.to_owned()
                };
                match u16::from(*status) {
                    401 | 403 => {
                        new(Kind::Denied, format!("Azure refuses us ({said})")).hint(self.hint)
                    }
                    404 => new(Kind::NotFound, format!("there is no such blob ({said})")),
                    409 | 412 => new(Kind::Conflict, format!("someone else was first ({said})")),
                    408 | 429 | 500.. => {
                        new(Kind::Unavailable, format!("the service fails ({said})"))
                    }
                    _ => new(
                        Kind::Other,
                        format!("the service refuses the request ({said})"),
                    ),
                }
            }
            ErrorKind::Connection => new(
                Kind::Unavailable,
                format!("cannot reach the service: {}", root(error)),
            )
            .hint("check the account's name, the network and any proxy"),
            ErrorKind::Io => new(
                Kind::Unavailable,
                format!("the connection broke: {}", root(error)),
            ),
            ErrorKind::Credential => new(Kind::Denied, root(error)).hint(NO_IDENTITY),
            _ => new(Kind::Other, root(error)),
        }
    }
}

/// The service's own code, `BlobAlreadyExists`; empty where there is none.
pub(super) fn code(error: &azure_core::Error) -> &str {
    match error.kind() {
        ErrorKind::HttpResponse { error_code, .. } => error_code.as_deref().unwrap_or_default(),
        _ => "",
    }
}

pub(super) fn is_no_container(error: &azure_core::Error) -> bool {
    code(error) == "ContainerNotFound"
}

/// A condition failed: 412, and 409 for a blob that should be absent.
pub(super) fn is_taken(error: &azure_core::Error) -> bool {
    match error.http_status() {
        Some(StatusCode::PreconditionFailed) => true,
        Some(StatusCode::Conflict) => code(error) == "BlobAlreadyExists",
        _ => false,
    }
}

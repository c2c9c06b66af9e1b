//! What the refusals of S3 and Google Cloud Storage mean.

use super::bucket::{Bucket, Service};
use super::http::Unreachable;
use crate::backend::transfer::root;
use crate::backend::{Error, Kind};

impl Bucket {
    /// Says that `verb` failed for `key` (empty: for the store as a whole) and why.
    pub(super) fn failed(&self, verb: &str, key: &str, error: &::object_store::Error) -> Error {
        let error = self.translate(error);
        let message = if key.is_empty() {
            format!("{verb}: {}", error.message)
        } else {
            format!("{verb} `{key}`: {}", error.message)
        };
        Error { message, ..error }
    }

    /// Says what an error means. The crate's own text is not shown: it holds URLs and whole answers.
    fn translate(&self, error: &::object_store::Error) -> Error {
        use ::object_store::Error as Source;
        let new = |kind, message: String| Error::new(kind, &self.subject, message);
        let mut cause: &dyn std::error::Error = error;
        loop {
            if let Some(ours) = cause.downcast_ref::<Error>() {
                return new(ours.kind, ours.message.clone());
            }
            if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
                if unreachable.metadata {
                    let message = format!(
                        "no credentials were given, and this machine has none: {unreachable}"
                    );
                    return new(Kind::Denied, message).hint(self.service.credentials());
                }
                return new(Kind::Unavailable, unreachable.to_string())
                    .hint("check the endpoint, the network and any proxy");
            }
            match cause.source() {
                Some(source) => cause = source,
                None => break,
            }
        }
        let text = error.to_string();
        let status = status(&text);
        let code = code(&text);
        let said = match (code, status) {
            (Some(code), _) => code.to_owned(),
            (None, Some(status)) => status.to_string(),
            (None, None) => root(error),
        };
        if code == Some("NoSuchBucket") {
            let hint = match self.service {
                Service::S3 => format!("create it: aws s3 mb s3://{}", self.bucket),
                Service::Gcs => format!(
                    "create it: gcloud storage buckets create gs://{}",
                    self.bucket
                ),
            };
            return new(
                Kind::NotFound,
                format!("there is no bucket `{}`", self.bucket),
            )
            .hint(hint);
        }
        match (error, status) {
            (Source::NotFound { .. }, _) | (_, Some(404)) => {
                new(Kind::NotFound, format!("there is no such object ({said})"))
            }
            (Source::PermissionDenied { .. } | Source::Unauthenticated { .. }, _)
            | (_, Some(401 | 403)) => new(Kind::Denied, format!("the service refuses us ({said})"))
                .hint(self.service.hint()),
            (Source::AlreadyExists { .. } | Source::Precondition { .. }, _)
            | (_, Some(409 | 412)) => {
                new(Kind::Conflict, format!("someone else was first ({said})"))
            }
            (_, Some(408 | 429 | 500..)) => {
                new(Kind::Unavailable, format!("the service fails ({said})"))
            }
            (_, Some(_)) => new(
                Kind::Other,
                format!("the service refuses the request ({said})"),
            ),
            (_, None) => new(Kind::Unavailable, said),
        }
    }
}

/// The HTTP status in the crate's text, which is the only place that has it for lists and multipart uploads.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The service's own code in the XML that the crate's text ends with: `NoSuchBucket`.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

pub(super) fn is_under_way(error: &::object_store::Error) -> bool {
    code(&error.to_string()) == Some("ConditionalRequestConflict")
}

pub(super) fn is_taken(error: &::object_store::Error) -> bool {
    use ::object_store::Error as Source;
    matches!(
        error,
        Source::AlreadyExists { .. } | Source::Precondition { .. }
    ) || matches!(status(&error.to_string()), Some(412))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_code_are_read_from_the_text() {
        let text = "Generic S3 error: Error performing GET http://x - Server returned non-2xx status code: 404 Not Found: \
                    <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>m</Message></Error>";
        assert_eq!(status(text), Some(404));
        assert_eq!(code(text), Some("NoSuchBucket"));
        assert_eq!(status("connection closed"), None);
        assert_eq!(code("connection closed"), None);
    }
}

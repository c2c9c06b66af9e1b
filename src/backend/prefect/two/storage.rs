//! Where a storage block of Prefect 2 points, and the path of a release below it.
//!
//! A run calls the block's `get_directory` with the deployment's `path`. `prefect.filesystems` of 2.20.26 joins the two by
//! `/`: `Azure`, `S3` and `GCS` begin at `bucket_path` (`container/prefix`), `RemoteFileSystem` at the URL `basepath`,
//! `LocalFileSystem` at the folder `basepath`. The blocks of prefect-azure, prefect-aws and prefect-gcp name the container
//! or bucket and a folder in it.

use serde_json::Value;

use super::wire;
use crate::backend::prefect::pull::Pull;
use crate::model::ReleaseRef;

/// The path of a release, as it is told beside a block. The error names both places.
pub(super) fn path(
    block: &wire::Block,
    release: &ReleaseRef,
    pull: &Pull,
) -> Result<String, String> {
    let folder = format!("{}{}", root(block, pull)?, release.folder());
    Ok(folder.trim_end_matches('/').to_owned())
}

/// The release that a path beside a block leads to, where it is one of ours.
pub(super) fn release(block: &wire::Block, path: &str, pull: &Pull) -> Option<ReleaseRef> {
    let root = root(block, pull).ok()?;
    ReleaseRef::of_folder(path.strip_prefix(&root)?)
}

/// The way from where a block points to where releases are: empty, or ending in `/`. The error names both.
pub(super) fn root(block: &wire::Block, pull: &Pull) -> Result<String, String> {
    let name = block.text().unwrap_or_else(|| "without a name".to_owned());
    let Some(from) = base(block) else {
        return Err(format!(
            "block `{name}` does not tell where it points, so that `{}` cannot be found through it",
            pull.location()
        ));
    };
    let to = pull.location();
    let outside =
        || format!("block `{name}` points to `{from}`, and the code is uploaded to `{to}`");
    let rest = to.strip_prefix(&from).ok_or_else(outside)?;
    match rest.strip_prefix('/') {
        Some(rest) => Ok(format!("{rest}/")),
        None if rest.is_empty() => Ok(String::new()),
        None => Err(outside()),
    }
}

/// Where a block points, in the words of [`Pull::location`]; `None` where it is no storage that we know, or keeps it
/// secret.
fn base(block: &wire::Block) -> Option<String> {
    let text = |key: &str| block.data.get(key).and_then(Value::as_str);
    let in_bucket = |scheme: &str, bucket: &str, folder: &str| {
        let whole = format!(
            "{bucket}/{}",
            text(folder).unwrap_or_default().trim_matches('/')
        );
        Some(format!("{scheme}://{}", whole.trim_matches('/')))
    };
    let path = |scheme: &str| {
        let path = text("bucket_path")?;
        Some(format!("{scheme}://{}", path.trim_matches('/')))
    };
    match block.block_type.as_ref()?.slug.as_str() {
        // The container is a secret then.
        "azure" if text("azure_storage_container").is_some() => None,
        "azure" => path("azure"),
        "s3" => path("s3"),
        "gcs" => path("gs"),
        "azure-blob-storage-container" => {
            in_bucket("azure", text("container_name")?, "base_folder")
        }
        "s3-bucket" => in_bucket("s3", text("bucket_name")?, "bucket_folder"),
        "gcs-bucket" => in_bucket("gs", text("bucket")?, "bucket_folder"),
        "local-file-system" => {
            let path = text("basepath")?.trim_end_matches('/');
            path.starts_with('/').then(|| format!("file://{path}"))
        }
        "remote-file-system" => {
            let (scheme, rest) = text("basepath")?.split_once("://")?;
            let scheme = match scheme {
                "az" | "abfs" | "abfss" => "azure",
                "gcs" => "gs",
                "local" => "file",
                other => other,
            };
            Some(format!("{scheme}://{}", rest.trim_end_matches('/')))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Digest, RepoPath};

    fn block(kind: &str, data: &Value) -> wire::Block {
        let block = json!({"id": "I", "name": "flows", "block_type": {"slug": kind}, "data": data});
        serde_json::from_value(block).expect("a block")
    }

    #[test]
    fn a_release_is_found_from_where_the_block_points() {
        let azure = Pull::Azure {
            account_url: "https://acc.blob.core.windows.net".into(),
            container: "code".into(),
            prefix: "flows/prod".into(),
            credentials: None,
        };
        let s3 = Pull::S3 {
            bucket: "b".into(),
            prefix: String::new(),
            credentials: None,
            endpoint: None,
        };
        let gcs = Pull::Gcs {
            bucket: "b".into(),
            prefix: "x".into(),
            credentials: None,
        };
        let folder = Pull::Folder {
            path: "/srv/flows".into(),
        };
        let release_of = ReleaseRef {
            project: RepoPath::new("projects/a"),
            digest: Digest::of(b"x"),
        };
        let end = format!("projects/a/{}", release_of.digest);
        for (pull, kind, data, begin) in [
            (
                &azure,
                "azure",
                json!({"bucket_path": "code"}),
                "flows/prod/",
            ),
            (
                &azure,
                "azure",
                json!({"bucket_path": "code/flows/"}),
                "prod/",
            ),
            (
                &azure,
                "azure",
                json!({"bucket_path": "code/flows/prod"}),
                "",
            ),
            (
                &azure,
                "azure-blob-storage-container",
                json!({"container_name": "code", "base_folder": null}),
                "flows/prod/",
            ),
            (
                &azure,
                "remote-file-system",
                json!({"basepath": "abfs://code/flows/"}),
                "prod/",
            ),
            (&s3, "s3", json!({"bucket_path": "b"}), ""),
            (
                &s3,
                "s3-bucket",
                json!({"bucket_name": "b", "bucket_folder": ""}),
                "",
            ),
            (&gcs, "gcs", json!({"bucket_path": "b"}), "x/"),
            (
                &gcs,
                "gcs-bucket",
                json!({"bucket": "b", "bucket_folder": "x/"}),
                "",
            ),
            (
                &folder,
                "local-file-system",
                json!({"basepath": "/srv"}),
                "flows/",
            ),
        ] {
            let block = block(kind, &data);
            let path = path(&block, &release_of, pull).expect("a path");
            assert_eq!(path, format!("{begin}{end}"), "{kind}");
            let found = release(&block, &path, pull);
            assert_eq!(found.as_ref(), Some(&release_of), "{kind}");
        }
        for (kind, data) in [
            ("azure", json!({"bucket_path": "code/flow"})),
            ("azure", json!({"bucket_path": "other"})),
            ("azure", json!({"bucket_path": "code/flows/prod/deeper"})),
            ("s3", json!({"bucket_path": "code"})),
        ] {
            let message = root(&block(kind, &data), &azure).expect_err("elsewhere");
            assert!(message.contains(&format!("`{kind}/flows`")), "{message}");
            assert!(message.contains("`azure://code/flows/prod`"), "{message}");
        }
        let secret = json!({"bucket_path": "x", "azure_storage_container": "********"});
        for (kind, data) in [("azure", secret), ("github", json!({"repository": "r"}))] {
            let message = root(&block(kind, &data), &azure).expect_err("not known");
            assert!(message.contains("does not tell"), "{message}");
        }
    }
}

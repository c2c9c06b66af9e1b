//! A package index with the packages of `packages.py`, so that tests know what is in it and what it is asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use flowyard::model::Digest;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::services::process;

/// A running index.
pub(super) struct Index {
    server: MockServer,
    files: BTreeMap<String, Vec<u8>>,
}

impl Index {
    /// Starts one.
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oci/packages.py");
        process::run(Command::new("python3").arg(script).arg(folder.path()));
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder.path()).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            files.insert(name.into_owned(), std::fs::read(&path).expect("a file"));
        }
        let server = MockServer::start().await;
        let mut pages: BTreeMap<String, String> = BTreeMap::new();
        for (name, bytes) in &files {
            let package = name
                .split("-1.0")
                .next()
                .and_then(|one| one.split("-2.0").next());
            let package = package.expect("a name").replace('_', "-");
            let digest = Digest::of(bytes);
            let link = format!("<a href=\"/files/{name}#sha256={digest}\">{name}</a>\n");
            pages.entry(package).or_default().push_str(&link);
            Mock::given(path(format!("/files/{name}")))
                .respond_with(ResponseTemplate::new(200).set_body_bytes(bytes.clone()))
                .mount(&server)
                .await;
        }
        for (package, links) in pages {
            let page = format!("<!DOCTYPE html><html><body>{links}</body></html>");
            Mock::given(path(format!("/simple/{package}/")))
                .respond_with(ResponseTemplate::new(200).set_body_raw(page, "text/html"))
                .mount(&server)
                .await;
        }
        Self { server, files }
    }

    /// Its URL, as `UV_DEFAULT_INDEX` takes it.
    pub(super) fn url(&self) -> String {
        format!("{}/simple", self.server.uri())
    }

    /// A line of requirements that pins a wheel: `words==1.0 --hash=sha256:…`.
    pub(super) fn pinned(&self, name: &str, version: &str) -> String {
        let start = format!("{name}-{version}-");
        let hashes = self
            .files
            .iter()
            .filter(|(file, _)| file.starts_with(&start))
            .map(|(_, bytes)| format!(" --hash=sha256:{}", Digest::of(bytes)));
        format!("{name}=={version}{}\n", hashes.collect::<String>())
    }

    /// How many requests it got.
    pub(super) async fn requests(&self) -> usize {
        self.server
            .received_requests()
            .await
            .map_or(0, |all| all.len())
    }
}

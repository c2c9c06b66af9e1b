//! Azurite, Microsoft's emulator of Azure Blob Storage.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::process::{self, Service};

/// The emulator's account, the same everywhere.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";

/// The key of that account, published in Azurite's documentation; no secret.
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The program, installed on first use.
pub(crate) fn bin() -> PathBuf {
    const VERSION: &str = "azurite@3.37.0";
    process::installed("azurite", VERSION, |folder| {
        process::npm(folder, &[VERSION]);
    })
    .join("node_modules/.bin/azurite-blob")
}

/// The account's URL, through Azurite's own port or that of a proxy in front of it.
pub(crate) fn account_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/{ACCOUNT}")
}

/// A connection string with the account's key.
pub(crate) fn connection_string(port: u16) -> String {
    format!(
        "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={};",
        account_url(port)
    )
}

/// A connection string with a shared access signature.
pub(crate) fn sas_connection_string(port: u16) -> String {
    format!(
        "BlobEndpoint={};SharedAccessSignature={}",
        account_url(port),
        sas()
    )
}

/// A shared access signature of the account that may do everything until the year 2099, as Microsoft's "Create an
/// account SAS" describes it.
pub(crate) fn sas() -> String {
    let (rights, until, version) = ("rwdlac", "2099-01-01T00:00:00Z", "2019-12-12");
    let text = format!("{ACCOUNT}\n{rights}\nb\nsco\n\n{until}\n\nhttps,http\n{version}\n");
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("sv", version)
        .append_pair("ss", "b")
        .append_pair("srt", "sco")
        .append_pair("sp", rights)
        .append_pair("se", until)
        .append_pair("spr", "https,http")
        .append_pair("sig", &signature(&text))
        .finish()
}

/// A running Azurite that keeps everything in memory.
pub(crate) struct Azurite {
    port: u16,
    _service: Service,
}

impl Azurite {
    /// Starts one and waits for it.
    pub(crate) fn start() -> Self {
        let port = process::free_port();
        let folder = process::folder("azurite");
        let mut command = Command::new(bin());
        command
            .args(["--silent", "--inMemoryPersistence", "--skipApiVersionCheck"])
            .args([
                "--disableTelemetry",
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
            ])
            .arg(port.to_string())
            .current_dir(&folder);
        let service = Service::start("azurite", folder, &mut command)
            .ready_when(Duration::from_secs(60), || process::listens(port));
        Self {
            port,
            _service: service,
        }
    }

    /// The one that all tests of this process share; each uses a container of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Azurite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The account, through Azurite's own port.
    pub(crate) fn account(&self) -> Account {
        self.at(self.port)
    }

    /// The account, through the port of a proxy.
    pub(crate) fn at(&self, port: u16) -> Account {
        Account {
            port,
            client: super::client(),
        }
    }
}

/// The emulator's account over its REST API, without any of flowyard's code; for one test.
pub(crate) struct Account {
    port: u16,
    client: reqwest::Client,
}

impl Account {
    /// Makes a container.
    pub(crate) async fn create_container(&self, name: &str) {
        let (status, body) = self
            .request(reqwest::Method::PUT, name, &[("restype", "container")])
            .await;
        assert_eq!(status, 201, "creating container {name}: {body}");
    }

    /// The names of all blobs of a container.
    pub(crate) async fn blobs(&self, container: &str) -> BTreeSet<String> {
        let query = [("comp", "list"), ("restype", "container")];
        let (status, body) = self.request(reqwest::Method::GET, container, &query).await;
        assert_eq!(status, 200, "listing {container}: {body}");
        // One page holds 5,000; more would make the answer name the next.
        assert!(
            !body.contains("<NextMarker>"),
            "more than one page of blobs"
        );
        body.split("<Name>")
            .skip(1)
            .filter_map(|rest| rest.split_once("</Name>"))
            .map(|(name, _)| name.replace("&amp;", "&"))
            .collect()
    }

    /// A signed request (Shared Key, as Microsoft's "Authorize with Shared Key" describes it) without a body.
    /// `query` is sorted by name.
    async fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> (u16, String) {
        let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
        let resource: String = query
            .iter()
            .map(|(name, value)| format!("\n{name}:{value}"))
            .collect();
        let text = format!(
            "{method}{}x-ms-date:{date}\nx-ms-version:2021-08-06\n/{ACCOUNT}/{ACCOUNT}/{path}{resource}",
            "\n".repeat(12)
        );
        let arguments: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let url = format!("{}/{path}?{}", account_url(self.port), arguments.join("&"));
        let response = self
            .client
            .request(method, url)
            .header("x-ms-date", date.to_string())
            .header("x-ms-version", "2021-08-06")
            .header(
                "Authorization",
                format!("SharedKey {ACCOUNT}:{}", signature(&text)),
            )
            .send()
            .await
            .expect("Azurite answers");
        let status = response.status().as_u16();
        (status, response.text().await.expect("Azurite speaks UTF-8"))
    }
}

/// The account's signature of a text.
fn signature(text: &str) -> String {
    let key = BASE64_STANDARD.decode(KEY).expect("the key is base64");
    BASE64_STANDARD.encode(hmac_sha256(&key, text.as_bytes()))
}

/// HMAC-SHA256 (RFC 2104) for a key of at most 64 bytes.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to ^= from);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message);
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner.finalize());
    outer.finalize().into()
}

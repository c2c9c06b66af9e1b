//! Azurite, Microsoft's emulator of Azure Blob.

use std::process::Command;

use super::process::{Service, free_port, http, install, run};

/// The published account and key of every Azurite.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite with its own empty memory.
#[derive(Debug)]
pub struct Azurite {
    /// Where it listens.
    pub port: u16,
    _service: Service,
}

impl Azurite {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = install("azurite-3.35.0", |folder| {
            run(Command::new("npm")
                .args([
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--no-save",
                    "--prefix",
                ])
                .arg(folder)
                .arg("azurite@3.35.0"));
        });
        let port = free_port();
        let mut service = Service::start(
            "azurite",
            Command::new(folder.join("node_modules/.bin/azurite-blob"))
                .args([
                    "--silent",
                    "--inMemoryPersistence",
                    "--skipApiVersionCheck",
                    "--disableTelemetry",
                ])
                .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]),
        );
        service.listens(port).await;
        Self {
            port,
            _service: service,
        }
    }

    /// The account's blob endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// A connection string with the account's key.
    pub fn connection_string(&self) -> String {
        format!(
            "AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={}",
            self.endpoint()
        )
    }

    /// A connection string with a signature that may do everything until the year 2099.
    pub fn sas_connection_string(&self) -> String {
        format!(
            "BlobEndpoint={};SharedAccessSignature={}",
            self.endpoint(),
            self.sas()
        )
    }

    /// A shared access signature of the account.
    /// <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>
    pub fn sas(&self) -> String {
        let (rights, until, version) = ("rwdlac", "2099-01-01T00:00:00Z", "2019-12-12");
        let text = format!("{ACCOUNT}\n{rights}\nb\nsco\n\n{until}\n\nhttps,http\n{version}\n");
        let key = azure_core::credentials::Secret::new(KEY);
        let signature = azure_core::hmac::hmac_sha256(&text, &key).expect("a signature");
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("sv", version)
            .append_pair("ss", "b")
            .append_pair("srt", "sco")
            .append_pair("sp", rights)
            .append_pair("se", until)
            .append_pair("spr", "https,http")
            .append_pair("sig", &signature)
            .finish()
    }

    /// Creates a container.
    pub async fn create_container(&self, name: &str) {
        let url = format!(
            "{}/{name}?restype=container&{}",
            self.endpoint(),
            self.sas()
        );
        let answer = http()
            .put(url)
            .header("x-ms-version", "2019-12-12")
            .header("content-length", 0)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 201, "creating a container");
    }
}

//! Services that cannot be reached or refuse us: told before anything is written.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tempfile::TempDir;

use super::{flowyard, kept, small};
use crate::services::azurite::{self, Azurite};
use crate::services::prefect::Server;
use crate::services::process::{Service, folder, free_port, listens};
use crate::services::proxy::{Exchange, Proxy};
use crate::support::{Flowyard, Repo, Run};

/// A small repository and a storage folder that does not exist yet.
struct Stage {
    repo: Repo,
    folder: TempDir,
}

impl Stage {
    fn set() -> Self {
        Self {
            repo: small(),
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        }
    }

    fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// A call against the Prefect server at a port.
    fn flowyard(&self, line: &str, port: u16) -> Flowyard {
        flowyard(&self.repo, line)
            .env("PREFECT_API_URL", format!("http://127.0.0.1:{port}/api"))
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("file://{}", self.storage().display()),
            )
    }

    #[track_caller]
    fn expect_nothing_written(&self) {
        assert!(!self.storage().exists(), "the storage was written");
        assert!(!kept(&self.repo).exists(), "the repository was written");
    }
}

#[test]
fn a_server_that_is_not_there() {
    let stage = Stage::set();
    let port = free_port();
    for line in ["plan", "deploy", "status"] {
        let start = Instant::now();
        let run = stage.flowyard(line, port).run().expect_code(4);
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{line}: {:?}",
            start.elapsed()
        );
        insta::allow_duplicates! {
            insta::assert_snapshot!(run.snapshot(), @"
            exit: 4
            ----- stdout -----
            ----- stderr -----
            error: read what is registered: Prefect at http://127.0.0.1:[PORT]/api: asking for the version: cannot connect: Connection refused (os error 111)
              hint: check that a Prefect server listens there, and that PREFECT_API_URL is right
            ");
        }
    }
    stage.expect_nothing_written();
}

#[test]
fn a_server_whose_certificate_nobody_knows() {
    let stage = Stage::set();
    let server = folder("tls");
    let certificate = server.join("cert.pem");
    let openssl = || {
        let mut command = Command::new("openssl");
        command.current_dir(&server);
        command
    };
    let made = openssl()
        .args("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=flowyard.test".split(' '))
        .args("-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE".split(' '))
        .args("-keyout key.pem -out cert.pem".split(' '))
        .output()
        .expect("tests/run installs openssl");
    assert!(made.status.success(), "{made:?}");
    // It answers with files as they are, and takes no POST. Nobody who reads this release goes on.
    let version = server.join("api/admin/version");
    fs::create_dir_all(version.parent().expect("a folder")).expect("it can be made");
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\"1.4.0\"";
    fs::write(version, answer).expect("it can be written");
    let port = free_port();
    let mut command = openssl();
    command
        .args("s_server -HTTP -key key.pem -cert cert.pem -accept".split(' '))
        .arg(format!("127.0.0.1:{port}"));
    let _service = Service::start("tls", server, &mut command)
        .ready_when(Duration::from_secs(30), || listens(port));

    let call = || {
        let url = format!("https://127.0.0.1:{port}/api");
        stage
            .flowyard("plan", port)
            .env("PREFECT_API_URL", url)
            .env("SSL_CERT_DIR", stage.folder.path())
    };
    insta::assert_snapshot!(call().run().snapshot(), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: read what is registered: Prefect at https://127.0.0.1:[PORT]/api: asking for the version: cannot connect: unexpected error: No CA certificates were loaded from the system
      hint: install the package `ca-certificates`, or let SSL_CERT_FILE name a file with the certificates of authorities
    ");
    let known = call().env("SSL_CERT_FILE", &certificate).run();
    insta::assert_snapshot!(known.snapshot(), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: read what is registered: Prefect at https://127.0.0.1:[PORT]/api: the server is Prefect 1.4.0, flowyard needs 2.20 or a later 2, or 3.2 or later
      hint: upgrade the server to Prefect 2.20 or 3.2, or later
    ");
    let others = "/etc/ssl/certs/ca-certificates.crt";
    let unknown = call().env("SSL_CERT_FILE", others).run();
    insta::assert_snapshot!(unknown.snapshot(), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: read what is registered: Prefect at https://127.0.0.1:[PORT]/api: asking for the version: cannot connect: invalid peer certificate: UnknownIssuer
      hint: let SSL_CERT_FILE name a file with the certificate of the authority that signed the server's
    ");
    stage.expect_nothing_written();
}

#[test]
fn a_storage_that_is_not_there() {
    let stage = Stage::set();
    let api = Server::shared().api_url();
    let start = Instant::now();
    let run = flowyard(&stage.repo, "deploy")
        .env("PREFECT_API_URL", api)
        .env(
            "FLOWYARD_STORAGE_URL",
            format!("azure://{}/flows", azurite::ACCOUNT),
        )
        .env(
            "AZURE_STORAGE_CONNECTION_STRING",
            azurite::connection_string(free_port()),
        )
        .run()
        .expect_code(4);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    assert!(!run.said().contains(azurite::KEY), "{}", run.snapshot());
    // Two questions are asked at once, and either may be refused first.
    for words in [
        "azure://devstoreaccount1/flows: ",
        ": cannot reach the service: Connection refused",
        "\n  hint: check the account's name, the network and any proxy\n",
    ] {
        assert!(run.stderr.contains(words), "{}", run.snapshot());
    }
}

#[test]
fn addresses_that_cannot_be() {
    let repo = small();
    let call = |storage: &str, api: &str| -> Run {
        flowyard(&repo, "deploy")
            .env("FLOWYARD_STORAGE_URL", storage)
            .env("PREFECT_API_URL", api)
            .run()
            .expect_code(2)
    };
    let api = "http://127.0.0.1:4200/api";
    let mut all = String::new();
    for storage in [
        "flows",
        "ftp://host/flows",
        "https://acc.blob.core.windows.net/flows",
        "azure://",
        "azure://account",
        "azure://account/UPPER",
        "s3://",
        "gs:///prefix",
        "file://relative/folder",
        "azure://user:hush@account/flows",
        "azure://account/flows?sig=hush",
        "azure://user:hush@acc ount/flows",
    ] {
        let run = call(storage, api);
        assert!(!run.said().contains("hush"), "{}", run.snapshot());
        all += &run.stderr;
    }
    insta::assert_snapshot!(all, @r#"
    error: the storage URL `flows` is none: relative URL without a base; write it as azure://account/container/prefix
    error: unknown storage scheme `ftp`; known are azure, s3, gs and file
    error: unknown storage scheme `https`; known are azure, s3, gs and file
    error: the storage URL `azure://` names no container; write azure://account/container/prefix
    error: the storage URL `azure://account` names no container; write azure://account/container/prefix
    error: azure://account/UPPER: use "UPPER" as a container: its name has 3 to 63 lower-case letters, digits and hyphens
    error: the storage URL `s3://` names no bucket
    error: the storage URL `gs:///prefix` names no bucket
    error: the storage URL `file://relative/folder` is no absolute path; write file:///folder
    error: the storage URL holds a secret or a query; credentials come from environment variables
    error: the storage URL holds a secret or a query; credentials come from environment variables
    error: the storage URL `…@acc ount/flows` is none: invalid domain character; write it as azure://account/container/prefix
    "#);
    let mut all = String::new();
    for api in [
        "127.0.0.1:4200/api",
        "ftp://host/api",
        "api",
        "http://",
        "http://kari:hush@",
    ] {
        let run = call("file:///nowhere", api);
        assert!(!run.said().contains("hush"), "{}", run.snapshot());
        all += &run.stderr;
    }
    insta::assert_snapshot!(all, @"
    error: the Prefect API's URL `127.0.0.1:4200/api` is none: relative URL without a base; write it as https://host/api
    error: the Prefect API's URL is `ftp`, neither http nor https
    error: the Prefect API's URL `api` is none: relative URL without a base; write it as https://host/api
    error: the Prefect API's URL `http://` is none: empty host; write it as https://host/api
    error: the Prefect API's URL `…@` is none: empty host; write it as https://host/api
    ");
    assert!(!kept(&repo).exists());
}

#[tokio::test]
async fn a_server_that_does_not_know_us() {
    let server = Server::start_with_auth("kari:open-sesame");
    let proxy = Proxy::start(server.port());
    let stage = Stage::set();
    let mut all = String::new();
    for (name, value) in [
        ("HOME", "/nonexistent"),
        ("PREFECT_API_AUTH_STRING", "kari:wrong-hush"),
        ("PREFECT_API_KEY", "pnu_hush"),
    ] {
        let run = stage
            .flowyard("deploy", proxy.port())
            .env(name, value)
            .run()
            .expect_code(4);
        assert!(!run.said().contains("hush"), "{}", run.snapshot());
        let stderr = run.snapshot();
        all += stderr.split_once("stderr -----\n").expect("a heading").1;
        stage.expect_nothing_written();
    }
    let recorded = proxy.take();
    assert!(!recorded.0.is_empty());
    let writes = recorded.writes();
    assert!(writes.is_empty(), "{writes:?}");
    insta::assert_snapshot!(all, @"
    error: read what is registered: Prefect at http://127.0.0.1:[PORT]/api: asking for the version: not authorised
      hint: set PREFECT_API_KEY for Prefect Cloud, or PREFECT_API_AUTH_STRING to what the server was started with; if it is set, it is wrong or expired
    error: read what is registered: Prefect at http://127.0.0.1:[PORT]/api: asking for the version: not authorised
      hint: set PREFECT_API_KEY for Prefect Cloud, or PREFECT_API_AUTH_STRING to what the server was started with; if it is set, it is wrong or expired
    error: read what is registered: Prefect at http://127.0.0.1:[PORT]/api: asking for the version: not authorised
      hint: set PREFECT_API_KEY for Prefect Cloud, or PREFECT_API_AUTH_STRING to what the server was started with; if it is set, it is wrong or expired
    ");

    // With the right one it works, and the proxy sees it.
    stage
        .flowyard("deploy", proxy.port())
        .env("PREFECT_API_AUTH_STRING", "kari:open-sesame")
        .run()
        .expect_code(0);
    assert!(!proxy.take().writes().is_empty());
    assert!(stage.storage().exists());
}

#[tokio::test]
async fn a_work_pool_that_does_not_exist() {
    // One of its own: whoever deploys to the shared one would have to wait for its turn.
    let server = Server::start();
    server.api().create_process_pool("cli-berth").await;
    let proxy = Proxy::start(server.port());
    let stage = Stage::set();
    let text = "entrypoint: flow.py:hello\nwork_pool: {name: cli-breth}\n";
    stage.repo.write("p/hello.deployment.yaml", text);
    for line in ["plan", "deploy"] {
        let run = stage.flowyard(line, proxy.port()).run().expect_code(3);
        insta::assert_snapshot!(format!("missing_pool_{line}"), run.snapshot());
    }
    stage.expect_nothing_written();
    let recorded = proxy.take();
    assert!(!recorded.0.is_empty());
    let writes = recorded.writes();
    assert!(writes.is_empty(), "{writes:?}");

    stage
        .repo
        .replace("p/hello.deployment.yaml", "cli-breth", "cli-berth");
    stage.flowyard("deploy", proxy.port()).run().expect_code(0);
    assert!(!proxy.take().writes().is_empty());
    assert!(stage.storage().exists());
}

#[tokio::test]
async fn a_storage_that_refuses_us() {
    let azurite = Azurite::shared();
    azurite.account().create_container("cli-refused").await;
    let (storage, server) = (
        Proxy::start(azurite.port()),
        Proxy::start(Server::shared().port()),
    );
    let repo = small();
    let wrong = azurite::connection_string(storage.port()).replace("AccountKey=E", "AccountKey=F");
    let right = azurite::connection_string(storage.port());
    for (container, connection, words) in [
        ("cli-refused", wrong, "Azure refuses us"),
        (
            "cli-absent",
            right,
            "there is no container `cli-absent`\n  hint: create it: az storage container create",
        ),
    ] {
        let run = flowyard(&repo, "deploy")
            .env(
                "PREFECT_API_URL",
                format!("http://127.0.0.1:{}/api", server.port()),
            )
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("azure://{}/{container}", azurite::ACCOUNT),
            )
            .env("AZURE_STORAGE_CONNECTION_STRING", connection)
            .run()
            .expect_code(4);
        assert!(
            !run.said().contains("by8vdM02xNOcqFl"),
            "{}",
            run.snapshot()
        );
        assert!(run.stderr.contains(words), "{}", run.snapshot());
    }
    for proxy in [storage, server] {
        let recorded = proxy.take();
        assert!(!recorded.0.is_empty());
        // A container that is not there shows with the first write, and not a moment before.
        let refused = |one: &&Exchange| one.status == Some(StatusCode::NOT_FOUND);
        let writes = recorded.writes().into_iter().filter(|one| !refused(one));
        assert_eq!(writes.collect::<Vec<_>>(), Vec::<&Exchange>::new());
    }
}

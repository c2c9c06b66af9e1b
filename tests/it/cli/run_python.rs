//! `--run-python`: files that reading cannot decide, run in real Prefects.

use std::collections::BTreeMap;
use std::time::Duration;

use flowyard::model::{Captured, CapturedDeployment, Diagnostic, Dialect, RepoPath};
use flowyard::sandbox::Cache;
use flowyard::sandbox::capture::{Runner, Subject};
use serde_json::{Value, json};
use wiremock::MockServer;

use super::kept;
use crate::services::uv;
use crate::support::{Flowyard, Repo};

const FLOW: &str = "from prefect import flow


@flow
def load(limit: int = 3):
    \"\"\"Loads.\"\"\"
";

/// Where `uv` keeps environments for all tests, and finds itself.
fn variables() -> BTreeMap<String, String> {
    let cache = uv::environments();
    let path = std::env::var("PATH").expect("a path");
    let path = format!("{}:{path}", uv::folder().join("bin").display());
    // How this machine reaches the package index, and nothing else of its environment.
    let network = std::env::vars().filter(|(name, _)| {
        let name = name.to_uppercase();
        name.starts_with("UV_") || name.starts_with("SSL_CERT_") || name.ends_with("_PROXY")
    });
    [
        ("PATH", path),
        ("XDG_CACHE_HOME", cache.display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .chain(network)
    .collect()
}

fn with_uv(mut call: Flowyard) -> Flowyard {
    for (name, value) in variables() {
        call = call.env(&name, value);
    }
    call
}

const UNDECIDED: &str = "import hashlib
import os

from flow import load

print('not for stdout')
NAME = hashlib.sha256(b'x').hexdigest()[:6]
load.deploy(
    name=f'load-{NAME}',
    work_pool_name='aks',
    image='acme/x:1',
    build=False,
    cron='0 1 * * *',
    parameters={'limit': 4},
    tags=['b', os.environ['REGION']],
)
";

#[tokio::test(flavor = "multi_thread")]
async fn what_reading_cannot_decide_is_run_when_asked() {
    let repo = Repo::new();
    repo.write("projects/a/flow.py", FLOW);
    repo.write("projects/a/x.deployment.py", UNDECIDED);
    repo.write("flowyard.toml", "[python]\nenvironment = ['REGION']\n");
    repo.commit("As it is");

    let run = Flowyard::new(repo.path(), ["plan", "--local"])
        .env("REGION", "norway-east")
        .run();
    assert_eq!(run.code, Some(3));
    let place =
        "projects/a/x.deployment.py:7:8: error: `name` is not known: `hashlib.sha256(b'x')`";
    assert!(run.stderr.contains(place), "{}", run.stderr);
    assert!(
        run.stderr.contains("run the file with --run-python"),
        "{}",
        run.stderr
    );

    // A server that is configured is not asked by the file either.
    let server = MockServer::start().await;
    let call = Flowyard::new(
        repo.path(),
        ["plan", "--local", "--run-python", "--format", "json"],
    )
    .env("REGION", "norway-east")
    .env("PREFECT_API_URL", format!("{}/api", server.uri()));
    let run = tokio::task::block_in_place(|| with_uv(call).run());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(server.received_requests().await.expect("recorded").len(), 0);
    let plan: Value = serde_json::from_str(&run.stdout).expect("one document and nothing else");
    let text = plan.to_string();
    assert!(
        text.contains("load-2d7116") && text.contains("acme/x:1"),
        "{text}"
    );
    assert!(
        text.contains("the file was run to know what it declares"),
        "{text}"
    );
    assert!(
        !text.contains("norway-east"),
        "a variable's value is never shown: {text}"
    );

    let call = Flowyard::new(repo.path(), ["deploy", "--local", "--run-python"])
        .env("REGION", "norway-east");
    let run = tokio::task::block_in_place(|| with_uv(call).run());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let file = kept(&repo).join("registrations/default/load/load-2d7116.json");
    let text = std::fs::read_to_string(file).expect("it is registered");
    let registered: Value = serde_json::from_str(&text).expect("JSON");
    let registered = &registered["fields"];
    assert_eq!(registered["tags"], json!(["b", "norway-east"]));
    assert_eq!(registered["entrypoint"], "flow.py:load");
    assert_eq!(registered["parameters"], json!({"limit": 4}));
}

#[test]
fn what_was_run_can_be_written_down() {
    let undecided = "import hashlib
from flow import load

load.deploy(name=hashlib.sha256(b'x').hexdigest()[:6], work_pool_name='aks', image='acme/x:1', build=False)
";
    let path = "projects/a/x.deployment.py";
    let repo = repository(&[("projects/a/flow.py", FLOW), (path, undecided)]);
    // A second run replaces what the first has written down.
    for line in ["convert --run-python", "convert --run-python --replace"] {
        let run = with_uv(Flowyard::new(repo.path(), line.split(' '))).run();
        assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
    }
    assert!(!repo.path().join(path).exists());
    let list = Flowyard::new(repo.path(), ["list"]).run().expect_code(0);
    assert!(list.stdout.contains("load/2d7116"), "{}", list.stdout);
}

fn repository(files: &[(&str, &str)]) -> Repo {
    let repo = Repo::new();
    repo.write("p/flow.py", FLOW);
    for (name, text) in files {
        repo.write(&format!("p/{name}"), text);
    }
    repo
}

async fn runner(repo: &Repo, dialect: Dialect) -> Runner {
    let cache = Cache::new(&variables()).expect("it is named");
    let seen = BTreeMap::from([("REGION".to_owned(), "norway-east".to_owned())]);
    Runner::new(repo.path(), cache, dialect, seen).await
}

async fn run(runner: &Runner, name: &str) -> Captured {
    let file = RepoPath::new(format!("p/{name}"));
    let subject = Subject {
        file,
        requirements: None,
    };
    runner.run(&subject).await
}

async fn fault(runner: &Runner, name: &str) -> Diagnostic {
    match run(runner, name).await {
        Captured::Failed(fault) => *fault,
        Captured::Registered(registered) => panic!("{name}: {registered:?}"),
    }
}

async fn registered(runner: &Runner, name: &str) -> Vec<CapturedDeployment> {
    match run(runner, name).await {
        Captured::Registered(registered) => registered,
        Captured::Failed(fault) => panic!("{name}: {fault:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_gets_no_secret_no_network_and_no_end_of_time_or_memory() {
    let repo = repository(&[
        (
            "secrets.deployment.py",
            "import os\nfrom flow import load\nfor name in os.environ:\n    assert not name.startswith(('AZURE', 'AWS', 'GITHUB', 'CARGO', 'RUST')), name\nload.deploy(os.environ['REGION'], work_pool_name='p')\n",
        ),
        (
            "network.deployment.py",
            "import socket\n\nsocket.create_connection(('192.0.2.1', 80), timeout=20)\n",
        ),
        ("endless.deployment.py", "while True:\n    pass\n"),
        (
            "hog.deployment.py",
            "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 30))\n",
        ),
        (
            "raises.deployment.py",
            "import json\n\n\ndef read():\n    return json.loads('no json')\n\n\nread()\n",
        ),
        (
            "secret.deployment.py",
            "from prefect.blocks.system import Secret\nSecret.load('token').get()\n",
        ),
        (
            "checkout.deployment.py",
            "from flow import load\nload.deploy('x', work_pool_name='p', parameters={'a': __file__})\n",
        ),
        ("leaves.deployment.py", "import os\nos._exit(3)\n"),
        ("quits.deployment.py", "import sys\nsys.exit('not today')\n"),
        ("syntax.deployment.py", "def (:\n"),
    ]);
    let runner = runner(&repo, Dialect::Prefect3).await;
    let one = registered(&runner, "secrets.deployment.py").await;
    assert_eq!(one[0].declares["name"], "norway-east");

    assert!(runner.denies_network(), "the machine of the tests can");
    let denied = fault(&runner, "network.deployment.py").await;
    assert!(
        denied.message.contains("Network is unreachable"),
        "{}",
        denied.message
    );
    assert_eq!(denied.place.to_string(), "p/network.deployment.py:3:1");

    let hog = fault(&runner, "hog.deployment.py").await;
    assert!(
        hog.message
            .starts_with("running the file fails: MemoryError"),
        "{}",
        hog.message
    );
    assert_eq!((hog.place.line, hog.place.column), (3, 18));

    let raised = fault(&runner, "raises.deployment.py").await;
    assert!(
        raised.message.contains("JSONDecodeError: Expecting value"),
        "{}",
        raised.message
    );
    assert!(
        raised.message.contains("line 8, in <module>"),
        "{}",
        raised.message
    );
    assert_eq!(raised.place.to_string(), "p/raises.deployment.py:5:12");

    let secret = fault(&runner, "secret.deployment.py").await;
    assert!(
        secret.message.contains("a secret's value is not known"),
        "{}",
        secret.message
    );
    let path = fault(&runner, "checkout.deployment.py").await;
    assert!(
        path.message.contains("holds the path of the checkout"),
        "{}",
        path.message
    );
    assert_eq!(path.place.line, 2);
    let left = fault(&runner, "leaves.deployment.py").await;
    assert!(
        left.message.contains("ended without an answer"),
        "{}",
        left.message
    );
    let quit = fault(&runner, "quits.deployment.py").await;
    assert!(
        quit.message.contains("SystemExit: not today"),
        "{}",
        quit.message
    );
    let syntax = fault(&runner, "syntax.deployment.py").await;
    assert!(syntax.message.contains("SyntaxError"), "{}", syntax.message);

    let short = runner.time(Duration::from_secs(15));
    let endless = fault(&short, "endless.deployment.py").await;
    assert_eq!(endless.message, "the file runs for more than 15 s");
}

const LEGACY: &str = "from datetime import timedelta

from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure import KubernetesJob
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule

from flow import load

storage = Azure.load('flows')
Deployment.build_from_flow(
    flow=load,
    name='applied at once',
    storage=storage,
    infrastructure=KubernetesJob.load('prod'),
    work_queue_name='slow',
    infra_overrides={'env.REGION': 'no'},
    schedule=CronSchedule(cron='0 1 * * *', timezone='Europe/Oslo'),
    path='x/y',
    apply=True,
)
later = Deployment.build_from_flow(load, 'later', schedule=IntervalSchedule(interval=timedelta(hours=2)))
later.tags = ['set later']
later.apply()
Deployment.build_from_flow(load, 'never applied')
";

#[tokio::test(flavor = "multi_thread")]
async fn prefect_2_is_captured_too() {
    let repo = repository(&[("x.deployment.py", LEGACY)]);
    let runner = runner(&repo, Dialect::Prefect2).await;
    let all = registered(&runner, "x.deployment.py").await;
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(
        Value::Object(all[0].declares.clone()),
        json!({
            "name": "applied at once", "flow_name": "load", "entrypoint": "load",
            "storage": "azure/flows", "infrastructure": "kubernetes-job/prod", "work_queue_name": "slow",
            "infra_overrides": {"env.REGION": "no"},
            "schedules": [{"cron": "0 1 * * *", "timezone": "Europe/Oslo"}],
        })
    );
    assert_eq!(all[0].file, Some(RepoPath::new("p/flow.py")));
    assert_eq!(all[0].line, 11);
    assert_eq!(all[0].notes, ["`path` yields to the folder of the release"]);
    assert_eq!(all[1].declares["tags"], json!(["set later"]));
    assert_eq!(all[1].declares["schedules"][0]["interval"], json!(7200.0));
}

/// Files in several styles, that reading decides.
const STYLES: &[(&str, &str)] = &[
    (
        "runner",
        "from datetime import datetime, timedelta, timezone\nfrom prefect.deployments.runner import RunnerDeployment\nfrom flow import load\nRunnerDeployment.from_entrypoint('flow.py:load', name='entry', version='1.2', work_pool_name='aks', work_queue_name='q').apply()\nRunnerDeployment.from_flow(load, 'flow', interval=timedelta(hours=3), work_pool_name='aks').apply()\n",
    ),
    (
        "loop",
        "from prefect import deploy\nfrom flow import load\nALL = {'dev': 1, 'prod': 2}\ndeploy(*[load.to_deployment(f'{env} nr {n}', cron=f'{n} 1 * * *', parameters={'limit': n}, tags=[env], description='Lastet på nytt') for env, n in ALL.items()], work_pool_name='aks', image='acme/x:1', build=False)\n",
    ),
    (
        "schedules",
        "from datetime import datetime, timedelta, timezone\nfrom prefect.schedules import Cron, Interval\nfrom prefect.client.schemas.schedules import CronSchedule, RRuleSchedule\nfrom flow import load\nload.deploy('new', work_pool_name='aks', schedules=[Cron('0 5 * * 1', timezone='Europe/Oslo', slug='monday'), Interval(timedelta(minutes=30), anchor_date=datetime(2024, 1, 1, tzinfo=timezone.utc), slug='half')])\nload.deploy('old', work_pool_name='aks', schedules=[CronSchedule(cron='1 1 * * *', timezone='UTC')])\nload.deploy('rule', work_pool_name='aks', rrule='FREQ=DAILY;BYHOUR=7')\n",
    ),
    (
        "options",
        "from flow import load\nload.with_options(name='renamed').deploy('x', work_pool_name='aks', concurrency_limit=2, paused=True, enforce_parameter_schema=False, job_variables={'env': {'A': 'b'}})\nload.serve('served', limit=3)\n",
    ),
];

#[test]
fn a_file_that_is_run_declares_what_it_declares_when_read() {
    let (read, run) = (repository(&[]), repository(&[]));
    for (name, text) in STYLES {
        read.write(&format!("p/{name}.deployment.py"), text);
        // What nobody can read makes the whole file one to be run.
        let undecided = format!(
            "{text}import hashlib\nload = __import__('flow').load\nload.deploy('extra-' + hashlib.md5(b'{name}').hexdigest()[:4], work_pool_name='p')\n"
        );
        run.write(&format!("p/{name}.deployment.py"), &undecided);
    }
    let fields = |repo: &Repo, arguments: &[&str]| {
        let call = Flowyard::new(repo.path(), [&["deploy", "--local"], arguments].concat());
        let done = with_uv(call).run();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let folder = kept(repo).join("registrations/default");
        let mut all = BTreeMap::new();
        for flow in std::fs::read_dir(folder).expect("registered") {
            for file in std::fs::read_dir(flow.expect("an entry").path()).expect("a folder") {
                let text = std::fs::read_to_string(file.expect("an entry").path()).expect("text");
                let one: Value = serde_json::from_str(&text).expect("JSON");
                let name = format!("{}/{}", one["flow"], one["name"]);
                if !name.contains("extra-") {
                    all.insert(name, one["fields"].clone());
                }
            }
        }
        all
    };
    let (read, run) = (fields(&read, &[]), fields(&run, &["--run-python"]));
    assert_eq!(read.len(), 9, "{:?}", read.keys());
    for (name, fields) in &read {
        assert_eq!(Some(fields), run.get(name), "{name}");
    }
}

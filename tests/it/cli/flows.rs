//! `[[flows]]`: decorated flows as deployments, without a deployment file.

use serde_json::{Value, json};

use super::{changes, kept, local};
use crate::support::Repo;

const ETL: &str = "from datetime import timedelta

from prefect import flow, task
from prefect.client.schemas.schedules import CronSchedule
from shared.plans import HOURLY, flow as ours


@task
def helper(x: int):
    return x


def plain(x: int):
    return x


@flow
def load_sales(limit: int = 5):
    \"\"\"Loads sales.\"\"\"


@flow(name='Último mês')
def last_month():
    pass


@ours
def shared_defaults(mode: str = 'full'):
    pass


load_sales.schedule = CronSchedule(cron='0 6 * * *', timezone='Europe/Oslo')
load_sales.job_variables = {'cpu': 2, 'env': {'A': '1'}}
load_sales.tags = ['sales', 'daily']
setattr(load_sales, 'parameters', {'limit': 10})
last_month.schedules = [HOURLY, timedelta(minutes=30)]
last_month.deployment_name = 'månedlig'
last_month.work_queue_name = 'slow'
load_sales.on_crash = print
";

const SHARED: &str = "from functools import partial
from prefect import flow as original
from prefect.schedules import Cron

HOURLY = Cron('0 * * * *', timezone='UTC', slug='hourly')
flow = partial(original, description='with our defaults')
";

const RULE: &str = "[[flows]]
files = ['flows/**/*.py']
name = '{{ flowyard.flow.name }}-{{ flowyard.env }}'
work-pool = 'aks'
tags = ['auto', '{{ flowyard.flow.function }}']
job_variables = { cpu = 1, image = 'r/x:1', env = { B = '2' } }
";

fn repo(config: &str) -> Repo {
    let repo = Repo::new();
    repo.write("flowyard.toml", config);
    repo.write("flows/etl.py", ETL);
    repo.write("shared/plans.py", SHARED);
    repo.commit("Add flows");
    repo
}

fn fields(repo: &Repo, id: &str) -> Value {
    let path = kept(repo).join(format!("registrations/default/{id}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice::<Value>(&text).expect("a registration is JSON")["fields"].clone()
}

#[test]
fn decorated_flows_become_deployments() {
    let repo = repo(RULE);
    let (lines, _) = changes(&repo, "deploy", 0);
    let registered: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("+ registrations/"))
        .collect();
    assert_eq!(registered.len(), 3, "{lines:#?}");

    let sales = fields(&repo, "load-sales/load-sales-default");
    assert_eq!(sales["work_pool_name"], "aks");
    assert_eq!(sales["description"], "Loads sales.");
    assert_eq!(sales["entrypoint"], "etl.py:load_sales");
    assert_eq!(sales["tags"], json!(["daily", "sales"]));
    assert_eq!(sales["parameters"], json!({"limit": 10}));
    assert_eq!(
        sales["job_variables"],
        json!({"cpu": 2, "image": "r/x:1", "env": {"A": "1", "B": "2"}})
    );
    assert_eq!(sales["schedules"]["schedule"]["cron"], "0 6 * * *");
    assert_eq!(sales["schedules"]["schedule"]["timezone"], "Europe/Oslo");

    let month = fields(&repo, "Último mês/månedlig");
    assert_eq!(month["work_pool_name"], "aks");
    assert_eq!(month["work_queue_name"], "slow");
    assert_eq!(month["schedules"]["hourly"]["cron"], "0 * * * *");
    let schedules = month["schedules"].as_object().expect("two schedules");
    assert_eq!(schedules.len(), 2);
    assert!(
        schedules.values().any(|one| one["interval"] == 1800.0),
        "{month:#}"
    );

    let ours = fields(&repo, "shared-defaults/shared-defaults-default");
    assert_eq!(ours["tags"], json!(["auto", "shared_defaults"]));
    assert_eq!(ours["description"], "with our defaults");

    // Nothing changes when nothing changed.
    let (lines, _) = changes(&repo, "deploy", 0);
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_plan_says_which_entry_made_a_deployment() {
    let repo = repo(RULE);
    let run = local(&repo, "plan").expect_code(0);
    assert!(
        run.stdout
            .contains("by the entry of `[[flows]]` in flowyard.toml, line 2"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("with `load_sales.schedule`, `load_sales.job_variables`"),
        "{}",
        run.stdout
    );
}

#[test]
fn entries_choose_flows_and_leave_named_ones_to_their_files() {
    let repo = repo(
        "[[flows]]\nfiles = ['flows/*.py']\nflow = 'load*'\nname = 'auto'\n\n\
         [[flows]]\nfiles = ['flows/*.py']\nflow = 'Último*'\nwork_pool = 'aks'\nexclude = ['flows/old.py']\n",
    );
    repo.write(
        "flows/old.py",
        "from prefect import flow\n\n@flow(name='Último')\ndef old(): pass\n",
    );
    let registered = |lines: Vec<String>| -> Vec<String> {
        lines
            .into_iter()
            .filter(|line| line.contains("registrations/"))
            .collect()
    };
    let (lines, _) = changes(&repo, "deploy", 0);
    assert_eq!(
        registered(lines),
        [
            "+ registrations/default/load-sales/auto.json",
            "+ registrations/default/Último mês/månedlig.json",
        ]
    );
    // The flow is in a file now: under that file's name alone.
    repo.write(
        "flows/own.deployment.yaml",
        "entrypoint: etl.py:load_sales\n",
    );
    let (lines, _) = changes(&repo, "deploy --prune", 0);
    let lines = registered(lines);
    assert!(
        lines.contains(&"+ registrations/default/load-sales/own.json".to_owned())
            && lines.contains(&"- registrations/default/load-sales/auto.json".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn flows_beside_a_deployment_file_belong_to_its_project() {
    let repo = Repo::new();
    repo.write("flowyard.toml", "[[flows]]\nfiles = ['**/*.py']\n");
    repo.write("p/a.deployment.yaml", "entrypoint: flows/a.py:a\n");
    repo.write(
        "p/flows/a.py",
        "from prefect import flow\n@flow\ndef a(): pass\n@flow\ndef b(): pass\n",
    );
    repo.write("q/c.py", "from prefect import flow\n@flow\ndef c(): pass\n");
    repo.write("q/lib.py", "def helper(): pass\n");
    repo.commit("Add flows");
    let run = local(&repo, "list --format json").expect_code(0);
    let listing: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let projects: Vec<(String, usize)> = listing["projects"]
        .as_array()
        .expect("projects")
        .iter()
        .map(|one| {
            (
                one["path"].as_str().expect("a path").to_owned(),
                one["deployments"].as_array().map_or(0, Vec::len),
            )
        })
        .collect();
    assert_eq!(projects, [("p".to_owned(), 2), ("q".to_owned(), 1)]);
}

#[test]
fn faults_have_their_places() {
    let repo = repo(
        "[[flows]]\nfiles = ['flows/*.py']\nwork-pol = 'x'\n\n[[flows]]\nflow = 'a'\n\n\
         [[flows]]\nfiles = ['f[']\nentrypoint = 'x.py:y'\n\n\
         [[flows]]\nfiles = ['flows/*.py']\nschedules = [{ cron = 'never' }]\n",
    );
    let run = local(&repo, "check").expect_code(3);
    for line in [
        "flowyard.toml:3:1: error: unknown key `work_pol` in a deployment",
        "flowyard.toml:6:1: error: an entry of `flows` has no `files`",
        "flowyard.toml:9:10: error: `f[` is no glob",
        "flowyard.toml:10:1: error: `entrypoint` cannot be given here",
        "flowyard.toml:14:23: error: `never` is no cron expression",
    ] {
        assert!(
            run.stderr.contains(line) || run.stdout.contains(line),
            "{line}\n{}\n{}",
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn what_is_not_known_of_a_flow_is_a_fault_at_its_place() {
    let repo = repo("[[flows]]\nfiles = ['flows/*.py']\n");
    repo.write(
        "flows/etl.py",
        "import os\nfrom prefect import flow\n\n@flow\ndef a(n: int = 1): pass\n\n\
         if os.getenv('X'):\n    a.tags = ['x']\na.schedule = {'cron': os.environ['CRON']}\n\
         a.parameters = {'m': 1}\na.parameters['n'] = 2\n",
    );
    let run = local(&repo, "check").expect_code(3);
    for line in [
        "flows/etl.py:8:14: error: `a.tags` is not known: whether it is set depends on how the module runs",
        "flows/etl.py:9:14: error: `a.schedule` is not known: it comes from the environment",
        "flows/etl.py:11:21: error: `a.parameters` is not known: it is changed after it was set",
    ] {
        assert!(
            run.stderr.contains(line) || run.stdout.contains(line),
            "{line}\n{}\n{}",
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn an_entry_with_a_clone_counts_paths_from_the_root() {
    let repo = repo(
        "[[flows]]\nfiles = ['flows/*.py']\nflow = 'load_sales'\nwork_pool = 'aks'\n\
         pull = [{ 'prefect.deployments.steps.git_clone' = { repository = 'https://example.org/r.git' } }]\n",
    );
    local(&repo, "deploy").expect_code(0);
    let fields = fields(&repo, "load-sales/load-sales");
    assert_eq!(fields["entrypoint"], "flows/etl.py:load_sales");
    assert!(fields.get("code").is_none_or(Value::is_null), "{fields:#}");
}

//! What becomes of the keys of Prefect 2, for either release.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::model::{Field, RepoPath};
use crate::read::configuration;
use crate::read::deployment::{Declared, read};
use crate::read::document::{Syntax, parse};
use crate::read::draft::Draft;
use crate::read::legacy::Legacy;
use crate::read::template::Values;

const MAPPING: &str = "[legacy.infrastructure.'kubernetes-job/prod']
work-pool = 'aks-{{ flowyard.env }}'
work-queue = 'default'
job-variables = { namespace = 'flows', env = { A = '{{ prefect.variables.a }}', FOO = 'below' } }
drop-overrides = ['job']
[legacy.infrastructure.'own-block/x']
work-pool = 'own'
[legacy.infrastructure.'process/x']
[legacy.queues]
old = { work-queue = 'fast' }
lonely = { work-pool = 'vm' }
elsewhere = { work-pool = 'vm' }
";

/// A deployment with some keys, and the faults as lines.
fn declared(
    keys: &str,
    dialect: Dialect,
    work_pool: Option<&str>,
) -> (Option<Declared>, Vec<String>) {
    let legacy = Legacy::of(configuration::parse(MAPPING).as_ref(), None);
    let environment = BTreeMap::from([("TOKEN".to_owned(), "hush".to_owned())]);
    let values = Values {
        environment: Some(environment),
        known: BTreeMap::from([("flowyard.env".to_owned(), json!("dev"))]),
        ..Values::default()
    };
    let setting = Setting {
        environment: None,
        environments: &BTreeSet::new(),
        values: &values,
        work_pool,
        work_queue: None,
        dialect,
        legacy: &legacy,
    };
    let text = format!("entrypoint: f.py:f\n{keys}\n");
    let (node, faults) = parse(&text, Syntax::Yaml).expect("valid YAML");
    assert_eq!(faults, []);
    let path = RepoPath::new("x.deployment.yaml");
    let mut faults = Faults::of(&path);
    let declared = read(Draft::of(node, Some("x".to_owned())), &setting, &mut faults);
    let lines = faults.into_parts().0.into_iter().map(|fault| {
        let hint = fault
            .hint
            .map_or(String::new(), |hint| format!(" ({hint})"));
        format!(
            "{}:{}: {}{hint}",
            fault.place.line, fault.place.column, fault.message
        )
    });
    (declared, lines.collect())
}

#[track_caller]
fn good(keys: &str, dialect: Dialect) -> Declared {
    let (declared, faults) = declared(keys, dialect, Some("default-pool"));
    assert_eq!(faults, [""; 0], "{keys}");
    declared.expect("a deployment")
}

#[track_caller]
fn faults(keys: &str) -> Vec<String> {
    declared(keys, Dialect::Prefect3, None).1
}

const FILE_OF_2: &str = "storage: azure/flows
infrastructure: kubernetes-job/prod
infra_overrides: {env.FOO: bar, image: 'r/x:1', command: [python, -c, \"print('a')\"], env.T: '{{ $TOKEN }}', job.spec: {}}
work_queue_name: old
job_variables:";

#[test]
fn prefect_2_gets_them_as_they_are() {
    let keys = FILE_OF_2.replace("job_variables:", "job_variables: {namespace: n}");
    let one = good(&keys, Dialect::Prefect2);
    assert_eq!(one.fields[&Field::Storage], "azure/flows");
    assert_eq!(one.fields[&Field::Infrastructure], "kubernetes-job/prod");
    assert_eq!(one.fields[&Field::WorkQueue], "old");
    assert_eq!(one.fields.get(&Field::WorkPool), None);
    assert_eq!(
        one.fields[&Field::JobVariables],
        json!({"env.FOO": "bar", "image": "r/x:1", "command": ["python", "-c", "print('a')"], "env.T": "hush",
               "job.spec": {}, "namespace": "n"})
    );
    assert_eq!(one.hidden["job_variables.env.T"], "{{ $TOKEN }}");
    let names: Vec<String> = one.references.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["block azure/flows", "block kubernetes-job/prod"]);
    assert_eq!(one.places[&Field::Infrastructure].line, 3);
    assert_eq!(one.notes, [""; 0]);

    // A queue alone is an agent's; a deployment that says nothing goes to the pool of the configuration.
    let one = good("work_queue_name: q", Dialect::Prefect2);
    assert_eq!(one.fields[&Field::WorkQueue], "q");
    assert_eq!(one.fields.get(&Field::WorkPool), None);
    let one = good("infra_overrides: {a.b: 1}", Dialect::Prefect2);
    assert_eq!(one.fields[&Field::WorkPool], "default-pool");
    assert_eq!(one.fields[&Field::JobVariables], json!({"a.b": 1}));
}

#[test]
fn prefect_3_gets_what_stands_for_them() {
    let one = good(FILE_OF_2, Dialect::Prefect3);
    assert_eq!(one.fields.get(&Field::Storage), None);
    assert_eq!(one.fields.get(&Field::Infrastructure), None);
    assert_eq!(one.fields[&Field::WorkPool], "aks-dev");
    assert_eq!(one.fields[&Field::WorkQueue], "fast");
    assert_eq!(
        one.fields[&Field::JobVariables],
        json!({"namespace": "flows", "image": "r/x:1", "command": "python -c 'print('\"'\"'a'\"'\"')'",
               "env": {"A": "{{ prefect.variables.a }}", "FOO": "bar", "T": "hush"}})
    );
    assert_eq!(one.hidden["job_variables.env.T"], "{{ $TOKEN }}");
    let names: Vec<String> = one.references.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["variable a"]);
    assert_eq!(one.places[&Field::WorkPool].line, 3);
    assert_eq!(one.places[&Field::WorkQueue].line, 5);
    assert_eq!(one.places[&Field::JobVariables].line, 4);
    assert_eq!(
        one.notes,
        [
            "storage `azure/flows` yields to the release: the code is in flowyard's own storage",
            "infrastructure `kubernetes-job/prod` becomes work pool `aks-dev`, by `[legacy]` in flowyard.toml, line 1",
            "work queue `old` becomes queue `fast` of work pool `aks-dev`",
            "`job.spec` of `infra_overrides` is dropped, as flowyard.toml says",
        ]
    );
}

#[test]
fn queues_of_every_kind() {
    let queue = |keys: &str| {
        let one = good(keys, Dialect::Prefect3);
        let text = |field| one.fields.get(&field).and_then(Value::as_str);
        format!(
            "{} {}",
            text(Field::WorkPool).unwrap_or("-"),
            text(Field::WorkQueue).unwrap_or("-")
        )
    };
    for (keys, expected) in [
        ("infrastructure: kubernetes-job/prod", "aks-dev default"),
        (
            "infrastructure: kubernetes-job/prod\nwork_queue_name: same",
            "aks-dev same",
        ),
        ("work_queue_name: lonely", "vm lonely"),
        ("infrastructure: own-block/x", "own -"),
        ("storage: s3/x", "default-pool -"),
        ("work_pool: p\ninfra_overrides: {env.A: 1}", "p -"),
    ] {
        assert_eq!(queue(keys), expected, "{keys}");
    }
    let one = good(
        "work_pool: p\ninfra_overrides: {env.A: 1}",
        Dialect::Prefect3,
    );
    assert_eq!(one.fields[&Field::JobVariables], json!({"env": {"A": 1}}));
    let one = good(
        "infrastructure: own-block/x\ninfra_overrides: {odd: 1}",
        Dialect::Prefect3,
    );
    assert_eq!(one.fields[&Field::JobVariables], json!({"odd": 1}));
    assert!(
        one.notes[1].starts_with("overrides of `own-block` are passed on"),
        "{:?}",
        one.notes
    );
}

#[test]
fn what_nothing_stands_for_is_a_fault_at_its_place() {
    for (keys, expected) in [
        (
            "infrastructure: docker-container/vm",
            "2:17: infrastructure `docker-container/vm` is of Prefect 2, and nothing says which work pool stands for it (write in flowyard.toml under `[legacy.infrastructure]`: \"docker-container/vm\" = { work-pool = \"NAME\" }; or deploy to Prefect 2 (`version = 2` under `[prefect]`))",
        ),
        (
            "infrastructure: kubernetes-job/pord",
            "2:17: infrastructure `kubernetes-job/pord` is of Prefect 2, and nothing says which work pool stands for it (did you mean `kubernetes-job/prod`, which flowyard.toml has?)",
        ),
        (
            "infrastructure: process/x\nwork_queue_name: same",
            "2:17: the entry of infrastructure `process/x` in flowyard.toml is faulty",
        ),
        (
            "infrastructure: prod",
            "2:17: `infrastructure` is a block's type and name, not `prod` (write `infrastructure: kubernetes-job/prod`)",
        ),
        ("storage: [a]", "2:10: `storage` is text, not a list"),
        (
            "work_queue_name: kubernetes",
            "2:18: work queue `kubernetes` is one of Prefect 2's agents, and nothing says which work pool stands for it (write in flowyard.toml under `[legacy.queues]`: \"kubernetes\" = { work-pool = \"NAME\" }; or deploy to Prefect 2 (`version = 2` under `[prefect]`))",
        ),
        (
            "work_queue_name: old",
            "2:18: work queue `old` is in no work pool: neither its entry in flowyard.toml nor an infrastructure names one (add `work-pool = \"NAME\"` to it)",
        ),
        (
            "infrastructure: kubernetes-job/prod\nwork_queue_name: elsewhere",
            "3:18: work queue `elsewhere` is in work pool `vm`, and infrastructure `kubernetes-job/prod` becomes `aks-{{ flowyard.env }}` (name one pool in flowyard.toml, or leave `work-pool` out under `[legacy.queues]`)",
        ),
        (
            "work_pool: p\ninfrastructure: kubernetes-job/prod",
            "3:17: both `infrastructure` and `work_pool` (keep `work_pool`, whose workers know where runs run)",
        ),
        (
            "work_pool: p\nwork_queue_name: q",
            "3:18: both `work_queue_name` and `work_pool` (write it inside of `work_pool`)",
        ),
        (
            "infra_overrides: {image: x}",
            "2:18: `infra_overrides` without a work pool that they could be for (name the pool of deployments that name none, in flowyard.toml: `work-pool` under `[prefect]`)",
        ),
        (
            "infrastructure: kubernetes-job/prod\ninfra_overrides: {customizations: []}",
            "3:19: `customizations` of `infra_overrides` has no counterpart among the variables of a kubernetes work pool (let the pool's base job template say it, and write in flowyard.toml under `[legacy.infrastructure.\"kubernetes-job/prod\"]`: drop-overrides = [\"customizations\"])",
        ),
        (
            "infrastructure: kubernetes-job/prod\ninfra_overrides: {imgae: x}",
            "3:19: a `kubernetes-job` block has no field `imgae` (did you mean `image`?)",
        ),
        (
            "infrastructure: kubernetes-job/prod\ninfra_overrides: {image: x, image.tag: y}",
            "3:29: `image.tag` goes into `image`, which is no mapping",
        ),
        (
            "infrastructure: kubernetes-job/prod\ninfra_overrides: {image: x}\njob_variables: {image: y}",
            "3:19: `image` stands here and in `job_variables`",
        ),
        (
            "infrastructure: kubernetes-job/prod\ninfra_overrides: [a]",
            "3:18: `infra_overrides` is a mapping, not a list",
        ),
    ] {
        assert_eq!(faults(keys), [expected], "{keys}");
    }
}

//! Files as teams write them, and what they come to.

mod filled;
mod image;
mod schedules;
mod unknown;

use serde_json::{Value, json};

use super::*;
use crate::discover::Tree;

const FLOW: &str = "from prefect import flow\n\n@flow\ndef my_flow(n: int = 1):\n    pass\n\n@flow(name=\"Dagens rapport\")\ndef other(n: int = 1):\n    pass\n";

/// A repository with the flows of [`FLOW`] in `p/flow.py`, and other files.
struct Repository {
    folder: tempfile::TempDir,
    python: Python,
    images: Defaults,
}

impl Repository {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in [("p/flow.py", FLOW)].iter().chain(files) {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let environment = BTreeMap::from([
            ("REGION".to_owned(), Some("westeurope".to_owned())),
            ("RETRIES".to_owned(), Some("3".to_owned())),
            ("UNSET".to_owned(), None),
        ]);
        let python = Python {
            root_name: "my-flows".to_owned(),
            environment,
        };
        let images = Defaults {
            build: true,
            ..Defaults::default()
        };
        Self {
            folder,
            python,
            images,
        }
    }

    /// The drafts of `p/x.deployment.py` as JSON, and the faults as lines.
    fn read(&self, source: &str) -> (Vec<Value>, Vec<String>) {
        let (drafts, faults) = self.drafts(source);
        (
            drafts.iter().map(|draft| draft.node.to_value()).collect(),
            faults,
        )
    }

    fn drafts(&self, source: &str) -> (Vec<Draft>, Vec<String>) {
        std::fs::write(self.folder.path().join("p/x.deployment.py"), source).expect("written");
        let tree = Tree::work(self.folder.path()).expect("a tree");
        let file = RepoPath::new("p/x.deployment.py");
        let mut faults = Faults::of(&file);
        let drafts = drafts(
            &file,
            &Modules::new(&tree),
            &self.python,
            &self.images,
            &mut faults,
        );
        let lines = faults.into_parts().0.into_iter().map(|fault| {
            let hint = fault
                .hint
                .map_or(String::new(), |hint| format!(" ({hint})"));
            format!("{}: {}{hint}", fault.place, fault.message)
        });
        (drafts, lines.collect())
    }
}

fn read(source: &str) -> (Vec<Value>, Vec<String>) {
    Repository::new(&[]).read(source)
}

/// The deployments of a file without a fault.
#[track_caller]
fn good(source: &str) -> Vec<Value> {
    let (drafts, faults) = read(source);
    assert_eq!(faults, [""; 0], "{source}");
    drafts
}

/// What an expression comes to as a parameter.
#[track_caller]
fn value(expression: &str) -> Value {
    let source = format!(
        "import os, json, datetime, functools, itertools, enum, textwrap, copy\nfrom datetime import timedelta\nfrom pathlib import Path\nfrom flow import my_flow\nmy_flow.deploy('x', work_pool_name='w', parameters={{'v': {expression}}})\n"
    );
    good(&source)[0]["parameters"]["v"].clone()
}

#[test]
fn the_cookiecutter_style() {
    let (drafts, faults) = read(
        r#"
import os
from prefect.deployments import Deployment
from prefect.filesystems import Azure
from prefect.infrastructure import KubernetesJob
from prefect.orion.schemas.schedules import CronSchedule
from flow import my_flow

path = os.path.dirname(os.path.abspath(__file__)).split("my-flows")[-1].strip("/")

deployment = Deployment.build_from_flow(
    flow=my_flow,
    name="my-daily",
    storage=Azure.load("orion-storage"),
    infrastructure=KubernetesJob.load("prod"),
    infra_overrides={"env.FOO": "bar", "image": f"radbrt/{my_flow.name}:latest"},
    path=path,
    work_queue_name="kubernetes",
    schedule=CronSchedule(cron="0 4 * * *", timezone="Europe/Oslo"),
    tags=["a", "b"],
    parameters={"n": 2},
)

if __name__ == "__main__":
    deployment.apply()
"#,
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(
        drafts,
        [json!({
            "name": "my-daily",
            "entrypoint": "flow.py:my_flow",
            "storage": "azure/orion-storage",
            "infrastructure": "kubernetes-job/prod",
            "infra_overrides": {"env.FOO": "bar", "image": "radbrt/my-flow:latest"},
            "work_queue_name": "kubernetes",
            "schedules": [{"cron": "0 4 * * *", "timezone": "Europe/Oslo"}],
            "tags": ["a", "b"],
            "parameters": {"n": 2},
        })]
    );
}

#[test]
fn what_is_not_applied_is_not_registered() {
    let (drafts, faults) = read(
        "from prefect.deployments import Deployment\nfrom flow import my_flow\nd = Deployment.build_from_flow(flow=my_flow, name='x')\nmy_flow.to_deployment(name='y')\n",
    );
    assert_eq!(drafts, [json!(null); 0]);
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].starts_with("p/x.deployment.py: the file registers no deployment"),
        "{faults:?}"
    );
}

#[test]
fn every_call_that_registers() {
    let one = |call: &str| {
        let source = format!(
            "from prefect import deploy, serve, flow\nfrom prefect.deployments import Deployment\nfrom prefect.deployments.runner import RunnerDeployment\nfrom prefect.runner.storage import GitRepository\nfrom prefect.blocks.system import Secret\nfrom flow import my_flow, other\nimport asyncio\n{call}\n"
        );
        let drafts = good(&source);
        assert_eq!(drafts.len(), 1, "{call}");
        drafts[0].clone()
    };
    let plain = json!({"name": "x", "entrypoint": "flow.py:my_flow"});
    let pooled = json!({"name": "x", "entrypoint": "flow.py:my_flow", "work_pool": {"name": "w"}});
    for call in [
        "Deployment.build_from_flow(my_flow, 'x').apply()",
        "Deployment.build_from_flow(my_flow, 'x', apply=True)",
        "Deployment(name='x', flow_name='my-flow', entrypoint='flow.py:my_flow').apply()",
        "d = Deployment.build_from_flow(flow=my_flow, name='y')\nd.name = 'x'\nd.apply()",
        "async def main():\n  d = await Deployment.build_from_flow(flow=my_flow, name='x')\n  await d.apply()\nasyncio.run(main())",
        "my_flow.serve(name='x')",
        "serve(my_flow.to_deployment('x'))",
    ] {
        let mut draft = one(call);
        draft
            .as_object_mut()
            .expect("a mapping")
            .remove("flow_name");
        assert_eq!(draft, plain, "{call}");
    }
    for call in [
        "my_flow.deploy('x', work_pool_name='w')",
        "my_flow.deploy(name='x', work_pool_name='w', build=False, push=False, print_next_steps=False)",
        "deploy(my_flow.to_deployment(name='x'), work_pool_name='w')",
        "RunnerDeployment.from_flow(my_flow, name='x', work_pool_name='w').apply()",
        "RunnerDeployment.from_entrypoint('flow.py:my_flow', name='x').apply(work_pool_name='w')",
        "flow.from_source(source='.', entrypoint='flow.py:my_flow').deploy('x', work_pool_name='w')",
        "from pathlib import Path\nflow.from_source(source=str(Path(__file__).parent), entrypoint='flow.py:my_flow').deploy('x', work_pool_name='w')",
        "from pathlib import Path\nflow.from_source(source=Path(__file__).parent.parent, entrypoint='p/flow.py:my_flow').deploy('x', work_pool_name='w')",
        "for f in [my_flow]:\n  f.deploy('x', work_pool_name='w')",
        "def make(f, **options):\n  return f.deploy(name='x', **options)\nmake({'a': my_flow}['a'], work_pool_name='w')",
        "async def main():\n  await asyncio.gather(my_flow.deploy('x', work_pool_name='w'))\nasyncio.run(main())",
    ] {
        assert_eq!(one(call), pooled, "{call}");
    }
    assert_eq!(
        one("my_flow.with_options(name='Other').deploy('x', work_pool_name='w')")["flow_name"],
        "Other"
    );
    assert_eq!(
        one(
            "flow.from_source(source=GitRepository(url='https://github.com/a/b.git', branch='main', credentials={'access_token': Secret.load('pat')}), entrypoint='p/flow.py:my_flow').deploy('x', work_pool_name='w')"
        ),
        json!({"name": "x", "entrypoint": "p/flow.py:my_flow", "work_pool": {"name": "w"}, "pull": [
            {"prefect.deployments.steps.git_clone": {"repository": "https://github.com/a/b.git", "branch": "main",
             "credentials": {"access_token": "{{ prefect.blocks.secret.pat }}"}}}
        ]})
    );
}

#[test]
fn the_small_things() {
    let one = |arguments: &str| {
        let source = format!(
            "from datetime import timedelta\nfrom prefect.docker import DockerImage\nfrom prefect.events import DeploymentEventTrigger\nfrom prefect.events.schemas.automations import Posture\nfrom prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy\nfrom flow import my_flow\nmy_flow.deploy('x', work_pool_name='w', {arguments})\n"
        );
        good(&source)[0].clone()
    };
    assert_eq!(one("image='r.io/a:2', build=False")["image"], "r.io/a:2");
    assert_eq!(one("concurrency_limit=3")["concurrency_limit"], 3);
    assert_eq!(
        one("parameters={'t': timedelta(minutes=90)}")["parameters"],
        json!({"t": 5400.0})
    );
    assert_eq!(
        one(
            "concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)"
        )["concurrency_limit"],
        json!({"limit": 1, "collision_strategy": "CANCEL_NEW"})
    );
    assert_eq!(
        one(
            "triggers=[DeploymentEventTrigger(expect={'a.b'}, match={'prefect.resource.id': 'x'}, posture=Posture.Reactive)]"
        )["triggers"],
        json!([{"type": "event", "expect": ["a.b"], "match": {"prefect.resource.id": "x"}, "posture": "Reactive"}])
    );
    assert_eq!(
        one("work_queue_name='q'")["work_pool"],
        json!({"name": "w", "work_queue_name": "q"})
    );
    assert_eq!(one("is_schedule_active=False")["paused"], true);
    assert_eq!(
        one("job_variables=dict(env={'A': '1'}, cpu=0.5)")["job_variables"],
        json!({"env": {"A": "1"}, "cpu": 0.5})
    );
}

#[test]
fn values_are_those_of_python() {
    for (expression, expected) in [
        (
            "f'{1 + 1:03d}|{3.14159:.2f}|{\"a\":>3}|{True!r}|{1234567:,}|{255:#x}|{0.256:.1%}'",
            json!("002|3.14|  a|True|1,234,567|0xff|25.6%"),
        ),
        ("'%s-%03d-%.1f' % ('a', 7, 2.55)", json!("a-007-2.5")),
        ("'{0}-{b}-{}'.format('x', b=[1])", json!("x-[1]-x")),
        (
            "'a-b_c'.replace('-', '_').upper().split('_')[-1:]",
            json!(["C"]),
        ),
        ("', '.join(sorted({'b', 'a'}))", json!("a, b")),
        ("[x * 2 for x in range(5) if x % 2]", json!([2, 6])),
        (
            "{k: v for k, v in zip('ab', [1, 2])}",
            json!({"a": 1, "b": 2}),
        ),
        (
            "{**{'a': 1}, 'b': 2} | dict(c=3)",
            json!({"a": 1, "b": 2, "c": 3}),
        ),
        (
            "(lambda a, b=2, *c, d, **e: [a, b, list(c), d, e])(1, 3, 4, d=5, f=6)",
            json!([1, 3, [4], 5, {"f": 6}]),
        ),
        (
            "list(map(lambda x: x + 1, filter(None, [0, 1, 2])))",
            json!([2, 3]),
        ),
        (
            "sorted(['bb', 'a', 'ccc'], key=len, reverse=True)",
            json!(["ccc", "bb", "a"]),
        ),
        (
            "max([3, 1, 2]) + min(4, 5) + sum([1, 2]) + len('æøå') + abs(-1)",
            json!(14),
        ),
        ("any(x > 2 for x in [1, 2, 3]) and all([])", json!(true)),
        (
            "[i + j for i, j in enumerate([10, 20], start=1)]",
            json!([11, 22]),
        ),
        (
            "os.path.join('a', 'b', os.path.basename(__file__))",
            json!("a/b/x.deployment.py"),
        ),
        (
            "str(Path(__file__).parent.relative_to(Path(__file__).parents[1]))",
            json!("p"),
        ),
        (
            "Path(__file__).resolve().parent.name + Path('a/b.tar.gz').suffix + Path('a/b.txt').stem",
            json!("p.gzb"),
        ),
        ("Path(__file__).parent.parent.name", json!("my-flows")),
        ("os.getcwd().split('my-flows')[1]", json!("/p")),
        (
            "os.path.relpath(__file__, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))",
            json!("p/x.deployment.py"),
        ),
        ("list(Path(__file__).parts)[-1]", json!("x.deployment.py")),
        (
            "(Path(__file__).parent / 'flow.py').exists() and not os.path.exists('nope')",
            json!(true),
        ),
        (
            "[p.name for p in Path(__file__).parent.glob('*.py')]",
            json!(["flow.py", "x.deployment.py"]),
        ),
        ("json.loads('{\"a\": [1, null]}')['a']", json!([1, null])),
        (
            "json.dumps({'a': [1, None, True], 'ø': 'x'})",
            json!("{\"a\": [1, null, true], \"\\u00f8\": \"x\"}"),
        ),
        ("functools.reduce(lambda a, b: a * b, [1, 2, 3])", json!(6)),
        (
            "[list(x) for x in itertools.product('ab', [1])]",
            json!([["a", 1], ["b", 1]]),
        ),
        (
            "timedelta(hours=1, minutes=30).total_seconds()",
            json!(5400.0),
        ),
        (
            "datetime.date(2024, 1, 31) + timedelta(days=1)",
            json!("2024-02-01"),
        ),
        ("'x' if my_flow.name == 'my-flow' else 'y'", json!("x")),
        ("[*range(3), *(4,)]", json!([0, 1, 2, 4])),
        ("'abc'[::-1] + 'abc'[1] + 'abc'[-2:]", json!("cbabbc")),
        (
            "1 < 2 <= 2 and 'a' in {'a': 1} and 3 not in [1] and None is None",
            json!(true),
        ),
        ("7 // 2 + 7 % 4 + 2 ** 3 + int('5') + int(2.9)", json!(21)),
        (
            "str(1.0) + str(None) + repr('a') + str([1, 'b', (2,)])",
            json!("1.0None'a'[1, 'b', (2,)]"),
        ),
        (
            "textwrap.dedent('  a\\n  b').splitlines()",
            json!(["a", "b"]),
        ),
        ("getattr(my_flow, 'nope', 'default')", json!("default")),
        (
            "isinstance('a', str) and not isinstance(1, (str, list)) and isinstance(True, int)",
            json!(true),
        ),
        ("os.environ['REGION']", json!("{{ $REGION }}")),
        (
            "f\"a-{os.getenv('REGION')}/\" + os.environ.get('REGION', 'x')",
            json!("a-{{ $REGION }}/{{ $REGION }}"),
        ),
        ("int(os.environ['RETRIES']) + 1", json!(4)),
        ("os.environ['REGION'].upper()", json!("WESTEUROPE")),
        ("os.getenv('UNSET', 'fallback')", json!("fallback")),
        ("[x for x in [1, 2, 3] if (y := x) > 1][0]", json!(2)),
        ("'Olá São João'.title()", json!("Olá São João")),
        ("b'x'.decode()", json!("x")),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn statements_do_what_python_does() {
    let files: &[(&str, &str)] = &[
        ("lib/__init__.py", ""),
        (
            "lib/names.py",
            "from .deep.more import SUFFIX\nPREFIX = 'pre'\ndef name(stem, *, env='dev'):\n    '''Docs.'''\n    if env == 'prod':\n        return f'{PREFIX}-{stem}'\n    return '-'.join([PREFIX, stem, env]) + SUFFIX\n",
        ),
        (
            "lib/deep/more.py",
            "SUFFIX = '!'\nif __name__ == '__main__':\n    SUFFIX = '?'\n",
        ),
        (
            "p/settings.py",
            "from dataclasses import dataclass, field\nfrom enum import Enum\nfrom typing import ClassVar\n\nclass Env(str, Enum):\n    DEV = 'dev'\n    PROD = 'prod'\n\n@dataclass\nclass Config:\n    name: str\n    tags: list = field(default_factory=list)\n    env: Env = Env.DEV\n    kind: ClassVar[str] = 'x'\n\n    @property\n    def pool(self):\n        return f'{self.env.value}-pool'\n\n    @classmethod\n    def of(cls, name):\n        return cls(name, env=Env.PROD)\n\n    @staticmethod\n    def limit(n=3):\n        return n\n",
        ),
        ("p/conf/a.yaml", "pool: k8s\ntags: [x, y]\n"),
        ("p/conf/b.json", "{\"n\": 5}"),
        ("p/conf/c.toml", "[tool]\nx = 1\n"),
    ];
    let repository = Repository::new(files);
    let check = |body: &str, expected: Value| {
        let source = format!(
            "from flow import my_flow\n{body}\nmy_flow.deploy('x', work_pool_name='w', parameters={{'v': v}})\n"
        );
        let (drafts, faults) = repository.read(&source);
        assert_eq!(faults, [""; 0], "{body}");
        assert_eq!(drafts[0]["parameters"]["v"], expected, "{body}");
    };
    for (body, expected) in [
        (
            "v = []\nfor i in range(3):\n  if i == 1: continue\n  v.append(i)\nelse:\n  v.append('end')",
            json!([0, 2, "end"]),
        ),
        ("v = 0\nwhile True:\n  v += 1\n  if v > 3: break", json!(4)),
        (
            "a, (b, *c) = 1, (2, 3, 4)\nv = [c, b, a]",
            json!([[3, 4], 2, 1]),
        ),
        (
            "v = {}\nv['a'] = {}\nw = v['a']\nw['b'] = 1\ndel v['a']['b']\nv.setdefault('c', []).append(2)\nv.update(d=3)\nv.pop('d')",
            json!({"a": {}, "c": [2]}),
        ),
        (
            "def f(n):\n  return 1 if n < 2 else n * f(n - 1)\nv = f(5)",
            json!(120),
        ),
        (
            "def counter():\n  n = 0\n  def inc():\n    nonlocal n\n    n += 1\n    return n\n  return inc\nc = counter()\nc()\nv = c()",
            json!(2),
        ),
        (
            "G = 1\ndef f():\n  global G\n  G += 1\nf()\nv = G",
            json!(2),
        ),
        (
            "def g():\n  for i in range(3):\n    yield i\nv = list(g())",
            json!([0, 1, 2]),
        ),
        (
            "try:\n  v = {}['a']\nexcept (KeyError, ValueError) as e:\n  v = 'none ' + str(e)\nfinally:\n  w = 1",
            json!("none 'a'"),
        ),
        (
            "try:\n  raise RuntimeError('no')\nexcept Exception as e:\n  v = str(e)\nelse:\n  v = 0",
            json!("no"),
        ),
        (
            "match {'kind': 'a', 'n': [1, 2, 3]}:\n  case {'kind': 'b'}:\n    v = 1\n  case {'kind': 'a' | 'c', 'n': [x, *y]} if x == 1:\n    v = y\n  case _:\n    v = 3",
            json!([2, 3]),
        ),
        (
            "class A:\n  x = 1\n  def __init__(self, y):\n    self.y = y\n  def sum(self):\n    return self.x + self.y\nclass B(A):\n  def __init__(self):\n    super().__init__(5)\n    self.z = 1\nv = B().sum() + B.x",
            json!(7),
        ),
        (
            "from settings import Config, Env\nc = Config('n', ['t'])\nd = Config.of('m')\nv = [c.name, c.tags, c.pool, d.pool, Config.limit(), Env.PROD == 'prod', Env('dev').name, [e.value for e in Env], d.env]",
            json!([
                "n",
                ["t"],
                "dev-pool",
                "prod-pool",
                3,
                true,
                "DEV",
                ["dev", "prod"],
                "prod"
            ]),
        ),
        (
            "import lib.names\nfrom lib import names as other\nv = [lib.names.name('a'), other.name('b', env='prod')]",
            json!(["pre-a-dev!", "pre-b"]),
        ),
        (
            "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib', 'deep'))\nfrom more import SUFFIX as v",
            json!("!"),
        ),
        (
            "import yaml\nfrom pathlib import Path\nv = yaml.safe_load((Path(__file__).parent / 'conf' / 'a.yaml').read_text())['tags']",
            json!(["x", "y"]),
        ),
        (
            "import json\nwith open('conf/b.json', encoding='utf-8') as f:\n  v = json.load(f)['n']",
            json!(5),
        ),
        (
            "import tomllib\nwith open('p/conf/c.toml', 'rb') as f:\n  v = tomllib.load(f)",
            json!({"tool": {"x": 1}}),
        ),
        (
            "from collections import defaultdict\nd = defaultdict(list)\nd['a'].append(1)\nv = dict(d)",
            json!({"a": [1]}),
        ),
        (
            "from functools import partial, wraps\ndef deco(f):\n  @wraps(f)\n  def inner(*a, **k):\n    return [f(*a, **k)]\n  return inner\n@deco\ndef f(a, b):\n  return a + b\nv = partial(f, 1)(b=2)",
            json!([3]),
        ),
        (
            "import logging\nlogger = logging.getLogger(__name__)\nv = {'a': 1}\nlogger.info('%s', v)\nprint(v)",
            json!({"a": 1}),
        ),
        (
            "v = 'main' if __name__ == '__main__' else 'module'",
            json!("main"),
        ),
        (
            "assert 1 == 1, 'no'\nv = 1\nimport requests\nrequests.post('http://x', json={'a': 1})",
            json!(1),
        ),
        (
            "import os\nif not os.getenv('NOPE'):\n  raise ValueError('NOPE is needed')\nv = 1",
            json!(1),
        ),
        (
            "from unknown_package import thing\nif thing.on:\n  w = 1\nelse:\n  w = 2\nv = 3",
            json!(3),
        ),
        (
            "from types import SimpleNamespace\nv = SimpleNamespace(a=1).a",
            json!(1),
        ),
        (
            "x = [1, 2]\ny = x\ny += [3]\nv = [len(x), x is y, x[1:]]",
            json!([3, true, [2, 3]]),
        ),
        (
            "import contextlib\nwith contextlib.suppress(KeyError):\n  {}['a']\nv = 1",
            json!(1),
        ),
    ] {
        check(body, expected);
    }
}

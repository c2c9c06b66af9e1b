//! What cannot be known, and what would not end.

use super::*;

#[test]
fn what_is_not_known_is_a_fault_where_it_reaches_a_deployment() {
    let fault = |source: &str| {
        let (_, faults) = read(source);
        assert_eq!(faults.len(), 1, "{source}: {faults:?}");
        faults[0].clone()
    };
    let head = "import os, requests\nfrom flow import my_flow\n";
    let call = |arguments: &str| {
        fault(&format!(
            "{head}my_flow.deploy('x', work_pool_name='w', {arguments})\n"
        ))
    };
    for (arguments, expected) in [
        (
            "tags=[os.environ['TEAM']]",
            "p/x.deployment.py:3:47: `tags` is not known: `os.environ['TEAM']`: it comes from the environment variable `TEAM` (allow TEAM under `[python] environment` in flowyard.toml, or declare the deployment in NAME.deployment.yaml)",
        ),
        (
            "tags=['æ', requests.get('http://x').text]",
            "p/x.deployment.py:3:52: `tags` is not known: `requests.get('http://x')`: `requests.get` is outside of the repository (declare it in NAME.deployment.yaml, or run the file with --run-python)",
        ),
        (
            "description=str(os.urandom(4))",
            "p/x.deployment.py:3:57: `description` is not known: `os.urandom(4)`: `os.urandom(…)` is not evaluated (declare it in NAME.deployment.yaml, or run the file with --run-python)",
        ),
        (
            "parameters={'p': __file__}",
            "p/x.deployment.py:3:58: `parameters` holds the path of the checkout, which differs from machine to machine (cut it off: `Path(__file__).relative_to(…)`, or name the path from the root)",
        ),
        (
            "wrok_queue_name='q'",
            "p/x.deployment.py:3:57: deploy() has no argument `wrok_queue_name` (did you mean `work_queue_name`?)",
        ),
        (
            "version=os.environ['UNSET']",
            "p/x.deployment.py:3:49: `version` is not known: `os.environ['UNSET']`: the environment variable `UNSET` is not set (set UNSET, or give a default: os.getenv(\"UNSET\", …))",
        ),
    ] {
        assert_eq!(call(arguments), expected, "{arguments}");
    }
    for (body, expected) in [
        (
            "if os.environ['TEAM'] == 'a':\n    my_flow.deploy('x', work_pool_name='w')\n",
            "p/x.deployment.py:3:4: whether this deployment is made is not known: `os.environ['TEAM']`",
        ),
        (
            "def f(on):\n    if on:\n        return\n    my_flow.deploy('x', work_pool_name='w')\nf(requests.x)\n",
            "p/x.deployment.py:7:3: whether this deployment is made is not known: `requests.x`",
        ),
        (
            "for t in requests.get('x').json():\n    my_flow.deploy(t, work_pool_name='w')\n",
            "p/x.deployment.py:3:10: whether this deployment is made is not known: `requests.get('x')`",
        ),
        (
            "t = []\nrequests.fill(t)\nmy_flow.deploy('x', work_pool_name='w', tags=t)\n",
            "p/x.deployment.py:4:1: `tags` is not known: `requests.fill(t)`",
        ),
        (
            "t = ['a']\nif requests.x: t.append('b')\nmy_flow.deploy('x', work_pool_name='w', tags=t)\n",
            "p/x.deployment.py:4:4: `tags` is not known: `requests.x`",
        ),
        (
            "requests.flow.deploy('x', work_pool_name='w')\n",
            "p/x.deployment.py:3:1: the flow of this deployment is not known: `requests.flow.deploy('x', work_pool_name='w')`: `requests.flow` is not in the repository",
        ),
        (
            "from nowhere.flows import theirs\ntheirs.deploy('x', work_pool_name='w')\n",
            "p/x.deployment.py:4:1: the flow of this deployment is not known: `theirs.deploy('x', work_pool_name='w')`: `nowhere.flows.theirs` is not in the repository",
        ),
        (
            "from flow import their_flow\ntheir_flow.deploy('x', work_pool_name='w')\n",
            "p/x.deployment.py:3:18: the flow of this deployment is not known: `their_flow`: there is no `their_flow` in p/flow.py",
        ),
        (
            "def plain(): pass\nplain.deploy('x', work_pool_name='w')\n",
            "p/x.deployment.py:4:1: what is deployed is not a flow",
        ),
        (
            "my_flow.deploy(work_pool_name='w')\n",
            "p/x.deployment.py:3:1: deploy() gives the deployment no name",
        ),
        (
            "my_flow.deploy('x', work_pool_name='w', **requests.options)\n",
            "p/x.deployment.py:3:43: what is unpacked into the arguments is not known",
        ),
        (
            "from prefect.blocks.system import Secret\nmy_flow.deploy('x', work_pool_name='w', parameters={'a': Secret.load('pw').get()})\n",
            "p/x.deployment.py:4:58: `parameters` is not known: `Secret.load('pw').get()`: what the block `secret/pw` holds is known only to the server (write \"{{ prefect.blocks.secret.pw }}\"",
        ),
        (
            "from prefect.infrastructure import KubernetesJob\nfrom prefect.deployments import Deployment\nDeployment.build_from_flow(my_flow, 'x', infrastructure=KubernetesJob(image='i')).apply()\n",
            "p/x.deployment.py:5:57: `infrastructure` is made in the file, and kept under no name",
        ),
        (
            "{}['a']\n",
            "p/x.deployment.py:3:1: the file fails: KeyError: 'a'",
        ),
        (
            "open('nope.txt')\n",
            "p/x.deployment.py:3:1: the file fails: FileNotFoundError: there is no file \"nope.txt\" in the repository",
        ),
        (
            "x = (\n",
            "p/x.deployment.py:4:1: not valid Python: unexpected EOF while parsing",
        ),
    ] {
        let found = fault(&format!("{head}{body}"));
        assert!(
            found.starts_with(expected),
            "{body}\n  {found}\n  {expected}"
        );
    }
}

#[test]
fn the_environment_stays_hidden() {
    let repository = Repository::new(&[]);
    let (drafts, faults) = repository.drafts(
        "import os\nfrom flow import my_flow\nmy_flow.deploy('x', work_pool_name='w', description=os.environ['REGION'] + '!', version=os.environ['REGION'].upper(), tags=os.environ['REGION'].split('t'), concurrency_limit=int(os.environ['RETRIES']))\n",
    );
    assert_eq!(faults, [""; 0]);
    let node = &drafts[0].node;
    assert_eq!(
        node.get("description").and_then(|node| node.as_str()),
        Some("{{ $REGION }}!")
    );
    let version = node.get("version").expect("a version");
    assert_eq!(
        (version.as_str(), version.hidden.as_deref()),
        (Some("WESTEUROPE"), Some("{{ $REGION }}"))
    );
    let mut hidden = Vec::new();
    node.for_each_hidden("", &mut |path, written| {
        hidden.push(format!("{path} {written}"));
    });
    assert_eq!(
        hidden,
        [
            ".version {{ $REGION }}",
            ".tags.0 {{ $REGION }}",
            ".tags.1 {{ $REGION }}",
            ".concurrency_limit {{ $RETRIES }}"
        ]
    );
}

#[test]
fn faults_in_other_files_stand_at_the_call() {
    let repository = Repository::new(&[(
        "p/settings.py",
        "import os\n\nTEAM = os.environ['TEAM']\nTAGS = ['a']\n",
    )]);
    let (drafts, faults) = repository.drafts(
        "from flow import my_flow\nfrom settings import TEAM, TAGS\n\nmy_flow.deploy('x', work_pool_name='w',\n  version=TEAM, tags=TAGS)\n",
    );
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0]
            .starts_with("p/x.deployment.py:4:1: `version` is not known: `os.environ['TEAM']`"),
        "{faults:?}"
    );
    let tags = drafts[0].node.get("tags").expect("tags");
    assert_eq!((tags.at.line, tags.at.column), (4, 1));
}

/// Reads a hostile file on a small stack; it may say what it likes, but has to come to an end.
#[track_caller]
fn survives(source: &str) -> Vec<String> {
    let source = source.to_owned();
    let run = move || {
        let started = std::time::Instant::now();
        let faults = read(&source).1;
        let took = started.elapsed();
        assert!(took.as_secs() < 20, "{took:?} for {source:.80}");
        faults
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run);
    thread.expect("a thread").join().expect("no panic")
}

#[test]
fn hostile_programs_end() {
    for source in [
        "while True: pass",
        "while 1:\n  continue",
        "x = []\nwhile True: x.append(x)",
        "x = []\nwhile True: x = [x]",
        "x = ()\nwhile True: x = (x, x)",
        "x = 'a'\nwhile True: x += x",
        "x = 'a' * 10 ** 12",
        "x = [0] * 10 ** 12",
        "x = 'a' * 1000000\nwhile True: x.replace('a', 'bb')",
        "x = f'{1:>99999999999}'",
        "x = '%99999999d' % 1",
        "x = 'a'.zfill(10 ** 12)",
        "x = range(10 ** 18)",
        "x = list(range(10 ** 7))",
        "def f(): return f()\nf()",
        "def f(n): return [f(n + 1) for _ in range(9)]\nf(0)",
        "f = lambda: f()\nf()",
        "class A:\n  def __init__(self): A()\nA()",
        "class A:\n  @property\n  def x(self): return self.x\nA().x",
        "class A:\n  def __str__(self): return str(self)\nstr(A())",
        "def d(f): return d(f)\n@d\ndef g(): pass",
        "x = {}\nx['x'] = x\nstr(x)\nx == x\nimport json\njson.dumps(x)\nimport copy\ncopy.deepcopy(x)",
        "x = []\nx.append(x)\ny = []\ny.append(y)\nx == y\nsorted([x, y])\nx < y",
        "x = []\nfor i in x: x.append(i)\nx = [1]\nfor i in x:\n  x.append(i)\n  if len(x) > 10: break",
        "import itertools\nx = list(itertools.product(*[range(100)] * 10))",
        "x = 10 ** 10 ** 10\ny = 1 << 10 ** 9\nz = -1 ** 0.5",
        "x = max([])",
        "1 / 0",
        "[][0]",
        "''[5:1:0]",
        "'abc'[::-9223372036854775808]",
        "x = 'a'.join('b' * 100000)\nwhile True: x = x.join([x, x])",
        "import sys\nsys.path.clear()\nimport flow",
        "import sys\nsys.path = None\nimport flow",
        "import sys\nsys.path.append(sys.path)\nimport flow",
        "import x\nfrom . import x\nfrom ..... import y\nfrom .x import *",
        "from pathlib import Path\np = Path('/')\nwhile True: p = p / 'a'",
        "from pathlib import Path\nPath('a/' * 100000).parents",
        "from pathlib import Path\nPath(__file__).parent.glob('[')",
        "try:\n  raise\nexcept:\n  raise",
        "raise 5",
        "raise ValueError(ValueError(ValueError()))",
        "match 1:\n  case [*a, b, *c]: pass",
        "a, b = 1",
        "a, *b = []",
        "del x",
        "def f(*, a): pass\nf(1)\n",
        "def f(a): pass\nf(**{1: 2})",
        "global x\nnonlocal y",
        "import os\nwhile os.environ['X']: x = 1",
        "import os\nx = os.x\nfor i in x:\n  for j in x:\n    for k in x:\n      x = x.y",
        "from flow import my_flow\nfor i in range(10 ** 9): my_flow.deploy(str(i), work_pool_name='w')",
        "from flow import my_flow\nx = {}\nx['x'] = x\nmy_flow.deploy('x', parameters=x)",
        "from flow import my_flow\nx = [0] * 100000\ny = [x] * 100000\nmy_flow.deploy('x', parameters={'y': y})",
        "x = ''.join(chr(i) for i in range(200000))",
        "sum([[1]] * 100000, [])",
        "import json\njson.loads('[' * 100000)",
        "import yaml\nyaml.safe_load('a: &a [x]\\nb: [' + '*a,' * 100000 + ']')",
        "x = dict(zip(range(100000), range(100000)))\nwhile x: x.popitem()",
        "x = list(range(50000))\nwhile x: x.pop(0)",
        "x = list(range(50000))\nwhile x: x.remove(x[-1])",
        "x = 'a ' * 100000\nwhile True: x.split()",
    ] {
        survives(source);
    }
    let long = |unit: &str, count: usize| unit.repeat(count);
    survives(&long("x = 1\n", 150_000));
    survives(&format!("x = [{}]", long("1, ", 300_000)));
    survives(&format!(
        "from flow import my_flow\nmy_flow.deploy('x', parameters={{'a': [{}]}})",
        long("1, ", 150_000)
    ));
    survives(&format!("x = 1{}", long(" + 1", 900)));
    survives(&format!("x = 'a'{}", long(".strip()", 400)));
    survives(
        &(0..90)
            .map(|level| format!("{}if True:\n", " ".repeat(level)))
            .collect::<String>(),
    );
    survives(&format!("x = {}1{}", long("[", 190), long("]", 190)));
    survives(&format!("f = {}1", long("lambda: ", 300)));
    let doubling: String = (1..200)
        .map(|n| format!("a{n} = a{} + a{}\n", n - 1, n - 1))
        .collect();
    survives(&format!("a0 = [1]\n{doubling}"));
    survives(&format!("a0 = 'x'\n{doubling}"));
    let classes: String = (1..300)
        .map(|n| format!("class A{n}(A{}): pass\n", n - 1))
        .collect();
    survives(&format!("class A0: pass\n{classes}A299()"));
    let branches: String = (0..15)
        .map(|level| format!("{}for i in os.x:\n", " ".repeat(level)))
        .collect();
    survives(&format!("import os\n{branches}{}x = 1", " ".repeat(15)));
}

#[test]
fn imports_in_circles_end() {
    let repository = Repository::new(&[
        ("p/a.py", "import b\nX = 1\nfrom b import Y\n"),
        ("p/b.py", "import a\nfrom a import X\nY = 2\n"),
    ]);
    let (drafts, faults) = repository.read("from a import X, Y\nfrom flow import my_flow\nmy_flow.deploy('x', parameters={'v': [X, Y]})\n");
    assert_eq!(
        (drafts[0]["parameters"]["v"].clone(), faults),
        (json!([1, 2]), vec![])
    );
}

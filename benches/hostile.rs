//! How long inputs take that were made to take long: files of 256 KiB, 512 KiB and 1 MiB of many kinds.
//!
//! `cargo bench --bench hostile` prints a table; arguments after `--` pick the kinds whose names hold one of them. What
//! grows faster than its input shows as a factor above 2 in the last column.

#![expect(clippy::print_stdout, reason = "a table is what it gives")]

use std::time::{Duration, Instant};

use flowyard::model::{Desired, Dialect};

#[path = "../tests/fuzz/reading.rs"]
#[allow(dead_code, unreachable_pub)]
mod reading;

/// Lengths of the inputs, in bytes.
const LENGTHS: [usize; 3] = [256 << 10, 512 << 10, 1 << 20];

/// What every input has to be read in.
const BOUND: Duration = Duration::from_secs(1);

/// A kind of input: its name, the file that it is read as, and a text of about so many bytes.
type Kind = (&'static str, &'static str, fn(usize) -> String);

const KINDS: &[Kind] = &[
    ("flow sequences in each other", YAML, |length| {
        "[".repeat(length)
    }),
    ("flow mappings in each other", YAML, |length| {
        "{a: ".repeat(length / 4)
    }),
    ("block sequences in each other", YAML, |length| {
        "- ".repeat(length / 2)
    }),
    ("indentation in a step", YAML, |length| {
        lines(length, |n| format!("{}a:", " ".repeat(n % 1500)))
    }),
    ("keys", YAML, |length| {
        lines(length, |n| format!("k{n}: {n}"))
    }),
    ("keys without values", YAML, |length| {
        lines(length, |n| format!("k{n}:"))
    }),
    ("keys of a flow mapping", YAML, |length| {
        format!("{{{}}}", lines(length, |n| format!("k{n}: {n},")))
    }),
    ("the same key", YAML, |length| {
        lines(length, |_| "k: 1".to_owned())
    }),
    ("keys of a merge", YAML, |length| {
        let base = lines(length / 2, |n| format!("  k{n}: {n}"));
        let over = lines(length / 2, |n| format!("  k{n}: {n}"));
        format!("a: &a\n{base}b:\n  <<: *a\n{over}")
    }),
    ("merges", YAML, |length| {
        let base = lines(1000, |n| format!("  k{n}: {n}"));
        format!(
            "a: &a\n{base}{}",
            lines(length, |n| format!("b{n}: {{<<: *a}}"))
        )
    }),
    ("anchors", YAML, |length| {
        lines(length, |n| format!("k{n}: &a{n} x"))
    }),
    ("aliases", YAML, |length| {
        format!("a: &a x\n{}", lines(length, |n| format!("k{n}: *a")))
    }),
    ("aliases of aliases", YAML, |length| {
        format!(
            "k0: &a0 [x]\n{}",
            lines(length, |n| format!(
                "k{}: &a{} [*a{n}, *a{n}]",
                n + 1,
                n + 1
            ))
        )
    }),
    ("a plain scalar", YAML, |length| {
        format!("a: {}", "x ".repeat(length / 2))
    }),
    ("a plain scalar of many lines", YAML, |length| {
        format!("a: {}", "x\n  ".repeat(length / 4))
    }),
    ("a quoted scalar", YAML, |length| {
        format!("a: \"{}\"", "\\x41".repeat(length / 4))
    }),
    ("a quoted scalar of many lines", YAML, |length| {
        format!("a: \"{}\"", "x\n ".repeat(length / 3))
    }),
    ("a block scalar", YAML, |length| {
        format!("a: |\n{}", lines(length, |n| format!("  {n}")))
    }),
    ("a folded scalar", YAML, |length| {
        format!("a: >\n{}", lines(length, |n| format!("  {n}")))
    }),
    ("digits", YAML, |length| {
        format!("a: {}", "1".repeat(length))
    }),
    ("digits and underscores", YAML, |length| {
        format!("a: {}", "1_".repeat(length / 2))
    }),
    ("comments", YAML, |length| {
        lines(length, |n| format!("# {n}"))
    }),
    ("documents", YAML, |length| "--- a\n".repeat(length / 6)),
    ("tags", YAML, |length| {
        lines(length, |n| format!("k{n}: !t{n} x"))
    }),
    ("question marks", YAML, |length| "? ".repeat(length / 2)),
    ("a key without its colon", YAML, |length| {
        "a\n".repeat(length / 2)
    }),
    ("quotes", YAML, |length| "'".repeat(length)),
    ("templates", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  description: \"{}\"\n",
            "{{ a }}".repeat(length / 7)
        )
    }),
    ("open templates", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  description: \"{}\"\n",
            "{{ ".repeat(length / 3)
        )
    }),
    ("dollars", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  description: \"{}\"\n",
            "{{ $A }}".repeat(length / 8)
        )
    }),
    ("deployments", YAML, |length| {
        let one = |n| format!("- {{name: d{n}, entrypoint: flow.py:load}}");
        format!("deployments:\n{}", lines(length, one))
    }),
    ("deployments of one name", YAML, |length| {
        let one = |_| "- {name: d, entrypoint: flow.py:load}".to_owned();
        format!("deployments:\n{}", lines(length, one))
    }),
    ("deployments without a flow", YAML, |length| {
        let one = |n| format!("- {{name: d{n}, entrypoint: flow.py:load_{n}}}");
        format!("deployments:\n{}", lines(length, one))
    }),
    ("faulty deployments", YAML, |length| {
        format!(
            "deployments:\n{}",
            lines(length, |n| format!("- {{nmae: d{n}, tags: 1}}"))
        )
    }),
    ("empty deployments", YAML, |length| {
        format!("deployments:\n{}", "- {}\n".repeat(length / 5))
    }),
    ("keys of a deployment", YAML, |length| {
        format!(
            "deployments:\n- name: a\n{}",
            lines(length, |n| format!("  k{n}: {n}"))
        )
    }),
    ("parameters", YAML, |length| {
        let parameters = lines(length, |n| format!("    p{n}: {n}"));
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  parameters:\n{parameters}")
    }),
    ("tags of a deployment", YAML, |length| {
        let tags = lines(length, |n| format!("  - t{n}"));
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  tags:\n{tags}")
    }),
    ("schedules", YAML, |length| {
        let schedules = lines(length, |n| format!("  - cron: '{} * * * *'", n % 60));
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n{schedules}")
    }),
    ("a recurrence rule", YAML, |length| {
        let rule = format!("RRULE:FREQ=DAILY;BYHOUR={}", "1,".repeat(length / 2));
        format!(
            "deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n  - rrule: '{rule}1'\n"
        )
    }),
    ("dates of a recurrence rule", YAML, |length| {
        let rule = format!("RDATE:{}", "20240101T000000Z,".repeat(length / 17));
        format!(
            "deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n  - rrule: '{rule}20240101T000000Z'\n"
        )
    }),
    ("a long cron", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n  - cron: '{}1 * * * *'\n",
            "1,".repeat(length / 2)
        )
    }),
    ("triggers", YAML, |length| {
        let triggers = lines(length, |n| {
            format!("  - {{enabled: true, name: t{n}, expect: [a]}}")
        });
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  triggers:\n{triggers}")
    }),
    ("steps", YAML, |length| {
        let step = |n| {
            format!(
                "- prefect.deployments.steps.run_shell_script: {{id: s{n}, script: 'echo {{{{ s{n}.x }}}}'}}"
            )
        };
        format!(
            "build:\n{}deployments:\n- name: a\n  entrypoint: flow.py:load\n",
            lines(length, step)
        )
    }),
    ("environments", PLAIN, |length| {
        let overlays = lines(length, |n| format!("  e{n}: {{tags: [a]}}"));
        format!("name: a\nentrypoint: flow.py:load\nenvironments:\n{overlays}")
    }),
    ("keys of TOML", "load.deployment.toml", |length| {
        lines(length, |n| format!("k{n} = {n}"))
    }),
    ("tables of TOML", "load.deployment.toml", |length| {
        lines(length, |n| format!("[t{n}]"))
    }),
    ("dotted keys of TOML", "load.deployment.toml", |length| {
        lines(length, |n| format!("a.b{n} = 1"))
    }),
    ("arrays of TOML", "load.deployment.toml", |length| {
        format!("a = {}", "[".repeat(length))
    }),
    ("keys of JSON", "load.deployment.json", |length| {
        let pairs = lines(length, |n| format!("\"k{n}\": {n},"));
        format!("{{{}}}", pairs.trim_end().trim_end_matches(','))
    }),
    ("arrays of JSON", "load.deployment.json", |length| {
        "[".repeat(length)
    }),
    ("functions", PYTHON, |length| {
        lines(length, |n| format!("def f{n}(): pass"))
    }),
    ("one function again and again", PYTHON, |length| {
        lines(length, |_| "def f(): pass".to_owned())
    }),
    ("classes", PYTHON, |length| {
        lines(length, |n| format!("class C{n}: pass"))
    }),
    ("classes of each other", PYTHON, |length| {
        format!(
            "class C0: pass\n{}",
            lines(length, |n| format!("class C{}(C{n}): pass", n + 1))
        )
    }),
    ("methods of a class", PYTHON, |length| {
        format!(
            "class C:\n{}",
            lines(length, |n| format!("    def f{n}(self): pass"))
        )
    }),
    ("flows", PYTHON, |length| {
        let one = |n| format!("@flow\ndef f{n}(a=1): pass\nf{n}.serve('x')");
        format!("from prefect import flow\n{}", lines(length, one))
    }),
    ("deployments by a loop", PYTHON, |length| {
        let names = lines(length, |n| format!("'n{n}',"));
        format!(
            "from flow import load\nfor name in [\n{names}]:\n    load.deploy(name, work_pool_name='p')\n"
        )
    }),
    ("deployments of an unknown", PYTHON, |length| {
        let one = |n| format!("load.deploy(f'{{open(\"x\").read()}}{n}', work_pool_name='p')");
        format!("from flow import load\n{}", lines(length, one))
    }),
    ("brackets", PYTHON, |length| "[".repeat(length)),
    ("brackets that close", PYTHON, |length| {
        format!("x = {}{}", "(".repeat(length / 2), ")".repeat(length / 2))
    }),
    ("signs", PYTHON, |length| {
        format!("x = {}1", "-".repeat(length))
    }),
    ("blocks in each other", PYTHON, |length| {
        lines(length, |n| format!("{}if x:", " ".repeat(n % 1500)))
    }),
    ("a sum of texts", PYTHON, |length| {
        format!("x = {}'a'\n", "'a' + ".repeat(length / 6))
    }),
    ("texts side by side", PYTHON, |length| {
        format!("x = ({})\n", "'a' ".repeat(length / 4))
    }),
    ("a text made longer and longer", PYTHON, |length| {
        format!(
            "x = ''\n{}",
            lines(length, |_| "x += 'a' * 1000".to_owned())
        )
    }),
    ("a long text", PYTHON, |length| {
        format!("x = '{}'\n", "a".repeat(length))
    }),
    ("a long formatted text", PYTHON, |length| {
        format!("x = 1\ny = f'{}'\n", "{x}".repeat(length / 3))
    }),
    ("a long name", PYTHON, |length| {
        format!("{} = 1\n", "a".repeat(length))
    }),
    ("a long number", PYTHON, |length| {
        format!("x = {}\n", "1".repeat(length))
    }),
    ("a list", PYTHON, |length| {
        format!("x = [{}]\n", "1, ".repeat(length / 3))
    }),
    ("a list of lists", PYTHON, |length| {
        format!("x = [{}]\n", "[], ".repeat(length / 4))
    }),
    ("a dict", PYTHON, |length| {
        format!("x = {{\n{}}}\n", lines(length, |n| format!("{n}: {n},")))
    }),
    ("a set", PYTHON, |length| {
        format!("x = {{\n{}}}\n", lines(length, |n| format!("{n},")))
    }),
    ("a dict of dicts", PYTHON, |length| {
        format!("x = {{\n{}}}\n", lines(length, |n| format!("{n}: {{}},")))
    }),
    ("parameters of a call", PYTHON, |length| {
        let arguments = lines(length, |n| format!("'p{n}': {n},"));
        format!(
            "from flow import load\nload.deploy('a', work_pool_name='p', parameters={{\n{arguments}}})\n"
        )
    }),
    ("arguments of a call", PYTHON, |length| {
        let arguments = lines(length, |n| format!("a{n}={n},"));
        format!("from flow import load\nload.deploy('a', work_pool_name='p',\n{arguments})\n")
    }),
    ("imports", PYTHON, |length| {
        lines(length, |n| format!("import a{n}"))
    }),
    ("imports from a module", PYTHON, |length| {
        lines(length, |n| format!("from a import b{n}"))
    }),
    ("imports of its flow", PYTHON, |length| {
        lines(length, |n| format!("from flow import load as l{n}"))
    }),
    ("a long dotted import", PYTHON, |length| {
        format!("import {}a\n", "a.".repeat(length / 2))
    }),
    ("much work in a loop", PYTHON, |length| {
        format!(
            "x = 0\nfor i in range(10 ** 9): x += i\n{}",
            "#".repeat(length)
        )
    }),
    ("much work in a long text", PYTHON, |length| {
        format!(
            "x = '{}'\nfor i in range(10 ** 9): y = x + 'a'\n",
            "b".repeat(length)
        )
    }),
    ("much work in loops of a list", PYTHON, |length| {
        format!(
            "x = [{}]\nfor i in range(10 ** 9): y = x + x\n",
            "1, ".repeat(length / 3)
        )
    }),
    ("replacing in a long text", PYTHON, |length| {
        format!(
            "x = '{}'\nfor i in range(10 ** 9): y = x.replace('a', 'aa')\n",
            "a".repeat(length)
        )
    }),
    ("splitting a long text", PYTHON, |length| {
        format!(
            "x = '{}'\nfor i in range(10 ** 9): y = x.split('a')\n",
            "a".repeat(length)
        )
    }),
    ("names that are not there", PYTHON, |length| {
        lines(length, |n| format!("a{n}"))
    }),
    ("unknown conditions", PYTHON, |length| {
        lines(length, |n| {
            format!("if open('x'): a{n} = 1\nelse: a{n} = 2")
        })
    }),
    ("unknown conditions over much", PYTHON, |length| {
        let names = lines(length / 2, |n| format!("a{n} = []"));
        format!(
            "{names}{}",
            lines(length / 2, |n| format!("if open('x'): a{n} = 2"))
        )
    }),
    ("unknown loops in each other", PYTHON, |length| {
        let deep: String = (0..18)
            .map(|n| format!("{}for i in open('x'):\n", " ".repeat(n)))
            .collect();
        lines(length, |_| format!("{deep}{}a = 1", " ".repeat(18)))
    }),
    ("tries", PYTHON, |length| {
        lines(length, |n| format!("try: a{n}\nexcept Exception: pass"))
    }),
    ("matches", PYTHON, |length| {
        format!(
            "match 1:\n{}",
            lines(length, |n| format!("  case {n}: pass"))
        )
    }),
    ("alternatives", PYTHON, |length| {
        format!(
            "if x == 0: pass\n{}",
            lines(length, |n| format!("elif x == {n}: pass"))
        )
    }),
    ("faults of the parser", PYTHON, |length| {
        lines(length, |_| "def".to_owned())
    }),
    ("lines that are not ASCII", PYTHON, |length| {
        lines(length, |_| "é = 'é'".to_owned())
    }),
    ("parameters of a flow", FLOW, |length| {
        let parameters = lines(length, |n| format!("    p{n}: int = {n},"));
        format!("from prefect import flow\n@flow\ndef load(\n{parameters}): pass\n")
    }),
    ("unknown types of a flow", FLOW, |length| {
        let parameters = lines(length, |n| format!("    p{n}: T{n},"));
        format!("from prefect import flow\n@flow\ndef load(\n{parameters}): pass\n")
    }),
    ("a docstring", FLOW, |length| {
        let about = lines(length, |n| format!("        p{n}: about {n}"));
        format!(
            "from prefect import flow\n@flow\ndef load(a):\n    '''Loads.\n\n    Args:\n{about}    '''\n"
        )
    }),
    ("models of a flow", FLOW, |length| {
        let models = lines(length / 2, |n| {
            format!("class M{n}(BaseModel):\n    a: int = {n}")
        });
        let parameters = lines(length / 2, |n| format!("    p{n}: M{n},"));
        format!(
            "from prefect import flow\nfrom pydantic import BaseModel\n{models}@flow\ndef load(\n{parameters}): pass\n"
        )
    }),
    ("models of each other", FLOW, |length| {
        let models = lines(length, |n| {
            format!("class M{}(BaseModel):\n    a: 'M{n}'", n + 1)
        });
        let last = models
            .rmatch_indices("class M")
            .next()
            .map_or(0, |(at, _)| at + 7);
        let last: String = models[last..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        format!(
            "from prefect import flow\nfrom pydantic import BaseModel\nclass M0(BaseModel): pass\n{models}@flow\ndef load(a: M{last}): pass\n"
        )
    }),
    ("models that inherit", FLOW, |length| {
        let models = lines(length, |n| {
            format!("class M{}(M{n}):\n    a{n}: int", n + 1)
        });
        let last = models
            .rmatch_indices("class M")
            .next()
            .map_or(0, |(at, _)| at + 7);
        let last: String = models[last..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        format!(
            "from prefect import flow\nfrom pydantic import BaseModel\nclass M0(BaseModel): pass\n{models}@flow\ndef load(a: M{last}): pass\n"
        )
    }),
    ("members of an enumeration", FLOW, |length| {
        let members = lines(length, |n| format!("    A{n} = {n}"));
        format!(
            "from enum import Enum\nfrom prefect import flow\nclass E(Enum):\n{members}@flow\ndef load(a: E): pass\n"
        )
    }),
    ("a union of types", FLOW, |length| {
        format!(
            "from typing import Union\nfrom prefect import flow\n@flow\ndef load(a: Union[{}int]): pass\n",
            "str, int, ".repeat(length / 10)
        )
    }),
    ("literals", FLOW, |length| {
        let literals = lines(length, |n| format!("{n},"));
        format!(
            "from typing import Literal\nfrom prefect import flow\n@flow\ndef load(a: Literal[\n{literals}]): pass\n"
        )
    }),
    ("types of types", FLOW, |length| {
        let aliases = lines(length, |n| format!("T{} = list[T{n}]", n + 1));
        format!(
            "from prefect import flow\nT0 = int\n{aliases}@flow\ndef load(a: T20000, b: T30): pass\n"
        )
    }),
    ("types of two types", FLOW, |length| {
        let aliases = lines(length, |n| format!("T{} = dict[T{n}, T{n}]", n + 1));
        format!(
            "from prefect import flow\nT0 = int\n{aliases}@flow\ndef load(a: T500, b: T30): pass\n"
        )
    }),
    ("names of names", FLOW, |length| {
        let names = lines(length, |n| format!("a{} = a{n}", n + 1));
        format!(
            "from prefect import flow\na0 = 1\n{names}@flow(name=f'{{a20000}}')\ndef load(a=a20000): pass\n"
        )
    }),
    ("a default of many items", FLOW, |length| {
        format!(
            "from prefect import flow\n@flow\ndef load(a=[{}]): pass\n",
            "1, ".repeat(length / 3)
        )
    }),
    ("names bound again and again", FLOW, |length| {
        let names = lines(length, |n| format!("a = {n}"));
        format!("from prefect import flow\n{names}@flow\ndef load(a=a): pass\n")
    }),
    ("decorators", FLOW, |length| {
        format!(
            "from prefect import flow\n{}@flow\ndef load(a=1): pass\n",
            "@a\n".repeat(length / 3)
        )
    }),
];

const YAML: &str = "prefect.yaml";
const PLAIN: &str = "load.deployment.yaml";
const PYTHON: &str = "load.deployment.py";
const FLOW: &str = "flow.py";

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with('-'))
        .collect();
    println!(
        "| 1 MiB of | read as | 256 KiB | 512 KiB | 1 MiB | 1 MiB to 512 KiB |\n|---|---|---|---|---|---|"
    );
    let mut above = Vec::new();
    for (name, file, make) in KINDS {
        if !wanted.is_empty() && !wanted.iter().any(|one| name.contains(one.as_str())) {
            continue;
        }
        let taken = LENGTHS.map(|length| quickest(file, &make(length)));
        let [quarter, half, whole] = taken.map(|one| format!("{:.3} s", one.as_secs_f64()));
        let factor = taken[2].as_secs_f64() / taken[1].as_secs_f64();
        println!("| {name} | `{file}` | {quarter} | {half} | {whole} | {factor:.1} |");
        if taken[2] > BOUND {
            above.push(*name);
        }
    }
    println!(
        "\nAbove one second: {}",
        if above.is_empty() {
            "none".to_owned()
        } else {
            above.join(", ")
        }
    );
}

/// The shortest time of three readings of a text; of one, where that takes long.
fn quickest(file: &str, text: &str) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let desired = read(file, text);
        least = least.min(start.elapsed());
        drop(desired);
        if least > BOUND {
            break;
        }
    }
    least
}

fn read(file: &str, text: &str) -> Desired {
    let flow = (
        "flow.py",
        "from prefect import flow\n@flow\ndef load(day: str = ''): pass\n",
    );
    let deployment = ("load.deployment.yaml", "entrypoint: flow.py:load\n");
    let beside = if file == FLOW { deployment } else { flow };
    let files = [(file, text), beside].map(|(name, text)| (name, text.as_bytes()));
    reading::desired(&files, Dialect::Prefect3)
}

/// Lines up to a length, each made of its number.
fn lines(length: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(length + 100);
    let mut number = 0;
    while text.len() < length {
        text += &line(number);
        text.push('\n');
        number += 1;
    }
    text
}

//! Python files that were made to take long.

use super::{FLOW, Kind, lines};

const PYTHON: &str = "load.deployment.py";

pub(super) const KINDS: &[Kind] = &[
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

//! What Prefect itself makes of the flows of some files, against what is read here; and hostile input.

use serde_json::{Value, json};

use super::*;

fn fixture(path: &str) -> String {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What differs between a flow as read and as Prefect makes it; empty where nothing does.
fn differences(read: &Flow, name: &Value, description: &Value, schema: &Value) -> String {
    let mut differences = String::new();
    if json!(read.name) != *name {
        differences += &format!("name: {:?} for {name}\n", read.name);
    }
    if json!(read.description) != *description {
        differences += &format!("description: {:?} for {description}\n", read.description);
    }
    if read.schema != *schema {
        for part in ["properties", "definitions"] {
            let (ours, theirs) = (read.schema[part].as_object(), schema[part].as_object());
            let names = ours
                .iter()
                .chain(&theirs)
                .flat_map(|map| map.keys())
                .collect::<BTreeSet<_>>();
            for name in names {
                let (ours, theirs) = (&read.schema[part][name], &schema[part][name]);
                if ours != theirs {
                    differences += &format!("{name}:\n  ours   {ours}\n  theirs {theirs}\n");
                }
            }
        }
        if read.schema["required"] != schema["required"] {
            differences += &format!(
                "required: {} for {}\n",
                read.schema["required"], schema["required"]
            );
        }
        if differences.is_empty() {
            differences += &format!("schema: {} for {schema}\n", read.schema);
        }
    }
    differences
}

#[test]
fn every_signature_of_the_oracle_reads_as_in_prefect() {
    // Function, and why it differs.
    let expected = [(
        "s28_block",
        "a block's schema is in Prefect's own code, not in the file",
    )];
    let module = Module::parse(&fixture("parameter-schemas/signatures.py")).expect("valid");
    let oracle: Value =
        serde_json::from_str(&fixture("parameter-schemas/prefect3.json")).expect("valid");
    let mut report = String::new();
    let mut flows = 0;
    for (function, theirs) in oracle.as_object().expect("an object") {
        if function == "_meta" {
            continue;
        }
        flows += 1;
        let read = module.flow(function).expect(function);
        let found = differences(
            &read,
            &theirs["flow_name"],
            &theirs["description"],
            &theirs["runtime"],
        );
        let listed = expected.iter().find(|(name, _)| name == function);
        match (found.is_empty(), listed) {
            (true, None) | (false, Some(_)) => {}
            (true, Some((_, reason))) => {
                report += &format!("{function} no longer differs: {reason}\n");
            }
            (false, None) => report += &format!("--- {function}\n{found}"),
        }
    }
    assert_eq!(flows, 45);
    assert_eq!(module.flows().len(), 45);
    assert!(report.is_empty(), "{report}");
}

/// Compares a fixture's flows with what was recorded; `gaps` lists what is expected not to be known, as
/// `function.parameter`.
fn compare_recorded(stem: &str, gaps: &[&str]) {
    let module = Module::parse(&fixture(&format!("python/{stem}.py"))).expect("valid");
    let recorded: Value =
        serde_json::from_str(&fixture(&format!("python/{stem}.json"))).expect("valid");
    let recorded = recorded.as_object().expect("an object");
    let mut report = String::new();
    let mut missed: Vec<&str> = gaps.to_vec();
    for (function, theirs) in recorded {
        let mut read = module.flow(function).expect(function);
        let mut theirs = theirs.clone();
        for gap in &read.unknown {
            let (Part::Annotation(parameter) | Part::Default(parameter)) = &gap.part else {
                report += &format!("--- {function}: {gap:?}\n");
                continue;
            };
            match missed
                .iter()
                .position(|listed| *listed == format!("{function}.{parameter}"))
            {
                Some(listed) => {
                    missed.remove(listed);
                    // What we say not to know may differ; all the rest may not.
                    read.schema["properties"][parameter] = Value::Null;
                    theirs["schema"]["properties"][parameter] = Value::Null;
                }
                None => report += &format!("--- {function}: {gap:?}\n"),
            }
        }
        let found = differences(
            &read,
            &theirs["flow_name"],
            &theirs["description"],
            &theirs["schema"],
        );
        if !found.is_empty() {
            report += &format!("--- {function}\n{found}");
        }
    }
    for known in missed {
        report += &format!("--- {known} is known by now\n");
    }
    assert_eq!(module.flows().len(), recorded.len(), "{stem}");
    assert!(report.is_empty(), "{report}");
}

#[test]
fn types_read_as_in_prefect() {
    compare_recorded("types", &["unserialisable.l"]);
}

#[test]
fn classes_read_as_in_prefect() {
    compare_recorded("models", &[]);
}

#[test]
fn postponed_annotations_read_as_in_prefect() {
    compare_recorded("postponed", &[]);
}

#[test]
fn a_module_can_be_sent_to_another_thread() {
    fn is_send<T: Send + Sync>() {}
    is_send::<Module>();
    is_send::<Flow>();
}

#[test]
fn flows_are_found_in_every_usual_spelling() {
    for (source, name) in [
        ("from prefect import flow\n@flow\ndef f_x(): pass", "f-x"),
        (
            "from prefect import flow\n@flow()\nasync def f_x(): pass",
            "f-x",
        ),
        (
            "from prefect import flow as g\n@g(name='N')\ndef f_x(): pass",
            "N",
        ),
        (
            "import prefect\n@prefect.flow(name='N')\ndef f_x(): pass",
            "N",
        ),
        ("import prefect as p\n@p.flow\ndef f_x(): pass", "f-x"),
        (
            "import prefect.flows\n@prefect.flows.flow\ndef f_x(): pass",
            "f-x",
        ),
        (
            "from prefect.flows import flow\n@flow\ndef f_x(): pass",
            "f-x",
        ),
        ("from prefect import *\n@flow\ndef f_x(): pass", "f-x"),
        (
            "from prefect import flow\nif True:\n  @flow\n  def f_x(): pass",
            "f-x",
        ),
        (
            "try:\n  from prefect import flow\nexcept ImportError:\n  flow = None\ntry:\n  @flow\n  def f_x(): pass\nfinally: pass",
            "f-x",
        ),
        (
            "from prefect import flow\n@other\n@flow(name='N')\n@third\ndef f_x(): pass",
            "N",
        ),
        (
            "from prefect import flow\ndef g(): pass\nf_x = flow(g)",
            "g",
        ),
        (
            "from prefect import flow\ndef g(): pass\nf_x = flow(g, name='N')",
            "N",
        ),
        (
            "from prefect import flow\ndef g(): pass\nf_x = flow(name='N')(g)",
            "N",
        ),
        (
            "from prefect import flow\n@flow(name='M')\ndef g(): pass\nf_x = g.with_options(name='N')",
            "N",
        ),
        (
            "from prefect import flow\n@flow(name='M')\ndef g(): pass\nf_x = g.with_options(retries=2)",
            "M",
        ),
        (
            "from prefect import flow\n@flow(name='M')\ndef g(): pass\nf_x = g",
            "M",
        ),
        (
            "from functools import partial\nfrom prefect import flow\nours = partial(flow, name='N')\n@ours\ndef f_x(): pass",
            "N",
        ),
        (
            "from prefect import flow\nours = flow(name='N')\n@ours\ndef f_x(): pass",
            "N",
        ),
        (
            "from prefect import flow\nC = {'name': 'N'}\n@flow(**C)\ndef f_x(): pass",
            "N",
        ),
        (
            "from prefect import flow\nN = 'a'\n@flow(name=f'{N}-{1}' 'b')\ndef f_x(): pass",
            "a-1b",
        ),
        (
            "from prefect import flow\n@flow(name=None)\ndef f_x(): pass",
            "f-x",
        ),
        (
            "from prefect import flow\n@flow(name='M')\ndef f_x(): pass\n@flow(name='N')\ndef f_x(): pass",
            "N",
        ),
        (
            "\u{feff}from prefect import flow\r\n@flow\r\ndef f_x():\r\n\tpass\r\n",
            "f-x",
        ),
        ("from prefect import flow\r@flow\rdef f_x(): pass", "f-x"),
    ] {
        let module = Module::parse(source).expect(source);
        assert_eq!(
            module.flow("f_x").map(|flow| flow.name),
            Ok(name.to_owned()),
            "{source}"
        );
        assert!(
            module.flows().iter().any(|(function, _)| function == "f_x"),
            "{source}"
        );
    }
}

#[test]
fn a_method_can_be_a_flow() {
    let source = "from prefect import flow\nclass C:\n  @flow\n  def m(self, a: int): pass\n  @staticmethod\n  @flow\n  def s(a: int): pass\n";
    let module = Module::parse(source).expect(source);
    let position =
        |name: &str| module.flow(name).expect(name).schema["properties"]["a"]["position"].clone();
    assert_eq!((position("C.m"), position("C.s")), (json!(1), json!(0)));
    assert_eq!(
        module.flow("C.x"),
        Err(FlowFault::Missing { nearest: None })
    );
}

#[test]
fn what_is_no_flow_says_why() {
    let source = "\
from prefect import flow, task
from lib import wrapped
import os

def plain(): pass
@task
def tasked(): pass
@wrapped(1)
def foreign(): pass
@flow(name=os.environ['N'])
def environment(): pass
@flow(name='a/b')
def slash(): pass
@flow
def hidden(a, _b): pass
@flow
def reserved(wait_for): pass
class C: pass
if __name__ == '__main__':
    @flow
    def script(): pass
";
    let module = Module::parse(source).expect("valid");
    let fault = |name: &str| module.flow(name).expect_err(name);
    let not_a_flow = |line, column, decorator: Option<&str>| FlowFault::NotAFlow {
        line,
        column,
        decorator: decorator.map(str::to_owned),
    };
    assert_eq!(fault("plain"), not_a_flow(5, 5, None));
    assert_eq!(fault("tasked"), not_a_flow(7, 5, None));
    assert_eq!(fault("foreign"), not_a_flow(9, 5, Some("wrapped(1)")));
    assert_eq!(fault("C"), not_a_flow(18, 7, None));
    assert_eq!(fault("script"), FlowFault::Missing { nearest: None });
    assert_eq!(fault("flow"), FlowFault::Missing { nearest: None });
    assert_eq!(
        fault("slahs"),
        FlowFault::Missing {
            nearest: Some("slash".into())
        }
    );
    assert_eq!(
        fault("environment"),
        FlowFault::NameNotConstant {
            line: 10,
            column: 12,
            expression: "os.environ['N']".into(),
            reason: "it comes from the environment".into(),
        }
    );
    assert_eq!(
        fault("slash"),
        FlowFault::NameRefused {
            line: 12,
            column: 12,
            name: "a/b".into()
        }
    );
    assert_eq!(
        fault("hidden"),
        FlowFault::ParameterRefused {
            line: 15,
            column: 15,
            parameter: "_b".into()
        }
    );
    assert_eq!(
        fault("reserved"),
        FlowFault::ParameterRefused {
            line: 17,
            column: 14,
            parameter: "wait_for".into()
        }
    );
    assert_eq!(
        fault("plain").to_string(),
        "it is not decorated with `@flow`"
    );
}

#[test]
fn gaps_name_their_place_and_reason() {
    let source = "\
import os, datetime, pandas as pd
from .models import Config
from prefect import flow
from settings import SIZE
LIMIT = int(os.getenv('LIMIT'))
NAMES = []
NAMES.append('x')
@flow(description=pd.describe())
def f(a: pd.DataFrame, b: list[Config] = None, c: int = LIMIT, d: str = 'ü', e: list = NAMES, f=datetime.datetime.now(), g=SIZE, h=[os.sep]): pass
";
    let module = Module::parse(source).expect("valid");
    let flow = module.flow("f").expect("a flow");
    let gaps: Vec<String> = flow
        .unknown
        .iter()
        .map(|gap| {
            format!(
                "{}:{} {:?} {}: {}",
                gap.line, gap.column, gap.part, gap.text, gap.reason
            )
        })
        .collect();
    assert_eq!(
        gaps,
        [
            "8:19 Description pd.describe(): `pandas.describe(…)` is not evaluated",
            "9:10 Annotation(\"a\") pd.DataFrame: `pandas.DataFrame` is not read from here",
            "9:27 Annotation(\"b\") list[Config]: `.models.Config` is not read from here",
            "9:57 Default(\"c\") LIMIT: it comes from the environment",
            "9:88 Default(\"e\") NAMES: the value of `NAMES` depends on how the module runs",
            "9:97 Default(\"f\") datetime.datetime.now(): it changes from run to run",
            "9:124 Default(\"g\") SIZE: `settings.SIZE` is not read from here",
            "9:132 Default(\"h\") [os.sep]: `os.sep` is not read from here",
        ]
    );
    assert_eq!(
        flow.schema,
        json!({
            "title": "Parameters", "type": "object", "required": ["a"],
            "properties": {
                "a": {"position": 0, "title": "a"},
                "b": {"position": 1, "title": "b", "default": null},
                "c": {"position": 2, "title": "c", "type": "integer"},
                "d": {"position": 3, "title": "d", "type": "string", "default": "ü"},
                "e": {"position": 4, "title": "e", "type": "array", "items": {}},
                "f": {"position": 5, "title": "f"},
                "g": {"position": 6, "title": "g"},
                "h": {"position": 7, "title": "h"},
            }
        })
    );
}

#[test]
fn imports_are_listed_once_and_sorted() {
    let source = "\
import os, a.b as c
from a.b import d, e as f
def g():
    from . import h
    if x:
        from ..i.j import k
class L:
    import m
try: import os
except ImportError: from n import *
match x:
    case 1: import o
";
    let module = Module::parse(source).expect("valid");
    assert_eq!(
        module.imports(),
        [
            "..i.j.k", ".h", "a.b", "a.b.d", "a.b.e", "m", "n.*", "o", "os"
        ]
    );
}

#[test]
fn a_syntax_fault_has_a_place_in_characters() {
    let fault = Module::parse("x = 1\r\ny = 'ü' $ 2\r\n").expect_err("not Python");
    assert_eq!((fault.line, fault.column), (2, 9), "{fault}");
    let fault = Module::parse("\u{feff}x = $").expect_err("not Python");
    assert_eq!((fault.line, fault.column), (1, 5), "{fault}");
    assert!(
        fault
            .message
            .chars()
            .next()
            .is_some_and(|first| !first.is_uppercase()),
        "{fault}"
    );
}

/// Reads all that there is to read, on a small stack.
fn read_everything(source: String) {
    let read = move || {
        if let Ok(module) = Module::parse(&source) {
            for (function, _) in module.flows() {
                // A fault is as good as a flow here.
                let _ = module.flow(&function);
            }
            module.imports();
        }
    };
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(read)
        .expect("a thread starts");
    thread.join().expect("reading does not panic");
}

#[test]
fn hostile_sources_neither_overflow_nor_hang() {
    let flow = |annotation: &str, default: &str| {
        format!(
            "from prefect import flow\nfrom typing import *\nfrom pydantic import *\nimport enum\n@flow\ndef f(a: {annotation} = {default}): pass\n"
        )
    };
    let repeat = |text: &str, count: usize| text.repeat(count);
    let mut sources = Vec::new();
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("f(", ")"),
        ("a[", "]"),
        ("f'{", "}'"),
        ("-", ""),
        ("not ", ""),
        ("lambda: ", ""),
        ("1 if x else ", ""),
        ("a.", "a"),
        ("1+", "1"),
        ("a ** ", "b"),
        ("await ", "x"),
        ("*", "x"),
    ] {
        for count in [90, 190, 900, 100_000] {
            let nested = repeat(open, count) + "1" + &repeat(close, count);
            sources.push(format!("x = {nested}\n"));
            sources.push(flow("Any", &nested));
            sources.push(flow(&nested, "None"));
            sources.push(repeat(open, count));
        }
    }
    for (open, close) in [
        ("List[", "]"),
        ("Optional[", "]"),
        ("Union[int, ", "]"),
        ("int | ", ""),
        ("Annotated[", ", 1]"),
        ("Literal[", "]"),
        ("'", "'"),
        ("Tuple[", ", int]"),
    ] {
        for count in [50, 150, 900] {
            sources.push(flow(
                &(repeat(open, count) + "int" + &repeat(close, count)),
                "None",
            ));
        }
    }
    // Long chains of names, doubling at each step.
    let doubling = |step: &str| {
        let mut lines = String::from("A0 = [1, 'x', 2.5]\n");
        for number in 1..300 {
            lines += &step
                .replace("NEXT", &format!("A{number}"))
                .replace("LAST", &format!("A{}", number - 1));
        }
        lines + &flow("A299", "A299")
    };
    for step in [
        "NEXT = LAST + LAST\n",
        "NEXT = [LAST, LAST]\n",
        "NEXT = LAST * 1000\n",
        "NEXT = f'{LAST}{LAST}'\n",
        "NEXT = Union[LAST, List[LAST]]\n",
        "NEXT = LAST | None\n",
        "NEXT = LAST\n",
        "class NEXT(LAST): pass\n",
        "class NEXT(BaseModel):\n  a: 'LAST'\n  b: 'LAST'\n",
        "NEXT = {**LAST, 'x': LAST}\n",
        "NEXT = max(LAST, LAST)\n",
        "def NEXT(): pass\nNEXT = LAST.with_options(name=LAST)\n",
    ] {
        sources.push(doubling(step));
    }
    sources.push(
        format!(
            "class E(enum.Enum):\n  A0 = (1, 2)\n{}",
            (1..200)
                .map(|n| format!("  A{n} = (A{}, A{})\n", n - 1, n - 1))
                .collect::<String>()
        ) + &flow("E", "E.A199"),
    );
    sources.push(
        "class A(BaseModel):\n  a: 'B'\nclass B(BaseModel):\n  a: 'A'\n".to_owned()
            + &flow("A", "A()"),
    );
    sources
        .push("class A(A): pass\nA = A\nA: A = A\ntype A = A | A\n".to_owned() + &flow("A", "A"));
    for expression in [
        "10 ** 10 ** 10",
        "2 ** 1000000",
        "'x' * 10 ** 12",
        "[0] * 10 ** 12",
        "[[]] * 10 ** 9",
        "1 << 10 ** 6",
        "-1 // 0",
        "1 % 0",
        "1 / 0",
        "0 ** -1",
        "-9223372036854775808 // -1",
        "1e308 * 10",
        "'%s%s' % 1",
        "'{' .format(1)",
        "'a'[10 ** 30]",
        "datetime(10000, 1, 1)",
        "max()",
        "min([])",
        "sum(['a'])",
        "Path(1)",
        "{[]: 1}",
        "{**1}",
        "[*1]",
        "f'{1:{2}}'",
        "''.join([1])",
        "'a'.split('')",
        "round(1e300)",
        "int('9' * 19)",
        "{{}}",
        "E[0]",
        "...",
        "()",
        "{}",
    ] {
        sources.push(flow("Any", expression));
        sources.push(flow(&format!("Literal[{expression}]"), expression));
    }
    for text in [
        "",
        "\u{feff}",
        "\u{0}",
        "\t",
        "\\",
        "'",
        "'''",
        "f'{",
        "f'{x!",
        "def",
        "def f(",
        "@",
        "class",
        "x = 'ü\u{10ffff}'",
        "\u{200b}",
        "if x:\n\tpass\n        pass",
        "x\u{c}= 1",
        "def f(a, a): pass",
        "def f(*, **k): pass",
        "def f(a=1, b): pass",
        "return",
        "global x\nx",
        "from . import (",
        "from __future__ import annotations\n@flow\ndef f(a: 'x",
        "print 'x'",
        "match x:\n case _ if",
        "type X[T] = ",
        "%timeit",
        "0777",
        "1_",
        "1__0",
        "0b2",
        "'\\N{x}'",
        "'\\ud800'",
        "b'ü'",
    ] {
        sources.push(text.to_owned());
        sources.push(format!("{text}\n{}", flow("int", "1")));
    }
    sources.push(repeat("x = 1\n", 150_000));
    sources.push(repeat("#", 1_000_000));
    sources.push(format!("x = '{}'\n", repeat("\\x41", 250_000)));
    sources.push(format!("x = [{}]\n", repeat("1, ", 300_000)) + &flow("list", "x"));
    sources.push(format!(
        "def f({}): pass\n",
        (0..20_000).map(|n| format!("a{n}=1, ")).collect::<String>()
    ));
    sources.push(format!(
        "from prefect import flow\n@flow\ndef f():\n  '''{}'''\n",
        repeat("Args:\n\n    a: b\n", 50_000)
    ));
    sources.push(repeat(
        "from prefect import flow\n@flow\ndef f(a: int): pass\n",
        10_000,
    ));
    sources.push(
        (0..1_400)
            .map(|level| format!("{}if x:\n", repeat(" ", level)))
            .collect(),
    );
    sources.push(
        "(\n".to_owned()
            + &(0..1_400)
                .map(|level| format!("{}if a, b:\n", repeat(" ", level)))
                .collect::<String>(),
    );
    let started = std::time::Instant::now();
    for source in sources {
        let head: String = source.chars().take(60).collect();
        let before = started.elapsed();
        read_everything(source);
        let took = started.elapsed() - before;
        assert!(took.as_secs() < 20, "{took:?} for {head:?}");
    }
}

#[test]
fn every_prefix_and_every_cut_of_a_real_file_reads_without_panic() {
    let source = fixture("parameter-schemas/signatures.py");
    let chars: Vec<char> = source.chars().collect();
    // A step that shares no factor with common line lengths reaches every kind of place.
    for end in (0..chars.len()).step_by(37) {
        read_everything(chars[..end].iter().collect());
        let mut cut = chars.clone();
        cut.drain(end..(end + 11).min(chars.len()));
        read_everything(cut.into_iter().collect());
    }
}

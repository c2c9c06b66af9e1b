//! Which functions are flows, what is said of the others, and places.

use serde_json::json;

use crate::model::Dialect;
use crate::read::python::{FlowFault, Module};

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
            module.flow("f_x", Dialect::Prefect3).map(|flow| flow.name),
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
    let position = |name: &str| {
        module.flow(name, Dialect::Prefect3).expect(name).schema["properties"]["a"]["position"]
            .clone()
    };
    assert_eq!((position("C.m"), position("C.s")), (json!(1), json!(0)));
    assert_eq!(
        module.flow("C.x", Dialect::Prefect3),
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
    let fault = |name: &str| module.flow(name, Dialect::Prefect3).expect_err(name);
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
    let flow = module.flow("f", Dialect::Prefect3).expect("a flow");
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

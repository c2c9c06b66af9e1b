//! Imports.

use super::*;

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        name: "a plain import from the root",
        files: &[("a/flow.py", "import lib.x"), ("b/flow.py", ""), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "the chain of the issue",
        files: &[("load_dn/flow.py", "from lib.rss import entries"), ("lib/__init__.py", ""), ("lib/rss.py", "from lib import http"),
                 ("lib/http.py", ""), ("other/flow.py", "from lib import text"), ("lib/text.py", "")],
        edits: &["~lib/http.py"],
        expected: &["load_dn ← lib/rss.py ← lib/http.py"],
    },
    Case {
        name: "files of the project itself are not told",
        files: &[("a/flow.py", "import steps"), ("a/steps.py", "from more import x"), ("a/more.py", "import lib.x"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "the shortest chain",
        files: &[("a/flow.py", "import lib.p\nimport lib.y"), ("lib/p.py", "import lib.q"), ("lib/q.py", "import lib.x"),
                 ("lib/y.py", "import lib.x"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← lib/y.py ← lib/x.py"],
    },
    Case {
        name: "a name from a module",
        files: &[("a/flow.py", "from lib.x import load"), ("lib/x.py", "def load(): pass"), ("lib/load.py", "")],
        edits: &["~lib/load.py"],
        expected: &[],
    },
    Case {
        name: "a module from a package",
        files: &[("a/flow.py", "from lib import x, y as z"), ("lib/x.py", ""), ("lib/y.py", ""), ("lib/w.py", "")],
        edits: &["~lib/y.py", "~lib/w.py"],
        expected: &["a ← lib/y.py"],
    },
    Case {
        name: "a relative import in a package",
        files: &[("a/flow.py", "import lib.x"), ("lib/__init__.py", ""), ("lib/x.py", "from .y import z"), ("lib/y.py", "")],
        edits: &["~lib/y.py"],
        expected: &["a ← lib/x.py ← lib/y.py"],
    },
    Case {
        name: "from . import x where x is a module",
        files: &[("a/flow.py", "import lib.sub.x"), ("lib/sub/x.py", "from . import y\nfrom .. import z"), ("lib/sub/y.py", ""), ("lib/z.py", "")],
        edits: &["~lib/z.py"],
        expected: &["a ← lib/sub/x.py ← lib/z.py"],
    },
    Case {
        name: "a relative import that leads out of the repository",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "from ... import y"), ("y.py", "")],
        edits: &["~y.py"],
        expected: &[],
    },
    Case {
        name: "a package's own __init__ runs",
        files: &[("a/flow.py", "import lib.sub.x"), ("lib/__init__.py", ""), ("lib/sub/__init__.py", ""), ("lib/sub/x.py", "")],
        edits: &["~lib/__init__.py"],
        expected: &["a ← lib/__init__.py"],
    },
    Case {
        name: "an __init__ that hands on what a module has",
        files: &[("a/flow.py", "from lib import load"), ("lib/__init__.py", "from .loading import load"), ("lib/loading.py", "")],
        edits: &["~lib/loading.py"],
        expected: &["a ← lib/__init__.py ← lib/loading.py"],
    },
    Case {
        name: "a package that only its parent imports",
        files: &[("a/flow.py", "import lib"), ("lib/__init__.py", "import lib.sub"), ("lib/sub/__init__.py", ""), ("lib/other.py", "")],
        edits: &["~lib/sub/__init__.py", "~lib/other.py"],
        expected: &["a ← lib/__init__.py ← lib/sub/__init__.py"],
    },
    Case {
        name: "a namespace package",
        files: &[("a/flow.py", "from acme.text import words"), ("acme/text/words.py", "")],
        edits: &["~acme/text/words.py"],
        expected: &["a ← acme/text/words.py"],
    },
    Case {
        name: "a namespace package in two places",
        files: &[("a/flow.py", "import acme.one, acme.two"), ("acme/one.py", ""), ("src/acme/two.py", "")],
        edits: &["~src/acme/two.py"],
        expected: &["a ← src/acme/two.py"],
    },
    Case {
        name: "a package comes before a namespace package",
        files: &[("a/flow.py", "import acme.two"), ("acme/two.py", ""), ("src/acme/__init__.py", ""), ("src/acme/two.py", "")],
        edits: &["~acme/two.py"],
        expected: &[],
    },
    Case {
        name: "both branches of a condition",
        files: &[("a/flow.py", "import sys\nif sys.version_info > (3, 12):\n    import lib.x\nelse:\n    import lib.y"), ("lib/x.py", ""), ("lib/y.py", "")],
        edits: &["~lib/y.py"],
        expected: &["a ← lib/y.py"],
    },
    Case {
        name: "an import that may fail",
        files: &[("a/flow.py", "try:\n    import fast\nexcept ImportError:\n    from lib import slow"), ("lib/slow.py", "")],
        edits: &["~lib/slow.py"],
        expected: &["a ← lib/slow.py"],
    },
    Case {
        name: "an import for type checkers",
        files: &[("a/flow.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib.types import Row"), ("lib/types.py", "")],
        edits: &["~lib/types.py"],
        expected: &["a ← lib/types.py"],
    },
    Case {
        name: "imports in functions, methods and with blocks",
        files: &[("a/flow.py", "class A:\n    async def f(self):\n        with self:\n            import lib.x"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "importlib with a constant",
        files: &[("a/flow.py", "import importlib\nSOURCE = 'lib.y'\nimportlib.import_module('lib.x')\nimportlib.import_module(SOURCE)"),
                 ("lib/x.py", ""), ("lib/y.py", ""), ("b/flow.py", "from importlib import import_module\nimport_module(name)")],
        edits: &["~lib/y.py"],
        expected: &["a ← lib/y.py"],
    },
    Case {
        name: "importlib with a name below a package",
        files: &[("a/flow.py", "import importlib\ndef load(n):\n    return importlib.import_module(f'plugins.{n}')"), ("plugins/one.py", ""),
                 ("plugins/two.py", ""), ("lib/one.py", "")],
        edits: &["~plugins/two.py", "~lib/one.py"],
        expected: &["a ← plugins/two.py"],
    },
    Case {
        name: "importlib relative to the package",
        files: &[("a/flow.py", "import plugins"), ("plugins/__init__.py", "from importlib import import_module\nfor n in ['.one', '.two']:\n    import_module(n, __package__)"),
                 ("plugins/two.py", ""), ("plugins/three.py", "")],
        edits: &["~plugins/two.py", "~plugins/three.py"],
        expected: &["a ← plugins/__init__.py ← plugins/two.py"],
    },
    Case {
        name: "a cycle",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "import lib.y"), ("lib/y.py", "import lib.x\nimport lib.z"), ("lib/z.py", "import lib.y"), ("lib/w.py", "import lib.x")],
        edits: &["~lib/z.py"],
        expected: &["a ← lib/x.py ← lib/y.py ← lib/z.py"],
    },
    Case {
        name: "a cycle that does not lead there",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "import lib.y"), ("lib/y.py", "import lib.x"), ("lib/w.py", "import lib.x")],
        edits: &["~lib/w.py"],
        expected: &[],
    },
    Case {
        name: "a star import of a module",
        files: &[("a/flow.py", "from lib.x import *"), ("lib/x.py", "from lib.y import *"), ("lib/y.py", "")],
        edits: &["~lib/y.py"],
        expected: &["a ← lib/x.py ← lib/y.py"],
    },
    Case {
        name: "a star import of a package with modules in __all__",
        files: &[("a/flow.py", "from lib import *"), ("b/flow.py", "import lib"), ("lib/__init__.py", "__all__ = ['x']"), ("lib/x.py", ""), ("lib/y.py", "")],
        edits: &["~lib/x.py", "~lib/y.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "a renamed module, from the old side",
        files: &[("a/flow.py", "import lib.old"), ("b/flow.py", "import lib.new"), ("c/flow.py", "import lib.other"), ("lib/old.py", "x = 1"), ("lib/other.py", "")],
        edits: &[">lib/old.py lib/new.py"],
        expected: &["a ← lib/old.py", "b ← lib/new.py"],
    },
    Case {
        name: "a renamed module, with the import that follows it",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "import lib.old"), ("lib/old.py", "")],
        edits: &[">lib/old.py lib/new.py", "~lib/x.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "a deleted module",
        files: &[("a/flow.py", "from lib import x"), ("b/flow.py", "from lib import y"), ("lib/x.py", "import lib.z"), ("lib/y.py", ""), ("lib/z.py", "")],
        edits: &["-lib/z.py"],
        expected: &["a ← lib/x.py ← lib/z.py"],
    },
    Case {
        name: "the last module of a namespace package is deleted",
        files: &[("a/flow.py", "import acme.text.x"), ("acme/text/x.py", "")],
        edits: &["-acme/text/x.py"],
        expected: &["a ← acme/text/x.py"],
    },
    Case {
        name: "a module becomes a package",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "")],
        edits: &[">lib/x.py lib/x/__init__.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "a namespace package becomes a package",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "")],
        edits: &["+lib/__init__.py"],
        expected: &["a ← lib/__init__.py"],
    },
    Case {
        name: "a module of the project stands in front of the root's",
        files: &[("a/flow.py", "import text"), ("a/text.py", ""), ("b/flow.py", "import text"), ("text.py", "")],
        edits: &["~text.py"],
        expected: &["b ← text.py"],
    },
    Case {
        name: "it stands in front of the root's for the library too",
        files: &[("a/flow.py", "import lib.x"), ("a/settings.py", ""), ("b/flow.py", "import lib.x"), ("lib/x.py", "import settings"), ("settings.py", "")],
        edits: &["~settings.py"],
        expected: &["b ← lib/x.py ← settings.py"],
    },
    Case {
        name: "a new module that stands in front of another",
        files: &[("a/flow.py", "import acme.x"), ("src/acme/x.py", ""), ("src/acme/__init__.py", "")],
        edits: &["+acme/__init__.py"],
        expected: &["a ← acme/__init__.py"],
    },
    Case {
        name: "what is gone from in front of another",
        files: &[("a/flow.py", "import acme.x"), ("acme/__init__.py", ""), ("acme/x.py", ""), ("src/acme/x.py", "")],
        edits: &["-acme/__init__.py"],
        expected: &["a ← acme/__init__.py"],
    },
    Case {
        name: "the roots: the project, the repository, their src",
        files: &[("p/a/flow.py", "import one, two, three"), ("p/a/src/one.py", "import four"), ("two.py", ""), ("src/three.py", ""), ("src/four.py", ""), ("p/three.py", "")],
        edits: &["~src/four.py", "~p/three.py"],
        expected: &["p/a ← src/four.py"],
    },
    Case {
        name: "an entrypoint in a folder of the project",
        files: &[("a/flow.py", ""), ("a/jobs/job.py", "import near\n\nfrom prefect import flow\n@flow\ndef main():\n    pass\n"), ("a/jobs/near.py", "import lib.x"),
                 ("a/d.deployment.yaml", "entrypoint: jobs/job.py:main"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← lib/x.py"],
    },
    Case {
        name: "an entrypoint elsewhere is a part of the chain",
        files: &[("a/d.deployment.yaml", "entrypoint: /flows/common.py:main"),
                 ("flows/common.py", "import beside\nfrom prefect import flow\n@flow\ndef main():\n    pass\n"), ("flows/beside.py", "")],
        edits: &["~flows/beside.py"],
        expected: &["a ← flows/common.py ← flows/beside.py"],
    },
    Case {
        name: "a library that is on Python's path by itself",
        files: &[("a/flow.py", "import libs.one"), ("libs/one.py", "import two"), ("libs/two.py", ""), ("two/flow.py", "")],
        edits: &["~libs/two.py"],
        expected: &["a ← libs/one.py ← libs/two.py"],
    },
    Case {
        name: "a conftest reaches nobody, one of the project only that",
        files: &[("a/flow.py", ""), ("b/flow.py", ""), ("conftest.py", ""), ("a/tests/conftest.py", ""), ("b/conftest.py", "")],
        edits: &["~conftest.py", "~a/tests/conftest.py"],
        expected: &["a ← a/tests/conftest.py"],
    },
    Case {
        name: "another project's module",
        files: &[("a/flow.py", "from b.steps import x"), ("b/flow.py", "import steps"), ("b/steps.py", ""), ("c/flow.py", "import steps"), ("c/steps.py", "")],
        edits: &["~b/steps.py"],
        expected: &["a ← b/steps.py", "b ← b/steps.py"],
    },
    Case {
        name: "what a deployment file in Python imports",
        files: &[("a/flow.py", ""), ("a/x.deployment.py", "from lib.schedules import daily"), ("lib/schedules.py", "")],
        edits: &["~lib/schedules.py"],
        expected: &["a ← lib/schedules.py"],
    },
    Case {
        name: "a file that is no Python imports nothing",
        files: &[("a/flow.py", "import lib.x"), ("lib/x.py", "import lib.y\nprint 'two'"), ("lib/y.py", "")],
        edits: &["~lib/y.py"],
        expected: &[],
    },
    Case {
        name: "the standard library's names are the repository's where it has them",
        files: &[("a/flow.py", "import http.client\nfrom lib import http"), ("lib/http.py", ""), ("http/server.py", "")],
        edits: &["~http/server.py"],
        expected: &[],
    },
    Case {
        name: "words in texts and comments import nothing",
        files: &[("a/flow.py", "# import lib.x\nX = 'import lib.x'"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &[],
    },
];

#[test]
fn changes_reach_who_imports() {
    assert!(CASES.len() >= 40);
    check(CASES);
}

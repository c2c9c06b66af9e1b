//! Everything but imports.

use super::*;
use crate::read::image::Defaults;

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        name: "what is in the folder, whatever it is",
        files: &[("a/flow.py", ""), ("a/data/x.csv", ""), ("ab/flow.py", "")],
        edits: &["~a/data/x.csv"],
        expected: &["a ← a/data/x.csv"],
    },
    Case {
        name: "what is deleted from the folder",
        files: &[("a/flow.py", ""), ("a/x.sql", ""), ("b/flow.py", "")],
        edits: &["-a/x.sql"],
        expected: &["a ← a/x.sql"],
    },
    Case {
        name: "what nobody needs",
        files: &[("a/flow.py", ""), ("README.md", ""), ("docs/x.py", "")],
        edits: &["~README.md", "~docs/x.py", "+docs/y.py"],
        expected: &[],
    },
    Case {
        name: "the configuration reaches all",
        files: &[("a/flow.py", ""), ("b/flow.py", ""), ("flowyard.toml", "")],
        edits: &["~flowyard.toml"],
        expected: &["a ← flowyard.toml", "b ← flowyard.toml"],
    },
    Case {
        name: "requirements of a folder above, and what they name",
        files: &[("p/a/flow.py", ""), ("p/requirements.txt", "-r ../base.txt\n"), ("base.txt", "-c limits.txt # why\n"), ("limits.txt", ""), ("b/flow.py", "")],
        edits: &["~limits.txt"],
        expected: &["p/a ← p/requirements.txt ← base.txt ← limits.txt"],
    },
    Case {
        name: "a requirements file that is deleted",
        files: &[("a/flow.py", ""), ("a/requirements.txt", "-r ../base.txt\n"), ("base.txt", "")],
        edits: &["-base.txt"],
        expected: &["a ← base.txt"],
    },
    Case {
        name: "an editable package, all of it",
        files: &[("a/flow.py", ""), ("a/requirements.txt", "requests\n-e ../libs/text[all]\n"), ("libs/text/setup.py", ""), ("libs/text/data/words.txt", ""),
                 ("libs/other/setup.py", "")],
        edits: &["~libs/text/data/words.txt", "~libs/other/setup.py"],
        expected: &["a ← libs/text/data/words.txt"],
    },
    Case {
        name: "a package that a package needs",
        files: &[("a/flow.py", ""), ("a/requirements.txt", "../libs/text\n"),
                 ("libs/text/pyproject.toml", "[project]\nname = 'text'\ndependencies = ['words @ file:../words']"), ("libs/words/w.py", "")],
        edits: &["~libs/words/w.py"],
        expected: &["a ← libs/text/pyproject.toml ← libs/words/w.py"],
    },
    Case {
        name: "a package around the project is followed by its imports",
        files: &[("pkg/a/flow.py", "import pkg.x"), ("pyproject.toml", "[project]\nname = 'pkg'"), ("pkg/a/requirements.txt", "-e ../..\n"), ("pkg/x.py", ""),
                 ("pkg/y.py", "")],
        edits: &["~pkg/y.py"],
        expected: &[],
    },
    Case {
        name: "imports find an editable package's modules",
        files: &[("a/flow.py", "import acme.text"), ("a/requirements.txt", "-e ../libs/text\n"), ("libs/text/src/acme/text.py", "import far"),
                 ("libs/text/pyproject.toml", ""), ("src/far.py", "")],
        edits: &["~src/far.py"],
        expected: &["a ← libs/text/src/acme/text.py ← src/far.py"],
    },
    Case {
        name: "path dependencies of uv that are needed",
        files: &[("a/flow.py", ""), ("a/pyproject.toml", "[project]\nname = 'a'\ndependencies = ['My_Lib>=1']\n[tool.uv.sources]\nmy-lib = { path = '../lib', editable = true }\nunused = { path = '../other' }"),
                 ("lib/x.sql", ""), ("other/y.sql", "")],
        edits: &["~lib/x.sql", "~other/y.sql"],
        expected: &["a ← lib/x.sql"],
    },
    Case {
        name: "a path dependency of uv that nobody asks for",
        files: &[("a/flow.py", ""), ("a/pyproject.toml", "[project]\nname = 'a'\ndependencies = []\n[tool.uv.sources]\nunused = { path = '../other' }"), ("other/y.sql", "")],
        edits: &["~other/y.sql"],
        expected: &[],
    },
    Case {
        name: "members of a workspace of uv, and its lock",
        files: &[("pyproject.toml", "[tool.uv.workspace]\nmembers = ['projects/*', 'libs/*']\nexclude = ['libs/old']\n[tool.uv.sources]\nwords = { workspace = true }"),
                 ("uv.lock", ""),
                 ("projects/a/flow.py", ""), ("projects/a/pyproject.toml", "[project]\nname = 'a'\ndependencies = ['text', 'words[x]']\n[tool.uv.sources]\ntext = { workspace = true }"),
                 ("projects/b/flow.py", ""), ("projects/b/pyproject.toml", "[project]\nname = 'b'\ndependencies = []"),
                 ("libs/text/pyproject.toml", "[project]\nname = 'Text'"), ("libs/text/t.py", ""),
                 ("libs/words/pyproject.toml", "[project]\nname = 'words'"), ("libs/words/w.py", "")],
        edits: &["~libs/words/w.py"],
        expected: &["projects/a ← libs/words/w.py"],
    },
    Case {
        name: "the lock of a workspace",
        files: &[("pyproject.toml", "[tool.uv.workspace]\nmembers = ['projects/*']"), ("uv.lock", ""), ("other/flow.py", ""), ("other/requirements.txt", ""),
                 ("projects/b/flow.py", ""), ("projects/b/pyproject.toml", "[project]\nname = 'b'\ndependencies = []")],
        edits: &["~uv.lock"],
        expected: &["projects/b ← pyproject.toml ← uv.lock"],
    },
    Case {
        name: "path dependencies of Poetry, in groups too",
        files: &[("a/flow.py", ""), ("a/pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.12'\nlib = [{ path = '../lib', develop = true }]\n[tool.poetry.group.x.dependencies]\nmore = { path = '../more' }"),
                 ("lib/x.sql", ""), ("more/y.sql", "")],
        edits: &["-more/y.sql"],
        expected: &["a ← more/y.sql"],
    },
    Case {
        name: "requirements that setuptools reads from a file",
        files: &[("a/flow.py", ""), ("a/pyproject.toml", "[tool.setuptools.dynamic]\ndependencies = { file = ['requirements/base.txt'] }"), ("a/requirements/base.txt", "-r ../../common.txt"), ("common.txt", "")],
        edits: &["~common.txt"],
        expected: &["a ← common.txt"],
    },
    Case {
        name: "what `code.include` names, also when it is gone",
        files: &[("a/flow.py", ""), ("a/d.deployment.yaml", "name: d\nentrypoint: flow.py:main\ncode:\n  include: [../sql/*.sql]"), ("sql/x.sql", ""), ("sql/y.sql", ""), ("sql/z.txt", "")],
        edits: &["-sql/x.sql", "~sql/z.txt"],
        expected: &["a ← sql/x.sql"],
    },
    Case {
        name: "what an included file imports",
        files: &[("a/flow.py", ""), ("a/d.deployment.yaml", "name: d\nentrypoint: flow.py:main\ncode:\n  include: [/plugins/]"), ("plugins/p.py", "import lib.x"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← plugins/p.py ← lib/x.py"],
    },
    Case {
        name: "what a deployment file in Python reads, or lists",
        files: &[("a/flow.py", ""), ("a/x.deployment.py", "import json\nfrom pathlib import Path\nROOT = Path(__file__).parent.parent\nTIMES = json.loads((ROOT / 'times.json').read_text())"),
                 ("times.json", "{}"), ("b/flow.py", ""),
                 ("b/x.deployment.py", "from pathlib import Path\nfor one in Path(__file__).parent.parent.joinpath('sources').glob('*.sql'):\n    pass"), ("sources/x.sql", "")],
        edits: &["~times.json", "+sources/y.sql"],
        expected: &["a ← times.json", "b ← sources/y.sql"],
    },
    Case {
        name: "declared paths and patterns",
        files: &[("a/flow.py", ""), ("a/d.deployment.yaml", "name: d\nentrypoint: flow.py:main\ndepends_on:\n  - /schemas/**/*.json\n  - ../data\n  - '!../data/old'"),
                 ("schemas/v1/x.json", ""), ("schemas/v1/x.md", ""), ("data/x", ""), ("data/old/y", ""), ("b/flow.py", "")],
        edits: &["~schemas/v1/x.json", "~schemas/v1/x.md", "~data/old/y"],
        expected: &["a ← schemas/v1/x.json"],
    },
    Case {
        name: "what a declared pattern takes back",
        files: &[("a/flow.py", ""), ("a/d.deployment.yaml", "name: d\nentrypoint: flow.py:main\ndepends_on: ['../data', '!../data/old']"), ("data/x", ""), ("data/old/y", "")],
        edits: &["~data/old/y"],
        expected: &[],
    },
    Case {
        name: "what a declared Python file imports",
        files: &[("a/flow.py", ""), ("a/d.deployment.yaml", "name: d\nentrypoint: flow.py:main\ndepends_on: ../tools/run.py"), ("tools/run.py", "import lib.x"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← tools/run.py ← lib/x.py"],
    },
    Case {
        name: "a declared project, with what that needs",
        files: &[("a/flow.py", ""), ("a/d.deployment.yaml", "name: d\nflow_name: a\nentrypoint: flow.py:main\ndepends_on: ../b"),
                 ("b/flow.py", "import lib.x"), ("b/d.deployment.yaml", "name: d\nflow_name: b\nentrypoint: flow.py:main\ndepends_on: /a"),
                 ("c/flow.py", ""), ("c/d.deployment.yaml", "name: d\nflow_name: c\nentrypoint: flow.py:main\ndepends_on: [../a]"), ("lib/x.py", "")],
        edits: &["~lib/x.py"],
        expected: &["a ← b ← lib/x.py", "b ← lib/x.py", "c ← a ← b ← lib/x.py"],
    },
];

#[test]
fn changes_reach_who_needs_the_file() {
    check(CASES);
}

#[test]
fn a_pattern_that_matches_nothing_is_a_fault() {
    let case = Case {
        name: "",
        files: &[
            ("a/flow.py", ""),
            (
                "a/d.deployment.yaml",
                "name: d\nentrypoint: flow.py:main\ndepends_on: [../nothing, ../../out]",
            ),
        ],
        edits: &[],
        expected: &[],
    };
    let tree = Tree::memory(files_of(&case));
    let found = find(&tree, &Scope::default());
    let desired = desired(&tree, &found, &Settings::default());
    let told: Vec<String> = desired
        .diagnostics
        .iter()
        .map(|one| one.message.clone())
        .collect();
    assert_eq!(
        told,
        [
            "`../nothing` in `depends_on` matches no file",
            "the pattern leads out of the repository"
        ]
    );
}

#[test]
fn patterns_for_every_project() {
    let case = Case {
        name: "",
        files: &[("a/flow.py", ""), ("b/flow.py", ""), ("ops/pool.json", "")],
        edits: &["~ops/pool.json"],
        expected: &[],
    };
    let settings = Settings::default();
    assert_eq!(
        reached(&case, &settings, &["ops/*.json"]),
        ["a ← ops/pool.json", "b ← ops/pool.json"]
    );
    assert_eq!(reached(&case, &settings, &["/ops/*.yaml"]), [""; 0]);
}

#[test]
fn shared_folders_are_held_as_a_whole() {
    let settings = Settings {
        shared: vec![RepoPath::new("lib")],
        ..Settings::default()
    };
    let mut case = Case {
        name: "",
        files: &[
            ("a/flow.py", "import lib.x"),
            ("b/flow.py", ""),
            ("lib/x.py", "import lib.y"),
            ("lib/y.py", ""),
            ("lib/words.txt", ""),
        ],
        edits: &["~lib/y.py"],
        expected: &[],
    };
    assert_eq!(reached(&case, &settings, &[]), ["a ← lib/x.py ← lib/y.py"]);
    for edit in ["~lib/words.txt", "-lib/words.txt"] {
        case.edits = if edit.starts_with('~') {
            &["~lib/words.txt"]
        } else {
            &["-lib/words.txt"]
        };
        assert_eq!(
            reached(&case, &settings, &[]),
            ["a ← lib/words.txt"],
            "{edit}"
        );
    }
}

#[test]
fn what_a_dockerfile_copies() {
    let settings = Settings {
        image: Defaults {
            build: true,
            repository: Some("registry.example.org/flows".to_owned()),
            ..Defaults::default()
        },
        ..Settings::default()
    };
    let files: &'static [(&str, &str)] = &[
        ("a/flow.py", ""),
        (
            "a/d.deployment.yaml",
            "name: d\nflow_name: a\nentrypoint: flow.py:main\nimage:\n  dockerfile: ../docker/Dockerfile\n  context: ..",
        ),
        ("b/flow.py", ""),
        (
            "docker/Dockerfile",
            "FROM python:3.12\nCOPY sql/ base*.txt /x/\n",
        ),
        (".dockerignore", "*.md\n**/*.md\n"),
        ("sql/x.sql", ""),
        ("sql/README.md", ""),
        ("base.txt", ""),
    ];
    let cases: [(&'static [&'static str], &[&str]); 6] = [
        (&["~sql/x.sql"], &["a ← docker/Dockerfile ← sql/x.sql"]),
        (
            &["+sql/new/y.sql"],
            &["a ← docker/Dockerfile ← sql/new/y.sql"],
        ),
        (
            &["-base.txt", "+base2.txt"],
            &["a ← docker/Dockerfile ← base.txt"],
        ),
        (&["~docker/Dockerfile"], &["a ← docker/Dockerfile"]),
        (
            &["~.dockerignore"],
            &["a ← docker/Dockerfile ← .dockerignore"],
        ),
        (&["~sql/README.md"], &[]),
    ];
    for (edits, expected) in cases {
        let case = Case {
            name: "",
            files,
            edits,
            expected: &[],
        };
        assert_eq!(reached(&case, &settings, &[]), expected, "{edits:?}");
    }
}

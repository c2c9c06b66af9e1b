//! Any text reads: to a value or a fault whose place is inside of its file, the same twice, and in bounded work.

use super::*;
use crate::discover::{self, Scope};

const FLOW: &str =
    "from prefect import flow\n\n\n@flow\ndef load(day: str = '', limit: int = 1):\n    pass\n";

/// Reads a text as the file of this name, beside a flow, and looks at what must hold for every text.
fn read(name: &str, text: &str) -> Vec<Diagnostic> {
    let files = [(name, text), ("flow.py", FLOW)];
    let files = files.map(|(name, text)| (RepoPath::new(name), text.as_bytes().to_vec()));
    let tree = Tree::memory(files.into());
    let settings = Settings {
        environment: Some("prod".to_owned()),
        work_pool: Some("default".to_owned()),
        run_steps: true,
        ..Settings::default()
    };
    let once = || desired(&tree, &discover::find(&tree, &Scope::default()), &settings);
    let (first, second) = (once(), once());
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "{text:.200}");
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    for diagnostic in &first.diagnostics {
        let place = &diagnostic.place;
        if place.path.as_str() != name || place.line == 0 {
            continue;
        }
        assert!(
            place.line as usize <= lines.len(),
            "{diagnostic:?} of {text:?}"
        );
        assert!(place.column >= 1, "{diagnostic:?}");
    }
    first.diagnostics
}

fn said(diagnostics: &[Diagnostic], part: &str) -> bool {
    diagnostics.iter().any(|one| one.message.contains(part))
}

#[test]
fn work_that_one_step_hides_counts() {
    let texts = "s = 'a' * 1000000 + 'b'\nt = 'a' * 1000000 + 'c'\nd = {}\nk = (t,) * 20000\n";
    let lists = "l = list(range(30000))\nm = list(range(30001))\nt = tuple(l)\nd = {}\n";
    for (set_up, operation) in [
        (texts, "s == t"),
        (texts, "d.get(s)"),
        (texts, "s in d"),
        (texts, "s.startswith(k)"),
        (texts, "'x'.join(k)"),
        (texts, "repr(s)"),
        (texts, "int(s)"),
        (texts, "'a'.translate({97: s}) + s"),
        (lists, "l == m"),
        (lists, "l.index(0)"),
        (lists, "l.remove(0); l.insert(0, 0)"),
        (lists, "d.get(t)"),
        (lists, "str(l)"),
    ] {
        let program = format!(
            "{set_up}for i in range(200000):\n    try: {operation}\n    except ValueError: pass\n"
        );
        let found = read("load.deployment.py", &program);
        assert!(said(&found, "takes too long"), "{operation}: {found:?}");
    }
}

#[test]
fn one_operation_is_bounded() {
    for program in [
        "('a' * 1000000).strip('b' * 1000000 + 'a')\n",
        "'a'.center(1000000, 'x' * 1000000)\n",
        "'x'.join(['y' * 8000000] * 100000)\n",
        "t = ()\nfor i in range(60): t = (t, t)\n{t: 1}\nt == t\nrepr(t)\n",
        "t = ()\nfor i in range(60000): t = (t,)\n{t: 1}\nt == t\nrepr(t)\n",
        "'a'.translate({97: 'x' * 8000000} ) * 100\n",
        "from pathlib import Path\nPath('.').glob('{a,b}' * 100000)\n",
    ] {
        read("load.deployment.py", program);
    }
    let mut classes = "class C: pass\n".to_owned() + &"class C(C): pass\n".repeat(30_000);
    classes.push_str("C().nothing\n");
    read("load.deployment.py", &classes);
    let globals: String = (0..30_000)
        .map(|n| format!("    global a{n}\n    a{n} = 1\n"))
        .collect();
    read("load.deployment.py", &format!("def f():\n{globals}f()\n"));
}

#[test]
fn documents_of_many_keys_and_of_anchored_levels() {
    let keys: String = (0..20_000).map(|n| format!("k{n}: {n}\n")).collect();
    read("prefect.yaml", &keys);
    let pairs: Vec<String> = (0..20_000).map(|n| format!("\"é{n}\": {n}")).collect();
    read("a.deployment.json", &format!("{{{}}}", pairs.join(",")));
    let open: String = (0..60).map(|level| format!("&a{level} [")).collect();
    let levels = format!("a: {open}{}{}", "1, ".repeat(20_000), "]".repeat(60));
    let found = read("prefect.yaml", &levels);
    assert!(said(&found, "more than"), "{found:?}");
}

#[test]
fn a_file_of_many_faults_tells_the_first_of_them() {
    let head = "deployments:\n- name: a\n  entrypoint: flow.py:load\n";
    let keys: String = (0..3_000).map(|n| format!("  k{n}: {n}\n")).collect();
    let parameters: String = (0..3_000).map(|n| format!("    p{n}: {n}\n")).collect();
    let zones: String = (0..3_000)
        .map(|n| format!("  - {{cron: '0 0 * * *', timezone: Europe/B{n}}}\n"))
        .collect();
    for text in [
        format!("{head}{keys}"),
        format!("{head}  parameters:\n{parameters}"),
        format!("{head}  schedules:\n{zones}"),
    ] {
        let found = read("prefect.yaml", &text);
        assert!(
            said(&found, "2000 more faults than the first 1000"),
            "{}",
            found.len()
        );
    }
}

#[test]
fn the_steps_of_all_deployments_are_bounded() {
    let steps: String = (0..2_000)
        .map(|n| format!("- acme.steps.notify: {{id: s{n}}}\n"))
        .collect();
    let deployments: String = (0..200)
        .map(|n| format!("- {{name: d{n}, entrypoint: flow.py:load}}\n"))
        .collect();
    let text = format!("build:\n{steps}pull:\n{steps}deployments:\n{deployments}");
    let found = read("prefect.yaml", &text);
    assert!(
        said(&found, "the steps of all deployments together"),
        "{found:?}"
    );
}

#[test]
fn every_text_that_once_failed_reads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fuzz");
    let mut read_any = false;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read(&path).expect("readable");
        let text = String::from_utf8_lossy(&text);
        for name in [
            "load.deployment.py",
            "prefect.yaml",
            "load.deployment.yaml",
            "load.deployment.toml",
            "load.deployment.json",
        ] {
            read(name, &text);
            read_any = true;
        }
    }
    assert!(read_any);
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }
}

/// A template with each `E` replaced by an expression, `N` by a name, and `B` by an indented block.
fn grown(dice: &mut Dice, template: &str, depth: usize, indent: usize) -> String {
    let mut text = String::new();
    for one in template.chars() {
        match one {
            'E' => text += &expression(dice, depth),
            'N' => text += dice.of(&["a", "b", "c", "load", "os", "é"]),
            'B' => text += &block(dice, depth, indent + 1),
            one => text.push(one),
        }
    }
    text
}

fn expression(dice: &mut Dice, depth: usize) -> String {
    const LEAVES: &[&str] = &[
        "N",
        "N",
        "1",
        "0",
        "-1",
        "10 ** 30",
        "1e308",
        "'x'",
        "'é😀'",
        "''",
        "b'x'",
        "None",
        "True",
        "[]",
        "{}",
        "()",
        "...",
        "__file__",
        "os.environ",
        "range(10 ** 12)",
        "'x' * 10 ** 9",
        "[[]] * 9",
    ];
    const INNER: &[&str] = &[
        "(E + E)",
        "(E * E)",
        "(E ** E)",
        "(E % E)",
        "(E << E)",
        "(E // E)",
        "(E / E)",
        "(-E)",
        "(not E)",
        "(E if E else E)",
        "(E and E)",
        "(E < E)",
        "(E == E)",
        "(E in E)",
        "(E is E)",
        "[E, E]",
        "(E, E)",
        "{E}",
        "{E: E}",
        "{**E}",
        "[*E]",
        "[E for N in E]",
        "{E: E for N in E if E}",
        "{E for N in E}",
        "(E for N in E)",
        "(lambda N: E)",
        "(lambda *N: E)(E)",
        "E[E]",
        "E[E:E:E]",
        "E.N",
        "E.format(E)",
        "E.join(E)",
        "E.split(E)",
        "E.replace(E, E)",
        "E.strip(E)",
        "E.get(E)",
        "E.items()",
        "E.append(E)",
        "E.pop()",
        "f'{E}'",
        "f'{E!r:>{E}}'",
        "('%s' % E)",
        "'{0[0]}'.format(E)",
        "len(E)",
        "str(E)",
        "sorted(E)",
        "list(E)",
        "dict(E)",
        "set(E)",
        "sum(E)",
        "min(E, E)",
        "zip(E, E)",
        "map(E, E)",
        "int(E)",
        "isinstance(E, E)",
        "getattr(E, E)",
        "N(E)",
        "N(*E, **E)",
        "(N := E)",
        "load.deploy(E, work_pool_name=E, parameters=E)",
        "load.to_deployment(E, cron=E)",
    ];
    let leaf = depth == 0 || dice.below(3) == 0;
    let template = dice.of(if leaf { LEAVES } else { INNER });
    grown(dice, template, depth.saturating_sub(1), 0)
}

fn block(dice: &mut Dice, depth: usize, indent: usize) -> String {
    const SIMPLE: &[&str] = &[
        "N = E",
        "N = E",
        "N += E",
        "N, *N = E",
        "E",
        "E",
        "N[E] = E",
        "N.N = E",
        "del N",
        "assert E",
        "raise E",
        "import N",
        "from flow import load",
        "return E",
        "yield E",
        "break",
        "continue",
        "pass",
        "global N",
        "N: E = E",
    ];
    const BLOCKS: &[&str] = &[
        "if E:B",
        "for N in E:B",
        "while E:B",
        "def N(N=E):B",
        "def N(*a, **b):B",
        "class N:B",
        "class N(N):B",
        "with E as N:B",
        "try:BI except E:B",
        "match E:\n IB",
    ];
    let mut text = "\n".to_owned();
    for _ in 0..=dice.below(4) {
        let template = if depth == 0 || dice.below(2) == 0 {
            dice.of(SIMPLE)
        } else {
            dice.of(BLOCKS)
        };
        let pad = " ".repeat(indent);
        let statement = grown(dice, template, depth.saturating_sub(1), indent);
        text += &format!("{pad}{}\n", statement.replace("I ", &pad));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[test]
fn programs_of_any_pieces_read() {
    let (mut ran, mut invalid) = (0, 0);
    for seed in 1..=400_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let program = format!("import os\nfrom flow import load{}", block(&mut dice, 3, 0));
        let found = read("load.deployment.py", &program);
        if said(&found, "not valid Python") {
            invalid += 1;
        } else {
            ran += 1;
        }
    }
    assert!(ran > invalid, "most of them are programs: {ran} of 400");
}

#[test]
fn documents_of_any_pieces_read() {
    const PIECES: &[&str] = &[
        "deployments:\n",
        "- ",
        "  ",
        "name: ",
        "entrypoint: flow.py:load\n",
        "a",
        ": ",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "<<: *a\n",
        "!!str ",
        "? ",
        "| \n",
        "> \n",
        "'",
        "\"",
        "\\",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\u{feff}",
        "\0",
        "é",
        "😀",
        "\u{85}",
        "\u{2028}",
        "schedules:\n",
        "cron: '0 0 * * *'\n",
        "interval: 1e400\n",
        "{{ ",
        " }}",
        "$A",
        "work_pool: {name: p}\n",
        "triggers:\n",
        "- enabled: 1\n",
        "parameters: {limit: x}\n",
        "1:10",
        "0x1",
        "~",
        "= ",
        "[[deployments]]\n",
        "1979-05-27",
        "environments: {prod: {tags: 1}}\n",
        "build:\n- prefect.deployments.steps.run_shell_script: {id: a}\n",
    ];
    for seed in 1..=1_500_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let count = 1 + dice.below(40);
        let text: String = (0..count).map(|_| dice.of(PIECES)).collect();
        for name in [
            "prefect.yaml",
            "a.deployment.yaml",
            "a.deployment.toml",
            "a.deployment.json",
        ] {
            read(name, &text);
        }
    }
}

#[test]
fn why_a_file_cannot_be_read_is_told_without_its_path() {
    let file = |path: &str, bytes: &[u8]| (RepoPath::new(path), bytes.to_vec());
    let tree = Tree::memory([file("a.yaml", b"x: \xff"), file("b.yaml", b"x")].into());
    let why = |path| super::text(&RepoPath::new(path), &tree).map_err(|unread| unread.why);
    assert_eq!(why("a.yaml"), Err("not UTF-8 text".to_owned()));
    assert_eq!(why("b.yaml"), Ok("x".to_owned()));
    let absent = "cannot be read: it is not there or is ignored";
    assert_eq!(why("c.yaml"), Err(absent.to_owned()));
}

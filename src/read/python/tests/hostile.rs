//! Sources that are meant to break a reader.

use super::fixture;
use crate::model::Dialect;
use crate::read::python::Module;

/// Reads all that there is to read, on a small stack.
fn read_everything(source: String) {
    let read = move || {
        if let Ok(module) = Module::parse(&source) {
            for (function, _) in module.flows() {
                // A fault is as good as a flow here.
                let _ = module.flow(&function, Dialect::Prefect3);
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
        "{1, 'a', 2.5, None, 3, 'b', 0, True, 7, 9, -1, 'c', 2, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15}",
        "sorted([2 ** 53, 2.0 ** 53, 2 ** 53 + 1] * 20)",
        "sorted([1e400 - 1e400, 2, 1, 3] * 20)",
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

//! How long inputs take that were made to take long: files of 256 KiB, 512 KiB and 1 MiB of many kinds.
//!
//! `cargo bench --bench hostile` prints a table; arguments after `--` pick the kinds whose names hold one of them. What
//! grows faster than its input shows as a factor above 2 in the last column.

#![expect(clippy::print_stdout, reason = "a table is what it gives")]

use std::time::{Duration, Instant};

use flowyard::model::{Desired, Dialect};

#[path = "hostile/documents.rs"]
mod documents;
#[path = "hostile/python.rs"]
mod python;
#[path = "../tests/fuzz/reading.rs"]
#[expect(dead_code, unreachable_pub, reason = "only the reading is measured")]
mod reading;

/// Lengths of the inputs, in bytes.
const LENGTHS: [usize; 3] = [256 << 10, 512 << 10, 1 << 20];

/// What every input has to be read in.
const BOUND: Duration = Duration::from_secs(1);

/// A kind of input: its name, the file that it is read as, and a text of about so many bytes.
type Kind = (&'static str, &'static str, fn(usize) -> String);

/// The file of the flow, which is read for the deployment beside it.
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
    for (name, file, make) in documents::KINDS.iter().chain(python::KINDS) {
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

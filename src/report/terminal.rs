//! Reports for people at a terminal or in a log, with ANSI colours that the caller strips where they are not wanted.

mod list;
mod outcomes;
mod plan;
mod status;

use std::io::{self, Write};

use super::{style, value};

pub use list::list;
pub use outcomes::outcomes;
pub use plan::plan;
pub use status::status;

/// How wide a column becomes at the most; a longer cell shifts its own line.
const WIDEST: usize = 48;

/// Writes cells in columns, then the schedules, each below the other in the last column.
fn row<const N: usize>(
    cells: &[String; N],
    widths: &[usize; N],
    schedules: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut line = String::from("  ");
    for (cell, width) in cells.iter().zip(widths) {
        line += &value::pad(cell, *width);
        line += "  ";
    }
    let below = " ".repeat(value::width(&line));
    match schedules {
        [] => writeln!(out, "{line}{}", style::paint(style::DIM, "not scheduled"))?,
        [first, rest @ ..] => {
            writeln!(out, "{line}{first}")?;
            for schedule in rest {
                writeln!(out, "{below}{schedule}")?;
            }
        }
    }
    Ok(())
}

//! The colours of the terminal: one per meaning, so that each is readable without them too.

use std::fmt::Display;

use anstyle::{AnsiColor, Effects, Style};

/// What is made, and what went well.
pub(super) const CREATE: Style = AnsiColor::Green.on_default();
/// What changes.
pub(super) const UPDATE: Style = AnsiColor::Yellow.on_default();
/// What goes away.
pub(super) const REMOVE: Style = AnsiColor::Red.on_default();
/// What someone else did.
pub(super) const DRIFT: Style = AnsiColor::Magenta.on_default();
/// Errors and failures.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
/// Warnings.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
/// What to do about it.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
/// Headings.
pub(super) const BOLD: Style = Style::new().effects(Effects::BOLD);
/// What is there for completeness.
pub(super) const DIM: Style = Style::new().effects(Effects::DIMMED);

/// `text` in a style, without a trace of it after.
pub(super) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

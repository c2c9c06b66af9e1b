//! The `flowyard` command.

fn main() {}

//! What flowyard tells GitHub: through the runner of its Actions, and through its API.

mod escaping;
mod runner;

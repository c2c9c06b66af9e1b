//! What flowyard tells GitHub: through the runner of its Actions, and through its API.

mod api;
mod double;
mod escaping;
mod gather;
mod hostile;
mod job;
mod pages;
mod runner;
mod secrets;

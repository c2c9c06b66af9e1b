//! flowyard: a GitOps deploy runner for data-flow monorepos.
//!
//! This page is the architecture; the README is for those who use the command. The binary is thin: everything is here,
//! and [`run::run`] reads as the list of what a command does.
//!
//! # The pipeline
//!
//! ```text
//! discover ─▶ read ─▶ observe ─▶ plan ─▶ apply ─▶ report
//! ```
//!
//! | stage | takes | gives | touches |
//! |---|---|---|---|
//! | [`discover`] | a root, or a revision | a [`Tree`](discover::Tree) and the projects in it | files, git |
//! | [`read`] | a tree and its projects | [`Desired`](model::Desired): what git declares, with every fault | files, git |
//! | [`observe`] | the backends | [`Observed`](observe::Observed): what is live, what was last applied, which releases are complete | services, reading |
//! | [`plan`] | these three sides | a [`Plan`](plan::Plan) | nothing at all |
//! | [`apply`] | a plan | an [`Outcome`](apply::Outcome) for each of its items | services, writing |
//! | [`report`] | a plan, its outcomes | text, Markdown, JSON | nothing; the caller prints |
//!
//! A dry run is not calling [`apply`]; no client has a flag for it.
//!
//! # The floors
//!
//! [`model`], [`error`], [`cli`] and `process` import nothing of the crate. [`backend`] holds the traits at the seams
//! ([`Store`](backend::Store), [`Orchestrator`](backend::Orchestrator), [`Images`](backend::Images), and
//! [`Host`](backend::Host), which decides nothing) and one folder for each vendor, which know the
//! seams and the model, not each other. [`config`] is the only reader of the environment, [`connect`] the only place
//! that names vendors, [`state`] what we keep for ourselves in the store, [`sandbox`] the only place that runs Python
//! of the repository, and only where a flag asks for it, [`scaffold`] the files that people begin with. Stages take plain arguments, never the configuration.
//! `tests/it/tidy.rs` holds all of this.
//!
//! # What always holds
//!
//! 1. Planning runs none of the repository's code: Python is parsed, never imported.
//! 2. What did not change is not touched: a deploy without changes sends no write.
//! 3. Code first, registration last: a release is written below its own digest, its manifest last, and only then is a
//!    deployment registered that needs it.
//! 4. Git owns what git declares, field by field; what no file declares is left as it is.
//! 5. Nothing is removed unless asked for, marked as ours, and everything could be read.
//! 6. Every file is read, and all faults are reported together.
//! 7. What counts is content, not the history of events.
//! 8. A value that came from the environment is never shown and never remembered.
//! 9. stdout is data, stderr is for people.
//! 10. Same input, same bytes.

pub mod apply;
pub mod backend;
pub mod cli;
pub mod config;
pub mod connect;
pub mod discover;
pub mod error;
pub mod model;
pub mod observe;
pub mod plan;
mod process;
pub mod read;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod scaffold;
pub mod state;

//! The `flowyard` command: parse, run, print the failure, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use flowyard::backend;
use flowyard::cli::Cli;
use flowyard::error::Failure;
use flowyard::report::actions::Guard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A plan of thousands of deployments makes millions of small texts: with this allocator it takes a fifth less time than
/// with that of the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::read();
    log(flowyard::run::verbosity(&cli));
    // One thread for all requests: handing each of thousands of small ones from thread to thread costs more than sending
    // it. What needs processors (reading, hashing, parsing) has threads of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::Error::new(error).context("start the asynchronous runtime");
            return end(&Failure::Usage(error));
        }
    };
    match runtime.block_on(flowyard::run::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure),
    }
}

/// Says why the command did not do all that it was asked to.
fn end(failure: &Failure) -> ExitCode {
    let bold = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    // What it names may be a stranger's, and a CI runner reads along.
    let mut err = Guard(anstream::stderr().lock());
    // Where stderr is gone there is nobody to tell.
    let _ = match failure {
        Failure::Changes => Ok(()),
        _ => err.write_all(format!("{bold}error{bold:#}: {failure}\n").as_bytes()),
    };
    if let Some(hint) = hint(failure) {
        let _ = err.write_all(format!("  hint: {hint}\n").as_bytes());
    }
    ExitCode::from(failure.exit_code())
}

/// What to do about it, where a service told.
fn hint(failure: &Failure) -> Option<&str> {
    let error = match failure {
        Failure::Usage(error) | Failure::Unreachable(error) => error,
        Failure::Stale { .. } => return Some("plan again, and look at what is different now"),
        _ => return None,
    };
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<backend::Error>()?.hint.as_deref())
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("FLOWYARD_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Guard(anstream::stderr()))
        .with_target(false)
        .without_time()
        .init();
}

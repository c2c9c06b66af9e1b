//! The command line, and nothing else.

use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Uploads in flight where nothing is said.
const JOBS: u16 = 32;

/// Plan and deploy the data flows of a monorepo.
///
/// flowyard finds the deployment files of every project folder, shows what a deploy would change, uploads the code and
/// registers the deployments with Prefect. Planning runs none of the repository's code.
#[derive(Debug, Parser)]
#[command(
    name = "flowyard",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

impl Cli {
    /// Reads the command line. What is wrong with it is said, and ends the process with 2.
    ///
    /// A variable that is empty is as good as none: that is what a workflow hands on of a setting that nobody made.
    pub fn read() -> Self {
        let mut cli = Self::parse();
        let global = &mut cli.global;
        let is_empty = |name: &str| std::env::var_os(name).is_some_and(|value| value.is_empty());
        if is_empty("FLOWYARD_ROOT") && global.root.as_deref() == Some(Path::new("")) {
            global.root = None;
        }
        if is_empty("FLOWYARD_ENV") && global.env.as_deref() == Some("") {
            global.env = None;
        }
        cli
    }
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The repository's root [default: the git repository around the current folder]
    #[arg(long, global = true, value_name = "FOLDER", env = "FLOWYARD_ROOT", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub root: Option<PathBuf>,
    /// The environment whose overlays count
    #[arg(long, global = true, value_name = "NAME", env = "FLOWYARD_ENV")]
    pub env: Option<String>,
    /// Use the embedded default for everything: storage and registrations as files below `.flowyard/`
    #[arg(long, global = true, env = "FLOWYARD_LOCAL", value_parser = switch)]
    pub local: bool,
    /// Let steps of prefect.yaml files through that flowyard does not know; `deploy` runs them in Prefect's own Python
    #[arg(long, global = true, env = "FLOWYARD_RUN_STEPS", value_parser = switch)]
    pub run_steps: bool,
    /// Run the `.deployment.py` files that reading alone cannot decide, in environments of their own and registering
    /// nothing; without it no Python of the repository is run
    #[arg(long, global = true, env = "FLOWYARD_RUN_PYTHON", value_parser = switch)]
    pub run_python: bool,
    /// How to print the result
    #[arg(long, global = true, value_enum, default_value_t = Format::Terminal)]
    pub format: Format,
    /// Also show what stays as it is; twice: what is done inside
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How to print the result; on stdout, while progress and logs go to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Terminal,
    /// One versioned document.
    Json,
    /// For a comment or a summary.
    Markdown,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the projects and deployments found, with their requirements
    List(Narrow),
    /// Read everything and report every fault; no network
    Check(Narrow),
    /// Show what a deploy would change; changes nothing
    Plan(Plan),
    /// Upload the code that is missing, and register what differs
    Deploy(Deploy),
    /// Write what `.deployment.py` and `prefect.yaml` files declare as `.deployment.yaml` beside them
    Convert(Convert),
    /// Report what the shards of a saved plan did as one deploy
    Gather(Gather),
    /// Show what is registered for this repository and environment
    Status,
    /// Remove all that is registered for this repository and environment; needs no deployment files
    Destroy(Destroy),
    /// Write flowyard.toml and the workflows for the repository that is found; overwrites nothing
    Init(Init),
    /// Make a project from a template; overwrites nothing
    New(New),
    /// Print a shell's completion script
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Which part of the repository is meant; all of it without any.
#[derive(Clone, Debug, Default, Args)]
pub struct Narrow {
    /// Only projects whose path matches; may be given more than once
    #[arg(long = "project", value_name = "GLOB")]
    pub projects: Vec<String>,
    /// Only projects that a change since this revision reaches; `auto` takes the one that is deployed, or for a pull
    /// request, a merge queue and where no server is asked the one that the event of a GitHub Actions run is about
    #[arg(long, value_name = "REF")]
    pub since: Option<String>,
}

/// What is told on GitHub; a job's summary, annotations and outputs come by themselves.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Tell {
    /// Keep a comment on the pull request up to date with the result; in a job of GitHub Actions
    #[arg(long)]
    pub comment: bool,
    /// Show the result as the commit status `flowyard/COMMAND (ENV)`; in a job of GitHub Actions
    #[arg(long)]
    pub commit_status: bool,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Which part.
    #[command(flatten)]
    pub narrow: Narrow,
    /// What is told on GitHub.
    #[command(flatten)]
    pub tell: Tell,
    /// Keep an issue open as long as there are changes, as when someone changes what is registered by hand; in a job of
    /// GitHub Actions
    #[arg(long, conflicts_with_all = ["against", "projects", "since"])]
    pub drift_issue: bool,
    /// Compare with what this revision declares instead of what is live; needs no server and no credentials; `auto` takes
    /// the one that the event of a GitHub Actions run is about
    #[arg(long, value_name = "REF", conflicts_with_all = ["out", "prune"])]
    pub against: Option<String>,
    /// Save the plan, for `deploy --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Part the saved plan into so many shards at the most, for `deploy --shard` on several machines at once
    #[arg(long, value_name = "N", requires = "out", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// Also plan the removal of what is registered as ours and declared nowhere
    #[arg(long)]
    pub prune: bool,
    /// Exit with 5 when there are changes
    #[arg(long)]
    pub check: bool,
    /// Leave out faulty projects instead of refusing to go on
    #[arg(long, conflicts_with_all = ["out", "prune"])]
    pub keep_going: bool,
}

/// Options of `deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// Which part.
    #[command(flatten)]
    pub narrow: Narrow,
    /// What is told on GitHub.
    #[command(flatten)]
    pub tell: Tell,
    /// Show the deploy among the repository's deployments, with how it went; in a job of GitHub Actions
    #[arg(long)]
    pub github_deployment: bool,
    /// Do just what this saved plan says; refused when anything has moved since
    #[arg(long, value_name = "FILE", conflicts_with_all = ["projects", "since", "prune", "keep_going"])]
    pub plan: Option<PathBuf>,
    /// Do only this shard of the saved plan, such as 2/3; `gather` tells what came of all of them
    #[arg(long, value_name = "I/N", requires = "plan", conflicts_with_all = ["comment", "commit_status", "github_deployment"])]
    pub shard: Option<String>,
    /// Save what came of it, for `gather`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Remove what is registered as ours and declared nowhere
    #[arg(long)]
    pub prune: bool,
    /// Leave out faulty projects and deploy the others; never removes anything
    #[arg(long, conflicts_with = "prune")]
    pub keep_going: bool,
    /// Uploads in flight at the most
    #[arg(long, value_name = "N", default_value_t = JOBS, env = "FLOWYARD_JOBS", value_parser = jobs)]
    pub jobs: u16,
}

/// Options of `gather`.
#[derive(Debug, Args)]
pub struct Gather {
    /// The saved plan
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// What `deploy --out` has saved, one file for each shard
    #[arg(value_name = "OUTCOME")]
    pub outcomes: Vec<PathBuf>,
    /// What is told on GitHub.
    #[command(flatten)]
    pub tell: Tell,
    /// Show the deploy among the repository's deployments, with how it went; in a job of GitHub Actions
    #[arg(long)]
    pub github_deployment: bool,
}

/// Options of `destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// What is told on GitHub.
    #[command(flatten)]
    pub tell: Tell,
    /// Show what would be removed; changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also where the environment is not declared as a preview
    #[arg(long)]
    pub yes: bool,
}

/// Options of `convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// Which part.
    #[command(flatten)]
    pub narrow: Narrow,
    /// Also delete the files that were converted; without it they stay, and declare the same deployments twice
    #[arg(long)]
    pub replace: bool,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `new`.
#[derive(Debug, Args)]
pub struct New {
    /// The new project's folder
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// A folder as cookiecutter takes it, instead of the built-in template; its hooks are not run
    #[arg(long, value_name = "FOLDER")]
    pub template: Option<PathBuf>,
    /// The value of a variable of the template; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Whether the variable of a switch turns it on; none that is empty does.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "no" | "off" => Ok(false),
        "1" | "true" | "yes" | "on" => Ok(true),
        _ => Err("write true or false"),
    }
}

/// A number of uploads. An empty variable is as good as none, as elsewhere.
fn jobs(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        _ if text.is_empty() => Ok(JOBS),
        Ok(jobs @ 1..=512) => Ok(jobs),
        _ => Err("write a number from 1 to 512"),
    }
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

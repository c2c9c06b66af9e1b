//! The pipeline of each command, readable aloud.

mod against;
mod build_log;
mod comparison;
mod configured;
mod convert;
mod deploy;
mod destroy;
mod gather;
mod github;
mod init;
mod interrupt;
mod narrow;
mod new;
mod out;
mod plan;
mod python;
mod revision;
mod saved;
mod show;
mod status;
mod steps;
mod write;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::Context as _;

use crate::cli::{self, Cli, Command, Global};
use crate::config::{self, Config, Environment, Terraform};
use crate::connect::{self, Backends};
use crate::discover::{self, Found, Git, Root, Scope, Tree};
use crate::error::Failure;
use crate::model::{Captured, Desired, Diagnostic, Dialect, Outputs, RepoPath, Secrets};
use crate::read;
use crate::report::{self, progress};
use configured::{configured, read_beside, read_of};
use github::Wishes;
use narrow::Narrow;
use revision::Auto;

/// Runs a command to its end.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    if let Command::Completions { shell } = cli.command {
        show::completions(shell)?;
        return Ok(());
    }
    let wishes = Wishes::of(&cli.command);
    let run = match Run::open(cli.global.clone()) {
        Ok(run) => run,
        Err(failure) => return github::unopened(cli.global, wishes, failure).await,
    };
    let result = match cli.command {
        Command::Completions { .. } => return Ok(()),
        Command::List(narrow) => list(&run, &narrow).await,
        Command::Check(narrow) => check(&run, &narrow).await,
        Command::Plan(options) => plan::plan(&run, &options, wishes).await,
        Command::Deploy(options) => deploy::deploy(&run, &options, wishes).await,
        Command::Convert(options) => convert::convert(&run, &options).await,
        Command::Gather(options) => gather::gather(&run, &options, wishes).await,
        Command::Status => status::status(&run).await,
        Command::Destroy(options) => destroy::destroy(&run, &options, wishes).await,
        Command::Init(options) => init::init(&run, &options),
        Command::New(options) => new::new(&run, &options),
    };
    github::end(&run, wishes.command, result)
}

/// How much a command is to tell of what it does inside: 0 to 2.
pub fn verbosity(cli: &Cli) -> u8 {
    if config::is_debugged(&config::environment()) {
        return 2;
    }
    cli.global.verbose
}

/// Shows what is found.
async fn list(run: &Run, narrow: &cli::Narrow) -> Result<(), Failure> {
    let desired = run.declared(narrow).await?;
    show::list(&desired, run)?;
    faulty(run, &desired.diagnostics)
}

/// Shows what is wrong.
async fn check(run: &Run, narrow: &cli::Narrow) -> Result<(), Failure> {
    let desired = run.declared(narrow).await?;
    show::check(&desired, run)?;
    github::annotate(run, &desired.diagnostics);
    github::faulty(run, &desired, &desired.diagnostics);
    refuse_errors(&desired.diagnostics)
}

/// What every command starts from.
struct Run {
    global: Global,
    root: Root,
    git: Option<Git>,
    process: Environment,
    config: Config,
    /// What the files of Terraform's outputs say.
    terraform: Terraform,
    /// What steps of `prefect.yaml` files gave that this run has run.
    outputs: OnceLock<Outputs>,
    /// The major release of the server, once it was asked.
    dialect: OnceLock<Dialect>,
    /// What the Python files registered that this run has run.
    captured: OnceLock<BTreeMap<RepoPath, Captured>>,
    /// What nobody may read, as far as it was used.
    secrets: Arc<Mutex<Secrets>>,
    /// What hides it from a runner's log.
    masks: Arc<github::Masks>,
    /// Whether faults were annotated for a runner; only the first are.
    annotated: AtomicBool,
    /// Whether there is a report in a step's summary.
    summed_up: AtomicBool,
}

impl Run {
    fn open(global: Global) -> Result<Self, Failure> {
        let root = root(&global)?;
        let git = Git::open(root.path())?;
        let mut process = config::environment();
        let (config, terraform) = match &root {
            Root::Work(path) => configured(&global, &mut process, &|name| read_beside(path, name))?,
            Root::Bare(path) => {
                let tree = Tree::revision(path, "HEAD", &RepoPath::root())?;
                configured(&global, &mut process, &|name| read_of(&tree, name))?
            }
        };
        Ok(Self::with(global, root, git, process, config, terraform))
    }

    /// A run whose configuration is what the environment says alone: to tell why there is no other.
    fn unconfigured(global: Global) -> anyhow::Result<Self> {
        let root = root(&global)?;
        let git = Git::open(root.path()).ok().flatten();
        let process = config::environment();
        let text = read_beside(root.path(), config::FILE).ok().flatten();
        let config = Config::without_file(&global, &process, text.as_deref())?;
        let terraform = Terraform::default();
        Ok(Self::with(global, root, git, process, config, terraform))
    }

    fn with(
        global: Global,
        root: Root,
        git: Option<Git>,
        process: Environment,
        config: Config,
        terraform: Terraform,
    ) -> Self {
        let run = Self {
            global,
            root,
            git,
            process,
            config,
            terraform,
            outputs: OnceLock::new(),
            dialect: OnceLock::new(),
            captured: OnceLock::new(),
            secrets: Arc::default(),
            masks: Arc::default(),
            annotated: AtomicBool::new(false),
            summed_up: AtomicBool::new(false),
        };
        github::hide(&run, run.config.secrets());
        run
    }

    /// Makes the backends, and asks the orchestrator for its major release: what files may say depends on it. Faults of
    /// files are told before a server that cannot be reached, so a caller may read first and look at the result then.
    async fn connect(&self) -> Result<Backends, Failure> {
        let backends = connect::backends(&self.config, self.path(), &github::hiding(self))?;
        let waiting = progress::spinner(&format!("asking {}", backends.orchestrator.subject()));
        let dialect = backends.orchestrator.dialect().await;
        drop(waiting);
        let dialect = dialect
            .context("read what is registered")
            .map_err(Failure::Unreachable)?;
        self.dialect.get_or_init(|| dialect);
        Ok(backends)
    }

    /// The release that files are read for: the server's, or the configured one where no server is asked.
    fn dialect(&self) -> Dialect {
        let configured = || connect::dialect(&self.config);
        self.dialect.get().copied().unwrap_or_else(configured)
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// The tree that is meant by default: the work tree, or a bare repository's HEAD.
    fn tree(&self) -> anyhow::Result<Tree> {
        match &self.root {
            Root::Work(path) => Tree::work(path),
            Root::Bare(path) => Tree::revision(path, "HEAD", &RepoPath::root()),
        }
    }

    /// The same without files of ours that lie in it: where the root is a project, a saved plan would count as its code.
    fn tree_without(&self, ours: &[Option<&Path>]) -> anyhow::Result<Tree> {
        let tree = self.tree()?;
        if tree.commit().is_some() {
            return Ok(tree);
        }
        let ours = ours.iter().flatten().filter_map(|path| {
            let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            let below = folder.join(path.file_name()?);
            let below = below.strip_prefix(self.path().canonicalize().ok()?).ok()?;
            Some(RepoPath::new(below.to_str()?.replace('\\', "/")))
        });
        Ok(tree.edited(&ours.collect(), BTreeMap::new()))
    }

    /// What the default tree declares, narrowed, without need of the process's environment.
    async fn declared(&self, narrow: &cli::Narrow) -> Result<Desired, Failure> {
        let narrow = Narrow::of(narrow, self, Auto::Event)?;
        self.read_narrowed(&self.tree()?, &narrow, true).await
    }

    /// Reads and narrows the default tree. With `--run-python` the files in scope that reading cannot decide are run,
    /// once; what they registered counts from then on.
    async fn read_narrowed(
        &self,
        tree: &Tree,
        narrow: &Narrow,
        offline: bool,
    ) -> Result<Desired, Failure> {
        let read = || {
            let desired = self.read(tree, &self.config, offline)?;
            narrow::apply(desired, narrow, self, tree)
        };
        let desired = read()?;
        // Only a work tree has files that can be run.
        if !self.global.run_python || self.captured.get().is_some() || tree.commit().is_some() {
            return Ok(desired);
        }
        match python::capture(self, &desired).await? {
            None => Ok(desired),
            Some(captured) => {
                self.captured.get_or_init(|| captured);
                Ok(read()?)
            }
        }
    }

    /// Discovers and reads a tree. `offline` leaves `{{ $VAR }}` as it is.
    fn read(&self, tree: &Tree, config: &Config, offline: bool) -> anyhow::Result<Desired> {
        let found = found(tree, config)?;
        let desired = read::desired(tree, &found, &self.settings(tree, config, offline)?);
        if !offline {
            github::hide_used(self, &desired);
        }
        Ok(desired)
    }

    /// What reading a tree depends on.
    fn settings(
        &self,
        tree: &Tree,
        config: &Config,
        offline: bool,
    ) -> anyhow::Result<read::Settings> {
        let named = self.global.env.is_some();
        Ok(read::Settings {
            environment: named.then(|| config.environment.clone()),
            environments: config.environments.clone(),
            preview: config.preview,
            values: self.template_values(config, offline)?,
            work_pool: config.prefect.work_pool.clone(),
            work_queue: config.prefect.work_queue.clone(),
            variables: variables(config),
            shared: shared(config),
            dialect: self.dialect(),
            run_steps: self.global.run_steps,
            outputs: self.outputs.get().cloned().unwrap_or_default(),
            captured: match tree.commit() {
                Some(_) => BTreeMap::new(),
                None => self.captured.get().cloned().unwrap_or_default(),
            },
            image: image_defaults(config),
            storage_prefix: connect::storage_prefix(config)?,
            python: self.python(config),
        })
    }

    /// What `.deployment.py` files may know: the variables that the configuration allows, also where no secret is
    /// needed, because they decide what there is to deploy.
    fn python(&self, config: &Config) -> read::Python {
        let name = self.path().file_name().and_then(|name| name.to_str());
        read::Python {
            root_name: name
                .unwrap_or("repository")
                .trim_end_matches(".git")
                .to_owned(),
            environment: config
                .python
                .environment
                .iter()
                .map(|name| (name.clone(), self.process.get(name).cloned()))
                .collect(),
        }
    }

    /// What templates can name. What they say of git is the run's own, whichever revision is read: between two revisions
    /// it is what they declare that differs. `offline` leaves a branch that nobody knows as it is.
    fn template_values(
        &self,
        config: &Config,
        offline: bool,
    ) -> anyhow::Result<read::template::Values> {
        let mut values = read::template::Values {
            environment: (!offline).then(|| self.process.clone()),
            ..read::template::Values::default()
        };
        for (name, value) in &config.vars {
            values.know(format!("flowyard.vars.{name}"), value.clone());
        }
        for (name, value) in self.terraform.values() {
            values.know(format!("flowyard.terraform.{name}"), value.clone());
        }
        for (name, why) in self.terraform.withheld() {
            let message = format!("Terraform's output `{name}` {why}, so no template can name it");
            values.withhold(format!("flowyard.terraform.{name}"), &message, why.hint());
        }
        values.know("flowyard.env", config.environment.clone());
        let unknown =
            |values: &mut read::template::Values, names: &[&str], why: &str, hint: &str| {
                for name in names {
                    let name = format!("flowyard.git.{name}");
                    let message = format!("`{name}` is not known: {why}");
                    values.withhold(name, &message, hint);
                }
            };
        let all = ["sha", "short_sha", "branch"];
        let Some(git) = &self.git else {
            let why = "this is no git repository";
            let hint = "give the value by a variable, such as {{ $VERSION }}";
            unknown(&mut values, &all, why, hint);
            return Ok(values);
        };
        let Some(head) = git.head()? else {
            unknown(&mut values, &all, "there is no commit yet", "commit first");
            return Ok(values);
        };
        values.know("flowyard.git.short_sha", head.short());
        values.know("flowyard.git.sha", head.sha.clone());
        match head.branch.as_ref().or(config.branch.as_ref()) {
            Some(branch) => values.know("flowyard.git.branch", branch.clone()),
            None if offline => values.know("flowyard.git.branch", "{{ flowyard.git.branch }}"),
            None => unknown(
                &mut values,
                &["branch"],
                "a commit is checked out by itself",
                "check out a branch, or give the value by a variable, such as {{ $BRANCH }}",
            ),
        }
        Ok(values)
    }

    /// Our mark: what the configuration says, else the origin's `owner/name`, else the root folder's name.
    fn repository(&self) -> String {
        let origin = || self.git.as_ref().and_then(Git::origin);
        let folder = || {
            self.path()
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        self.config
            .repository
            .clone()
            .or_else(origin)
            .or_else(folder)
            .unwrap_or_else(|| "root".to_owned())
    }

    /// The root as a path in the git repository, in which there may be others; the root path outside of one.
    fn root_in_git(&self) -> RepoPath {
        let git = self.git.as_ref();
        git.map_or_else(RepoPath::root, |git| git.prefix().clone())
    }

    /// Whether another run may find projects that this one cannot: what is not seen is not gone.
    fn hides(&self) -> bool {
        self.config.projects.narrowed_by().is_some()
    }

    fn plan_options(&self, prune: bool, hides: bool) -> crate::plan::Options {
        crate::plan::Options {
            repository: self.repository(),
            environment: self.config.environment.clone(),
            takes_over: self.config.takes_over.clone(),
            root: self.root_in_git(),
            prune,
            hides,
            images: BTreeMap::new(),
            dialect: self.dialect(),
            removals: None,
        }
    }

    /// The text of a file of the work tree, for the excerpts of diagnostics.
    fn source(&self, path: &RepoPath) -> Option<String> {
        std::fs::read_to_string(self.path().join(path.as_str())).ok()
    }
}

/// The root that is meant.
fn root(global: &Global) -> anyhow::Result<Root> {
    let start = std::env::current_dir().context("find the current folder")?;
    discover::root(&start, global.root.as_deref())
}

/// The folders whose code is shared, from the root.
fn shared(config: &Config) -> Vec<RepoPath> {
    let written = config.projects.shared.iter();
    written
        .filter_map(|path| RepoPath::root().resolve(path))
        .collect()
}

/// What variables say of the projects, in the place of the file.
fn variables(config: &Config) -> BTreeMap<String, (String, Vec<String>)> {
    let projects = &config.projects;
    let named = projects.variables.iter().map(|(key, variable)| {
        let list = match *key {
            "include" => &projects.include,
            "exclude" => &projects.exclude,
            "shared" => &projects.shared,
            _ => &projects.depends_on,
        };
        ((*key).to_owned(), ((*variable).to_owned(), list.clone()))
    });
    named.collect()
}

/// The projects of a tree that the configuration lets in.
fn found(tree: &Tree, config: &Config) -> anyhow::Result<Found> {
    let scope = Scope::new(&config.projects.include, &config.projects.exclude)
        .context("read the globs of `[projects]`")?;
    let rules = read::FlowRules::of(tree);
    Ok(discover::find_with_flows(tree, &scope, &|file| {
        rules.holds(file)
    }))
}

/// `[image]` as reading takes it. Without an account there is always a place for images.
fn image_defaults(config: &Config) -> read::image::Defaults {
    let image = &config.image;
    let local = || config.local.then(|| connect::LOCAL_REPOSITORY.to_owned());
    read::image::Defaults {
        build: image.build,
        repository: image.repository.clone().or_else(local),
        name: image.name.clone(),
        base: image.base.clone(),
        builder: image.builder,
        platforms: image.platforms.clone(),
        python: image.python.clone(),
        code: image.code,
        user: image.user.clone(),
        environment: image.environment.clone(),
    }
}

/// Reports the faults, if there are any, on stderr.
fn faulty(run: &Run, diagnostics: &[Diagnostic]) -> Result<(), Failure> {
    if !diagnostics.is_empty() {
        let mut out = anstream::stderr().lock();
        report::diagnostics::render(diagnostics, &|path| run.source(path), &mut out)
            .context("write to stderr")?;
        drop(out);
        github::annotate(run, diagnostics);
    }
    refuse_errors(diagnostics)
}

fn refuse_errors(diagnostics: &[Diagnostic]) -> Result<(), Failure> {
    match diagnostics.iter().filter(|one| one.is_error()).count() {
        0 => Ok(()),
        errors => Err(Failure::Faulty {
            errors,
            left_out: false,
        }),
    }
}

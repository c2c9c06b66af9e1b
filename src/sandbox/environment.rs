//! Virtual environments, made by `uv` and kept: one for each set of requirements.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::Fault;
use super::process::{self, Ended, Limits, Stopped, last_lines};
use crate::model::{Dialect, Hasher};
use crate::process::is_for_uv;

/// What is installed where the requirements ask for no Prefect.
fn requirement(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Prefect2 => "prefect>=2.20,<3",
        Dialect::Prefect3 => "prefect>=3,<4",
    }
}

/// Where environments are kept, and what `uv` gets to know of the process's own environment.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Cache {
    /// Below `XDG_CACHE_HOME`, else `~/.cache`; `None` where the environment names neither.
    pub fn new(environment: &BTreeMap<String, String>) -> Option<Self> {
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let base = match (set("XDG_CACHE_HOME"), set("HOME"), set("LOCALAPPDATA")) {
            (Some(cache), _, _) => PathBuf::from(cache),
            (None, Some(home), _) => Path::new(home).join(".cache"),
            (None, None, Some(local)) => PathBuf::from(local),
            (None, None, None) => return None,
        };
        let variables = environment
            .iter()
            .filter(|(name, _)| is_for_uv(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Some(Self {
            folder: base.join("flowyard").join("python"),
            variables,
        })
    }

    /// Where programs and shared libraries are found: what no Python does without.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&String, &String)> {
        let needed = ["PATH", "LD_LIBRARY_PATH", "SYSTEMROOT"];
        self.variables
            .iter()
            .filter(move |(name, _)| needed.contains(&name.as_str()))
    }

    fn uv(&self) -> Command {
        let mut command = Command::new("uv");
        command
            .env_clear()
            .envs(&self.variables)
            .env("UV_NO_PROGRESS", "1")
            // Files that are run do not write bytecode, and Prefect's import without it takes seconds each time.
            .env("UV_COMPILE_BYTECODE", "1");
        command
    }
}

/// What an environment is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Recipe {
    /// `requirements.txt` or `pyproject.toml`; `None` for Prefect alone.
    pub(super) requirements: Option<PathBuf>,
    /// As `uv --python` takes it; `None` for the one that `uv` would take.
    pub(super) python: Option<String>,
    /// What to install where Prefect is not among the requirements.
    pub(super) prefect: Dialect,
}

/// The `python` of an environment with Prefect and nothing else.
pub(super) async fn prefect_alone(cache: &Cache, prefect: Dialect) -> Result<PathBuf, Fault> {
    let recipe = Recipe {
        requirements: None,
        python: None,
        prefect,
    };
    prepare(cache, &recipe).await
}

/// The `python` of the environment of a recipe, made if it is not there. Several processes may ask for the same one.
pub(super) async fn prepare(cache: &Cache, recipe: &Recipe) -> Result<PathBuf, Fault> {
    let python = find_python(cache, recipe).await?;
    let key = key(recipe, &python)?;
    let folder = cache.folder.join(&key);
    let stamp = folder.join("flowyard");
    let program = if cfg!(windows) {
        folder.join("Scripts").join("python.exe")
    } else {
        folder.join("bin").join("python")
    };
    // What an environment was made from may be gone: a Python that was updated, for one.
    let whole = || stamp.is_file() && program.is_file();
    if whole() {
        return Ok(program);
    }
    let unwritable = |error: std::io::Error| {
        Fault::new(format!(
            "{} cannot be written: {error}",
            cache.folder.display()
        ))
        .hint("set XDG_CACHE_HOME to a folder that can be written")
    };
    fs::create_dir_all(&cache.folder).map_err(unwritable)?;
    let lock = File::create(cache.folder.join(format!("{key}.lock"))).map_err(unwritable)?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
    let _lock = match lock.await {
        Ok(lock) => lock.map_err(unwritable)?,
        Err(error) => {
            return Err(Fault::new(format!(
                "waiting for another run failed: {error}"
            )));
        }
    };
    if whole() {
        return Ok(program);
    }
    tracing::info!("making a Python environment in {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(unwritable)?;
    }
    let mut venv = cache.uv();
    venv.args(["venv", "--quiet", "--no-project", "--python"])
        .arg(&python)
        .arg(&folder);
    uv(&mut venv, "make a virtual environment").await?;
    if let Some(requirements) = &recipe.requirements {
        install(cache, requirements, &folder, &program).await?;
    }
    let mut show = cache.uv();
    show.args(["pip", "show", "--quiet", "prefect", "--python"])
        .arg(&program);
    if !run(&mut show).await?.status.success() {
        let mut add = cache.uv();
        add.args(["pip", "install", "--quiet", requirement(recipe.prefect)])
            .arg("--python")
            .arg(&program);
        uv(&mut add, "install Prefect").await?;
    }
    fs::write(&stamp, key).map_err(unwritable)?;
    Ok(program)
}

/// Installs a requirements file; of a project with a lock file, what that says.
async fn install(
    cache: &Cache,
    requirements: &Path,
    folder: &Path,
    program: &Path,
) -> Result<(), Fault> {
    let parent = requirements.parent().unwrap_or(Path::new("."));
    let mut command = cache.uv();
    command.current_dir(parent);
    if is_locked(requirements) {
        command
            .args(["sync", "--quiet", "--frozen", "--no-install-project"])
            .env("UV_PROJECT_ENVIRONMENT", folder);
    } else {
        command
            .args(["pip", "install", "--quiet", "--python"])
            .arg(program)
            .arg("-r")
            .arg(requirements);
    }
    let name = requirements.file_name().unwrap_or_default();
    uv(&mut command, &format!("install {}", name.display())).await
}

fn is_locked(requirements: &Path) -> bool {
    requirements
        .file_name()
        .is_some_and(|name| name == "pyproject.toml")
        && requirements.with_file_name("uv.lock").is_file()
}

/// The interpreter, found or downloaded.
async fn find_python(cache: &Cache, recipe: &Recipe) -> Result<String, Fault> {
    let mut find = cache.uv();
    find.args(["python", "find", "--no-project"]);
    if let Some(requirements) = &recipe.requirements {
        // `.python-version` counts from the requirements up.
        find.current_dir(requirements.parent().unwrap_or(Path::new(".")));
    }
    find.args(&recipe.python);
    let ended = run(&mut find).await?;
    let found = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    if ended.status.success() && !found.is_empty() {
        return Ok(found);
    }
    // `uv venv` downloads what is named and not there.
    Ok(recipe.python.clone().unwrap_or_else(|| "3".to_owned()))
}

/// What tells environments apart: the interpreter, the Prefect to add, and all that the requirements say.
fn key(recipe: &Recipe, python: &str) -> Result<String, Fault> {
    let mut digest = Hasher::default();
    let mut add = |part: &[u8]| {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    };
    add(b"1");
    add(python.as_bytes());
    add(requirement(recipe.prefect).as_bytes());
    if let Some(requirements) = &recipe.requirements {
        let mut texts = BTreeMap::new();
        gather(requirements, &mut texts, &mut BTreeSet::new())?;
        let lock = requirements.with_file_name("uv.lock");
        if is_locked(requirements) {
            gather(&lock, &mut texts, &mut BTreeSet::new())?;
        }
        let local = texts.values().any(|text| names_a_folder(text));
        for text in texts.values() {
            add(text.as_bytes());
        }
        if local {
            add(requirements.as_os_str().as_encoded_bytes());
        }
    }
    Ok(digest.finish().to_string()[..32].to_owned())
}

/// The text of a requirements file, and of all that it includes with `-r` and `-c`.
fn gather(
    path: &Path,
    texts: &mut BTreeMap<PathBuf, String>,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<(), Fault> {
    const MOST: usize = 100;
    if seen.len() >= MOST || !seen.insert(path.to_owned()) {
        return Ok(());
    }
    let text = fs::read_to_string(path)
        .map_err(|error| Fault::new(format!("{} cannot be read: {error}", path.display())))?;
    for line in text.lines() {
        let line = line.trim();
        let included = ["-r", "-c", "--requirement", "--constraint"]
            .iter()
            .find_map(|option| line.strip_prefix(option))
            .map(|rest| rest.trim_start_matches([' ', '=', '\t']).trim());
        if let Some(included) = included.filter(|one| !one.is_empty() && !one.contains("://")) {
            let included = path.with_file_name(included);
            // One that is not there is for `uv` to tell about.
            if included.is_file() {
                gather(&included, texts, seen)?;
            }
        }
    }
    texts.insert(path.to_owned(), text);
    Ok(())
}

/// Whether requirements name code by its place on this disk, so that the same text elsewhere means other code.
fn names_a_folder(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| {
        ["-e", "--editable", ".", "/", "-f", "--find-links"]
            .iter()
            .any(|start| line.starts_with(start))
            || line.contains("file:")
            || line.contains("@ .")
            || line.contains("path =")
            || line.contains("workspace = true")
    })
}

async fn uv(command: &mut Command, what: &str) -> Result<(), Fault> {
    let ended = run(command).await?;
    if ended.status.success() {
        return Ok(());
    }
    Err(Fault::new(format!("uv failed to {what}")).hint(last_lines(&ended.stderr, 12).join("; ")))
}

async fn run(command: &mut Command) -> Result<Ended, Fault> {
    const LIMITS: Limits = Limits {
        // Packages may have to be built.
        time: Some(Duration::from_secs(1800)),
        stdout: 1 << 20,
        stderr: 64 << 10,
    };
    match process::run(command, b"", LIMITS).await {
        Ok(ended) => Ok(ended),
        Err(Stopped::Unstarted(error)) if error.kind() == std::io::ErrorKind::NotFound => Err(
            Fault::new("`uv` is not on PATH, and Python code is run in environments that it makes")
                .hint("install it with `pip install uv`, or as https://docs.astral.sh/uv says"),
        ),
        Err(Stopped::Unstarted(error)) => Err(Fault::new(format!("uv cannot be run: {error}"))),
        Err(Stopped::Late(_)) => Err(Fault::new("uv took more than half an hour")),
        Err(Stopped::TooMuch(_)) => Err(Fault::new("uv wrote more than it ever does")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(path: &Path) -> Recipe {
        Recipe {
            requirements: Some(path.to_owned()),
            python: None,
            prefect: Dialect::Prefect3,
        }
    }

    #[test]
    fn every_part_of_a_recipe_is_in_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("written");
            fs::write(&path, text).expect("written");
            path
        };
        let key = |recipe: &Recipe, python| key(recipe, python).expect("readable");
        let a = write("a/requirements.txt", "pandas\n-r more.txt\n");
        let b = write("b/requirements.txt", "pandas\n-r more.txt\n");
        let first = key(&recipe(&a), "3.11");
        assert_eq!(first.len(), 32);
        assert_eq!(first, key(&recipe(&b), "3.11"), "the place does not count");
        assert_ne!(first, key(&recipe(&a), "3.12"));
        let two = Recipe {
            prefect: Dialect::Prefect2,
            ..recipe(&a)
        };
        assert_ne!(first, key(&two, "3.11"));
        write("a/more.txt", "numpy==2\n");
        let included = key(&recipe(&a), "3.11");
        assert_ne!(first, included, "what is included counts");
        write("a/more.txt", "-e ./lib\n");
        write("b/more.txt", "-e ./lib\n");
        assert_ne!(key(&recipe(&a), "3.11"), key(&recipe(&b), "3.11"));
        write("a/more.txt", "-r requirements.txt\n");
        key(&recipe(&a), "3.11");
    }

    #[test]
    fn uv_sees_no_secret() {
        let environment: BTreeMap<String, String> = [
            ("HOME", "/home/kari"),
            ("PREFECT_API_KEY", "pnu_x"),
            ("AZURE_CLIENT_SECRET", "x"),
            ("UV_INDEX_URL", "https://index.example/simple"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let cache = Cache::new(&environment).expect("a home");
        assert_eq!(cache.folder, Path::new("/home/kari/.cache/flowyard/python"));
        let names: Vec<&String> = cache.variables.keys().collect();
        assert_eq!(names, ["HOME", "UV_INDEX_URL"]);
        assert!(Cache::new(&BTreeMap::new()).is_none());
    }
}

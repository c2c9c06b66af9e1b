//! Reads the configuration, and the files that it names.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::Global;
use crate::config::{self, Beside, Config, Environment, Faulty, Named, Terraform};
use crate::discover::Tree;
use crate::model::RepoPath;

/// The configuration, from the files that `read` gives by their paths from the root; `process` gets the variables of the
/// `.env` files among them.
pub(super) fn configured(
    global: &Global,
    process: &mut Environment,
    read: &dyn Fn(&str) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<(Config, Terraform)> {
    let text = read(config::FILE)?;
    let beside = Beside::of(text.as_deref())?;
    for file in &beside.env_files {
        // People keep theirs out of git, and CI sets the variables itself.
        if let Some(text) = read(&file.path)? {
            config::add_env_file(&file.path, &text, process)?;
        }
    }
    let mut terraform = Terraform::default();
    for Named { path, place } in &beside.terraform_outputs {
        let Some(text) = read(path)? else {
            let message = format!(
                "{path} under `terraform-outputs` does not exist; write it with `terraform output -json > {path}`"
            );
            return Err(Faulty::at(place.clone(), message));
        };
        terraform.add(path, &text)?;
    }
    let config = Config::new(global, process, text.as_deref(), &terraform)?;
    Ok((config, terraform))
}

pub(super) fn read_beside(root: &Path, name: &str) -> anyhow::Result<Option<String>> {
    let Some(inside) = RepoPath::root().resolve(name) else {
        anyhow::bail!("{}: `{name}` is outside of the repository", config::FILE);
    };
    let path = root.join(inside.as_str());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

pub(super) fn read_of(tree: &Tree, path: &str) -> anyhow::Result<Option<String>> {
    let path = RepoPath::new(path);
    if tree.position(&path).is_none() {
        return Ok(None);
    }
    let text = String::from_utf8(tree.read(&path)?).with_context(|| format!("read {path}"))?;
    Ok(Some(text))
}

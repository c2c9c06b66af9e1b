//! What a repository begins with: `flowyard.toml` and two workflows, as fits what is there.
//!
//! What nobody can know from the files (the server, the storage, the pool) is left to variables of the environment, which
//! the workflows take from the repository's settings.

use std::fmt::Write as _;

use super::File;
use crate::model::RepoPath;

/// The workflows, which are the examples': the only source of both.
const PLAN: &str = include_str!("../../examples/workflows/plan.yml");
const DEPLOY: &str = include_str!("../../examples/workflows/deploy.yml");

/// What was found of a repository.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The folder of `flowyard.toml`, from the top of the git work tree.
    pub root: RepoPath,
    /// The branch that is deployed.
    pub branch: String,
    /// How many projects there are.
    pub projects: usize,
    /// How many deployments they declare.
    pub deployments: usize,
    /// How many of these name no work pool.
    pub without_pool: usize,
    /// Folders and modules outside of all projects that projects import from, sorted.
    pub shared: Vec<Imported>,
    /// Whether the files are of Prefect 2.
    pub is_prefect_2: bool,
    /// Projects with a Dockerfile, sorted; their images are built where a repository for them is configured.
    pub dockerfiles: Vec<RepoPath>,
    /// The storage's address, where the environment has one.
    pub storage: Option<String>,
    /// `owner/name` of the repository on GitHub, where it has a remote.
    pub origin: Option<String>,
}

/// Code outside of all projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A folder, or one module's file.
    pub path: RepoPath,
    /// How many projects import from it.
    pub by: usize,
}

/// The files, by their paths from the top of the git work tree; the configuration first.
pub fn repository(facts: &Facts) -> Vec<File> {
    let configuration = facts.root.join("flowyard.toml");
    vec![
        File::text(configuration.as_str(), configuration_text(facts)),
        File::text(".github/workflows/flowyard-plan.yml", fitted(PLAN, facts)),
        File::text(
            ".github/workflows/flowyard-deploy.yml",
            fitted(DEPLOY, facts),
        ),
    ]
}

fn configuration_text(facts: &Facts) -> String {
    let mut text = String::from(
        "# What holds for the whole repository. Every key is optional, and has an environment variable, which comes first.\n",
    );
    projects(facts, &mut text);
    prefect(facts, &mut text);
    storage(facts, &mut text);
    image(facts, &mut text);
    text.push_str(
        "\n# What `--env staging` and `--env prod` say otherwise: prefect, storage, image, vars.\n\
         # [environments.staging]\n\
         # vars = { dataset = \"analytics_staging\" }      # {{ flowyard.vars.dataset }} in deployment files\n\
         # [environments.prod]\n\
         # vars = { dataset = \"analytics\" }\n",
    );
    text
}

fn projects(facts: &Facts, text: &mut String) {
    text.push_str("\n[projects]\n");
    if facts.projects == 0 {
        text.push_str(
            "# None yet: a project is a folder with a deployment file. `flowyard new projects/hello` makes one.\n",
        );
    } else {
        line(
            text,
            &format!(
                "# All folders with a deployment file: {} with {}.",
                counted(facts.projects, "project"),
                counted(facts.deployments, "deployment")
            ),
        );
    }
    text.push_str("# include = [\"projects/**\"]\n# exclude = []\n");
    if facts.shared.is_empty() {
        text.push_str(
            "# Folders outside of the projects that flows import from, as from the repository's root.\n# shared = [\"lib\"]\n",
        );
    } else {
        text.push_str("# Code outside of the projects; it joins the release of every project that imports it.\n");
        text.push_str("shared = [\n");
        for one in &facts.shared {
            let by = counted(one.by, "project");
            line(
                text,
                &format!("    {},  # by {by}", quoted(one.path.as_str())),
            );
        }
        text.push_str("]\n");
    }
}

fn prefect(facts: &Facts, text: &mut String) {
    text.push_str(
        "\n[prefect]\n\
         # The server is PREFECT_API_URL, Prefect Cloud's address or that of a server of your own. Its secrets never stand\n\
         # here: PREFECT_API_KEY for the Cloud, PREFECT_API_AUTH_STRING for a server of your own.\n",
    );
    if facts.is_prefect_2 {
        text.push_str(
            "# The release that files are read for where no server is asked.\nversion = 2\n",
        );
    }
    let without = match facts.without_pool {
        0 => "all of them name one now".to_owned(),
        number => format!("{number} of {} name none", facts.deployments),
    };
    line(
        text,
        &format!("# For deployments that name no pool ({without}), or FLOWYARD_PREFECT_WORK_POOL:"),
    );
    text.push_str(
        "# work-pool = \"my-pool\"\n\
         # The block with which workers read the storage, or FLOWYARD_PREFECT_CREDENTIALS:\n\
         # credentials = \"{{ prefect.blocks.azure-blob-storage-credentials.flows }}\"\n",
    );
}

fn storage(facts: &Facts, text: &mut String) {
    text.push_str("\n[storage]\n# Where code goes, or FLOWYARD_STORAGE_URL:\n");
    match &facts.storage {
        Some(url) => line(text, &format!("url = {}", quoted(url))),
        None => text.push_str(
            "# url = \"azure://ACCOUNT/CONTAINER/PREFIX\"     # or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER\n",
        ),
    }
}

fn image(facts: &Facts, text: &mut String) {
    let Some(first) = facts.dockerfiles.first() else {
        return;
    };
    let others = match facts.dockerfiles.len() - 1 {
        0 => String::new(),
        number => format!(" and {number} more"),
    };
    let registry = match &facts.origin {
        Some(origin) => format!("ghcr.io/{}", origin.to_lowercase()),
        None => "REGISTRY/REPOSITORY".to_owned(),
    };
    text.push_str("\n[image]\n");
    line(
        text,
        &format!(
            "# Where images go, or FLOWYARD_IMAGE_REPOSITORY. With it the Dockerfile of {}{others} is built and pushed:",
            quoted(first.as_str())
        ),
    );
    line(text, &format!("# repository = {}", quoted(&registry)));
}

/// A workflow for this repository: its branch, and the folder that flowyard works in.
fn fitted(workflow: &str, facts: &Facts) -> String {
    let mut text = String::new();
    for one in workflow.lines() {
        let (indent, written) = one.split_at(one.len() - one.trim_start().len());
        match written {
            "branches: [main]" => line(
                &mut text,
                &format!("{indent}branches: [{}]", branch(&facts.branch)),
            ),
            _ => line(&mut text, one),
        }
        let is_command = written.starts_with("command: ");
        if is_command && !facts.root.is_root() {
            let root = quoted(facts.root.as_str());
            line(&mut text, &format!("{indent}root: {root}"));
        }
    }
    text
}

/// A branch as a filter of a workflow names it.
///
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet>: of its
/// special characters git allows `+` and `!` in a name.
fn branch(name: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '/' | '-');
    if name.chars().all(is_plain) && name.starts_with(|one: char| one.is_ascii_alphabetic()) {
        return name.to_owned();
    }
    quoted(&name.replace('+', "\\+").replace('!', "\\!"))
}

/// A text in quotes as TOML and YAML both read it: JSON's, with the one character escaped that TOML does not take.
fn quoted(text: &str) -> String {
    let text = serde_json::Value::from(text).to_string();
    text.replace('\u{7f}', "\\u007f")
}

fn counted(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

fn line(text: &mut String, line: &str) {
    // A string takes everything.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &File) -> &str {
        std::str::from_utf8(&file.content).expect("a text")
    }

    #[test]
    fn a_workflow_has_the_repositorys_branch_and_root() {
        for (name, written) in [
            ("main", "[main]"),
            ("release/1.x", "[release/1.x]"),
            ("c++", "[\"c\\\\+\\\\+\"]"),
            ("2.0", "[\"2.0\"]"),
            ("on\"x", "[\"on\\\"x\"]"),
        ] {
            let facts = Facts {
                branch: name.to_owned(),
                root: RepoPath::new("data/flows"),
                ..Facts::default()
            };
            let files = repository(&facts);
            assert_eq!(
                files[0].path.as_str(),
                "data/flowyard.toml".replace("data", "data/flows")
            );
            for file in &files[1..] {
                let text = text(file);
                assert_eq!(
                    text.matches(&format!("branches: {written}")).count(),
                    1,
                    "{text}"
                );
                assert!(text.contains("root: \"data/flows\"\n"), "{text}");
            }
        }
        // At the top nothing is said of a root, and a workflow is the example as it stands.
        let facts = Facts {
            branch: "main".to_owned(),
            ..Facts::default()
        };
        let files = repository(&facts);
        assert_eq!([text(&files[1]), text(&files[2])], [PLAN, DEPLOY]);
    }

    #[test]
    fn the_configuration_is_read_whatever_is_found() {
        let full = Facts {
            projects: 2,
            deployments: 3,
            without_pool: 1,
            shared: vec![Imported {
                path: RepoPath::new("lib \"x\"\u{7f}"),
                by: 1,
            }],
            is_prefect_2: true,
            dockerfiles: vec![RepoPath::new("a\n[x]"), RepoPath::new("b")],
            storage: Some("azure://account/flows".to_owned()),
            origin: Some("Acme/Flows".to_owned()),
            ..Facts::default()
        };
        for facts in [Facts::default(), full.clone()] {
            let files = repository(&facts);
            let table: toml::Table = text(&files[0]).parse().expect("TOML");
            assert_eq!(table.len(), 3 + usize::from(!facts.dockerfiles.is_empty()));
            // Every line that is commented out is right too, so that people need only take the mark away.
            let bare: String = text(&files[0])
                .lines()
                .map(|one| match one.strip_prefix("# ") {
                    Some(key) if key.contains(" = ") || key.starts_with('[') => format!("{key}\n"),
                    _ => format!("{one}\n"),
                })
                .collect();
            let table: toml::Table = bare.parse().unwrap_or_else(|e| panic!("{e}\n{bare}"));
            assert!(table.contains_key("environments"));
        }
        let table: toml::Table = text(&repository(&full)[0]).parse().expect("TOML");
        assert_eq!(
            table["projects"]["shared"][0].as_str(),
            Some("lib \"x\"\u{7f}")
        );
        assert_eq!(table["prefect"]["version"].as_integer(), Some(2));
        assert_eq!(
            table["storage"]["url"].as_str(),
            Some("azure://account/flows")
        );
    }
}

//! Projects from a template: a folder as [cookiecutter](https://cookiecutter.readthedocs.io) takes it, with a
//! `cookiecutter.json` and one folder whose name is a template.
//!
//! Nothing of a template is run: its hooks and extensions, which are programs, are left alone and named. No file can
//! leave the folder of the new project.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::File;
use super::variables::{FILE, Variables};
use crate::model::RepoPath;

/// The one that `flowyard new` has built in, which is also an example of how to write one.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "daily.deployment.yaml",
        include_str!("../../examples/template/{{cookiecutter.project_slug}}/daily.deployment.yaml"),
    ),
    (
        "flow.py",
        include_str!("../../examples/template/{{cookiecutter.project_slug}}/flow.py"),
    ),
    (
        "requirements.txt",
        include_str!("../../examples/template/{{cookiecutter.project_slug}}/requirements.txt"),
    ),
    (
        ".prefectignore",
        include_str!("../../examples/template/{{cookiecutter.project_slug}}/.prefectignore"),
    ),
];

/// What its `cookiecutter.json` says.
const BUILT_IN_VARIABLES: &str = include_str!("../../examples/template/cookiecutter.json");

/// The name of its folder.
const BUILT_IN_FOLDER: &str = "{{cookiecutter.project_slug}}";

/// A template, read whole.
#[derive(Clone, Debug)]
pub struct Template {
    /// The text of `cookiecutter.json`.
    variables: String,
    /// The name of the folder that becomes the project.
    folder: String,
    /// The files in it, by their paths from it, as the template has them.
    files: Vec<File>,
    /// What of it counts for nothing: lower-case fragments.
    notes: Vec<String>,
}

/// What a project is to be made with.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The name of the project's folder: the value of the variable that the template's folder is named by.
    pub name: String,
    /// Variables and their texts, as `--set` gives them; the last one of a name counts.
    pub set: Vec<(String, String)>,
}

/// What becomes of a template.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The files, by their paths from the project's folder; sorted, never empty.
    pub files: Vec<File>,
    /// What of the template counted for nothing: lower-case fragments.
    pub notes: Vec<String>,
}

impl Template {
    /// The built-in one: a flow, a deployment of it, requirements and an ignore file.
    pub fn built_in() -> Self {
        let files = BUILT_IN.iter().map(|(path, text)| File::text(path, *text));
        Self {
            variables: BUILT_IN_VARIABLES.to_owned(),
            folder: BUILT_IN_FOLDER.to_owned(),
            files: files.collect(),
            notes: Vec::new(),
        }
    }

    /// Reads a folder with a `cookiecutter.json`. Symbolic links in it are refused: they may lead anywhere.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        let variables = fs::read_to_string(folder.join(FILE)).with_context(|| {
            format!("read {FILE} of the template {shown}; without it a folder is no template")
        })?;
        let mut names: Vec<String> = Vec::new();
        let mut notes = Vec::new();
        for entry in list(folder)? {
            let is_folder = entry.path().is_dir();
            let name = name_of(&entry)?;
            if !is_folder {
                continue;
            }
            if name.contains("{{") && name.contains("cookiecutter") {
                names.push(name);
            } else if name == "hooks" {
                let hooks: Vec<String> = list(&entry.path())?
                    .iter()
                    .map(name_of)
                    .collect::<anyhow::Result<_>>()?;
                notes.push(format!(
                    "the template's hooks are not run ({}): flowyard runs no program of a template",
                    hooks.join(", ")
                ));
            }
        }
        let [name] = names.as_slice() else {
            bail!(
                "the template {shown} has {} folders with `{{{{ cookiecutter.… }}}}` in their names, and needs exactly one, \
                 such as {BUILT_IN_FOLDER}",
                names.len()
            );
        };
        let mut files = Vec::new();
        read(&folder.join(name), "", &mut files)?;
        Ok(Self {
            variables,
            folder: name.clone(),
            files,
            notes,
        })
    }

    /// Makes the project's files. An error names the file and the line of the template.
    pub fn render(&self, asked: &Asked) -> anyhow::Result<Rendered> {
        let given: Vec<(String, String)> = named_by(&self.folder)
            .map(|name| (name.to_owned(), asked.name.clone()))
            .into_iter()
            .collect();
        let variables = Variables::new(&self.variables, &asked.set, &given)?;
        let copied = globs(&variables.copied())?;
        let mut notes = self.notes.clone();
        if variables.wants_extensions() {
            notes.push(
                "its Jinja extensions are not loaded: flowyard runs no program of a template"
                    .to_owned(),
            );
        }
        let mut files: BTreeMap<RepoPath, File> = BTreeMap::new();
        for file in &self.files {
            let written = file.path.as_str();
            let Some(path) = place(&variables.render(written, written)?)
                .with_context(|| format!("render the path `{written}`"))?
            else {
                continue;
            };
            let text = std::str::from_utf8(&file.content)
                .ok()
                .filter(|text| !text.contains('\0') && !is_copied(&copied, written));
            let content = match text {
                Some(text) => variables.render(written, text)?.into_bytes(),
                None => file.content.clone(),
            };
            let made = File {
                path: path.clone(),
                content,
                executable: file.executable,
            };
            if files.insert(path, made).is_some() {
                bail!("two files of the template become one: `{written}` is the second");
            }
        }
        let folders: BTreeSet<RepoPath> = files.keys().flat_map(above).collect();
        if let Some(both) = files.keys().find(|path| folders.contains(*path)) {
            bail!("{both} would be a file and a folder of the new project");
        }
        if files.is_empty() {
            bail!("the template makes no file");
        }
        Ok(Rendered {
            files: files.into_values().collect(),
            notes,
        })
    }
}

/// The folders that a path is in.
fn above(path: &RepoPath) -> impl Iterator<Item = RepoPath> {
    std::iter::successors(path.parent(), RepoPath::parent)
}

/// The variable that a folder is named by, where its name is nothing else.
fn named_by(folder: &str) -> Option<&str> {
    let inside = folder.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let name = inside.strip_prefix("cookiecutter.")?;
    let is_plain = |one: char| one.is_alphanumeric() || one == '_';
    name.chars().all(is_plain).then_some(name)
}

/// Where a file goes, from its rendered path; `None` where a part of that is empty, which is how a template leaves a file
/// out. An error where it would leave the project's folder, or be git's.
fn place(rendered: &str) -> anyhow::Result<Option<RepoPath>> {
    if rendered.starts_with('/') || rendered.contains('\\') || rendered.contains(char::is_control) {
        bail!(
            "`{}` is no path inside of the project",
            rendered.escape_debug()
        );
    }
    for part in rendered.split('/') {
        if part.is_empty() {
            return Ok(None);
        }
        let is_drive = part.len() == 2 && part.ends_with(':');
        if matches!(part, "." | "..") || part.eq_ignore_ascii_case(".git") || is_drive {
            bail!("`{rendered}` leads out of the project, or into git's own folder");
        }
    }
    Ok(Some(RepoPath::new(rendered)))
}

/// Globs as Python's `fnmatch` has them: `*` spans folders.
fn globs(texts: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        let glob = GlobBuilder::new(text).literal_separator(false).build();
        set.add(glob.with_context(|| format!("read `_copy_without_render` of {FILE}"))?);
    }
    Ok(set.build()?)
}

/// Whether a file, or a folder that it is in, is to be copied as it is.
fn is_copied(globs: &GlobSet, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(end, _)| end);
    ends.chain([path.len()])
        .any(|end| globs.is_match(&path[..end]))
}

/// Reads all files below a folder of a template.
fn read(folder: &Path, below: &str, into: &mut Vec<File>) -> anyhow::Result<()> {
    for entry in list(folder)? {
        let path = entry.path();
        let name = name_of(&entry)?;
        let inside = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        let metadata = fs::symlink_metadata(&path)
            .with_context(|| format!("read {} of the template", path.display()))?;
        if metadata.is_dir() {
            read(&path, &inside, into)?;
        } else if metadata.is_file() {
            into.push(File {
                path: RepoPath::new(inside),
                content: fs::read(&path)
                    .with_context(|| format!("read {} of the template", path.display()))?,
                executable: is_executable(&metadata),
            });
        } else {
            bail!(
                "{} of the template is neither a file nor a folder; put the file itself in its place",
                path.display()
            );
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

/// The entries of a folder, by name.
fn list(folder: &Path) -> anyhow::Result<Vec<fs::DirEntry>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect);
    let mut entries: Vec<fs::DirEntry> =
        entries.with_context(|| format!("list the template's folder {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::path);
    Ok(entries)
}

fn name_of(entry: &fs::DirEntry) -> anyhow::Result<String> {
    entry.file_name().into_string().map_err(|name| {
        let name = PathBuf::from(name);
        anyhow!("the name {} in the template is not UTF-8", name.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(folder: &str, files: &[(&str, &str)]) -> Template {
        Template {
            variables: r#"{"slug": "x", "kind": "news", "docker": false, "_copy_without_render": ["raw/*"]}"#
                .to_owned(),
            folder: folder.to_owned(),
            files: files.iter().map(|(path, text)| File::text(path, *text)).collect(),
            notes: Vec::new(),
        }
    }

    fn asked(set: &[(&str, &str)]) -> Asked {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Asked {
            name: "load_vg".to_owned(),
            set: set.iter().map(pair).collect(),
        }
    }

    #[test]
    fn names_and_contents_are_rendered() {
        let template = template(
            "{{ cookiecutter.slug }}",
            &[
                (
                    "{{cookiecutter.slug}}/{{cookiecutter.kind}}.py",
                    "x = '{{ cookiecutter.slug }}'\n",
                ),
                (
                    "{% if cookiecutter.docker %}Dockerfile{% endif %}",
                    "FROM x\n",
                ),
                ("raw/a.html", "{{ left }}"),
            ],
        );
        let paths = |set| {
            let rendered = template.render(&asked(set)).expect("files");
            let file = |file: &File| {
                (
                    file.path.to_string(),
                    String::from_utf8_lossy(&file.content).into_owned(),
                )
            };
            rendered.files.iter().map(file).collect::<Vec<_>>()
        };
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(
            paths(&[]),
            [
                pair("load_vg/news.py", "x = 'load_vg'\n"),
                pair("raw/a.html", "{{ left }}")
            ]
        );
        assert_eq!(
            paths(&[("slug", "other"), ("docker", "yes")]),
            [
                pair("Dockerfile", "FROM x\n"),
                pair("other/news.py", "x = 'other'\n"),
                pair("raw/a.html", "{{ left }}")
            ]
        );
    }

    #[test]
    fn nothing_leaves_the_project() {
        for (path, kind) in [
            ("{{cookiecutter.kind}}/x", ".."),
            ("a/{{cookiecutter.kind}}", "../../x"),
            ("{{cookiecutter.kind}}", "/etc/passwd"),
            ("{{cookiecutter.kind}}", "..\\x"),
            ("{{cookiecutter.kind}}/hooks/post-checkout", ".Git"),
            ("{{cookiecutter.kind}}/x", "C:"),
            ("{{cookiecutter.kind}}", "a\nb"),
        ] {
            let template = template("{{ cookiecutter.slug }}", &[(path, "")]);
            let error = template.render(&asked(&[("kind", kind)])).expect_err(kind);
            assert!(
                format!("{error:#}").starts_with("render the path"),
                "{error:#}"
            );
        }
    }

    #[test]
    fn two_files_are_never_one() {
        let both = template(
            "x{{ cookiecutter.slug }}",
            &[("news", ""), ("{{cookiecutter.kind}}", "")],
        );
        assert!(both.render(&asked(&[])).is_err());
        let folder = template(
            "x{{ cookiecutter.slug }}",
            &[("news/a", ""), ("{{cookiecutter.kind}}", "")],
        );
        assert!(folder.render(&asked(&[])).is_err());
    }

    #[test]
    fn the_variable_of_the_folder() {
        assert_eq!(named_by("{{ cookiecutter.slug }}"), Some("slug"));
        assert_eq!(named_by("{{cookiecutter.slug}}"), Some("slug"));
        assert_eq!(named_by("{{cookiecutter.slug|lower}}"), None);
        assert_eq!(named_by("flow-{{cookiecutter.slug}}"), None);
    }

    #[test]
    fn the_built_in_one_takes_any_name() {
        for name in ["load_vg", "2024 \"rapport\"", "høst"] {
            let asked = Asked {
                name: name.to_owned(),
                set: Vec::new(),
            };
            let rendered = Template::built_in().render(&asked).expect("files");
            assert_eq!(rendered.files.len(), 4);
            assert!(rendered.notes.is_empty());
        }
    }
}

//! Whether the values of `flowyard.toml` mean anything, as far as that can be told without a file or a server.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use anyhow::bail;
use globset::Glob;
use regex::Regex;
use serde_json::Value;
use toml::Spanned;

use super::Environment;
use super::address::{server, store};
use super::faulty::{Faulty, place};
use super::file::{File, Image, Prefect, Storage, Text};
use crate::model::{self, Builder, Diagnostic, RepoPath};

/// What is wrong with a value: a lower-case fragment that says what to do.
type Verdict = Result<(), String>;

type Check = fn(&str) -> Verdict;

/// Refuses the file where a value of it means nothing; the error has all of them, each with its place.
pub(super) fn file(file: &File, text: &str) -> anyhow::Result<()> {
    let mut faults = Faults::default();
    faults.text("repository", file.repository.as_ref(), |_| Ok(()));
    let projects = &file.projects;
    for (key, globs) in [
        ("include", &projects.include),
        ("exclude", &projects.exclude),
    ] {
        faults.texts(key, globs.as_ref(), glob);
    }
    for (key, paths) in [
        ("shared", &projects.shared),
        ("depends-on", &projects.depends_on),
    ] {
        faults.texts(key, paths.as_ref(), |_| Ok(()));
    }
    for (key, paths) in [
        ("env-files", &file.env_files),
        ("terraform-outputs", &file.terraform_outputs),
    ] {
        faults.texts(key, Some(paths), inside);
    }
    faults.sections(&file.prefect, &file.storage, &file.image, &file.vars);
    for (name, overlay) in &file.environments {
        if let Err(why) = environment(name.get_ref()) {
            faults.add(name.span(), why);
        }
        faults.text("takes-over", overlay.takes_over.as_ref(), |other| {
            takes_over(name.get_ref(), overlay.preview, other)
        });
        faults.sections(
            &overlay.prefect,
            &overlay.storage,
            &overlay.image,
            &overlay.vars,
        );
    }
    faults.found.sort_by_key(|(span, _)| span.start);
    let found = faults.found.into_iter();
    let found: Vec<Diagnostic> = found
        .map(|(span, why)| Diagnostic::error(place(text, &span), why))
        .collect();
    if !found.is_empty() {
        return Err(Faulty(found).into());
    }
    Ok(())
}

/// Refuses variables of the environment that stand for values of the file and mean nothing. Addresses are for those who
/// use them, so that a command that asks no server minds none.
pub(super) fn variables(environment: &Environment) -> anyhow::Result<()> {
    let lists: [(&str, Check); 3] = [
        ("FLOWYARD_PROJECTS_INCLUDE", glob),
        ("FLOWYARD_PROJECTS_EXCLUDE", glob),
        ("FLOWYARD_IMAGE_PLATFORMS", platform),
    ];
    let values: [(&str, Check); 3] = [
        ("FLOWYARD_PREFECT_VERSION", release),
        ("FLOWYARD_IMAGE_BUILDER", builder),
        ("FLOWYARD_IMAGE_PYTHON", python),
    ];
    let given = |name: &str| environment.get(name).map_or("", String::as_str);
    let refuse = |name: &str, verdict: Verdict| match verdict {
        Ok(()) => Ok(()),
        Err(why) => bail!("{name}: {why}"),
    };
    for (name, check) in lists {
        for one in super::separated(given(name)) {
            refuse(name, check(&one))?;
        }
    }
    for (name, check) in values {
        let value = given(name);
        if !value.is_empty() {
            refuse(name, check(value))?;
        }
    }
    let is_set = |name: &&str| !given(name).is_empty();
    let mut names = ["FLOWYARD_IMAGE_NAME", "BAKERY_IMAGE"].into_iter();
    let base = "FLOWYARD_IMAGE_BASE";
    if let Some(name) = names.find(is_set).filter(|_| is_set(&base)) {
        bail!(
            "{name} and {base} are both set; keep one of them: an image has a name, or is made on a base"
        );
    }
    Ok(())
}

/// An environment takes the place of one other.
fn takes_over(name: &str, preview: bool, other: &str) -> Verdict {
    if preview {
        return Err("a preview takes nothing over: its deployments have names of their own".into());
    }
    if !model::is_environment_name(other) {
        return Err(format!(
            "`{other}` is no environment's name; `takes-over` names one, without a glob"
        ));
    }
    if other == name {
        return Err(format!(
            "`{name}` cannot take over from itself; name the environment that was there before"
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Faults {
    found: Vec<(Range<usize>, String)>,
}

impl Faults {
    fn add(&mut self, span: Range<usize>, why: String) {
        self.found.push((span, why));
    }

    fn text(&mut self, key: &str, value: Option<&Text>, check: impl Fn(&str) -> Verdict) {
        let Some(value) = value else {
            return;
        };
        let text = value.get_ref();
        let verdict = if text.trim().is_empty() {
            Err(format!("`{key}` is empty; leave it away to say nothing"))
        } else {
            check(text)
        };
        if let Err(why) = verdict {
            self.add(value.span(), why);
        }
    }

    fn texts(&mut self, key: &str, values: Option<&Vec<Text>>, check: impl Fn(&str) -> Verdict) {
        for value in values.into_iter().flatten() {
            self.text(key, Some(value), &check);
        }
    }

    /// What the file and each of its environments have.
    fn sections(
        &mut self,
        prefect: &Prefect,
        storage: &Storage,
        image: &Image,
        vars: &BTreeMap<String, Spanned<toml::Value>>,
    ) {
        if let Some(version) = &prefect.version
            && let Err(why) = major(version.get_ref())
        {
            self.add(version.span(), why);
        }
        type Row<'a> = (&'a str, &'a Option<Text>, Check);
        let addresses: [Row<'_>; 3] = [
            ("api-url", &prefect.api_url, server),
            ("url", &storage.url, store),
            ("repository", &image.repository, repository),
        ];
        for (key, value, check) in addresses {
            // What Terraform's outputs make of it is looked at where it is used.
            let is_template = |text: &str| text.contains("{{");
            let value = value.as_ref().filter(|one| !is_template(one.get_ref()));
            self.text(key, value, check);
        }
        let names: [Row<'_>; 5] = [
            ("name", &image.name, reference),
            ("base", &image.base, reference),
            ("builder", &image.builder, builder),
            ("python", &image.python, python),
            ("compression", &image.compression, compression),
        ];
        for (key, value, check) in names {
            self.text(key, value.as_ref(), check);
        }
        if let (Some(name), Some(base)) = (&image.name, &image.base) {
            let later = if base.span().start < name.span().start {
                name
            } else {
                base
            };
            let why = "`image` has both `name` and `base`; keep one of them";
            self.add(later.span(), why.to_owned());
        }
        self.texts("platforms", image.platforms.as_ref(), platform);
        for (name, value) in vars {
            if let Err(why) = scalar(value.get_ref()) {
                self.add(value.span(), format!("`{name}` under `vars` {why}"));
            }
        }
    }
}

/// A variable's value; the error fits after its name.
pub(super) fn scalar(value: &toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::Array(_) | toml::Value::Table(_) => Err(format!(
            "is {}, not a text, number, boolean or date",
            if value.is_array() {
                "a list"
            } else {
                "a table"
            }
        )),
        toml::Value::Datetime(one) => Ok(Value::String(one.to_string())),
        toml::Value::Float(one) if !one.is_finite() => Err("is no finite number".to_owned()),
        other => serde_json::to_value(other).map_err(|error| format!("cannot be read: {error}")),
    }
}

/// A major release of Prefect: `2`, `3`, or a full version such as `2.20.26`, as people copy them from `prefect version`.
pub(super) fn major(value: &toml::Value) -> Result<u8, String> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.split('.').next() {
        Some("2") => Ok(2),
        Some("3") => Ok(3),
        _ => Err(format!(
            "`{text}` is no release of Prefect that flowyard knows; write 2 or 3"
        )),
    }
}

fn release(text: &str) -> Verdict {
    major(&toml::Value::String(text.to_owned())).map(drop)
}

fn environment(name: &str) -> Verdict {
    if let Err(why) = model::check_declared(name) {
        return Err(format!("`{name}` is no glob: {why}"));
    }
    // Where one stands, what it matches is what counts.
    let plain = name.replace(['*', '?', '[', ']', '{', '}', '!', '^', ','], "x");
    if model::is_environment_name(&plain) {
        return Ok(());
    }
    Err(format!(
        "`{name}` cannot be an environment's name; use letters, digits, `-`, `_`, `.`, `+` and `@`"
    ))
}

fn glob(text: &str) -> Verdict {
    let glob = Glob::new(text);
    glob.map(drop)
        .map_err(|error| format!("`{text}` is no glob: {}", error.kind()))
}

fn inside(path: &str) -> Verdict {
    match RepoPath::root().resolve(path) {
        Some(_) => Ok(()),
        None => Err(format!("`{path}` is outside of the repository")),
    }
}

fn builder(text: &str) -> Verdict {
    let parsed = Builder::parse(text);
    parsed
        .map(drop)
        .map_err(|hint| format!("`{text}` builds no images; {hint}"))
}

fn platform(text: &str) -> Verdict {
    if model::is_platform(text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is no platform; such as linux/amd64 or linux/arm64"
    ))
}

fn python(text: &str) -> Verdict {
    static RELEASE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\d+(?:\.\d+){0,2}(?:(?:a|b|rc)\d+)?$").expect("a valid pattern")
    });
    if RELEASE.is_match(text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is no release of Python; such as \"3.12\""
    ))
}

fn compression(text: &str) -> Verdict {
    match text {
        "gzip" | "zstd" => Ok(()),
        _ => Err(format!("`{text}` packs no layers; gzip or zstd does")),
    }
}

/// What can name a repository of images, with its registry, by the grammar of
/// [distribution/reference](https://pkg.go.dev/github.com/distribution/reference).
const NAME: &str = r"(?:[a-zA-Z0-9.:\[\]-]+/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*";

fn repository(text: &str) -> Verdict {
    static REPOSITORY: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!("^{NAME}/?$")).expect("a valid pattern"));
    if REPOSITORY.is_match(text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is no repository of images; such as registry.example.org/acme/flows, without a tag"
    ))
}

fn reference(text: &str) -> Verdict {
    static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
        let version = r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?";
        Regex::new(&format!("^{NAME}{version}$")).expect("a valid pattern")
    });
    if REFERENCE.is_match(text) {
        return Ok(());
    }
    Err(format!("`{text}` names no image; such as python:3.12-slim"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let parsed = File::parse(text);
        parsed.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn every_value_that_means_nothing_is_told_at_its_place() {
        let text = r#"repository = ""

[projects]
include = ["a[", "projects/**"]
shared = [""]

[prefect]
version = 4
api-url = "not a url"

[storage]
url = "ftp://host/flows"

[image]
repository = "not a repo!"
base = "pyt hon:3.12"
builder = "dokcer"
platforms = ["linux/amd64", "foo"]
python = "banana"
compression = "x"

[vars]
limit = 5
zones = ["a"]

[environments."a b"]
[environments."pr-["]
[environments.prod]
prefect = { api-url = "ftp://host" }
image = { platforms = ["bar"] }
vars = { none = nan }
takes-over = "prod"
[environments.staging]
takes-over = "pr-*"
[environments."x-*"]
preview = true
takes-over = "prod"
"#;
        insta::assert_snapshot!(said(text), @r#"
        flowyard.toml:1:14: `repository` is empty; leave it away to say nothing
               flowyard.toml:4:12: `a[` is no glob: unclosed character class; missing ']'
               flowyard.toml:5:11: `shared` is empty; leave it away to say nothing
               flowyard.toml:8:11: `4` is no release of Prefect that flowyard knows; write 2 or 3
               flowyard.toml:9:11: `api-url` is no address of a server: relative URL without a base; write it as https://host/api
               flowyard.toml:12:7: unknown storage scheme `ftp`; known are azure, s3, gs and file
               flowyard.toml:15:14: `not a repo!` is no repository of images; such as registry.example.org/acme/flows, without a tag
               flowyard.toml:16:8: `pyt hon:3.12` names no image; such as python:3.12-slim
               flowyard.toml:17:11: `dokcer` builds no images; did you mean `docker`?
               flowyard.toml:18:29: `foo` is no platform; such as linux/amd64 or linux/arm64
               flowyard.toml:19:10: `banana` is no release of Python; such as "3.12"
               flowyard.toml:20:15: `x` packs no layers; gzip or zstd does
               flowyard.toml:24:9: `zones` under `vars` is a list, not a text, number, boolean or date
               flowyard.toml:26:15: `a b` cannot be an environment's name; use letters, digits, `-`, `_`, `.`, `+` and `@`
               flowyard.toml:27:15: `pr-[` is no glob: unclosed character class; missing ']'
               flowyard.toml:29:23: `api-url` is no address of a server: its scheme is `ftp`; write it as https://host/api
               flowyard.toml:30:24: `bar` is no platform; such as linux/amd64 or linux/arm64
               flowyard.toml:31:17: `none` under `vars` is no finite number
               flowyard.toml:32:14: `prod` cannot take over from itself; name the environment that was there before
               flowyard.toml:34:14: `pr-*` is no environment's name; `takes-over` names one, without a glob
               flowyard.toml:37:14: a preview takes nothing over: its deployments have names of their own
        "#);
    }

    #[test]
    fn what_means_something_passes() {
        let text = r#"repository = "acme/flows"
[projects]
include = ["projects/**", "./a/", "{b,c}"]
[prefect]
version = "2.20.26"
api-url = "http://127.0.0.1:4200/api"
[storage]
url = "azure://{{ flowyard.terraform.account }}/flows"
[image]
repository = "localhost:5000/acme/data-flows__x/"
name = "Registry.example.org/acme/flows@sha256:0000000000000000000000000000000000000000000000000000000000000000"
builder = "oci"
platforms = ["linux/arm/v7"]
python = "3.14.0rc1"
compression = "zstd"
[vars]
day = 2026-01-01
[environments."pr-*"]
storage = { url = "file:///srv/flows" }
image = { repository = "{{ flowyard.terraform.registry }}/flows", base = "prefecthq/prefect:3-python3.12" }
[environments."{dev,test}-[0-9]"]
[environments."kari@desk"]
"#;
        assert_eq!(said(text), "");
    }

    #[test]
    fn variables_are_told_by_their_names() {
        for (name, value, expected) in [
            (
                "FLOWYARD_IMAGE_BUILDER",
                "dokcer",
                "`dokcer` builds no images; did you mean `docker`?",
            ),
            (
                "FLOWYARD_IMAGE_PLATFORMS",
                "linux/amd64, foo",
                "`foo` is no platform; such as linux/amd64 or linux/arm64",
            ),
            (
                "FLOWYARD_PREFECT_VERSION",
                "4",
                "`4` is no release of Prefect that flowyard knows; write 2 or 3",
            ),
        ] {
            let environment = [(name.to_owned(), value.to_owned())].into();
            let error = variables(&environment).expect_err("a fault");
            assert_eq!(error.to_string(), format!("{name}: {expected}"));
        }
    }
}

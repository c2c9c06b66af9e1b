//! The variables of a template: what `cookiecutter.json` says, and what was asked for.
//!
//! Source of the rules: cookiecutter's [advanced usage](https://cookiecutter.readthedocs.io/en/stable/advanced/index.html)
//! (choice, dictionary, boolean and private variables, copying without rendering).

use std::fmt;

use anyhow::{Context as _, anyhow, bail};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, context};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::model::{listed, nearest};

/// The name of the file that declares the variables.
pub(super) const FILE: &str = "cookiecutter.json";

/// Steps that a template may take before it counts as endless; a large page takes some thousands.
const FUEL: u64 = 2_000_000;

/// An object's members in the order of the file: a default may name the variables before it.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of variables and their defaults")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The variables with their values, and how texts are rendered with them.
#[derive(Debug)]
pub(super) struct Variables {
    values: Map<String, Value>,
    environment: Environment<'static>,
}

impl Variables {
    /// Reads the declarations, and gives every variable its value: from `set` (name and text), else from `given`, else its
    /// default, rendered. An error names the variable.
    pub(super) fn new(
        declarations: &str,
        set: &[(String, String)],
        given: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let Ordered(declared) =
            serde_json::from_str(declarations).with_context(|| format!("read {FILE}"))?;
        let known: Vec<&str> = declared
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !name.starts_with('_'))
            .collect();
        for (name, _) in set {
            if !known.contains(&name.as_str()) {
                match nearest(name, known.iter().copied()) {
                    Some(near) => bail!("unknown variable `{name}`; did you mean `{near}`?"),
                    None => bail!(
                        "unknown variable `{name}`; the template has: {}",
                        listed(&known)
                    ),
                }
            }
        }
        let mut environment = environment();
        let settings = declared.iter().find(|(name, _)| name == "_jinja2_env_vars");
        let is_on = |name: &str| settings.is_some_and(|(_, settings)| settings[name] == true);
        environment.set_trim_blocks(is_on("trim_blocks"));
        environment.set_lstrip_blocks(is_on("lstrip_blocks"));
        let mut variables = Self {
            values: Map::new(),
            environment,
        };
        let find = |list: &[(String, String)], name: &str| {
            let found = list.iter().rev().find(|(one, _)| one == name);
            found.map(|(_, text)| text.clone())
        };
        for (name, default) in &declared {
            let value = if name.starts_with('_') && !name.starts_with("__") {
                default.clone()
            } else {
                let set = find(set, name);
                let given = || default.as_str().and_then(|_| find(given, name));
                match set.or_else(given) {
                    Some(text) => chosen(&variables.rendered(name, default)?, text)
                        .with_context(|| format!("set `{name}`"))?,
                    None => first(variables.rendered(name, default)?),
                }
            };
            variables.values.insert(name.clone(), value);
        }
        Ok(variables)
    }

    /// A text with the variables put into it. `of` is named in faults.
    pub(super) fn render(&self, of: &str, text: &str) -> anyhow::Result<String> {
        let values = context! { cookiecutter => minijinja::Value::from_serialize(&self.values) };
        let rendered = self.environment.render_named_str(of, text, values);
        rendered.map_err(|error| {
            let line = error.line().map(|line| format!(":{line}"));
            let what = error.detail().map(str::to_owned);
            let undefined = error.kind() == ErrorKind::UndefinedError;
            let what = what
                .or_else(|| self.undefined(text).filter(|_| undefined))
                .unwrap_or_else(|| error.kind().to_string());
            anyhow!("{of}{}: {what}", line.unwrap_or_default())
        })
    }

    /// Which names of a text have no value, and what to do.
    fn undefined(&self, text: &str) -> Option<String> {
        let template = self.environment.template_from_str(text).ok()?;
        let known: Vec<String> = self
            .values
            .keys()
            .map(|name| format!("cookiecutter.{name}"))
            .collect();
        let is_known = |name: &String| {
            let one = |known: &String| name == known || name.starts_with(&format!("{known}."));
            name == "cookiecutter"
                || known.iter().any(one)
                || self.environment.globals().any(|(global, _)| global == name)
        };
        let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        names.retain(|name| !is_known(name));
        names.sort();
        let hint = match names.as_slice() {
            [] => return None,
            [name] => nearest(name, known.iter().map(String::as_str)),
            _ => None,
        };
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let hint = match hint {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "name files whose braces are not the template's under `_copy_without_render` in {FILE}"
            ),
        };
        Some(format!("no value for {}; {hint}", names.join(", ")))
    }

    /// The globs of the files that are copied as they are.
    pub(super) fn copied(&self) -> Vec<String> {
        let listed = self.values.get("_copy_without_render");
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        listed
            .filter_map(|glob| glob.as_str().map(str::to_owned))
            .collect()
    }

    /// Whether the template wants Python code to be loaded, which is never done.
    pub(super) fn wants_extensions(&self) -> bool {
        let listed = self.values.get("_extensions").and_then(Value::as_array);
        listed.is_some_and(|listed| !listed.is_empty())
    }

    /// A default with its texts rendered; numbers become texts, as in cookiecutter.
    fn rendered(&self, name: &str, value: &Value) -> anyhow::Result<Value> {
        Ok(match value {
            Value::String(text) => self.render(&format!("{FILE}, `{name}`"), text)?.into(),
            Value::Number(number) => number.to_string().into(),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.rendered(name, item));
                Value::Array(items.collect::<anyhow::Result<_>>()?)
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.rendered(name, value)?)));
                Value::Object(members.collect::<anyhow::Result<_>>()?)
            }
            Value::Null | Value::Bool(_) => value.clone(),
        })
    }
}

/// The environment of a template: Jinja as cookiecutter sets it up, in which a name that is not there is a fault. Nothing
/// in it reads a file, runs a program or loads code.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // `{{ name.lower().replace(" ", "_") }}`: templates are full of Python's methods.
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment
}

/// The value of a variable that nobody set: of a choice the first.
fn first(default: Value) -> Value {
    match default {
        Value::Array(choices) => choices.into_iter().next().unwrap_or_default(),
        other => other,
    }
}

/// What a text means as the value of a variable with this default.
fn chosen(default: &Value, text: String) -> anyhow::Result<Value> {
    Ok(match default {
        Value::Array(choices) => {
            let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
            if !choices.contains(&text.as_str()) {
                bail!("`{text}` is none of its choices: {}", listed(&choices));
            }
            text.into()
        }
        // The words of cookiecutter's own prompts.
        Value::Bool(_) => match text.to_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => true.into(),
            "0" | "false" | "f" | "no" | "n" | "off" => false.into(),
            _ => bail!("`{text}` is neither yes nor no"),
        },
        Value::Object(_) => {
            let object: Map<String, Value> =
                serde_json::from_str(&text).context("it is an object, given as JSON")?;
            object.into()
        }
        Value::String(_) | Value::Number(_) | Value::Null => text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        of.iter().map(pair).collect()
    }

    fn new(declared: &str, set: &[(&str, &str)]) -> anyhow::Result<Variables> {
        Variables::new(declared, &pairs(set), &pairs(&[("slug", "load_vg")]))
    }

    #[test]
    fn defaults_name_those_before_them() {
        let declared = r#"{
            "title": "Load VG",
            "slug": "x",
            "module": "{{ cookiecutter.title.lower().replace(' ', '_') }}_{{ cookiecutter.slug|upper }}",
            "year": 2026,
            "license": ["MIT", "{{ cookiecutter.title }}'s own"],
            "docker": true,
            "__hidden": "{{ cookiecutter.module }}!",
            "_copy_without_render": ["*.html"],
            "_raw": "{{ not rendered }}"
        }"#;
        let variables = new(declared, &[]).expect("values");
        let text = "{{ cookiecutter.module }} {{ cookiecutter.year }} {{ cookiecutter.license }} \
                    {{ cookiecutter.__hidden }}{% if cookiecutter.docker %} D{% endif %}\n";
        let rendered = variables.render("x", text).expect("a text");
        assert_eq!(rendered, "load_vg_LOAD_VG 2026 MIT load_vg_LOAD_VG! D\n");
        assert_eq!(variables.copied(), ["*.html"]);
        let set = [
            ("license", "Load VG's own"),
            ("docker", "no"),
            ("slug", "y"),
        ];
        let variables = new(declared, &set).expect("values");
        let rendered = variables.render("x", text).expect("a text");
        assert_eq!(rendered, "load_vg_Y 2026 Load VG's own load_vg_Y!\n");
    }

    #[test]
    fn faults_are_told() {
        let error = |declared: &str, set: &[(&str, &str)]| {
            let result =
                new(declared, set).and_then(|one| one.render("a.py", "\n{{ cookiecutter.nam }}"));
            format!("{:#}", result.expect_err("a fault"))
        };
        let declared = r#"{"name": "x", "license": ["MIT", "BSD"], "docker": true, "_x": 1}"#;
        assert_eq!(
            error(declared, &[]),
            "a.py:2: no value for `cookiecutter.nam`; did you mean `cookiecutter.name`?"
        );
        let raw = new(declared, &[]).and_then(|one| one.render("a.html", "{{ raw }}"));
        assert_eq!(
            raw.expect_err("a fault").to_string(),
            "a.html:1: no value for `raw`; name files whose braces are not the template's under \
             `_copy_without_render` in cookiecutter.json"
        );
        assert_eq!(
            error(declared, &[("nme", "y")]),
            "unknown variable `nme`; did you mean `name`?"
        );
        assert!(error(declared, &[("_x", "y")]).starts_with("unknown variable `_x`"));
        assert_eq!(
            error(declared, &[("license", "GPL")]),
            "set `license`: `GPL` is none of its choices: MIT, BSD"
        );
        assert!(error(declared, &[("docker", "maybe")]).contains("neither yes nor no"));
        assert!(error("[]", &[]).starts_with("read cookiecutter.json: "));
        assert_eq!(
            error(r#"{"a": "{{ cookiecutter.b }}", "b": ""}"#, &[]),
            "cookiecutter.json, `a`:1: no value for `cookiecutter.b`; name files whose braces are not the \
             template's under `_copy_without_render` in cookiecutter.json"
        );
    }

    #[test]
    fn a_template_runs_nothing_and_ends() {
        let variables = new("{}", &[]).expect("values");
        for text in [
            "{% include '/etc/passwd' %}",
            "{% import 'x' as y %}",
            "{{ ''.__class__.__mro__ }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        ] {
            variables.render("x", text).expect_err(text);
        }
    }
}

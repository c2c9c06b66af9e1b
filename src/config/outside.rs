//! Values that stand in files beside `flowyard.toml`: `.env` files, and what Terraform made.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::{fmt, io};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use super::file::{File, Text};
use super::{Environment, faulty};
use crate::model::Place;

/// The files that a configuration names, by their paths from the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Files of `NAME=value` lines; the earlier wins.
    pub env_files: Vec<Named>,
    /// Files that `terraform output -json` wrote; the later wins.
    pub terraform_outputs: Vec<Named>,
}

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As written: from the root.
    pub path: String,
    /// Where its name stands.
    pub place: Place,
}

impl Beside {
    /// The files that the text of a `flowyard.toml` names; none where there is no such text.
    pub fn of(text: Option<&str>) -> anyhow::Result<Self> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let file = File::parse(text)?;
        let named = |files: Vec<Text>| {
            let files = files.into_iter().map(|file| Named {
                place: faulty::place(text, &file.span()),
                path: file.into_inner(),
            });
            files.collect()
        };
        Ok(Self {
            env_files: named(file.env_files),
            terraform_outputs: named(file.terraform_outputs),
        })
    }
}

/// Adds the variables of a `.env` file to those of the process, which win.
pub fn add_env_file(path: &str, text: &str, environment: &mut Environment) -> anyhow::Result<()> {
    let read = Cell::new(0);
    let lines = Lines {
        rest: text.as_bytes(),
        read: &read,
    };
    for pair in dotenvy::from_read_iter(lines) {
        match pair {
            Ok((name, value)) => {
                environment.entry(name).or_insert(value);
            }
            // The error holds what is written, which may be a secret.
            Err(error) => {
                let further = match &error {
                    dotenvy::Error::LineParse(written, _) => {
                        written.trim_end().matches('\n').count()
                    }
                    _ => 0,
                };
                let line = read.get() - further.min(read.get());
                bail!(
                    "{path}:{line}: not NAME=value; a value that holds spaces, quotes or `$` stands in single quotes"
                );
            }
        }
    }
    Ok(())
}

/// A text that is read line by line, so that it is known how far a reader has come.
struct Lines<'a> {
    rest: &'a [u8],
    /// How many lines have been read.
    read: &'a Cell<usize>,
}

impl io::Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |end| end + 1);
        let (piece, rest) = self.rest.split_at(line.min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(piece);
        self.rest = rest;
        if piece.len() == line && line > 0 {
            self.read.set(self.read.get() + 1);
        }
        Ok(piece.len())
    }
}

/// The outputs of Terraform that templates and the configuration can name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terraform {
    /// Texts, numbers and booleans by their names.
    values: BTreeMap<String, Value>,
    /// What cannot be named, and why.
    withheld: BTreeMap<String, Withheld>,
}

/// Why no text can hold an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Terraform calls it sensitive.
    Sensitive,
    /// It is a list or an object.
    Compound,
    /// It has no value.
    Null,
}

impl Withheld {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Sensitive => {
                "hand it over as a variable, {{ $NAME }}, or keep it in a block, {{ prefect.blocks.TYPE.NAME }}"
            }
            Self::Compound => {
                "make an output of what is needed of it, such as `value = join(\",\", var.zones)`"
            }
            Self::Null => "give it a value, and write the file again",
        }
    }
}

/// Fits after the output's name.
impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sensitive => "is sensitive",
            Self::Compound => "is a list or an object",
            Self::Null => "is null",
        })
    }
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    sensitive: bool,
    value: Value,
}

impl Terraform {
    /// Adds what `terraform output -json` wrote.
    pub fn add(&mut self, path: &str, text: &str) -> anyhow::Result<()> {
        let outputs: BTreeMap<String, Output> = serde_json::from_str(text).with_context(|| {
            format!("read {path}, which is not what `terraform output -json` writes")
        })?;
        for (name, output) in outputs {
            let why = match &output.value {
                _ if output.sensitive => Some(Withheld::Sensitive),
                Value::Array(_) | Value::Object(_) => Some(Withheld::Compound),
                Value::Null => Some(Withheld::Null),
                _ => None,
            };
            match why {
                None => {
                    self.withheld.remove(&name);
                    self.values.insert(name, output.value);
                }
                Some(why) => {
                    self.values.remove(&name);
                    self.withheld.insert(name, why);
                }
            }
        }
        Ok(())
    }

    /// The values by their names, which templates have as `flowyard.terraform.NAME`.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        let values = self.values.iter();
        values.map(|(name, value)| (name.as_str(), value))
    }

    /// The outputs that no template can name, and why.
    pub fn withheld(&self) -> impl Iterator<Item = (&str, Withheld)> {
        let withheld = self.withheld.iter();
        withheld.map(|(name, why)| (name.as_str(), *why))
    }

    /// Puts outputs into a text of the configuration: `azure://{{ flowyard.terraform.account }}/flows`.
    pub(super) fn put(&self, text: &str) -> anyhow::Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else {
                break;
            };
            let name = name.trim();
            let Some(output) = name.strip_prefix("flowyard.terraform.") else {
                bail!(
                    "`{name}` cannot stand in `{text}`: only {{{{ flowyard.terraform.NAME }}}} can"
                );
            };
            out += before;
            match (self.values.get(output), self.withheld.get(output)) {
                (Some(Value::String(value)), _) => out += value,
                (Some(value), _) => out += &value.to_string(),
                (None, Some(why)) => {
                    bail!("Terraform's output `{output}` {why}, so it cannot stand in `{text}`")
                }
                (None, None) => bail!(
                    "`{text}` names Terraform's output `{output}`, which is in none of the files under \
                     `terraform-outputs`"
                ),
            }
            rest = behind;
        }
        Ok(out + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUTS: &str = r#"{"account": {"sensitive": false, "type": "string", "value": "acmedata"},
        "replicas": {"type": "number", "value": 3},
        "key": {"sensitive": true, "type": "string", "value": "s3cret"},
        "zones": {"type": ["list", "string"], "value": ["a"]}}"#;

    #[test]
    fn outputs_stand_in_for_names() {
        let mut terraform = Terraform::default();
        terraform.add("o.json", OUTPUTS).expect("outputs");
        let put = |text| terraform.put(text).map_err(|error| error.to_string());
        assert_eq!(
            put("azure://{{ flowyard.terraform.account }}/x{{flowyard.terraform.replicas}}"),
            Ok("azure://acmedata/x3".to_owned())
        );
        assert_eq!(put("plain {{ open"), Ok("plain {{ open".to_owned()));
        for (text, why) in [
            ("{{ flowyard.terraform.key }}", "is sensitive"),
            ("{{ flowyard.terraform.zones }}", "is a list or an object"),
            ("{{ flowyard.terraform.none }}", "in none of the files"),
            ("{{ $HOME }}", "only {{ flowyard.terraform.NAME }} can"),
        ] {
            let error = put(text).expect_err("a fault");
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
        assert_eq!(terraform.values().count(), 2);
        let withheld: Vec<_> = terraform.withheld().collect();
        let expected = [("key", Withheld::Sensitive), ("zones", Withheld::Compound)];
        assert_eq!(withheld, expected);
        let error = terraform.add("o.json", "[]").expect_err("a fault");
        assert!(error.to_string().contains("terraform output -json"));
    }

    #[test]
    fn the_process_wins_over_its_files() {
        let mut environment = Environment::from([("A".to_owned(), "1".to_owned())]);
        let text = "# x\nA=2\nexport B='two words'\nBAKERY_IMAGE=pangeo/forge:1\n";
        add_env_file(".env", text, &mut environment).expect("lines");
        assert_eq!(environment["A"], "1");
        assert_eq!(environment["B"], "two words");
        assert_eq!(environment["BAKERY_IMAGE"], "pangeo/forge:1");
        for (text, line) in [
            ("X=1\nhunter2 is it\n", 2),
            ("# a\n\nX=1\nhunter2 is it\nY=2\n", 4),
            ("X='a\nb'\n\nhunter2", 4),
            ("X=1\nhunter2='it is\nnot closed\nY=1\n", 2),
        ] {
            let error = add_env_file(".env", text, &mut environment).expect_err("a fault");
            let error = error.to_string();
            assert!(
                error.starts_with(&format!(".env:{line}: not NAME=value")),
                "{error}"
            );
            assert!(!error.contains("hunter2"));
        }
    }
}

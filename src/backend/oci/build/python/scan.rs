//! Which Python a base has: asked of its configuration, and of the names in its layers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::super::base::Base;
use super::super::layer;
use super::{Libc, Python};
use crate::backend::oci::{Repository, document};
use crate::backend::{Error, Kind, Result};

/// What a system without `PATH` in its configuration has.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the Python of a base. Reads its layers, the smallest first, until everything is known; `written` is the version that
/// configuration names.
pub(in super::super) async fn python(
    repository: &dyn Repository,
    base: &Base,
    written: Option<&str>,
) -> Result<Python> {
    let mut finder = Finder::new(base, written);
    let mut layers: Vec<_> = base.layers.iter().collect();
    layers.sort_by_key(|layer| layer.size);
    for layer in layers {
        if finder.is_settled() {
            break;
        }
        let failed = |what: String| Error::new(Kind::Other, &base.written, what);
        let (packing, _) = document::packing(&layer.media_type).map_err(failed)?;
        let mut stream = repository.blob(&layer.digest.0).await?;
        let (sender, receiver) = mpsc::channel(4);
        let reading = tokio::task::spawn_blocking(move || {
            let pipe = Pipe {
                receiver,
                rest: Bytes::new(),
            };
            let names = layer::unpack(pipe, packing).and_then(|plain| finder.read(plain));
            (finder, names)
        });
        let mut fault = None;
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => {
                    if sender.send(piece).await.is_err() {
                        // Enough was read.
                        break;
                    }
                }
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        drop(sender);
        let (back, names) = reading
            .await
            .map_err(|error| failed(format!("reading a layer failed: {error}")))?;
        finder = back;
        if let Some(error) = fault {
            return Err(error);
        }
        names.map_err(|error| {
            failed(format!(
                "its layer {} cannot be read: {error}",
                layer.digest
            ))
        })?;
    }
    finder.finish()
}

/// The pieces of a stream, for a reader that blocks.
struct Pipe {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Looks at names. A file that an upper layer removes is still counted: bases remove no Python.
#[derive(Debug)]
struct Finder {
    base: String,
    /// From the configuration of flowyard, or `PYTHON_VERSION` of the base's environment, as official images have it.
    version: Option<String>,
    is_written: bool,
    /// The folders of `PATH`, first one first, without a leading slash.
    path: Vec<String>,
    /// By the number of a folder of `PATH`: what is called `python3` or `python3.N` there, and the name that it links to.
    found: BTreeMap<usize, BTreeMap<String, Option<String>>>,
    /// The versions of folders `lib/python3.N`, by the folder that holds `lib`.
    libraries: BTreeMap<String, String>,
    glibc: bool,
    musl: bool,
    alpine: bool,
}

impl Finder {
    fn new(base: &Base, written: Option<&str>) -> Self {
        let variable = |name: &str| base.variable(name);
        let version = written.map(str::to_owned).or_else(|| {
            variable("PYTHON_VERSION").and_then(|text| release(text).map(str::to_owned))
        });
        let path = variable("PATH").unwrap_or(DEFAULT_PATH);
        Self {
            base: base.written.clone(),
            version,
            is_written: written.is_some(),
            path: path
                .split(':')
                .map(|one| one.trim_matches('/').to_owned())
                .collect(),
            found: BTreeMap::new(),
            libraries: BTreeMap::new(),
            glibc: false,
            musl: false,
            alpine: false,
        }
    }

    /// Whether more layers can tell nothing new.
    fn is_settled(&self) -> bool {
        let first = self
            .found
            .get(&0)
            .is_some_and(|names| names.contains_key("python3"));
        (self.glibc || self.alpine) && first && self.version.is_some()
    }

    fn read(&mut self, archive: impl Read) -> io::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let entry = entry?;
            let kind = entry.header().entry_type();
            if kind.is_file() || kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name()?.map(|target| file_name(&target));
                self.see(&entry.path()?, target);
                if self.is_settled() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn see(&mut self, path: &Path, target: Option<String>) {
        let Some(path) = path.to_str() else { return };
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match name {
            "libc.so.6" => self.glibc = true,
            "alpine-release" if folder == "etc" => self.alpine = true,
            "os.py" => {
                if let Some((prefix, version)) = folder.rsplit_once("lib/python")
                    && release(version) == Some(version)
                {
                    let prefix = prefix.trim_end_matches('/').to_owned();
                    self.libraries.insert(prefix, version.to_owned());
                }
            }
            _ if name.starts_with("ld-musl-") => self.musl = true,
            _ if name == "python3" || minor(name).is_some() => {
                if let Some(at) = self.path.iter().position(|one| one == folder) {
                    let names = self.found.entry(at).or_default();
                    names.insert(name.to_owned(), target);
                }
            }
            _ => {}
        }
    }

    fn finish(self) -> Result<Python> {
        let fault = |what: &str, hint: &str| {
            Err(Error::new(Kind::Other, &self.base, what).hint(hint.to_owned()))
        };
        let libc = if self.alpine || (self.musl && !self.glibc) {
            Libc::Musl
        } else {
            Libc::Glibc
        };
        let Some((&at, names)) = self.found.first_key_value() else {
            // Configuration knows better: a base may have its Python where its start script finds it.
            return match self.version {
                Some(version) if self.is_written => Ok(Python {
                    version,
                    interpreter: "/usr/bin/env python3".to_owned(),
                    libc,
                }),
                _ => fault(
                    "the base has no `python3` on its PATH, and packages need one",
                    "choose a base with Python, or set `python` under `[image]` to the version that it has elsewhere",
                ),
            };
        };
        let folder = &self.path[at];
        let named = names.keys().find_map(|name| minor(name));
        let linked = names.values().flatten().find_map(|name| minor(name));
        let library = || {
            let prefix = folder.rsplit_once('/').map_or("", |(prefix, _)| prefix);
            self.libraries.get(prefix).cloned()
        };
        let version = self
            .version
            .clone()
            .or(linked.or(named).map(str::to_owned))
            .or_else(library);
        let Some(version) = version else {
            return fault(
                "the version of its Python cannot be told",
                "set `python` under `[image]`, such as `python = \"3.12\"`",
            );
        };
        let program = match names.contains_key("python3") {
            true => "python3".to_owned(),
            false => names.keys().next().cloned().unwrap_or_default(),
        };
        Ok(Python {
            version,
            interpreter: format!("/{folder}/{program}"),
            libc,
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// `3.12` of `python3.12`.
fn minor(name: &str) -> Option<&str> {
    name.strip_prefix("python")
        .filter(|version| release(version) == Some(version) && version.matches('.').count() == 1)
}

/// The leading `3.N` or `3.N.N` of a version.
fn release(version: &str) -> Option<&str> {
    let end = version
        .find(|one: char| one != '.' && !one.is_ascii_digit())
        .unwrap_or(version.len());
    let number = &version[..end];
    let parts: Vec<&str> = number.split('.').collect();
    let fits = (2..=3).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty());
    (fits && parts[0] == "3").then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(
        environment: &[&str],
        written: Option<&str>,
        files: &[(&str, &str)],
    ) -> (bool, Result<Python>) {
        let base = Base::fake("base:1", json!({"config": {"Env": environment}}));
        let mut finder = Finder::new(&base, written);
        for (path, target) in files {
            let target = (!target.is_empty()).then(|| (*target).to_owned());
            finder.see(Path::new(path), target);
        }
        (finder.is_settled(), finder.finish())
    }

    fn python(version: &str, interpreter: &str, libc: Libc) -> Python {
        Python {
            version: version.into(),
            interpreter: interpreter.into(),
            libc,
        }
    }

    #[test]
    fn official_images_tell_early() {
        let environment = ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.12.4"];
        let (settled, result) = found(
            &environment,
            None,
            &[
                ("./usr/local/bin/python3", "python3.12"),
                ("usr/lib/x86_64-linux-gnu/libc.so.6", ""),
            ],
        );
        assert!(settled);
        assert_eq!(
            result.expect("found"),
            python("3.12.4", "/usr/local/bin/python3", Libc::Glibc)
        );
        let (settled, result) = found(
            &environment,
            None,
            &[
                ("etc/alpine-release", ""),
                ("lib/ld-musl-x86_64.so.1", ""),
                ("usr/local/bin/python3.12", ""),
                ("usr/local/bin/python3", "python3.12"),
            ],
        );
        assert!(settled);
        assert_eq!(result.expect("found").libc, Libc::Musl);
    }

    #[test]
    fn the_first_on_path_counts() {
        let (settled, result) = found(
            &["PATH=/srv/conda/envs/notebook/bin:/usr/bin"],
            None,
            &[
                ("usr/bin/python3", "python3.11"),
                ("usr/bin/python3.11", ""),
                ("srv/conda/envs/notebook/bin/python3", "python3.12"),
                ("srv/conda/bin/python3", "python3.9"),
                ("lib/x86_64-linux-gnu/libc.so.6", ""),
            ],
        );
        assert!(!settled, "without a version in its environment all is read");
        assert_eq!(
            result.expect("found"),
            python("3.12", "/srv/conda/envs/notebook/bin/python3", Libc::Glibc)
        );
        let (_, result) = found(
            &[],
            None,
            &[
                ("usr/bin/python3", ""),
                ("usr/lib/python3.10/os.py", ""),
                ("usr/lib/python3/os.py", ""),
                ("lib/ld-musl-x86_64.so.1", ""),
                ("lib/libc.so.6", ""),
            ],
        );
        assert_eq!(
            result.expect("found"),
            python("3.10", "/usr/bin/python3", Libc::Glibc)
        );
    }

    #[test]
    fn configuration_decides() {
        let (_, result) = found(&[], Some("3.13"), &[("usr/bin/python3", "python3.11")]);
        assert_eq!(result.expect("found").version, "3.13");
        let (_, result) = found(&[], Some("3.13"), &[("opt/py/bin/python3", "")]);
        assert_eq!(
            result.expect("told"),
            python("3.13", "/usr/bin/env python3", Libc::Glibc)
        );
    }

    #[test]
    fn a_base_without_python_is_a_fault() {
        for (files, fault) in [
            (&[("bin/sh", "")][..], "no `python3` on its PATH"),
            (&[("usr/bin/python3", "x")], "version of its Python"),
        ] {
            let error = found(&["PYTHON_VERSION=latest"], None, files)
                .1
                .expect_err("a fault");
            assert_eq!(error.service, "base:1");
            assert!(error.message.contains(fault), "{error}");
            assert!(error.hint.is_some_and(|hint| hint.contains("`[image]`")));
        }
    }
}

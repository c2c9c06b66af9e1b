//! Installs pinned packages into a folder, and makes of them the files of a layer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use tempfile::TempDir;

use super::super::cache::Cache;
use super::super::layer::{Entry, bytes};
use super::bytecode;
use super::fault::Scene;
use super::resolve::{copy, folder_of, indexes};
use super::{Python, Uv};
use crate::backend::oci::document::Platform;
use crate::backend::{BuildLog, Content, Error, Files, Kind, Result};
use crate::model::{Digest, Requirements};

/// Changes whenever the same packages give another layer.
pub(in super::super) const FORMAT: u32 = 1;

/// Where packages are, and what `PYTHONPATH` names.
pub(in super::super) const PACKAGES: &str = "/opt/flowyard/site-packages";
/// Where their programs are, first on `PATH`.
pub(in super::super) const PROGRAMS: &str = "/opt/flowyard/bin";

/// Has the `.pth` files of our folder read, and then does what a `sitecustomize` behind it would have done.
const SITE: &str = include_str!("sitecustomize.py");

/// The largest program or `RECORD` that is rewritten, in bytes.
const LARGEST: u64 = 64 << 20;

/// What is in the layer. The files on disk are there for as long as this is.
#[derive(Debug)]
pub(in super::super) struct Installed {
    pub(in super::super) entries: Vec<Entry>,
    _folder: TempDir,
}

/// Installs packages that are pinned by `text`, a line each, from the requirements of these files; compiled if wanted.
pub(in super::super) async fn install(
    uv: &Uv,
    requirements: &Requirements,
    files: &dyn Files,
    text: &str,
    (python, platform): (&Python, &Platform),
    (cache, bytecode): (&Cache, bool),
    log: &dyn BuildLog,
) -> Result<Installed> {
    let file = requirements.file.to_string();
    let broken = |error: io::Error| {
        let message = format!("the packages cannot be put into a layer: {error}");
        Error::new(Kind::Other, &file, message)
    };
    let folder = copy(requirements, files, cache)?;
    let (indexes, closed) = indexes(requirements, files)?;
    let mut list: String = indexes.iter().map(|line| format!("{line}\n")).collect();
    list.push_str(text);
    // No file of the repository is called so.
    let pinned = folder.path().join(".flowyard-requirements.txt");
    let target = folder.path().join(".flowyard-packages");
    fs::write(&pinned, list).map_err(broken)?;
    let described = python.describe(platform);
    let scene = Scene {
        file: &file,
        target: &described,
        folder: folder.path(),
    };
    let uv_platform = python.uv_platform(platform, &file)?;
    let (target_text, pinned_text) = (target.to_string_lossy(), pinned.to_string_lossy());
    let mut arguments = vec![
        "pip",
        "install",
        "--only-binary=:all:",
        "--require-hashes",
        "--link-mode=hardlink",
        "--no-compile-bytecode",
        "--python-version",
        &python.version,
        "--python-platform",
        &uv_platform,
        "--target",
        &target_text,
        "-r",
        &pinned_text,
    ];
    // A lock and what an index resolved are complete; a list that a person wrote has to show that it is.
    if !closed {
        arguments.push("--no-deps");
    }
    if !text.is_empty() {
        let run_in = folder_of(folder.path(), requirements);
        uv.run(&run_in, &arguments, &scene, Some(log)).await?;
        if bytecode {
            bytecode::compile(uv, python, &target, &scene).await?;
        }
    }
    let interpreter = python.interpreter.clone();
    let read = tokio::task::spawn_blocking(move || entries(&target, &interpreter));
    let (entries, notes) = read
        .await
        .map_err(|error| broken(io::Error::other(error)))?
        .map_err(broken)?;
    for note in notes {
        log.line(&note);
    }
    Ok(Installed {
        entries,
        _folder: folder,
    })
}

/// The files below `folder`, as they are to be in the image; and what a person should know.
fn entries(folder: &Path, interpreter: &str) -> io::Result<(Vec<Entry>, Vec<String>)> {
    let mut found = BTreeMap::new();
    if folder.exists() {
        walk(folder, "", &mut found)?;
    }
    found.retain(|path, _| !is_note(path));
    let mut programs = BTreeMap::new();
    for (path, file) in &found {
        if let Some(name) = path.strip_prefix("bin/")
            && let Some(text) = with_interpreter(&file.path, interpreter)?
        {
            programs.insert(format!("../bin/{name}"), text);
        }
    }
    let (packages, bin) = (&PACKAGES[1..], &PROGRAMS[1..]);
    let mut entries = Vec::with_capacity(found.len() + 1);
    for (path, file) in &found {
        let on_disk = Content::File {
            path: file.path.clone(),
            length: file.length,
        };
        let (place, content) = match path.strip_prefix("bin/") {
            Some(name) => {
                let rewritten = programs.get(&format!("../bin/{name}"));
                let content = rewritten.map_or(on_disk, |text| bytes(text.clone()));
                (format!("{bin}/{name}"), content)
            }
            None if is_record(path) => {
                let text = record(&read(&file.path)?, &programs);
                (format!("{packages}/{path}"), bytes(text))
            }
            None => (format!("{packages}/{path}"), on_disk),
        };
        entries.push(Entry {
            path: place,
            executable: file.executable,
            content,
            digest: None,
        });
    }
    let mut notes = Vec::new();
    let pth = |path: &&String| !path.contains('/') && path.ends_with(".pth");
    if let Some(first) = found.keys().find(pth) {
        if found.contains_key("sitecustomize.py") {
            notes.push(format!(
                "{first} is not read at start: a package brings a sitecustomize.py of its own"
            ));
        } else {
            entries.push(Entry {
                path: format!("{packages}/sitecustomize.py"),
                executable: false,
                content: bytes(SITE),
                digest: None,
            });
        }
    }
    Ok((entries, notes))
}

/// A file of an installed package.
#[derive(Debug)]
struct Installation {
    path: PathBuf,
    length: u64,
    executable: bool,
}

fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Installation>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| io::Error::other(format!("{prefix}{} is no UTF-8", name.display())))?;
        let path = format!("{prefix}{name}");
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if metadata.is_file() {
            let file = Installation {
                path: entry.path(),
                length: metadata.len(),
                executable: is_executable(&metadata),
            };
            found.insert(path, file);
        } else {
            // Wheels are zip archives of plain files.
            return Err(io::Error::other(format!(
                "{path} is neither file nor folder"
            )));
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

/// What `uv` leaves for itself.
fn is_note(path: &str) -> bool {
    path == ".lock"
        || path.split_once('/').is_some_and(|(folder, name)| {
            folder.ends_with(".dist-info") && matches!(name, "uv_cache.json" | "uv_build.json")
        })
}

fn is_record(path: &str) -> bool {
    path.strip_suffix("/RECORD")
        .is_some_and(|folder| folder.ends_with(".dist-info") && !folder.contains('/'))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other(format!("{} is too long", path.display())));
    }
    fs::read(path)
}

/// A program whose first line names the Python of this machine, with `interpreter` in its place; `None` for any other.
fn with_interpreter(path: &Path, interpreter: &str) -> io::Result<Option<Vec<u8>>> {
    use io::Read as _;
    let mut start = [0; 2];
    let mut file = fs::File::open(path)?;
    if file.read(&mut start)? < 2 || start != *b"#!" {
        return Ok(None);
    }
    let text = read(path)?;
    Ok(rewritten(&text, interpreter))
}

fn rewritten(text: &[u8], interpreter: &str) -> Option<Vec<u8>> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next()?;
    let line = String::from_utf8_lossy(first);
    let line = line.strip_prefix("#!")?.trim();
    // A path that is too long for the kernel, or that has a space in it, is started by the shell, in three lines.
    let rest = if line == "/bin/sh" {
        let second = lines.next()?;
        if !second.starts_with(b"'''exec' ") {
            return None;
        }
        &text[first.len() + second.len() + lines.next()?.len()..]
    } else {
        let program = line.split_whitespace().next()?.rsplit(['/', '\\']).next()?;
        if !(program.starts_with("python") || program.starts_with("pypy")) {
            return None;
        }
        &text[first.len()..]
    };
    Some([format!("#!{interpreter}\n").as_bytes(), rest].concat())
}

/// A `RECORD` ([PEP 376](https://peps.python.org/pep-0376/#record)) as it is true in the image: programs stand beside the
/// folder of packages and some have another content; what is not there is not listed. Sorted.
fn record(text: &[u8], programs: &BTreeMap<String, Vec<u8>>) -> String {
    let text = String::from_utf8_lossy(text);
    let mut rows: Vec<String> = text
        .lines()
        .filter(|row| !row.trim().is_empty())
        .filter_map(|row| {
            let path = row_path(row);
            if is_note(&path) {
                return None;
            }
            let Some(name) = path.strip_prefix("bin/") else {
                return Some(row.to_owned());
            };
            let place = format!("../bin/{name}");
            let rest = match programs.get(&place) {
                Some(content) => {
                    let digest = Digest::of(content);
                    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD;
                    let hash = hash.encode(digest.as_bytes());
                    format!(",sha256={hash},{}", content.len())
                }
                None => {
                    let mut parts = row.rsplitn(3, ',');
                    let (length, hash) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                    format!(",{hash},{length}")
                }
            };
            Some(format!("{}{rest}", quoted(&place)))
        })
        .collect();
    rows.sort();
    rows.dedup();
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// The first field of a row of CSV.
fn row_path(row: &str) -> String {
    match row.strip_prefix('"') {
        None => row.split(',').next().unwrap_or("").to_owned(),
        Some(rest) => {
            let end = rest.find("\",").unwrap_or(rest.len());
            rest[..end].replace("\"\"", "\"")
        }
    }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> String {
        match &entry.content {
            Content::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Content::File { path, .. } => fs::read_to_string(path).expect("text"),
        }
    }

    /// The files that uv leaves when it runs with this interpreter.
    fn installed(interpreter: &str, long: bool) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let head = if long {
            format!("#!/bin/sh\n'''exec' '{interpreter}' \"$0\" \"$@\"\n' '''\n")
        } else {
            format!("#!{interpreter}\n")
        };
        let record = format!(
            "bin/x,sha256={},{}\nuv_cache.json,,\nx-1.dist-info/uv_cache.json,sha256=1,2\nx/a.py,sha256=0,1\n\
             bin/sh,sha256=z,9\nx-1.dist-info/RECORD,,\n",
            head.len(),
            head.len()
        );
        for (path, text) in [
            ("bin/x", format!("{head}import x\n").as_str()),
            ("bin/sh", "#!/bin/sh\necho\n"),
            ("x-1.dist-info/RECORD", &record),
            ("x-1.dist-info/uv_cache.json", "{}"),
            ("x/a.py", "a"),
            (".lock", ""),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn machines_make_the_same_files() {
        let place = "/usr/local/bin/python3";
        let mut seen = Vec::new();
        for (interpreter, long) in [
            ("/usr/bin/python3.11", false),
            ("/home/kari/.venv/bin/python", false),
            ("/a folder/bin/python3", true),
        ] {
            let folder = installed(interpreter, long);
            let (entries, notes) = entries(folder.path(), place).expect("read");
            assert_eq!(notes, [""; 0]);
            let files: Vec<(String, String)> = entries
                .iter()
                .map(|entry| (entry.path.clone(), text(entry)))
                .collect();
            seen.push(files);
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
        let files: BTreeMap<_, _> = seen.remove(0).into_iter().collect();
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            [
                "opt/flowyard/bin/sh",
                "opt/flowyard/bin/x",
                "opt/flowyard/site-packages/x-1.dist-info/RECORD",
                "opt/flowyard/site-packages/x/a.py",
            ]
        );
        assert_eq!(
            files["opt/flowyard/bin/x"],
            "#!/usr/local/bin/python3\nimport x\n"
        );
        assert_eq!(
            files["opt/flowyard/site-packages/x-1.dist-info/RECORD"],
            "../bin/sh,sha256=z,9\n\
             ../bin/x,sha256=kaNY3iKx6ahet4PhyTWpDlPBcyonhcWeP3sdPDLiHnI,34\n\
             uv_cache.json,,\n\
             x-1.dist-info/RECORD,,\n\
             x/a.py,sha256=0,1\n"
        );
    }

    #[test]
    fn only_programs_of_python_are_rewritten() {
        let new = |text: &str| {
            rewritten(text.as_bytes(), "/p").map(|text| String::from_utf8(text).expect("text"))
        };
        assert_eq!(new("#!/x/python3.11 -E\r\nx"), Some("#!/p\nx".into()));
        assert_eq!(new("#!python\nx"), Some("#!/p\nx".into()));
        assert_eq!(new("#!/usr/bin/env python3\nx"), None);
        assert_eq!(new("#!/bin/bash\nx"), None);
        assert_eq!(new("#!/bin/sh\necho\n"), None);
        assert_eq!(new("#!"), None);
        assert_eq!(new("\u{7f}ELF"), None);
    }

    #[test]
    fn names_in_a_record_may_be_quoted() {
        assert_eq!(row_path("\"a,\"\"b\"\"\",sha256=1,2"), "a,\"b\"");
        assert_eq!(row_path("a b,sha256=1,2"), "a b");
        assert_eq!(
            record(b"\"bin/a,b\",sha256=1,2\n", &BTreeMap::new()),
            "\"../bin/a,b\",sha256=1,2\n"
        );
    }

    #[test]
    fn files_for_the_start_of_python_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.pth"), "import a\n").expect("written");
        let (files, notes) = entries(folder.path(), "/p").expect("read");
        assert_eq!(files[1].path, "opt/flowyard/site-packages/sitecustomize.py");
        assert_eq!((files.len(), notes.len()), (2, 0));
        fs::write(folder.path().join("sitecustomize.py"), "").expect("written");
        let (files, notes) = entries(folder.path(), "/p").expect("read");
        assert_eq!(files.len(), 2);
        assert!(notes[0].contains("a.pth is not read"), "{notes:?}");
        let (none, _) = entries(&folder.path().join("none"), "/p").expect("nothing");
        assert!(none.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_no_file_of_a_package() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("x")).expect("linked");
        let error = entries(folder.path(), "/p").expect_err("a link");
        assert!(error.to_string().contains("x is neither"), "{error}");
    }
}

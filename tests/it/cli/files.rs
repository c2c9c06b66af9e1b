//! Files of every size reach the storage as they are, with little memory.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::{expect_untouched, kept, local, small, written};
use crate::support::Flowyard;

/// Runs its arguments, and writes into the file of the first the most memory, in KB, that they held at once.
const MEASURE: &str = "
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], 'w') as out:
    out.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
";

/// The release's copy of a file.
fn stored(folder: &Path, name: &str) -> PathBuf {
    let releases = fs::read_dir(folder).expect("the project has a release");
    let copies: Vec<_> = releases
        .map(|release| release.expect("it can be listed").path().join(name))
        .filter(|path| path.is_file())
        .collect();
    let [copy] = copies.as_slice() else {
        panic!("{copies:?}");
    };
    copy.clone()
}

fn same_content(one: &Path, other: &Path) -> bool {
    let open = |path| File::open(path).expect("it is there");
    let (mut one, mut other) = (open(one), open(other));
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut a).expect("it can be read");
        let start = &mut b[..read];
        if other.read_exact(start).is_err() || a[..read] != *start {
            return false;
        }
        if read == 0 {
            return other.read(&mut b).expect("it can be read") == 0;
        }
    }
}

#[test]
fn empty_files() {
    let repo = small();
    for name in ["empty.csv", "__init__.py", "empty.py"] {
        repo.write(&format!("p/{name}"), "");
    }
    local(&repo, "deploy").expect_code(0);
    let written = written(&repo);
    for name in ["empty.csv", "__init__.py", "empty.py"] {
        let copies: Vec<_> = written
            .iter()
            .filter(|(path, _)| path.ends_with(&format!("/{name}")))
            .collect();
        assert!(
            matches!(copies[..], [(_, (content, _))] if content.is_empty()),
            "{name}"
        );
    }
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn a_large_file_with_little_memory() {
    const LENGTH: u64 = 300 << 20;
    let repo = small();
    // Mostly a hole, which reads as zeros: quick to make, and as long to everybody who reads it.
    let path = repo.write("p/large.bin", "");
    let mut file = File::options()
        .write(true)
        .open(&path)
        .expect("it was just written");
    file.set_len(LENGTH).expect("there is room for a hole");
    for (at, text) in [(0, "begin"), (123_456_789, "middle"), (LENGTH - 3, "end")] {
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(text.as_bytes()))
            .expect("it can be written");
    }
    drop(file);

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let memory = folder.path().join("memory");
    let measure = [
        "python3",
        "-c",
        MEASURE,
        memory.to_str().expect("it is UTF-8"),
    ];
    Flowyard::through(&measure, repo.path(), ["deploy", "--local"])
        .run()
        .expect_code(0);
    let memory = fs::read_to_string(memory).expect("it was measured");
    let kilobytes: u64 = memory.parse().expect("a number");
    assert!((1_000..100_000).contains(&kilobytes), "{kilobytes} KB");
    assert!(same_content(
        &path,
        &stored(&kept(&repo).join("storage/p"), "large.bin")
    ));
}

#[test]
fn modes_and_odd_names_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let repo = small();
    let names = ["a b+ü%20#?.txt", "日本.txt", "-x", "a'\"b"];
    for name in names {
        repo.write(&format!("p/{name}"), name);
    }
    let script = repo.write("p/run.sh", "#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    local(&repo, "deploy").expect_code(0);
    let written = written(&repo);
    for name in names {
        let content = written
            .iter()
            .find(|(path, _)| path.starts_with("storage/p/") && path.ends_with(&format!("/{name}")))
            .map(|(_, (content, _))| content.as_slice());
        assert_eq!(content, Some(name.as_bytes()), "{name}");
    }
    let manifest = written
        .iter()
        .find(|(path, _)| path.starts_with("storage/.flowyard/releases/p/"))
        .map(|(_, (content, _))| String::from_utf8_lossy(content).into_owned())
        .expect("there is a manifest");
    assert!(manifest.contains("100755"), "{manifest}");
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn names_that_no_storage_takes() {
    let mut all = String::new();
    for name in ["line\nbreak", "back\\slash", "folder\t/file.txt"] {
        let repo = small();
        repo.write(&format!("p/{name}"), "");
        let run = expect_untouched(&repo, "deploy", 3);
        assert!(!kept(&repo).exists());
        all += &run.stderr;
        repo.write("p/.prefectignore", "*break\n*slash\nfolder*\n");
        local(&repo, "deploy").expect_code(0);
    }
    insta::assert_snapshot!(all, @r"
    p/line\nbreak: error: the name holds a control character, which no storage takes
      hint: rename it, or ignore it in a .prefectignore
    1 error in 1 file
    error: 1 fault; nothing was written
    p/back\slash: error: the name holds a backslash, which no storage takes
      hint: rename it, or ignore it in a .prefectignore
    1 error in 1 file
    error: 1 fault; nothing was written
    p/folder\t/file.txt: error: the name holds a control character, which no storage takes
      hint: rename it, or ignore it in a .prefectignore
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
}

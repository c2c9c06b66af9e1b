//! Names and symbolic links that cannot be deployed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use super::{kept, local, small};
use crate::support::Repo;

#[track_caller]
fn refused(repo: &Repo) -> String {
    let run = local(repo, "deploy").expect_code(3);
    assert!(!kept(repo).exists(), "{}", run.snapshot());
    run.stderr
}

#[test]
fn a_name_that_is_not_utf_8() {
    let repo = small();
    let name = OsStr::from_bytes(b"caf\xe9.csv");
    fs::write(repo.path().join("p").join(name), "").expect("Linux takes any name");
    insta::assert_snapshot!(refused(&repo), @"
    p/caf�.csv: error: the name or the link's target is not UTF-8
      hint: rename it, or ignore it in a .prefectignore
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
    // It can be left out, and does not matter outside of a project.
    repo.write("p/.prefectignore", "*.csv\n");
    local(&repo, "deploy").expect_code(0);
    repo.remove("p/.prefectignore");
    fs::rename(repo.path().join("p").join(name), repo.path().join(name)).expect("it can move");
    local(&repo, "check").expect_code(0);
}

#[test]
fn links_that_lead_astray() {
    let mut all = String::new();
    for target in [
        "/etc/passwd",
        "../../outside.txt",
        "folder",
        "absent.txt",
        "link",
        "../.git/config",
        "../README.md",
    ] {
        let repo = small();
        repo.write("p/folder/file.txt", "");
        repo.write("README.md", "");
        symlink(target, repo.path().join("p/link")).expect("a link can be made");
        all += &refused(&repo);
    }
    insta::assert_snapshot!(all, @"
    p/link: error: the symbolic link leads to an absolute path
      hint: let it lead to a file of the project, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/link: error: the symbolic link leads out of the repository
      hint: let it lead to a file of the project, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/link: error: the symbolic link leads to the folder p/folder
      hint: name the folder itself in `code.include`, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/link: error: the symbolic link leads to p/absent.txt, which is not there or is ignored
      hint: let it lead to a file of the project, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/link: error: the symbolic link leads back to itself
      hint: let it lead to a file of the project, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/link: error: the symbolic link leads to .git/config, which is not there or is ignored
      hint: let it lead to a file of the project, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/link: error: the symbolic link leads to README.md, which is not in this release
      hint: add `/README.md` to `code.include`, or leave the link out with `code.exclude`
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
}

#[test]
fn a_link_to_a_file_is_deployed_as_that_file() {
    let repo = small();
    repo.write("p/data/2026.csv", "1,2\n");
    symlink("data/2026.csv", repo.path().join("p/latest.csv")).expect("a link can be made");
    symlink(
        "hello.deployment.yaml",
        repo.path().join("p/again.deployment.yaml"),
    )
    .expect("a link can be made");
    local(&repo, "deploy").expect_code(0);
    let written = super::written(&repo);
    let copies: Vec<_> = written
        .iter()
        .filter(|(path, _)| path.ends_with("/latest.csv"))
        .collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].1.0, b"1,2\n");
    assert!(!kept(&repo).join(copies[0].0).is_symlink());
    assert!(written.contains_key("registrations/default/hello/again.json"));
}

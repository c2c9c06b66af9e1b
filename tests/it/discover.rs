//! Trees, projects and code releases, on repositories made on the spot.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flowyard::discover::{EntryKind, FaultKind, Format, Git, Root, Scope, Tree, find, root};
use flowyard::model::{Absent, CodeTree, Diagnostic, Digest, FileMode, Place, RepoPath};
use flowyard::read::code::{self, Pattern, Request, Shared};
use git2::{IndexAddOption, Oid, Repository, Signature};

/// A git repository in a temporary folder.
struct Repo {
    folder: tempfile::TempDir,
    git: Repository,
}

impl Repo {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let git = Repository::init(folder.path()).expect("init");
        Self { folder, git }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    fn write(&self, path: &str, content: &str) -> &Self {
        write(&self.at(path), content.as_bytes());
        self
    }

    fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.at(path)).expect("remove");
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        symlink(target, path).expect("symbolic link");
        self
    }

    /// Commits everything that git does not ignore.
    fn commit(&self) -> Oid {
        let mut index = self.git.index().expect("index");
        index
            .add_all(["*"], IndexAddOption::DEFAULT, None)
            .expect("add");
        index.update_all(["*"], None).expect("update");
        index.write().expect("write index");
        self.commit_index()
    }

    /// Adds one path, ignored or not.
    fn add_forced(&self, path: &str) {
        let mut index = self.git.index().expect("index");
        index.add_path(Path::new(path)).expect("add");
        index.write().expect("write index");
    }

    fn commit_index(&self) -> Oid {
        let tree = self.git.index().expect("index").write_tree().expect("tree");
        let tree = self.git.find_tree(tree).expect("tree");
        let who = Signature::now("A", "a@example.com").expect("signature");
        let parent = self
            .git
            .head()
            .ok()
            .map(|head| head.peel_to_commit().expect("head"));
        self.git
            .commit(
                Some("HEAD"),
                &who,
                &who,
                "x",
                &tree,
                &parent.iter().collect::<Vec<_>>(),
            )
            .expect("commit")
    }

    fn work(&self) -> Tree {
        Tree::work(self.path()).expect("work tree")
    }

    fn revision(&self, revision: &str) -> Tree {
        Tree::revision(self.path(), revision, &RepoPath::root()).expect("revision")
    }

    fn git(&self) -> Git {
        Git::open(self.path()).expect("open").expect("a repository")
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::write(path, content).expect("write");
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.entries()
        .iter()
        .map(|entry| entry.path.as_str())
        .collect()
}

fn no_imports(_: &str) -> Vec<String> {
    Vec::new()
}

/// Reads `import a.b` and `from a import b` that stand alone on a line.
fn simple_imports(text: &str) -> Vec<String> {
    let words = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| match words[..] {
            ["import", name] => Some(name.to_owned()),
            ["from", folder, "import", name] => Some(format!("{folder}.{name}")),
            _ => None,
        })
        .collect()
}

fn release(tree: &Tree, request: Request) -> (CodeTree, Vec<Diagnostic>) {
    code::trees(tree, &[request], &Shared::new(&[], &no_imports)).remove(0)
}

fn plain(tree: &Tree, project: &str) -> (CodeTree, Vec<Diagnostic>) {
    release(tree, Request::plain(RepoPath::new(project)))
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    let place = |line| Place::at(RepoPath::new("p/x.deployment.yaml"), line, 3);
    let numbered = (1..).zip(texts);
    numbered
        .map(|(line, text)| Pattern {
            text: (*text).into(),
            place: place(line),
        })
        .collect()
}

fn files(code: &CodeTree) -> Vec<&str> {
    code.files().iter().map(|file| file.path.as_str()).collect()
}

fn told(diagnostics: &[Diagnostic]) -> Vec<String> {
    let line = |it: &Diagnostic| format!("{}: {}", it.place, it.message);
    diagnostics.iter().map(line).collect()
}

/// A work tree and its revision hold the same.
fn assert_same(work: &Tree, revision: &Tree) {
    assert_eq!(work.entries(), revision.entries());
    let (a, b) = (plain(work, ""), plain(revision, ""));
    assert_eq!(a.0, b.0);
    assert_eq!(a.0.digest(), b.0.digest());
    assert_eq!(told(&a.1), told(&b.1));
    for entry in work.entries() {
        if let EntryKind::File { length, .. } = entry.kind {
            let content = work.read(&entry.path).expect("read");
            assert_eq!(content.len() as u64, length);
            assert_eq!(content, revision.read(&entry.path).expect("read"));
        }
    }
}

#[test]
fn ignore_files_nest_and_negate_in_both_kinds_of_tree() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.log\n/build/\n!keep.log\n")
        .write("a/.gitignore", "!here.log\nsecret\n")
        .write("a/here.log", "")
        .write("a/keep.log", "")
        .write("a/other.log", "")
        .write("a/secret", "")
        .write("a/b/secret", "")
        .write("b/secret", "")
        .write("build/x", "")
        .write("a/build/x", "")
        .write("a/.prefectignore", "*.csv\n!keep.csv\nraw/\n")
        .write("a/x.csv", "")
        .write("a/keep.csv", "")
        .write("a/raw/x", "")
        .write("b/x.csv", "")
        .write(".hidden", "")
        .write(".git/info/exclude", "mine\n")
        .write("mine", "")
        .write("venv/x", "")
        .write("a/__pycache__/x.pyc", "")
        .write("a/x.egg-info/PKG-INFO", "")
        .write(".flowyard/state", "");
    let kept = [
        ".gitignore",
        ".hidden",
        "a/.gitignore",
        "a/.prefectignore",
        "a/build/x",
        "a/here.log",
        "a/keep.csv",
        "a/keep.log",
        "b/secret",
        "b/x.csv",
    ];
    assert_eq!(paths(&repo.work()), kept);
    repo.commit();
    // libgit2 does not see a line that negates one of a folder above.
    repo.add_forced("a/here.log");
    repo.commit_index();
    assert_same(&repo.work(), &repo.revision("HEAD"));
}

#[test]
fn a_tracked_file_is_never_ignored_by_git_and_always_by_a_prefectignore() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.bin\ndata/\n")
        .write(".prefectignore", "*.tmp\n")
        .write("model.bin", "x")
        .write("other.bin", "x")
        .write("data/deep/tracked", "x")
        .write("data/deep/untracked", "x")
        .write("data/untracked", "x")
        .write("x.tmp", "x")
        .commit();
    for path in ["model.bin", "data/deep/tracked", "x.tmp"] {
        repo.add_forced(path);
    }
    repo.commit_index();
    let kept = [
        ".gitignore",
        ".prefectignore",
        "data/deep/tracked",
        "model.bin",
    ];
    assert_eq!(paths(&repo.work()), kept);
    assert_same(&repo.work(), &repo.revision("HEAD"));
}

#[test]
fn a_folder_without_git_has_the_same_rules() {
    let folder = tempfile::tempdir().expect("temporary folder");
    write(&folder.path().join(".gitignore"), b"*.log\n");
    write(&folder.path().join("x.log"), b"");
    write(&folder.path().join("x.py"), b"");
    let tree = Tree::work(folder.path()).expect("work tree");
    assert_eq!(paths(&tree), [".gitignore", "x.py"]);
    assert!(Git::open(folder.path()).expect("open").is_none());
}

#[test]
fn a_subfolder_as_root_keeps_the_rules_of_the_folders_above() {
    let repo = Repo::new();
    repo.write(".gitignore", "/examples/a/out\n*.log\n")
        .write("examples/.prefectignore", "/a/raw\n")
        .write("examples/a/x.py", "1")
        .write("examples/a/out", "")
        .write("examples/a/raw", "")
        .write("examples/a/x.log", "")
        .write("elsewhere", "")
        .commit();
    let root = repo.at("examples/a");
    let work = Tree::work(&root).expect("work tree");
    assert_eq!(paths(&work), ["x.py"]);
    let revision = Tree::revision(&root, "HEAD", &RepoPath::root()).expect("revision");
    assert_same(&work, &revision);
    let below = Tree::revision(repo.path(), "HEAD", &RepoPath::new("examples/a"));
    assert_same(&work, &below.expect("revision"));
    let missing = Tree::revision(repo.path(), "HEAD", &RepoPath::new("nowhere/x"));
    let error = format!("{:#}", missing.expect_err("no such folder"));
    assert_eq!(
        error,
        "read revision `HEAD`: the revision has no folder nowhere/x"
    );
}

#[test]
fn mode_and_bytes_are_those_of_the_commit() {
    let repo = Repo::new();
    repo.git
        .config()
        .and_then(|mut config| config.set_bool("core.autocrlf", false))
        .expect("config");
    repo.write("run.sh", "#!/bin/sh\n")
        .write("dos.txt", "a\r\nb\r\n")
        .write("empty", "")
        .write("with space ü.txt", "x");
    fs::set_permissions(repo.at("run.sh"), fs::Permissions::from_mode(0o755)).expect("mode");
    repo.commit();
    repo.git
        .config()
        .and_then(|mut config| config.set_bool("core.autocrlf", true))
        .expect("config");
    let (work, revision) = (repo.work(), repo.revision("HEAD"));
    assert_same(&work, &revision);
    let (code, _) = plain(&revision, "");
    let modes: Vec<_> = code.files().iter().map(|file| file.mode).collect();
    let regular = FileMode::Regular;
    assert_eq!(modes, [regular, regular, FileMode::Executable, regular]);
    assert_eq!(code.files()[0].sha256, Digest::of(b"a\r\nb\r\n"));
    assert_eq!(work.commit(), None);
    let head = repo.git().head().expect("head").expect("a commit");
    assert_eq!(revision.commit(), Some(head.sha.clone()));
    assert_eq!(head.short(), &head.sha[..7]);
}

#[test]
fn a_bare_clone_is_read_by_its_revisions() {
    let repo = Repo::new();
    repo.write("p/a.deployment.yaml", "name: a")
        .write("p/a.py", "x")
        .commit();
    let folder = tempfile::tempdir().expect("temporary folder");
    let bare = folder.path().join("flows.git");
    git2::build::RepoBuilder::new()
        .bare(true)
        .clone(repo.path().to_str().expect("UTF-8"), &bare)
        .expect("clone");
    let found = root(&bare.join("objects"), None).expect("root");
    assert!(matches!(&found, Root::Bare(_)));
    assert_eq!(root(&bare, Some(Path::new("."))).expect("root"), found);
    let tree = Tree::revision(found.path(), "HEAD", &RepoPath::root()).expect("revision");
    assert_same(&repo.work(), &tree);
    assert_eq!(find(&tree, &Scope::default()).projects.len(), 1);
    let git = Git::open(&bare).expect("open").expect("a repository");
    assert!(git.changed_since("HEAD", &tree).is_err());
}

#[test]
fn an_empty_repository_has_no_head_and_no_entries() {
    let repo = Repo::new();
    assert!(repo.work().entries().is_empty());
    assert_eq!(repo.git().head().expect("head"), None);
    let found = find(&repo.work(), &Scope::default());
    assert!(found.projects.is_empty() && found.diagnostics.is_empty());
    let error = repo.git().resolve("HEAD").expect_err("no commit");
    assert_eq!(error.to_string(), "unknown revision `HEAD`");
    assert!(code::trees(&repo.work(), &[], &Shared::new(&[], &no_imports)).is_empty());
}

#[test]
fn the_root_is_given_or_found_upward() {
    let repo = Repo::new();
    repo.write("a/b/x", "");
    let top = fs::canonicalize(repo.path()).expect("path");
    assert_eq!(
        root(&repo.at("a/b"), None).expect("root"),
        Root::Work(top.clone())
    );
    let given = root(&repo.at("a"), Some(Path::new("b"))).expect("root");
    assert_eq!(given, Root::Work(top.join("a/b")));
    assert_eq!(
        root(&repo.at(".git/objects"), None).expect("root"),
        Root::Work(top)
    );
    assert!(root(&repo.at("a"), Some(Path::new("c"))).is_err());
    let error = root(&repo.at("a"), Some(Path::new("b/x"))).expect_err("a file");
    assert!(error.to_string().ends_with("is not a folder"));
    let outside = tempfile::tempdir().expect("temporary folder");
    let error = root(outside.path(), None).expect_err("no repository");
    let message = "not inside a git repository; give the folder with --root";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_linked_work_tree_has_its_own_index_and_the_common_excludes() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.bin\n")
        .write("x.bin", "")
        .write(".git/info/exclude", "mine\n");
    repo.add_forced("x.bin");
    repo.commit();
    let folder = tempfile::tempdir().expect("temporary folder");
    let linked = folder.path().join("linked");
    repo.git
        .worktree("linked", &linked, None)
        .expect("work tree");
    write(&linked.join("mine"), b"");
    write(&linked.join("y.bin"), b"");
    let tree = Tree::work(&linked).expect("work tree");
    assert_eq!(paths(&tree), [".gitignore", "x.bin"]);
}

#[test]
fn names_that_are_not_utf8_are_faults_of_the_release_that_holds_them() {
    let repo = Repo::new();
    repo.write("p/a.deployment.yaml", "").write("p/a.py", "");
    write(&repo.at("p").join(OsStr::from_bytes(b"x\xff.csv")), b"");
    write(&repo.at("q").join(OsStr::from_bytes(b"y\xff.csv")), b"");
    write(
        &repo
            .at("q")
            .join(OsStr::from_bytes(b"z\xff.deployment.yaml")),
        b"",
    );
    repo.commit();
    for tree in [repo.work(), repo.revision("HEAD")] {
        assert_eq!(paths(&tree), ["p/a.deployment.yaml", "p/a.py"]);
        let (code, diagnostics) = plain(&tree, "p");
        assert_eq!(files(&code), ["a.py"]);
        let message = "p/x\u{fffd}.csv: the name or the link's target is not UTF-8";
        assert_eq!(told(&diagnostics), [message]);
        let found = find(&tree, &Scope::default());
        let message = "q/z\u{fffd}.deployment.yaml: the name is not UTF-8";
        assert_eq!(told(&found.diagnostics), [message]);
        assert_eq!(found.projects.len(), 1);
    }
}

#[test]
fn symbolic_links_inside_of_a_release_become_files_and_others_are_faults() {
    let repo = Repo::new();
    repo.write("p/a.py", "content")
        .write("p/sub/b.py", "")
        .write("lib/c.py", "c")
        .link("p/in.py", "a.py")
        .link("p/sub/chain.py", "../in.py")
        .link("p/out.py", "../lib/c.py")
        .link("p/away", "../../x")
        .link("p/absolute", "/etc/hostname")
        .link("p/broken", "nowhere")
        .link("p/folder", "sub")
        .link("p/loop1", "loop2")
        .link("p/loop2", "loop1")
        .commit();
    for tree in [repo.work(), repo.revision("HEAD")] {
        let (code, diagnostics) = plain(&tree, "p");
        assert_eq!(files(&code), ["a.py", "in.py", "sub/b.py", "sub/chain.py"]);
        assert_eq!(code.files()[1].sha256, Digest::of(b"content"));
        assert_eq!(code.files()[3].length, 7);
        assert_eq!(
            told(&diagnostics),
            [
                "p/absolute: the symbolic link leads to an absolute path",
                "p/away: the symbolic link leads out of the repository",
                "p/broken: the symbolic link leads to p/nowhere, which is not there or is ignored",
                "p/folder: the symbolic link leads to the folder p/sub",
                "p/loop1: the symbolic link leads back to itself",
                "p/loop2: the symbolic link leads back to itself",
                "p/out.py: the symbolic link leads to lib/c.py, which is not in this release",
            ]
        );
        assert!(
            diagnostics
                .iter()
                .all(|it| it.is_error() && it.hint.is_some())
        );
        assert_eq!(tree.read(&RepoPath::new("p/out.py")).expect("read"), b"c");
        assert!(tree.read(&RepoPath::new("p/loop1")).is_err());
        let mut request = Request::plain(RepoPath::new("p"));
        request.include = patterns(&["/lib/c.py"]);
        request.exclude = patterns(&["loop*", "away", "absolute", "broken", "folder"]);
        let (code, diagnostics) = release(&tree, request);
        assert_eq!(told(&diagnostics), [""; 0]);
        assert!(files(&code).contains(&"p/out.py"));
    }
}

#[test]
fn projects_are_folders_with_deployment_files() {
    let repo = Repo::new();
    repo.write("top.deployment.toml", "")
        .write("requirements.txt", "")
        .write("news/pyproject.toml", "")
        .write("news/load/b.deployment.yaml", "")
        .write("news/load/a.deployment.json", "")
        .write("news/load/prefect.yaml", "")
        .write("news/own/x.deployment.py", "")
        .write("news/own/pyproject.toml", "")
        .write("news/own/requirements.txt", "")
        .write("dwh/x.deployment.yml", "")
        .write("tpl/{{cookiecutter.name}}/x.deployment.yaml", "")
        .write("tpl/{{cookiecutter.name}}/deep/x.deployment.yaml", "")
        .write("miss/x.deployments.yaml", "")
        .write("k8s/deployment.yaml", "")
        .link("link/x.deployment.yaml", "../dwh/x.deployment.yml")
        .commit();
    for tree in [repo.work(), repo.revision("HEAD")] {
        let found = find(&tree, &Scope::default());
        let projects = found.projects.iter().map(|project| {
            let requirements = project.requirements.as_ref().map_or("-", RepoPath::as_str);
            (project.path.to_string(), project.files.len(), requirements)
        });
        let expected = [
            (".".to_owned(), 1, "requirements.txt"),
            ("dwh".to_owned(), 1, "requirements.txt"),
            ("link".to_owned(), 1, "requirements.txt"),
            ("news/load".to_owned(), 3, "news/pyproject.toml"),
            ("news/own".to_owned(), 1, "news/own/requirements.txt"),
        ];
        assert_eq!(projects.collect::<Vec<_>>(), expected);
        let formats: Vec<_> = found.projects[3]
            .files
            .iter()
            .map(|file| file.format)
            .collect();
        assert_eq!(formats, [Format::Json, Format::Yaml, Format::PrefectYaml]);
        assert_eq!(
            told(&found.diagnostics),
            ["miss/x.deployments.yaml: looks like a deployment file and is not read as one"]
        );
        let scope = Scope::new(&["news"], &["**/own"]).expect("globs");
        let found = find(&tree, &scope);
        assert_eq!(found.projects.len(), 1);
        assert!(found.diagnostics.is_empty());
    }
}

#[test]
fn what_a_prefectignore_hides_is_told() {
    let repo = Repo::new();
    repo.write("p/.prefectignore", "*.yaml\nrequirements.txt\na[z-a]\n")
        .write("p/a.deployment.yaml", "")
        .write("p/plain.yaml", "")
        .write("p/requirements.txt", "");
    let found = find(&repo.work(), &Scope::default());
    assert!(found.projects.is_empty());
    let told = told(&found.diagnostics);
    assert!(told[0].starts_with("p/.prefectignore:3:1: the line is no pattern"));
    assert_eq!(
        told[1..],
        [
            "p/a.deployment.yaml: ignored by a .prefectignore: it is not read",
            "p/requirements.txt: ignored by a .prefectignore: it is not read",
        ]
    );
}

#[test]
fn a_release_holds_the_folder_without_deployment_and_ignore_files() {
    let repo = Repo::new();
    repo.write("p/a.deployment.yaml", "1")
        .write("p/prefect.yaml", "")
        .write("p/b.deployment.py", "")
        .write("p/.gitignore", "*.log")
        .write("p/.prefectignore", "*.csv")
        .write("p/requirements.txt", "")
        .write("p/flow.py", "x")
        .write("p/pkg/__init__.py", "")
        .write("p/.env.example", "")
        .write("p-other/x.py", "")
        .write("p.py", "");
    let (code, diagnostics) = plain(&repo.work(), "p");
    assert_eq!(told(&diagnostics), [""; 0]);
    let kept = [
        ".env.example",
        "flow.py",
        "pkg/__init__.py",
        "requirements.txt",
    ];
    assert_eq!(files(&code), kept);
    assert_eq!(code.base(), &RepoPath::new("p"));
    repo.write("p/a.deployment.yaml", "2");
    assert_eq!(plain(&repo.work(), "p").0.digest(), code.digest());
    repo.write("p/flow.py", "y");
    assert_ne!(plain(&repo.work(), "p").0.digest(), code.digest());
}

#[test]
fn includes_widen_a_release_to_the_root_and_excludes_narrow_it() {
    let repo = Repo::new();
    repo.write("news/p/flow.py", "")
        .write("news/p/test/x.py", "")
        .write("news/sql/a.sql", "")
        .write("news/sql/a.md", "")
        .write("lib/deep/x.py", "")
        .write("lib/test/x.py", "")
        .write("main.py", "");
    let tree = repo.work();
    let mut request = Request::plain(RepoPath::new("news/p"));
    request.include = patterns(&["../sql/*.sql", "/lib"]);
    request.exclude = patterns(&["test", "/lib/test"]);
    request.extra = vec![(
        RepoPath::new("main.py"),
        Place::file(RepoPath::new("news/p/x.deployment.yaml")),
    )];
    let (code, diagnostics) = release(&tree, request.clone());
    assert_eq!(told(&diagnostics), [""; 0]);
    let kept = [
        "lib/deep/x.py",
        "main.py",
        "news/p/flow.py",
        "news/sql/a.sql",
    ];
    assert_eq!(files(&code), kept);
    assert!(code.base().is_root());

    request.include = patterns(&["/nothing", "../../../x", "!x", "pkg/../flow.py"]);
    request.exclude = patterns(&["*/../x"]);
    request.extra[0].0 = RepoPath::new("gone.py");
    let (code, diagnostics) = release(&tree, request);
    assert_eq!(files(&code), ["flow.py", "test/x.py"]);
    assert_eq!(
        told(&diagnostics),
        [
            "p/x.deployment.yaml:1:3: `..` cannot follow a wildcard",
            "p/x.deployment.yaml:1:3: `/nothing` matches no file",
            "p/x.deployment.yaml:2:3: the pattern leads out of the repository",
            "p/x.deployment.yaml:3:3: `!` has no meaning in `code.include`",
        ]
        .iter()
        .copied()
        .chain(["news/p/x.deployment.yaml: gone.py is not there or is ignored"])
        .map(str::to_owned)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
}

#[test]
fn shared_folders_come_by_import_and_bring_their_own() {
    let repo = Repo::new();
    repo.write("a/flow.py", "import lib.dates")
        .write("b/flow.py", "import pathlib")
        .write("c/flow.py", "from libs import common")
        .write("d/flow.py", "from lib import dates")
        .write("d/lib/dates.py", "")
        .write("e/flow.py", "import tools")
        .write("lib/dates.py", "import libs.common.x")
        .write("libs/__init__.py", "")
        .write("libs/common/x.py", "import lib")
        .write("libs/other/x.py", "")
        .write("tools.py", "")
        .commit();
    let folders = ["lib", "libs/common", "tools.py"].map(RepoPath::new);
    let shared = Shared::new(&folders, &simple_imports);
    let requests = ["a", "b", "c", "d", "e"].map(|path| Request::plain(RepoPath::new(path)));
    for tree in [repo.work(), repo.revision("HEAD")] {
        let trees = code::trees(&tree, &requests, &shared);
        let files: Vec<_> = trees.iter().map(|(code, _)| files(code)).collect();
        let both = ["lib/dates.py", "libs/__init__.py", "libs/common/x.py"];
        assert_eq!(files[0], [&["a/flow.py"][..], &both].concat());
        assert_eq!(files[1], ["flow.py"]);
        assert_eq!(files[2], [&["c/flow.py"][..], &both].concat());
        assert_eq!(files[3], ["flow.py", "lib/dates.py"]);
        assert_eq!(files[4], ["e/flow.py", "tools.py"]);
        assert!(trees[0].0.base().is_root());
        assert_eq!(trees[1].0.base(), &RepoPath::new("b"));
    }
}

#[test]
fn large_files_are_digested_in_pieces() {
    let repo = Repo::new();
    let content = vec![7; (3 << 20) + 5];
    write(&repo.at("p/large.bin"), &content);
    let (code, _) = plain(&repo.work(), "p");
    assert_eq!(code.files()[0].sha256, Digest::of(&content));
    assert_eq!(code.length(), content.len() as u64);
}

#[test]
fn git_tells_what_changed_since_a_revision() {
    let repo = Repo::new();
    let changed = |root: &str, revision: &str| {
        let root = repo.at(root);
        let git = Git::open(&root).expect("open").expect("a repository");
        let work = Tree::work(&root).expect("work tree");
        let changed = git.changed_since(revision, &work).expect("diff");
        changed.iter().map(RepoPath::to_string).collect::<Vec<_>>()
    };
    repo.write(".gitignore", "*.log\n")
        .write("p/.gitignore", "!kept.log\n")
        .write("p/same.py", "")
        .write("p/edited.py", "1")
        .write("p/deleted.py", "deleted")
        .write(
            "p/old.py",
            "a file that is renamed and otherwise stays as it was",
        )
        .write("q/edited.py", "1")
        .commit();
    assert_eq!(changed("", "HEAD"), [""; 0]);
    fs::rename(repo.at("p/old.py"), repo.at("p/new.py")).expect("rename");
    repo.write("p/edited.py", "2")
        .remove("p/deleted.py")
        .write("p/folder/untracked.py", "")
        .write("p/x.log", "")
        .write("p/kept.log", "")
        .write("q/edited.py", "2");
    let expected = [
        "p/deleted.py",
        "p/edited.py",
        "p/folder/untracked.py",
        "p/kept.log",
        "p/new.py",
        "p/old.py",
        "q/edited.py",
    ];
    assert_eq!(changed("", "HEAD"), expected);
    repo.commit();
    assert_eq!(changed("", "HEAD~1"), expected);
    let below: Vec<_> = expected
        .iter()
        .filter_map(|path| path.strip_prefix("p/"))
        .collect();
    assert_eq!(changed("p", "HEAD~1"), below);
}

#[test]
fn unknown_revisions_come_with_what_helps() {
    let repo = Repo::new();
    repo.write("x", "");
    let commit = repo.commit();
    let fault = |revision: &str| {
        let error = repo.git().resolve(revision).expect_err("unknown");
        error.to_string()
    };
    assert_eq!(fault("nowhere"), "unknown revision `nowhere`");
    assert!(fault("HEAD^{").starts_with("revision `HEAD^{` cannot be read"));
    repo.git
        .reference("refs/remotes/origin/topic", commit, true, "")
        .expect("reference");
    assert_eq!(
        fault("topic"),
        "unknown revision `topic`; there is `origin/topic`"
    );
    assert!(fault("HEAD:x").ends_with("is no commit"));
    assert_eq!(
        repo.git().resolve("HEAD").expect("head"),
        commit.to_string()
    );
    write(&repo.at(".git/shallow"), format!("{commit}\n").as_bytes());
    assert_eq!(
        fault("main-of-another-day"),
        "unknown revision `main-of-another-day`: this clone is shallow; fetch it first: \
         git fetch --depth=1 origin main-of-another-day:refs/remotes/origin/main-of-another-day"
    );
    let commit_of_another_day = "0123456789012345678901234567890123456789";
    assert!(fault(commit_of_another_day).ends_with(&format!(
        "git fetch --depth=1 origin {commit_of_another_day}"
    )));
    assert!(fault("HEAD~1").ends_with("git fetch --unshallow origin"));
    assert_eq!(repo.git().origin(), None);
    repo.git
        .remote("origin", "git@github.com:acme/flows.git")
        .expect("remote");
    assert_eq!(repo.git().origin().as_deref(), Some("acme/flows"));
}

#[test]
fn a_submodule_is_files_where_it_is_checked_out() {
    let inner = Repo::new();
    inner.write("x.py", "").commit();
    let repo = Repo::new();
    let mut module = repo
        .git
        .submodule(
            inner.path().to_str().expect("UTF-8"),
            Path::new("p/mod"),
            true,
        )
        .expect("submodule");
    module.clone(None).expect("clone");
    module.add_finalize().expect("add");
    repo.write("p/flow.py", "").commit();
    let (code, diagnostics) = plain(&repo.work(), "p");
    assert_eq!(files(&code), ["flow.py", "mod/x.py"]);
    assert_eq!(told(&diagnostics), [""; 0]);
    let changed = || {
        repo.git()
            .changed_since("HEAD", &repo.work())
            .expect("diff")
    };
    assert!(changed().is_empty());
    write(&repo.at("p/mod/x.py"), b"changed");
    let paths = ["p/mod", "p/mod/x.py"].map(RepoPath::new);
    assert_eq!(changed(), BTreeSet::from(paths));
    let (code, diagnostics) = plain(&repo.revision("HEAD"), "p");
    assert_eq!(files(&code), ["flow.py", "mod/x.py"]);
    assert_eq!(told(&diagnostics), [""; 0]);

    // Not checked out, its files are nowhere.
    fs::remove_dir_all(repo.at("p/mod")).expect("it is there");
    fs::remove_dir_all(repo.at(".git/modules")).expect("it is there");
    fs::create_dir(repo.at("p/mod")).expect("a folder");
    let (work, revision) = (repo.work(), repo.revision("HEAD"));
    for (tree, kind) in [
        (&work, FaultKind::Absent(Absent::Submodule)),
        (&revision, FaultKind::Submodule),
    ] {
        assert_eq!(tree.faults()[0].kind, kind);
        let absent = find(tree, &Scope::default()).absent;
        assert_eq!(absent, [(RepoPath::new("p/mod"), Absent::Submodule)].into());
        let (_, diagnostics) = plain(tree, "p");
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(diagnostics[0].place, Place::file(RepoPath::new("p/mod")));
        assert_eq!(diagnostics[0].is_error(), kind == FaultKind::Submodule);
    }
}

#[test]
fn an_unreadable_index_or_pipe_is_told() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.log\n")
        .write("x.log", "")
        .write(".git/index", "no index");
    let found = find(&repo.work(), &Scope::default());
    assert_eq!(found.diagnostics.len(), 1);
    assert!(!found.diagnostics[0].is_error());
    let listener = std::os::unix::net::UnixListener::bind(repo.at("socket"));
    assert!(listener.is_ok());
    let (_, diagnostics) = plain(&repo.work(), "");
    assert_eq!(told(&diagnostics), ["socket: a device, pipe or socket"]);
}

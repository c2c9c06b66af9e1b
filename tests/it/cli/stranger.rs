//! A stranger's pull request: files that would write, spawn or connect if anything of them ran.

use std::fs;
use std::path::Path;

use super::{Flowyard, small};
use crate::support::Repo;

/// Python that shows that it ran in every way that it finds.
const PAYLOAD: &str = r#"import ctypes, os, pathlib, socket, subprocess, sys
os.system("touch pwned-by-system")
subprocess.run(["touch", "pwned-by-subprocess"])
open("pwned-by-open", "w").write("x")
pathlib.Path("pwned-by-path").write_text("x")
exec("open('pwned-by-exec', 'w')")
eval("__import__('os').mkdir('pwned-by-eval')")
getattr(os, "sys" + "tem")("touch pwned-by-getattr")
ctypes.CDLL(None).system(b"touch pwned-by-ctypes")
try:
    socket.create_connection(("127.0.0.1", 9), 0.1)
except OSError:
    pass
"#;

/// Every kind of file that some tool would run, with a flow that can be deployed.
fn hostile() -> Repo {
    let repo = small();
    let flow = repo.read("p/flow.py");
    repo.write("p/flow.py", format!("{PAYLOAD}\n{flow}"));
    for name in [
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "setup.py",
        "prefect.py",
        "os.py",
        "__init__.py",
        "p/__init__.py",
        "p/prefect.py",
        "p/os.py",
        "noxfile.py",
    ] {
        repo.write(name, PAYLOAD);
    }
    repo.write("evil.pth", "import os; os.system('touch pwned-by-pth')\n");
    repo.write("p/requirements.txt", "-e .\nevil @ file:///tmp/evil\n");
    repo.write(
        "p/evil.deployment.py",
        format!(
            "{PAYLOAD}
from flow import hello

class Meta(type):
    def __new__(cls, *rest):
        os.system('touch pwned-by-metaclass')
        return super().__new__(cls, *rest)

class Name(str, metaclass=Meta):
    def __str__(self):
        os.system('touch pwned-by-str')
        return 'x'

hello.deploy(
    name=f'{{os.popen(\"touch pwned-by-popen\").read()!r:>3}}'[:0] + 'evil',
    work_pool_name=[open('pwned-by-argument', 'w'), 'pool'][1],
)
"
        ),
    );
    repo.write(
        "q/prefect.yaml",
        "name: q
build:
  - prefect.deployments.steps.run_shell_script:
      id: evil
      script: touch pwned-by-build
      expand_env_vars: true
push:
  - os.system:
      command: touch pwned-by-step
pull:
  - prefect.deployments.steps.run_shell_script:
      script: touch pwned-by-pull
deployments:
  - name: q
    version: \"{{ evil.stdout }}\"
    entrypoint: ../p/flow.py:hello
    tags: [\"$(touch pwned-by-tag)\", \"`touch pwned-by-backtick`\", !!python/object/apply:os.system [touch pwned-by-yaml]]
",
    );
    // What git itself would run, if it were called.
    repo.write(".gitattributes", "* filter=evil diff=evil\n");
    repo.commit("Add what nobody should run");
    let hooks = repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder for hooks");
    for hook in ["post-checkout", "post-index-change", "fsmonitor"] {
        let path = hooks.join(hook);
        fs::write(&path, "#!/bin/sh\ntouch pwned-by-hook\n").expect("a hook");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).expect("a hook that could run");
    }
    let config = repo.path().join(".git/config");
    let mut text = fs::read_to_string(&config).expect("git has a configuration");
    text += "[core]\n\tfsmonitor = .git/hooks/fsmonitor\n\tpager = touch pwned-by-pager\n\
             [filter \"evil\"]\n\tclean = touch pwned-by-clean\n\tsmudge = touch pwned-by-smudge\n\trequired = true\n\
             [diff \"evil\"]\n\tcommand = touch pwned-by-diff\n\ttextconv = touch pwned-by-textconv\n";
    fs::write(&config, text).expect("the configuration can be written");
    repo
}

/// Runs a command below strace; gives its exit code and the calls that make, change or reach something.
fn traced(repo: &Repo, line: &str) -> (Option<i32>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("log");
    let log_path = log.to_str().expect("it is UTF-8");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=execve,execveat,fork,vfork,connect,socket,bind,sendto,openat,open,creat,unlink,unlinkat,rename,renameat,\
         renameat2,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,chmod,fchmodat,mknod,mknodat,truncate,utimensat",
        "-o",
        log_path,
    ];
    let run = Flowyard::through(&strace, repo.path(), line.split_whitespace()).run();
    let log = fs::read_to_string(&log).expect("strace has written it");
    let reads = |call: &str| {
        (call.contains("openat(") || call.contains(" open("))
            && !["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
                .iter()
                .any(|flag| call.contains(flag))
    };
    // A call that another thread's interrupts stands in two lines, its arguments all in the first.
    let calls = log
        .lines()
        .filter(|call| !call.contains(" resumed>") && !call.contains("<detached") && !reads(call));
    (run.code, calls.map(str::to_owned).collect())
}

fn pwned(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.starts_with("pwned"))
        .collect()
}

#[test]
fn reading_runs_writes_and_reaches_nothing() {
    let repo = hostile();
    // What the trace has to see, it sees: a deploy writes.
    let (_, calls) = traced(&small(), "deploy --local");
    assert!(
        calls.iter().any(|call| call.contains("mkdir")),
        "{calls:#?}"
    );

    for line in [
        "list",
        "check",
        "plan --local",
        "plan --local --keep-going",
        "plan --against HEAD --env prod",
    ] {
        let (code, calls) = traced(&repo, line);
        assert!(code.is_some_and(|code| code != 101), "{line}: {code:?}");
        let (own, other): (Vec<&String>, Vec<&String>) =
            calls.iter().partition(|call| call.contains("execve("));
        assert_eq!(own.len(), 1, "{line} runs nothing but itself: {own:#?}");
        assert!(other.is_empty(), "{line}: {other:#?}");
    }
    for folder in ["", "p", "q"] {
        assert_eq!(pwned(&repo.path().join(folder)), [""; 0]);
    }
}

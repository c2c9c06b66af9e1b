//! `prefect.deployments.steps.run_shell_script`, as Prefect runs it: line by line, and without a shell unless asked.
//!
//! <https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml> names the inputs; how a line is taken apart is
//! Python's `shlex.split`, how variables are put in is `string.Template.safe_substitute`.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::process::Command;

use super::StepFault;
use super::process::{self, Limits, Stopped, last_lines};

/// What a script wrote, without white space around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To stdout, all lines of the script together.
    pub stdout: String,
    /// To stderr, likewise.
    pub stderr: String,
}

/// A script and how it is run.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The commands, one a line; empty lines do nothing.
    pub script: String,
    /// Environment variables over those of this process.
    pub env: BTreeMap<String, String>,
    /// Whether `$NAME` and `${NAME}` are put in from the environment first; unknown ones stay as they are.
    pub expand_env_vars: bool,
    /// Whether each line is given to the system's shell.
    pub shell: bool,
}

const LIMITS: Limits = Limits {
    time: None,
    stdout: 16 << 20,
    stderr: 1 << 20,
};

/// Runs a script in a folder. The first line that fails ends it.
///
/// `environment` is that of this process, for `expand_env_vars`; the commands inherit it in any case.
pub async fn run_script(
    script: &Script,
    environment: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<Output, StepFault> {
    let mut output = Output::default();
    for line in script.script.split(is_line_end) {
        let line = if script.expand_env_vars {
            let get = |name: &str| script.env.get(name).or_else(|| environment.get(name));
            expand(line, &get)
        } else {
            line.to_owned()
        };
        let mut command = if script.shell {
            if line.trim().is_empty() {
                continue;
            }
            let mut command = Command::new("sh");
            command.args(["-c", line.trim()]);
            command
        } else {
            let words = split(&line)
                .map_err(|why| StepFault::new(format!("the line `{}`: {why}", line.trim())))?;
            let Some((program, arguments)) = words.split_first() else {
                continue;
            };
            let mut command = Command::new(program);
            command.args(arguments);
            command
        };
        command.current_dir(folder).envs(&script.env);
        let ended = match process::run(&mut command, b"", LIMITS).await {
            Ok(ended) => ended,
            Err(Stopped::Unstarted(error)) => {
                let message = format!("the line `{}` cannot be run: {error}", line.trim());
                let hint = "each line is a program and its arguments; set `shell: true` for the shell's own commands, pipes and redirections";
                return Err(StepFault::new(message).hint(hint));
            }
            Err(Stopped::TooMuch(log) | Stopped::Late(log)) => {
                let message = format!("the line `{}` wrote more than 16 MiB", line.trim());
                return Err(StepFault::new(message).output(last_lines(&log, 10)));
            }
        };
        let (out, err) = (
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr),
        );
        for said in out.lines().chain(err.lines()) {
            tracing::info!("{said}");
        }
        output.stdout += &out;
        output.stderr += &err;
        if !ended.status.success() {
            let message = format!("the line `{}` failed: {}", line.trim(), ended.status);
            return Err(StepFault::new(message).output(last_lines(&ended.stderr, 10)));
        }
    }
    Ok(Output {
        stdout: output.stdout.trim().to_owned(),
        stderr: output.stderr.trim().to_owned(),
    })
}

/// Where Python's `str.splitlines` splits. That `\r\n` counts twice here makes an empty line, which does nothing.
fn is_line_end(one: char) -> bool {
    matches!(one, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The words of a line, as `shlex.split` has them: quotes join, `'` takes everything as it is, inside of `"` a backslash
/// counts before `"` and `\` only, and `#` is no comment.
pub fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(one) = chars.next() {
        match (quote, one) {
            (Some(open), one) if one == open => quote = None,
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(one);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or("nothing follows the last backslash")?;
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, '"' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            (_, one) => word.get_or_insert_default().push(one),
        }
    }
    if quote.is_some() {
        return Err("a quotation is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// Puts values in for `$NAME` and `${NAME}`; `$$` is `$`, and what has no value stays.
fn expand<'a>(line: &str, get: &dyn Fn(&str) -> Option<&'a String>) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        text += &rest[..at];
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let braced = after.starts_with('{');
        let inner = &after[usize::from(braced)..];
        let end = inner
            .find(|one: char| !one.is_ascii_alphanumeric() && one != '_')
            .unwrap_or(inner.len());
        let name = &inner[..end];
        let closed = !braced || inner[end..].starts_with('}');
        let begins = name.starts_with(|one: char| one.is_ascii_alphabetic() || one == '_');
        match get(name).filter(|_| closed && begins) {
            Some(value) => {
                text += value;
                rest = &inner[end + usize::from(braced)..];
            }
            None => {
                text.push('$');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.11's `shlex.split` gives for the same lines.
    #[test]
    fn lines_are_split_as_python_does() {
        for (line, words) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            ("echo 'a b'\"c d\"e", &["echo", "a bc de"]),
            ("x '' \"\"", &["x", "", ""]),
            (r#"a\ b "\a\"\\" '\'"#, &["a b", r#"\a"\"#, r"\"]),
            ("a #b", &["a", "#b"]),
            ("--x='æ ø'", &["--x=æ ø"]),
            ("   ", &[]),
        ] {
            assert_eq!(split(line).expect(line), words, "{line}");
        }
        assert!(split("a 'b").is_err());
        assert!(split("a \\").is_err());
    }

    #[test]
    fn variables_are_expanded_as_python_does() {
        let (a, empty) = ("1".to_owned(), String::new());
        let get = |name: &str| match name {
            "A" => Some(&a),
            "E" => Some(&empty),
            _ => None,
        };
        for (line, expanded) in [
            ("$A ${A}b $Ab $$A ${A", "1 1b $Ab $A ${A"),
            ("$E|$1 ${} $", "|$1 ${} $"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(line, &get), expanded);
        }
    }

    async fn run(script: &str, shell: bool) -> Result<Output, StepFault> {
        let script = Script {
            script: script.to_owned(),
            env: BTreeMap::from([("NAME".to_owned(), "Verden".to_owned())]),
            expand_env_vars: true,
            shell,
        };
        let folder = tempfile::tempdir().expect("a folder");
        run_script(&script, &BTreeMap::new(), folder.path()).await
    }

    #[tokio::test]
    async fn lines_run_without_a_shell_unless_asked() {
        let output = run("echo 'Hei,' $NAME\r\n\necho a | cat\n", false)
            .await
            .expect("it runs");
        assert_eq!(output.stdout, "Hei, Verden\na | cat");
        let output = run("echo a | tr a b; echo c >&2", true)
            .await
            .expect("it runs");
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("b", "c"));
        let fault = run("echo fine\nls /not/there\necho no", false)
            .await
            .expect_err("ls fails");
        assert!(
            fault
                .message
                .starts_with("the line `ls /not/there` failed: exit status: "),
            "{fault}"
        );
        assert!(fault.output[0].contains("No such file"), "{fault:?}");
        let fault = run("no-such-program-here", false)
            .await
            .expect_err("no program");
        assert!(
            fault
                .hint
                .as_ref()
                .is_some_and(|hint| hint.contains("shell: true")),
            "{fault:?}"
        );
    }
}

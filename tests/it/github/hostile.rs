//! A repository whose every text tries to be a command, a tag or a mention.

use super::double::GitHub;
use super::job::{Step, pull_request};
use crate::support::Repo;

/// Texts that a runner, a shell, Markdown or an expression would obey.
pub(crate) const TEXTS: &[&str] = &[
    "::set-output name=x::pwned",
    "::error file=x::pwned",
    "  ::add-mask::pwned",
    "x ##[error]pwned",
    "##[add-mask]pwned",
    "%0A::error::pwned",
    "a\n::error::pwned",
    "a\r::warning::pwned\r\n##[group]pwned",
    "```\n</details>\n# pwned",
    "`````` @everyone",
    "</details><img src=x onerror=pwned>",
    "<!-- flowyard: end --> --> <script>",
    "$(touch pwned) `touch pwned`",
    "${{ secrets.TOKEN }}",
    "[click](javascript:pwned)",
    "EOF\nchanged<<EOF\npwned\nEOF",
    "\u{1b}[31m::error::pwned",
    "\u{202e}\u{200b}::error::pwned",
];

fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Everything that can hold a text holds one of them; `faulty` ones among them.
pub(crate) fn hostile(faulty: bool) -> Repo {
    let repo = Repo::new();
    for (at, text) in TEXTS.iter().enumerate() {
        // What no file system takes in a name, and, where nothing is to be wrong, what no storage takes.
        let taken = |char: char| if char == '/' { '∕' } else { char };
        let takes = |char: &char| faulty || !char.is_control();
        let name: String = text.chars().filter(takes).map(taken).take(60).collect();
        let folder = format!("p{at}/{name}");
        repo.write(
            &format!("{folder}/flow.py"),
            format!(
                "from prefect import flow\n\n\n@flow(name={})\ndef hello(n: int = 1):\n    {}\n    print(n)\n",
                yaml(&text.replace(['/', '%', '&', '>', '<'], "_")),
                yaml(text),
            ),
        );
        let quoted = yaml(text);
        let wrong = if faulty {
            format!("{quoted}: {quoted}\nwork_queue_name: [{quoted}]\n")
        } else {
            String::new()
        };
        repo.write(
            &format!("{folder}/{name}.deployment.yaml"),
            format!(
                "name: d{at}\nentrypoint: flow.py:hello\ndescription: {quoted}\nversion: {quoted}\ntags: [{quoted}]\n\
                 parameters: {{n: {at}}}\njob_variables: {{env: {{{quoted}: {quoted}}}}}\n{wrong}"
            ),
        );
    }
    repo.commit("::error::pwned\n\n##[error]pwned\n@everyone");
    repo
}

/// Panics where a text holds something that is not data: outside of fences and code there is only what we say.
#[track_caller]
pub(crate) fn expect_whole(text: &str, what: &str) {
    let mut fence: Option<String> = None;
    let mut folded = 0_i32;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|char| *char == '`').collect();
        if let Some(open) = &fence {
            if line == open {
                fence = None;
            }
            continue;
        }
        if ticks.len() >= 3 && !line[ticks.len()..].contains('`') {
            fence = Some(ticks);
            continue;
        }
        folded += i32::from(line.starts_with("<details>"));
        folded -= i32::from(line.starts_with("</details>"));
        let plain = without_code(line);
        let marks = plain.starts_with("<!-- flowyard: ") && plain.ends_with(" -->");
        for bad in ["pwned", "@", "<img", "<script", "javascript:", "${{"] {
            assert!(!plain.contains(bad), "{what}: {line}");
        }
        assert!(marks || !plain.contains("-->"), "{what}: {line}");
    }
    assert_eq!((fence, folded), (None, 0), "{what} is closed at its end");
}

/// A line without its code spans.
fn without_code(line: &str) -> String {
    let (mut plain, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('`') {
        let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        plain += &rest[..at];
        let inside = &rest[at + ticks..];
        let mark = "`".repeat(ticks);
        let mut from = 0;
        let end = loop {
            let Some(found) = inside[from..].find(&mark).map(|found| found + from) else {
                break None;
            };
            let run = inside[found..].len() - inside[found..].trim_start_matches('`').len();
            if run == ticks {
                break Some(found + ticks);
            }
            from = found + run;
        };
        match end {
            Some(end) => rest = &inside[end..],
            None => {
                plain += &mark;
                rest = inside;
            }
        }
    }
    plain + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_a_command_or_markup() {
    for faulty in [false, true] {
        let (repo, github) = (hostile(faulty), GitHub::start().await);
        let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
        let lines = [
            "list",
            "check",
            "plan --local --comment --commit-status -v",
            "plan --local --format json",
            "plan --local --format markdown",
            "plan --local --against HEAD -vv",
            "deploy --local --comment --github-deployment --keep-going -v",
            "status --local",
        ];
        for line in lines {
            let ended = step.run(&repo, line);
            let code = ended.run.code.expect("no signal");
            assert!([0, 3].contains(&code), "{line}: {}", ended.run.snapshot());
            let ours = ["add-mask", "error", "warning"];
            for command in &ended.runner.commands {
                assert!(ours.contains(&command.name.as_str()), "{line}: {command:?}");
                assert!(
                    command.name == "add-mask" || command.properties["title"] == "flowyard",
                    "{line}: {command:?}"
                );
                assert!(
                    command.name != "add-mask" || command.data != "pwned",
                    "{line}"
                );
            }
            assert!(
                faulty || ended.commands().is_empty(),
                "{line}: {}",
                ended.commands()
            );
            assert_eq!(ended.runner.held, [""; 0], "{line}");
            for shown in &ended.runner.shown {
                assert!(
                    !shown.trim_start().starts_with("::") && !shown.contains("##["),
                    "{line}: {shown:?}"
                );
            }
            expect_whole(&ended.summary, line);
            let outputs = ended.outputs();
            let names: Vec<&str> = outputs
                .lines()
                .filter_map(|line| Some(line.split_once(" = ")?.0))
                .collect();
            assert!(
                names.is_empty() || names == super::OUTPUTS,
                "{line}: {outputs}"
            );
        }
        let comments = github.comments(7);
        assert!(!comments.is_empty());
        for comment in comments {
            expect_whole(&comment, "the comment");
        }
        for name in ["pwned", "p0/pwned"] {
            assert!(!repo.path().join(name).exists(), "nothing was run");
        }
        github.expect_nothing_refused();
    }
}

//! Documents that were made to take long.

use super::{Kind, lines};

const YAML: &str = "prefect.yaml";
const PLAIN: &str = "load.deployment.yaml";

pub(super) const KINDS: &[Kind] = &[
    ("flow sequences in each other", YAML, |length| {
        "[".repeat(length)
    }),
    ("flow mappings in each other", YAML, |length| {
        "{a: ".repeat(length / 4)
    }),
    ("block sequences in each other", YAML, |length| {
        "- ".repeat(length / 2)
    }),
    ("indentation in a step", YAML, |length| {
        lines(length, |n| format!("{}a:", " ".repeat(n % 1500)))
    }),
    ("keys", YAML, |length| {
        lines(length, |n| format!("k{n}: {n}"))
    }),
    ("keys without values", YAML, |length| {
        lines(length, |n| format!("k{n}:"))
    }),
    ("keys of a flow mapping", YAML, |length| {
        format!("{{{}}}", lines(length, |n| format!("k{n}: {n},")))
    }),
    ("the same key", YAML, |length| {
        lines(length, |_| "k: 1".to_owned())
    }),
    ("keys of a merge", YAML, |length| {
        let base = lines(length / 2, |n| format!("  k{n}: {n}"));
        let over = lines(length / 2, |n| format!("  k{n}: {n}"));
        format!("a: &a\n{base}b:\n  <<: *a\n{over}")
    }),
    ("merges", YAML, |length| {
        let base = lines(1000, |n| format!("  k{n}: {n}"));
        format!(
            "a: &a\n{base}{}",
            lines(length, |n| format!("b{n}: {{<<: *a}}"))
        )
    }),
    ("anchors", YAML, |length| {
        lines(length, |n| format!("k{n}: &a{n} x"))
    }),
    ("aliases", YAML, |length| {
        format!("a: &a x\n{}", lines(length, |n| format!("k{n}: *a")))
    }),
    ("aliases of aliases", YAML, |length| {
        format!(
            "k0: &a0 [x]\n{}",
            lines(length, |n| format!(
                "k{}: &a{} [*a{n}, *a{n}]",
                n + 1,
                n + 1
            ))
        )
    }),
    ("a plain scalar", YAML, |length| {
        format!("a: {}", "x ".repeat(length / 2))
    }),
    ("a plain scalar of many lines", YAML, |length| {
        format!("a: {}", "x\n  ".repeat(length / 4))
    }),
    ("a quoted scalar", YAML, |length| {
        format!("a: \"{}\"", "\\x41".repeat(length / 4))
    }),
    ("a quoted scalar of many lines", YAML, |length| {
        format!("a: \"{}\"", "x\n ".repeat(length / 3))
    }),
    ("a block scalar", YAML, |length| {
        format!("a: |\n{}", lines(length, |n| format!("  {n}")))
    }),
    ("a folded scalar", YAML, |length| {
        format!("a: >\n{}", lines(length, |n| format!("  {n}")))
    }),
    ("digits", YAML, |length| {
        format!("a: {}", "1".repeat(length))
    }),
    ("digits and underscores", YAML, |length| {
        format!("a: {}", "1_".repeat(length / 2))
    }),
    ("comments", YAML, |length| {
        lines(length, |n| format!("# {n}"))
    }),
    ("documents", YAML, |length| "--- a\n".repeat(length / 6)),
    ("tags", YAML, |length| {
        lines(length, |n| format!("k{n}: !t{n} x"))
    }),
    ("question marks", YAML, |length| "? ".repeat(length / 2)),
    ("a key without its colon", YAML, |length| {
        "a\n".repeat(length / 2)
    }),
    ("quotes", YAML, |length| "'".repeat(length)),
    ("templates", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  description: \"{}\"\n",
            "{{ a }}".repeat(length / 7)
        )
    }),
    ("open templates", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  description: \"{}\"\n",
            "{{ ".repeat(length / 3)
        )
    }),
    ("dollars", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  description: \"{}\"\n",
            "{{ $A }}".repeat(length / 8)
        )
    }),
    ("deployments", YAML, |length| {
        let one = |n| format!("- {{name: d{n}, entrypoint: flow.py:load}}");
        format!("deployments:\n{}", lines(length, one))
    }),
    ("deployments of one name", YAML, |length| {
        let one = |_| "- {name: d, entrypoint: flow.py:load}".to_owned();
        format!("deployments:\n{}", lines(length, one))
    }),
    ("deployments without a flow", YAML, |length| {
        let one = |n| format!("- {{name: d{n}, entrypoint: flow.py:load_{n}}}");
        format!("deployments:\n{}", lines(length, one))
    }),
    ("faulty deployments", YAML, |length| {
        format!(
            "deployments:\n{}",
            lines(length, |n| format!("- {{nmae: d{n}, tags: 1}}"))
        )
    }),
    ("empty deployments", YAML, |length| {
        format!("deployments:\n{}", "- {}\n".repeat(length / 5))
    }),
    ("keys of a deployment", YAML, |length| {
        format!(
            "deployments:\n- name: a\n{}",
            lines(length, |n| format!("  k{n}: {n}"))
        )
    }),
    ("parameters", YAML, |length| {
        let parameters = lines(length, |n| format!("    p{n}: {n}"));
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  parameters:\n{parameters}")
    }),
    ("tags of a deployment", YAML, |length| {
        let tags = lines(length, |n| format!("  - t{n}"));
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  tags:\n{tags}")
    }),
    ("schedules", YAML, |length| {
        let schedules = lines(length, |n| format!("  - cron: '{} * * * *'", n % 60));
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n{schedules}")
    }),
    ("a recurrence rule", YAML, |length| {
        let rule = format!("RRULE:FREQ=DAILY;BYHOUR={}", "1,".repeat(length / 2));
        format!(
            "deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n  - rrule: '{rule}1'\n"
        )
    }),
    ("dates of a recurrence rule", YAML, |length| {
        let rule = format!("RDATE:{}", "20240101T000000Z,".repeat(length / 17));
        format!(
            "deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n  - rrule: '{rule}20240101T000000Z'\n"
        )
    }),
    ("a long cron", YAML, |length| {
        format!(
            "deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n  - cron: '{}1 * * * *'\n",
            "1,".repeat(length / 2)
        )
    }),
    ("triggers", YAML, |length| {
        let triggers = lines(length, |n| {
            format!("  - {{enabled: true, name: t{n}, expect: [a]}}")
        });
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  triggers:\n{triggers}")
    }),
    ("steps", YAML, |length| {
        let step = |n| {
            format!(
                "- prefect.deployments.steps.run_shell_script: {{id: s{n}, script: 'echo {{{{ s{n}.x }}}}'}}"
            )
        };
        format!(
            "build:\n{}deployments:\n- name: a\n  entrypoint: flow.py:load\n",
            lines(length, step)
        )
    }),
    ("steps of many deployments", YAML, |length| {
        let step = |n| format!("- acme.steps.notify: {{id: s{n}, who: [a, b]}}");
        let one = |n| format!("- {{name: d{n}, entrypoint: flow.py:load}}");
        let (steps, deployments) = (lines(length / 3, step), lines(length / 3, one));
        format!("build:\n{steps}pull:\n{steps}deployments:\n{deployments}")
    }),
    ("no time zones", YAML, |length| {
        let one = |n| format!("  - {{cron: '0 0 * * *', timezone: Europe/B{n}}}");
        let schedules = lines(length, one);
        format!("deployments:\n- name: a\n  entrypoint: flow.py:load\n  schedules:\n{schedules}")
    }),
    ("environments", PLAIN, |length| {
        let overlays = lines(length, |n| format!("  e{n}: {{tags: [a]}}"));
        format!("name: a\nentrypoint: flow.py:load\nenvironments:\n{overlays}")
    }),
    ("keys of TOML", "load.deployment.toml", |length| {
        lines(length, |n| format!("k{n} = {n}"))
    }),
    ("tables of TOML", "load.deployment.toml", |length| {
        lines(length, |n| format!("[t{n}]"))
    }),
    ("dotted keys of TOML", "load.deployment.toml", |length| {
        lines(length, |n| format!("a.b{n} = 1"))
    }),
    ("arrays of TOML", "load.deployment.toml", |length| {
        format!("a = {}", "[".repeat(length))
    }),
    ("keys of JSON", "load.deployment.json", |length| {
        let pairs = lines(length, |n| format!("\"k{n}\": {n},"));
        format!("{{{}}}", pairs.trim_end().trim_end_matches(','))
    }),
    ("arrays of JSON", "load.deployment.json", |length| {
        "[".repeat(length)
    }),
];

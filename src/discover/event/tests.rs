//! The base of each event, over the payloads of `tests/fixtures/events`.

use super::*;

const MERGE: &str = "00112233445566778899aabbccddeeff00112233";

fn base_of(name: &str, fixture: &str, sha: Option<&str>) -> Base {
    let path = format!(
        "{}/tests/fixtures/events/{fixture}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).expect("a fixture");
    let payload = serde_json::from_str(&text).expect("JSON");
    base(&Event {
        name,
        payload: &payload,
        sha,
    })
}

fn revision(sha: &str, why: &str) -> Base {
    Base::Revision {
        sha: sha.to_owned(),
        why: why.to_owned(),
    }
}

fn everything(why: &str) -> Base {
    Base::Everything {
        why: why.to_owned(),
    }
}

#[test]
fn a_push_compares_with_what_the_branch_was() {
    assert_eq!(
        base_of("push", "push", Some(MERGE)),
        revision(
            "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
            "master before this push"
        )
    );
    assert_eq!(
        base_of("push", "push-forced", Some(MERGE)),
        revision(
            "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
            "master before this forced push"
        )
    );
}

#[test]
fn a_push_with_no_past_compares_everything() {
    assert_eq!(
        base_of("push", "push-first", Some(MERGE)),
        everything("this is the first push of its branch")
    );
    for tag in ["push-tag", "push-tag-deleted"] {
        assert_eq!(
            base_of("push", tag, Some(MERGE)),
            everything("a tag was pushed")
        );
    }
}

#[test]
fn a_pull_request_compares_with_what_it_is_merged_into() {
    for (fixture, number) in [("pull-request", 2), ("pull-request-fork", 2)] {
        assert_eq!(
            base_of("pull_request", fixture, Some(MERGE)),
            Base::Parent {
                of: MERGE.to_owned(),
                otherwise: Some("f95f852bd8fca8fcc58a9a2d6c842781e32a215e".to_owned()),
                why: format!("the base of pull request {number}"),
            },
            "{fixture}"
        );
    }
    // Without the commit that is checked out.
    let base = base_of("pull_request", "pull-request", None);
    assert!(matches!(base, Base::Revision { .. }), "{base:?}");
    let closed = base_of("pull_request", "pull-request-closed", Some(MERGE));
    assert!(
        matches!(&closed, Base::Parent { of, .. } if of == MERGE),
        "{closed:?}"
    );
    let target = base_of("pull_request_target", "pull-request", Some(MERGE));
    assert!(matches!(target, Base::Revision { .. }), "{target:?}");
}

#[test]
fn a_merge_group_compares_with_what_comes_before_it() {
    let base = base_of("merge_group", "merge-group", Some(MERGE));
    let Base::Revision { sha, why } = base else {
        panic!("{base:?}");
    };
    assert_eq!(sha.len(), 40);
    assert_eq!(why, "what the merge group comes after");
}

#[test]
fn what_is_not_about_a_change_compares_everything() {
    for (event, fixture) in [
        ("workflow_dispatch", "workflow-dispatch"),
        ("schedule", "schedule"),
        ("repository_dispatch", "schedule"),
        ("workflow_run", "schedule"),
        ("release", "schedule"),
    ] {
        assert_eq!(
            base_of(event, fixture, Some(MERGE)),
            everything(&format!("a run for `{event}` compares everything"))
        );
    }
}

#[test]
fn a_payload_of_anything_is_no_fault() {
    let hostile = [
        serde_json::json!(null),
        serde_json::json!([1]),
        serde_json::json!({"ref": "refs/heads/x", "before": "--upload-pack=touch x"}),
        serde_json::json!({"ref": "refs/heads/x", "before": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e; id"}),
        serde_json::json!({"pull_request": {"base": {"sha": "$(id)"}}, "merge_group": {"base_sha": "main"}}),
    ];
    for payload in &hostile {
        for name in [
            "push",
            "pull_request",
            "pull_request_target",
            "merge_group",
            "",
        ] {
            let event = Event {
                name,
                payload,
                sha: Some("HEAD"),
            };
            let base = base(&event);
            assert!(matches!(base, Base::Everything { .. }), "{name}: {base:?}");
        }
    }
}

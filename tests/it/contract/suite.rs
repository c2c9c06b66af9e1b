//! What the trait `Store` promises, as checks that any store must pass.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flowyard::backend::{Content, Entry, Kind, Put, Store, Tag};
use futures::StreamExt as _;

/// Names that somebody's URL building, XML or shell has stumbled over.
const STRANGE: [&str; 14] = [
    "a b+ü%#?.txt",
    "per%20cent",
    "per%2Fcent",
    "~tilde[1]{2}^`|",
    "hash#1",
    "q?x=y&z=1",
    "<xml>&amp;'\"",
    "日本/語.py",
    "e\u{301}-decomposed",
    " lead and trail ",
    "...",
    ".hidden/.x",
    "colon:semi;at@comma,eq=star*",
    "deep/er/and/deep/er/x",
];

fn bytes(text: &str) -> Content {
    Content::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

async fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let entries = store.list(prefix).await.expect("a list");
    entries.into_iter().map(|entry| entry.key).collect()
}

async fn read(store: &dyn Store, key: &str) -> Bytes {
    store
        .get(key)
        .await
        .unwrap_or_else(|error| panic!("read {key}: {error}"))
        .0
}

/// The whole contract, on a store that is empty.
pub async fn holds(store: &dyn Store) {
    empty(store).await;
    strange_keys(store).await;
    refused_keys(store).await;
    prefixes(store).await;
    put_if_absent(store).await;
    put_if_unchanged(store).await;
    files(store).await;
    copies(store).await;
    many(store).await;
}

async fn empty(store: &dyn Store) {
    assert_eq!(store.list("").await.expect("a list"), []);
    assert_eq!(
        store.get("missing").await.expect_err("missing").kind,
        Kind::NotFound
    );
    store
        .delete("missing")
        .await
        .expect("deleting what is absent");
    assert_eq!(
        store
            .put_if_absent("nothing", bytes(""))
            .await
            .expect("a write"),
        Put::Created
    );
    assert_eq!(read(store, "nothing").await, "");
    let listed = store.list("").await.expect("a list");
    assert_eq!(
        listed,
        [Entry {
            key: "nothing".to_owned(),
            length: 0
        }]
    );
    store.delete("nothing").await.expect("a deletion");
    store.delete("nothing").await.expect("a second deletion");
    assert_eq!(
        store.get("nothing").await.expect_err("deleted").kind,
        Kind::NotFound
    );
}

async fn strange_keys(store: &dyn Store) {
    let mut expected: Vec<String> = STRANGE
        .iter()
        .map(|name| format!("strange/{name}"))
        .collect();
    expected.sort();
    for key in &expected {
        assert_eq!(
            store.put_if_absent(key, bytes(key)).await.expect(key),
            Put::Created,
            "{key}"
        );
    }
    assert_eq!(keys(store, "strange/").await, expected);
    for key in &expected {
        assert_eq!(read(store, key).await, key.as_bytes(), "{key}");
        // No key stands for another.
        assert_eq!(
            store.put_if_absent(key, bytes("x")).await.expect(key),
            Put::Exists,
            "{key}"
        );
        assert_eq!(keys(store, key).await, [key.as_str()], "{key}");
    }
    for key in &expected {
        store.delete(key).await.expect(key);
    }
    assert!(keys(store, "strange/").await.is_empty());
}

async fn refused_keys(store: &dyn Store) {
    for key in [
        "",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        ".",
        "line\nbreak",
        "back\\slash",
    ] {
        let error = store.put_if_absent(key, bytes("x")).await.expect_err(key);
        assert_eq!(error.kind, Kind::Other, "{key:?}: {error}");
        assert!(store.get(key).await.is_err(), "{key:?}");
        assert!(store.delete(key).await.is_err(), "{key:?}");
    }
    assert!(keys(store, "").await.is_empty());
}

async fn prefixes(store: &dyn Store) {
    for key in ["p/a/1", "p/ab/2", "p/a.txt", "p/b", "q"] {
        store.put_if_absent(key, bytes("x")).await.expect(key);
    }
    assert_eq!(keys(store, "p/a").await, ["p/a.txt", "p/a/1", "p/ab/2"]);
    assert_eq!(keys(store, "p/a/").await, ["p/a/1"]);
    assert_eq!(
        keys(store, "p").await,
        ["p/a.txt", "p/a/1", "p/ab/2", "p/b"]
    );
    assert_eq!(
        keys(store, "").await,
        ["p/a.txt", "p/a/1", "p/ab/2", "p/b", "q"]
    );
    assert!(keys(store, "p/a/1/").await.is_empty());
    assert!(keys(store, "nowhere/").await.is_empty());
    for key in keys(store, "").await {
        store.delete(&key).await.expect("a deletion");
    }
}

async fn put_if_absent(store: &dyn Store) {
    assert_eq!(
        store
            .put_if_absent("once", bytes("first"))
            .await
            .expect("a write"),
        Put::Created
    );
    assert_eq!(
        store
            .put_if_absent("once", bytes("second"))
            .await
            .expect("a write"),
        Put::Exists
    );
    assert_eq!(read(store, "once").await, "first");
    let race = futures::stream::iter(0..16)
        .map(|at| async move {
            let put = store
                .put_if_absent("race", bytes(&at.to_string()))
                .await
                .expect("a write");
            (put == Put::Created).then_some(at)
        })
        .buffer_unordered(16);
    let won: Vec<i32> = race.filter_map(std::future::ready).collect().await;
    assert_eq!(won.len(), 1, "exactly one writer is the first");
    assert_eq!(read(store, "race").await, won[0].to_string());
}

async fn put_if_unchanged(store: &dyn Store) {
    let put = |text: &'static str, tag: Option<Tag>| async move {
        store
            .put_if_unchanged("state", Bytes::from_static(text.as_bytes()), tag.as_ref())
            .await
    };
    let first = put("one", None).await.expect("a first write");
    assert_eq!(
        put("other", None).await.expect_err("it exists").kind,
        Kind::Conflict
    );
    let (content, tag) = store.get("state").await.expect("the object");
    assert_eq!((content, &tag), (Bytes::from_static(b"one"), &first));
    let second = put("two", Some(tag)).await.expect("an update");
    assert_ne!(first, second);
    assert_eq!(
        put("late", Some(first)).await.expect_err("it changed").kind,
        Kind::Conflict
    );
    assert_eq!(read(store, "state").await, "two");
    let third = put("three", Some(second))
        .await
        .expect("an update with the tag of a write");
    store.delete("state").await.expect("a deletion");
    assert_eq!(
        put("gone", Some(third)).await.expect_err("it is gone").kind,
        Kind::Conflict
    );
    assert_eq!(
        store.get("state").await.expect_err("still gone").kind,
        Kind::NotFound
    );
    let start = put("0", None).await.expect("a write");
    let race = futures::stream::iter(0..8)
        .map(|at| {
            let start = &start;
            async move {
                let text = Bytes::from(format!("racer {at}"));
                store.put_if_unchanged("state", text, Some(start)).await
            }
        })
        .buffer_unordered(8);
    let done: Vec<_> = race.collect().await;
    assert_eq!(
        done.iter().filter(|done| done.is_ok()).count(),
        1,
        "exactly one update wins"
    );
    for error in done.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, Kind::Conflict, "{error}");
    }
}

async fn files(store: &dyn Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, length: usize| {
        let path = folder.path().join(name);
        let content: Vec<u8> = (0..length).map(|at| (at / 251 + at) as u8).collect();
        std::fs::write(&path, &content).expect("a file");
        (path, content)
    };
    for length in [0, 1, 4 << 20, (4 << 20) + 1, 9_000_000, 21_000_000] {
        let (path, content) = write("data", length);
        let key = format!("files/{length} bytes+ü");
        let file = |length: usize| Content::File {
            path: path.clone(),
            length: length as u64,
        };
        assert_eq!(
            store.put_if_absent(&key, file(length)).await.expect(&key),
            Put::Created,
            "{key}"
        );
        assert!(read(store, &key).await == content, "{key}: another content");
        assert_eq!(
            store.put_if_absent(&key, file(length)).await.expect(&key),
            Put::Exists,
            "{key}"
        );
        let listed = store.list(&key).await.expect("a list");
        assert_eq!(
            listed.iter().map(|entry| entry.length).collect::<Vec<_>>(),
            [length as u64]
        );
        // A file that is not what it was is an error, and nothing of it appears.
        for other in [length + 1, length.saturating_sub(1)] {
            if other != length {
                let error = store
                    .put_if_absent("files/changed", file(other))
                    .await
                    .expect_err("another length");
                assert_eq!(error.kind, Kind::Other, "{error}");
                assert!(
                    error
                        .message
                        .contains(&format!("{length} bytes instead of {other}")),
                    "{error}"
                );
            }
        }
        store.delete(&key).await.expect("a deletion");
    }
    let absent = Content::File {
        path: folder.path().join("absent"),
        length: 3,
    };
    assert!(store.put_if_absent("files/changed", absent).await.is_err());
    assert!(keys(store, "files/").await.is_empty());
    let (path, content) = write("data", 9_000_000);
    let race = futures::stream::iter(0..3)
        .map(|_| {
            store.put_if_absent(
                "files/race",
                Content::File {
                    path: path.clone(),
                    length: 9_000_000,
                },
            )
        })
        .buffer_unordered(3);
    let puts: Vec<Put> = race.map(|put| put.expect("a write")).collect().await;
    assert_eq!(
        puts.iter().filter(|put| **put == Put::Created).count(),
        1,
        "{puts:?}"
    );
    assert!(read(store, "files/race").await == content);
}

async fn copies(store: &dyn Store) {
    for (from, text) in [("copies/a b+ü%#?", "content"), ("copies/empty", "")] {
        let to = format!("{from}/2");
        let to = to.replace("copies/", "copied/");
        store
            .put_if_absent(from, bytes(text))
            .await
            .expect("a write");
        match store.copy_if_absent(from, &to).await.expect("a copy") {
            Some(put) => {
                assert_eq!(put, Put::Created);
                assert_eq!(read(store, &to).await, text);
                store
                    .put_if_absent("copies/other", bytes("other"))
                    .await
                    .expect("a write");
                let again = store
                    .copy_if_absent("copies/other", &to)
                    .await
                    .expect("a copy");
                assert_eq!(again, Some(Put::Exists));
                assert_eq!(read(store, &to).await, text);
                assert_eq!(read(store, from).await, text);
            }
            None => assert!(
                keys(store, "copied/").await.is_empty(),
                "a refused copy leaves nothing"
            ),
        }
    }
    assert_eq!(
        store
            .copy_if_absent("copies/absent", "copied/absent")
            .await
            .expect("no error"),
        None
    );
    assert_eq!(
        store
            .get("copied/absent")
            .await
            .expect_err("nothing to copy")
            .kind,
        Kind::NotFound
    );
}

async fn many(store: &dyn Store) {
    let mut expected: Vec<String> = (0..1_234)
        .map(|at| format!("many/{}/{at}", at % 7))
        .collect();
    let puts = futures::stream::iter(&expected)
        .map(|key| store.put_if_absent(key, bytes(key)))
        .buffer_unordered(32);
    puts.for_each(|put| async move { assert_eq!(put.expect("a write"), Put::Created) })
        .await;
    expected.sort();
    assert_eq!(keys(store, "many/").await, expected);
}

/// A server that does not answer is reported soon, as what it is, and with no secret.
pub async fn unreachable(store: &dyn Store, secret: &str) {
    let started = Instant::now();
    let tag = Tag("\"1\"".to_owned());
    let (list, get, put, update, copy, delete) = futures::join!(
        store.list(""),
        store.get("a"),
        store.put_if_absent("a", bytes("x")),
        store.put_if_unchanged("a", Bytes::new(), Some(&tag)),
        store.copy_if_absent("a", "b"),
        store.delete("a"),
    );
    let errors = [
        list.expect_err("no server"),
        get.expect_err("no server"),
        put.expect_err("no server"),
        update.expect_err("no server"),
        copy.expect_err("no server"),
        delete.expect_err("no server"),
    ];
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    for error in errors {
        assert_eq!(error.kind, Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}

/// A container or bucket that is not there: nothing to list, and a write says how to make it.
pub async fn missing(store: &dyn Store, name: &str) {
    assert_eq!(store.list("").await.expect("a list"), []);
    assert_eq!(
        store.get("a").await.expect_err("missing").kind,
        Kind::NotFound
    );
    store.delete("a").await.expect("deleting what is absent");
    for error in [
        store
            .put_if_absent("a", bytes("x"))
            .await
            .expect_err("missing"),
        store
            .put_if_unchanged("a", Bytes::new(), None)
            .await
            .expect_err("missing"),
    ] {
        assert_eq!(error.kind, Kind::NotFound, "{error}");
        assert!(error.message.contains(name), "{error}");
        assert!(
            error
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains(name)),
            "{error}"
        );
    }
}

/// Wrong credentials are told as such, and not shown.
pub async fn denied(store: &dyn Store, secret: &str) {
    for error in [
        store.list("").await.expect_err("denied"),
        store.get("a").await.expect_err("denied"),
        store
            .put_if_absent("a", bytes("x"))
            .await
            .expect_err("denied"),
        store
            .put_if_unchanged("a", Bytes::new(), None)
            .await
            .expect_err("denied"),
        store.delete("a").await.expect_err("denied"),
    ] {
        assert_eq!(error.kind, Kind::Denied, "{error}");
        assert!(error.hint.is_some(), "{error}");
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}

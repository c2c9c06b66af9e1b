//! Leases in a store of which answers get lost, or do not come.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bytes::Bytes;

use super::renewal::{TIMES, Times, keep_at};
use super::*;
use crate::backend::{Content, Entry, Error, Put, Result};

/// Objects in memory, with their versions.
#[derive(Default)]
struct Memory {
    objects: Mutex<BTreeMap<String, (Bytes, usize)>>,
    writes: AtomicUsize,
    reads: AtomicUsize,
    /// So many reads are never answered.
    hang: AtomicUsize,
    /// So many writes are carried out, and refused when they are sent again, as their answer was lost.
    lose: AtomicUsize,
    /// What somebody else writes in the moment before the next write or deletion.
    meanwhile: Mutex<Option<Document>>,
}

impl Memory {
    fn put(&self, key: &str, bytes: Bytes) -> Tag {
        let version = self.writes.fetch_add(1, Ordering::Relaxed);
        let object = (bytes, version);
        let mut objects = self.objects.lock().expect("no test panics meanwhile");
        objects.insert(key.to_owned(), object);
        Tag(version.to_string())
    }

    fn document(&self) -> Option<Document> {
        let objects = self.objects.lock().expect("no test panics meanwhile");
        let (bytes, _) = objects.get(&key("prod"))?;
        serde_json::from_slice(bytes).expect("a lease")
    }

    fn put_document(&self, document: &Document) {
        let bytes = serde_json::to_vec(document).expect("JSON");
        self.put(&key("prod"), bytes.into());
    }

    fn others_write(&self) {
        let mut meanwhile = self.meanwhile.lock().expect("no test panics meanwhile");
        if let Some(document) = meanwhile.take() {
            self.put_document(&document);
        }
    }

    fn version(&self, key: &str) -> Option<Tag> {
        let objects = self.objects.lock().expect("no test panics meanwhile");
        objects
            .get(key)
            .map(|(_, version)| Tag(version.to_string()))
    }
}

fn one_less(number: &AtomicUsize) -> bool {
    let less = |number: usize| number.checked_sub(1);
    let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
    number.fetch_update(set, get, less).is_ok()
}

#[async_trait]
impl Store for Memory {
    fn subject(&self) -> String {
        "memory://x".to_owned()
    }

    async fn list(&self, _prefix: &str) -> Result<Vec<Entry>> {
        panic!("no lease lists anything")
    }

    async fn get(&self, key: &str) -> Result<(Bytes, Tag)> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if one_less(&self.hang) {
            return std::future::pending().await;
        }
        let objects = self.objects.lock().expect("no test panics meanwhile");
        match objects.get(key) {
            Some((bytes, version)) => Ok((bytes.clone(), Tag(version.to_string()))),
            None => Err(Error::new(Kind::NotFound, self.subject(), "nothing there")),
        }
    }

    async fn put_if_absent(&self, _key: &str, _content: Content) -> Result<Put> {
        panic!("a lease is written by its version")
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, tag: Option<&Tag>) -> Result<Tag> {
        self.others_write();
        let conflict = || Error::new(Kind::Conflict, self.subject(), "it changed");
        if self.version(key).as_ref() != tag {
            return Err(conflict());
        }
        let tag = self.put(key, bytes);
        if one_less(&self.lose) {
            return Err(conflict());
        }
        Ok(tag)
    }

    async fn copy_if_absent(&self, _from: &str, _to: &str) -> Result<Option<Put>> {
        panic!("no lease is copied")
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.others_write();
        let mut objects = self.objects.lock().expect("no test panics meanwhile");
        objects.remove(key);
        Ok(())
    }
}

const KARI: &str = "kari at laptop, process 7";

fn share(part: u16) -> Option<Share> {
    let plan = Digest::of(b"x");
    Some(Share { plan, part })
}

fn taker(holder: &str, share: Option<Share>) -> Taker {
    let holder = holder.to_owned();
    Taker { holder, share }
}

/// The document once somebody has taken it.
fn taken(before: Option<Document>, holder: &str, share: Option<Share>) -> Document {
    let taker = taker(holder, share);
    Document::taken(before, &taker, Utc::now(), HOLDS).expect("free")
}

async fn acquire(store: &Arc<Memory>, share: Option<Share>) -> anyhow::Result<Lease> {
    let lost = Arc::new(AtomicBool::new(false));
    Lease::acquire(store.clone(), "prod", "a", share, lost).await
}

#[tokio::test]
async fn one_whose_answer_was_lost_is_held_all_the_same() {
    for share in [None, share(1)] {
        let store = Arc::new(Memory::default());
        store.lose.store(1, Ordering::Relaxed);
        let lease = acquire(&store, share).await.expect("its own");
        let document = store.document().expect("it is there");
        assert!(document.hold(&lease.taker).is_some());
        lease.release(true).await.expect("given back");
        acquire(&store, share).await.expect("free again");
    }
}

/// In another container the process may have the same number, and the holder the same name.
#[tokio::test]
async fn one_of_the_same_name_is_not_taken_for_its_own() {
    for share in [None, share(1)] {
        let store = Arc::new(Memory::default());
        *store.meanwhile.lock().expect("nobody panicked") = Some(taken(None, "a", share));
        let refused = acquire(&store, share).await.err().expect("another's");
        let refused = refused.to_string();
        let told = "another deploy of the environment `prod` is running: a; its lease ends at ";
        assert!(refused.starts_with(told), "{refused}");
    }
}

#[tokio::test]
async fn a_part_that_writes_itself_in_while_another_leaves_stays() {
    let store = Arc::new(Memory::default());
    let lease = acquire(&store, share(1)).await.expect("free");
    let both = taken(store.document(), KARI, share(2));
    *store.meanwhile.lock().expect("nobody panicked") = Some(both);
    lease.release(false).await.expect("given back");
    let left = store.document().expect("it is there");
    assert!(left.hold(&taker(KARI, share(2))).is_some());
    let share = share(1).expect("a part");
    assert!(!has_begun(&*store, "prod", share).await.expect("read"));
}

const QUICK: Times = Times {
    every: Duration::from_millis(10),
    patience: Duration::from_millis(50),
    pause: Duration::from_millis(1),
    until: Duration::from_secs(3600),
};

async fn keep(store: &Memory, times: Times) -> String {
    let taker = taker("a", None);
    store.put_document(&taken(None, "a", None));
    keep_at(store, &key("prod"), &taker, Instant::now(), times).await
}

#[tokio::test]
async fn a_request_that_hangs_is_given_up_for_a_new_one() {
    let store = Memory::default();
    store.hang.store(3, Ordering::Relaxed);
    let mut lost = std::pin::pin!(keep(&store, QUICK));
    let renewed = async {
        while store.writes.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        why = &mut lost => panic!("{why}"),
        () = renewed => {}
    }
    assert_eq!(store.hang.load(Ordering::Relaxed), 0);
    store.put_document(&taken(None, KARI, None));
    assert_eq!(lost.await, format!("{KARI} has taken it"));
}

#[tokio::test]
async fn one_that_cannot_be_renewed_is_given_up_before_it_ends() {
    let store = Memory::default();
    store.hang.store(usize::MAX, Ordering::Relaxed);
    let until = Duration::from_millis(300);
    let why = keep(&store, Times { until, ..QUICK }).await;
    assert_eq!(
        why,
        "it could not be renewed: memory://x: no answer in time"
    );
    let (last, least) = (TIMES.until + TIMES.patience, Duration::from_secs(5));
    assert!(last + least < HOLDS, "what is under way has time to end");
}

#[tokio::test]
async fn one_that_is_gone_is_lost() {
    let store = Memory::default();
    let deleted = async {
        while store.version(&key("prod")).is_none() {
            tokio::task::yield_now().await;
        }
        store.delete(&key("prod")).await
    };
    let (why, deleted) = futures::join!(keep(&store, QUICK), deleted);
    deleted.expect("a deletion");
    assert_eq!(why, "it is not there any more");
}

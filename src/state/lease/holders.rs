//! Who holds a lease: one deploy, or several parts of one plan.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Share, Taker};
use crate::model::Digest;

/// The lease as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    /// With parts, whoever of them holds it longest: all that another deploy has to know.
    #[serde(flatten)]
    last: Hold,
    /// The plan whose parts hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<Digest>,
    /// Its parts that have begun, running or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<u16, Hold>,
}

/// One holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hold {
    /// Who and where, for people.
    pub(super) holder: String,
    /// Until when, unless it is renewed.
    pub(super) expires: DateTime<Utc>,
}

/// What is there once a holder has left.
#[derive(Debug, PartialEq)]
pub(super) enum Left {
    /// The document can be deleted.
    Nothing,
    /// This is to be written.
    Note(Document),
    /// It is somebody else's, as it stands.
    Others,
}

impl Document {
    /// The document with `taker` as a holder of what was `before`. The error is who keeps it from that.
    pub(super) fn taken(
        before: Option<Self>,
        taker: &Taker,
        now: DateTime<Utc>,
        holds: Duration,
    ) -> Result<Self, Hold> {
        let hold = Hold {
            holder: taker.holder.clone(),
            expires: now + holds,
        };
        let mut parts = BTreeMap::new();
        if let Some(before) = before {
            match taker.share {
                Some(share) if before.plan == Some(share.plan) => {
                    parts = before.parts;
                    if let Some(other) = parts.get(&share.part).filter(|one| one.expires > now) {
                        return Err(other.clone());
                    }
                }
                _ if before.last.expires > now => return Err(before.last),
                _ => {}
            }
        }
        if let Some(share) = taker.share {
            parts.insert(share.part, hold.clone());
        }
        Ok(Self {
            last: hold,
            plan: taker.share.map(|share| share.plan),
            parts,
        }
        .with_last())
    }

    /// The document with a later end for `taker`. The error is who has its place.
    pub(super) fn renewed(
        mut self,
        taker: &Taker,
        now: DateTime<Utc>,
        holds: Duration,
    ) -> Result<Self, Hold> {
        match self.hold_mut(taker) {
            Some(hold) => hold.expires = now + holds,
            None => return Err(self.place(taker).unwrap_or(&self.last).clone()),
        }
        Ok(self.with_last())
    }

    /// What is left when `taker` goes: of a part that `began` to write, that it did. A deletion has no condition, so that it
    /// is for a document that nobody else may write before it comes through: another part always may.
    pub(super) fn left(
        mut self,
        taker: &Taker,
        began: bool,
        now: DateTime<Utc>,
        holds: Duration,
    ) -> Left {
        let Some(hold) = self.hold_mut(taker) else {
            return Left::Others;
        };
        if taker.share.is_none() && hold.expires > now + holds / 2 {
            return Left::Nothing;
        }
        hold.expires = now;
        if let (Some(share), false) = (taker.share, began) {
            self.parts.remove(&share.part);
        }
        // Of the last part that is there, if there is one.
        self.last.expires = now;
        Left::Note(self.with_last())
    }

    /// Whether this part has begun.
    pub(super) fn knows(&self, share: Share) -> bool {
        self.plan == Some(share.plan) && self.parts.contains_key(&share.part)
    }

    /// The taker's own hold; `None` where it is no holder.
    pub(super) fn hold(&self, taker: &Taker) -> Option<&Hold> {
        Some(self.place(taker)?).filter(|hold| hold.holder == taker.holder)
    }

    fn hold_mut(&mut self, taker: &Taker) -> Option<&mut Hold> {
        self.hold(taker)?;
        match taker.share {
            Some(share) => self.parts.get_mut(&share.part),
            None => Some(&mut self.last),
        }
    }

    /// The hold that is the taker's, or another's who has taken its place.
    fn place(&self, taker: &Taker) -> Option<&Hold> {
        match taker.share {
            Some(share) if self.plan == Some(share.plan) => self.parts.get(&share.part),
            None if self.plan.is_none() => Some(&self.last),
            _ => None,
        }
    }

    fn with_last(mut self) -> Self {
        if let Some(last) = self.parts.values().max_by_key(|hold| hold.expires) {
            self.last = last.clone();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn part(plan: &str, part: u16, holder: &str) -> Taker {
        let plan = Digest::of(plan.as_bytes());
        Taker {
            holder: holder.to_owned(),
            share: Some(Share { plan, part }),
        }
    }

    fn alone(holder: &str) -> Taker {
        Taker {
            holder: holder.to_owned(),
            share: None,
        }
    }

    fn taken(before: Option<Document>, taker: &Taker, now: i64) -> Result<Document, String> {
        Document::taken(before, taker, at(now), HOLDS).map_err(|hold| hold.holder)
    }

    #[test]
    fn parts_of_one_plan_share_it_and_all_others_wait() {
        let one = taken(None, &part("x", 1, "a"), 0).expect("free");
        let two = taken(Some(one), &part("x", 2, "b"), 30).expect("shared");
        for other in [alone("c"), part("y", 3, "c"), part("x", 2, "c")] {
            assert_eq!(taken(Some(two.clone()), &other, 80), Err("b".to_owned()));
        }
        // The first did not renew it, as one that was killed; its part can be taken again.
        assert!(taken(Some(two.clone()), &part("x", 1, "c"), 80).is_ok());
        let two = two
            .renewed(&part("x", 1, "a"), at(50), HOLDS)
            .expect("it is there");
        assert_eq!(
            taken(Some(two.clone()), &alone("c"), 100),
            Err("a".to_owned())
        );
        assert!(
            two.clone()
                .renewed(&part("x", 1, "b"), at(50), HOLDS)
                .is_err()
        );
        assert!(two.renewed(&alone("a"), at(50), HOLDS).is_err());
    }

    #[test]
    fn a_part_that_has_left_is_known_until_another_deploy_begins() {
        let share = part("x", 1, "a").share.expect("a part");
        let one = taken(None, &part("x", 1, "a"), 0).expect("free");
        let Left::Note(one) = one.left(&part("x", 1, "a"), true, at(10), HOLDS) else {
            panic!("a note is left");
        };
        assert!(one.knows(share));
        let again = taken(Some(one.clone()), &part("x", 1, "b"), 11).expect("it has left");
        assert!(again.knows(share));
        let other = taken(Some(one), &alone("c"), 11).expect("nobody is there");
        assert!(!other.knows(share));
        assert_eq!(
            other.clone().left(&alone("d"), true, at(12), HOLDS),
            Left::Others
        );
        assert_eq!(other.left(&alone("c"), true, at(12), HOLDS), Left::Nothing);
    }

    #[test]
    fn what_another_may_take_is_not_deleted() {
        let one = taken(None, &alone("a"), 0).expect("free");
        let Left::Note(one) = one.left(&alone("a"), true, at(31), HOLDS) else {
            panic!("it may end while the deletion is under way");
        };
        assert!(taken(Some(one), &alone("b"), 31).is_ok());
    }

    #[test]
    fn a_part_that_did_not_begin_leaves_no_trace_of_itself() {
        let one = taken(None, &part("x", 1, "a"), 0).expect("free");
        // Another part may write itself in before a deletion would come through.
        let Left::Note(none) = one.clone().left(&part("x", 1, "a"), false, at(1), HOLDS) else {
            panic!("it is not deleted");
        };
        assert!(!none.knows(part("x", 1, "a").share.expect("a part")));
        for next in [alone("c"), part("x", 1, "c"), part("y", 1, "c")] {
            assert!(taken(Some(none.clone()), &next, 1).is_ok());
        }
        let two = taken(Some(one), &part("x", 2, "b"), 0).expect("shared");
        let Left::Note(two) = two.left(&part("x", 1, "a"), false, at(1), HOLDS) else {
            panic!("the other holds it");
        };
        assert!(!two.knows(part("x", 1, "a").share.expect("a part")));
        assert_eq!(taken(Some(two), &alone("c"), 2), Err("b".to_owned()));
    }

    #[test]
    fn an_earlier_program_is_kept_out() {
        #[derive(Deserialize)]
        struct Before {
            holder: String,
            expires: DateTime<Utc>,
        }
        let one = taken(None, &part("x", 1, "a"), 0).expect("free");
        let text = serde_json::to_string(&one).expect("JSON");
        let before: Before = serde_json::from_str(&text).expect("it has what was there before");
        assert_eq!((before.holder.as_str(), before.expires), ("a", at(60)));
        let back: Document = serde_json::from_str(&text).expect("its own");
        assert_eq!(back, one);
    }
}

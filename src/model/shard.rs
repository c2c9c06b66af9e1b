//! Which part of how many.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One of the parts of a plan: `2/3`, from `1/3` to `3/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which one, from 1 to `of`.
    pub part: u16,
    /// How many there are, 1 at least.
    pub of: u16,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<u16>().ok();
        let parsed = text.split_once('/');
        let parsed = parsed.and_then(|(part, of)| Some((number(part)?, number(of)?)));
        match parsed {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            Some((_, 0)) => Err("there is no part of 0".to_owned()),
            Some((_, of)) => Err(format!("the parts are 1/{of} to {of}/{of}")),
            None => Err("a part is written as 1/3".to_owned()),
        }
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_of_them() {
        for text in ["1/1", "1/3", "3/3", "256/256"] {
            assert_eq!(text.parse::<Shard>().expect("a part").to_string(), text);
        }
        for (text, why) in [
            ("0/3", "the parts are 1/3 to 3/3"),
            ("4/3", "the parts are 1/3 to 3/3"),
            ("0/0", "there is no part of 0"),
            ("x", "a part is written as 1/3"),
            ("1", "a part is written as 1/3"),
            ("-1/3", "a part is written as 1/3"),
            ("1/3/5", "a part is written as 1/3"),
            ("1/99999", "a part is written as 1/3"),
            ("", "a part is written as 1/3"),
        ] {
            assert_eq!(text.parse::<Shard>(), Err(why.to_owned()), "{text}");
        }
    }
}

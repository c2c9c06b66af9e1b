//! Names of environments, and which of the declared ones a name means.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

/// The environment's name without `--env`.
pub const DEFAULT_ENVIRONMENT: &str = "default";

/// Several declared environments that one name would mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// The globs, in the order in which they were given.
    pub globs: Vec<String>,
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let globs: Vec<String> = self.globs.iter().map(|one| format!("`{one}`")).collect();
        f.write_str(&globs.join(" and "))
    }
}

/// The declared environment that counts for `name`: the one of just that name, else the only glob that matches it. `None`
/// where there is neither.
pub fn environment<'a>(
    name: &str,
    declared: impl IntoIterator<Item = &'a str>,
) -> Result<Option<&'a str>, Ambiguous> {
    let mut matching = Vec::new();
    for one in declared {
        if one == name {
            return Ok(Some(one));
        }
        if matcher(one).is_ok_and(|glob| glob.is_some_and(|glob| glob.is_match(name))) {
            matching.push(one);
        }
    }
    match matching.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => Err(Ambiguous {
            globs: several.iter().map(|one| (*one).to_owned()).collect(),
        }),
    }
}

/// Checks the name of a declared environment. The error says what is wrong with it as a glob.
pub fn check_declared(name: &str) -> Result<(), String> {
    match matcher(name) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.kind().to_string()),
    }
}

/// Whether an environment that is in use may have this name: it is part of paths in the storage, of marks at the
/// orchestrator and, for a preview, of the names of deployments.
pub fn is_environment_name(name: &str) -> bool {
    let safe = |one: char| one.is_alphanumeric() || matches!(one, '-' | '_' | '.' | '+' | '@');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(safe)
}

/// `None` where the name is no glob.
fn matcher(name: &str) -> Result<Option<GlobMatcher>, globset::Error> {
    if !name.contains(['*', '?', '[', '{']) {
        return Ok(None);
    }
    let glob = GlobBuilder::new(name).literal_separator(true).build()?;
    Ok(Some(glob.compile_matcher()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_name_comes_before_a_glob() {
        let declared = ["prod", "pr-*", "pr-7", "dev-[0-9]"];
        for (name, meant) in [
            ("prod", Some("prod")),
            ("pr-7", Some("pr-7")),
            ("pr-71", Some("pr-*")),
            ("dev-3", Some("dev-[0-9]")),
            ("dev-33", None),
            ("staging", None),
            ("pr-a/b", None),
        ] {
            assert_eq!(environment(name, declared), Ok(meant), "{name}");
        }
    }

    #[test]
    fn two_globs_are_one_too_many() {
        let error = environment("pr-1", ["pr-*", "*-1", "prod"]).expect_err("two match");
        assert_eq!(error.to_string(), "`pr-*` and `*-1`");
        assert_eq!(
            environment("pr-1", ["pr-*", "*-1", "pr-1"]),
            Ok(Some("pr-1"))
        );
    }

    #[test]
    fn names_are_safe_in_paths_and_in_names_of_deployments() {
        for name in ["prod", "pr-123", "v1.2_b", "kari@desk", "prøve"] {
            assert!(is_environment_name(name), "{name}");
        }
        for name in [
            "", ".", ".x", "a/b", r"a\b", "a b", "pr-*", "a%b", "a:b", "a&b", "a\n",
        ] {
            assert!(!is_environment_name(name), "{name:?}");
        }
        assert_eq!(check_declared("pr-*"), Ok(()));
        assert!(check_declared("pr-[").is_err());
    }
}

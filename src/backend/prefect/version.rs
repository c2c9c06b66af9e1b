//! Which release a server is of, and what follows from it.

use crate::model::Dialect;

/// A server's release, as far as requests depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// What Prefect Cloud is taken for.
    pub(super) const NEWEST: Self = Self {
        major: u32::MAX,
        minor: 0,
    };
    /// The first release with slugs of schedules, and with pull steps in a PATCH: both are in the sources of 3.2.0 and
    /// not of 3.1.15.
    const OLDEST: Self = Self { major: 3, minor: 2 };
    /// The last line of 2, with all that deployments had there.
    const OLDEST_TWO: Self = Self {
        major: 2,
        minor: 20,
    };

    /// Reads the answer of `GET /admin/version`: `3.8.8`, `3.4.0rc1`, `3.2.0+12.gabcdef`. The message says what is
    /// wrong with a server that is not to be used.
    pub(super) fn supported(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            return Err(format!("`{text}` is no version of a Prefect server"));
        };
        let version = Self { major, minor };
        let oldest = match version.dialect() {
            Dialect::Prefect2 => Self::OLDEST_TWO,
            Dialect::Prefect3 => Self::OLDEST,
        };
        if version < oldest {
            return Err(format!(
                "the server is Prefect {text}, flowyard needs 2.20 or a later 2, or 3.2 or later"
            ));
        }
        Ok(version)
    }

    /// What deployment files may say to it.
    pub(super) fn dialect(self) -> Dialect {
        match self.major {
            ..=2 => Dialect::Prefect2,
            _ => Dialect::Prefect3,
        }
    }

    /// Whether a deployment takes `global_concurrency_limit_id`.
    pub(super) fn detaches_limits(self) -> bool {
        self >= Self { major: 3, minor: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_by_name() {
        for good in [
            "3.8.8",
            "3.10.0",
            "3.2.0+12.gabc.dirty",
            "4.0.0",
            "3.4.0rc1",
            "2.20.26",
            "2.21.0",
        ] {
            assert!(Version::supported(good).is_ok(), "{good}");
        }
        for bad in ["2.19.9", "1.4.1", "3.1.15"] {
            let message = Version::supported(bad).expect_err("a refusal");
            assert!(message.contains(bad), "{message}");
        }
        assert!(Version::supported("hello").is_err());
        assert!(
            !Version::supported("3.2.15")
                .expect("a version")
                .detaches_limits()
        );
        assert!(Version::NEWEST.detaches_limits());
    }
}

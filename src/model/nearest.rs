//! "Did you mean …?"

/// How alike two names must be for one to be taken as a slip of the other; 1 is the same.
const ALIKE: f64 = 0.8;

/// The known name that is most like `name`, regardless of case; `None` where none is like it at all.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|one| (strsim::jaro_winkler(&one.to_lowercase(), &name), one))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_or_none() {
        let known = ["schedule", "schedules", "name"];
        assert_eq!(nearest("schdules", known), Some("schedules"));
        assert_eq!(nearest("NAME", known), Some("name"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("name", []), None);
    }
}

//! "Did you mean …?"

/// How alike two names must be for one to be taken as a slip of the other; 1 is the same.
const ALIKE: f64 = 0.8;

/// How many known names are looked at: there are never so many but in an input that is made to take long.
const LOOKED_AT: usize = 1_000;

/// The known name that is most like `name`, regardless of case; `None` where none is like it at all.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .take(LOOKED_AT)
        .map(|one| (strsim::jaro_winkler(&one.to_lowercase(), &name), one))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
}

/// Names in a row, the first twenty of them.
pub fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
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

    #[test]
    fn a_long_row_ends() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        let many = listed(&["n"; 23]);
        assert!(many.ends_with("n, n and 3 more"), "{many}");
    }
}

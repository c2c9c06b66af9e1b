//! What lies below a folder, to be compared before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Every file below a folder by its path, with content and time of the last write.
pub(crate) type Files = BTreeMap<String, (Vec<u8>, SystemTime)>;

/// Looks at every file below a folder; empty where there is no such folder.
pub(crate) fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    walk(folder, folder, &mut found);
    found
}

/// What differs, one line each: `+` what is new, `-` what is gone, `~` what has other content, `=` what was written
/// again as it was.
pub(crate) fn changed(before: &Files, after: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, old) in before {
        match after.get(path) {
            None => lines.push(format!("- {path}")),
            Some(new) if new.0 != old.0 => lines.push(format!("~ {path}")),
            Some(new) if new.1 != old.1 => lines.push(format!("= {path}")),
            Some(_) => {}
        }
    }
    let new = after.keys().filter(|path| !before.contains_key(*path));
    lines.extend(new.map(|path| format!("+ {path}")));
    lines
}

fn walk(root: &Path, folder: &Path, found: &mut Files) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            walk(root, &path, found);
            continue;
        }
        // A process that runs meanwhile may have removed it.
        let Ok(modified) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else {
            continue;
        };
        let content = fs::read(&path).unwrap_or_default();
        let below = path.strip_prefix(root).expect("it was found there");
        found.insert(below.display().to_string(), (content, modified));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        assert!(files(&at("absent")).is_empty());
        fs::create_dir(at("deep")).expect("it can be written");
        for name in ["deep/kept", "gone", "other", "again"] {
            fs::write(at(name), "text").expect("it can be written");
        }
        let before = files(folder.path());
        assert_eq!(changed(&before, &before), [""; 0]);
        fs::remove_file(at("gone")).expect("it can be written");
        fs::write(at("new"), "").expect("it can be written");
        fs::write(at("other"), "longer text").expect("it can be written");
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::options()
            .write(true)
            .open(at("again"))
            .and_then(|file| file.set_modified(later))
            .expect("it can be written");
        let after = files(folder.path());
        assert_eq!(
            changed(&before, &after),
            ["= again", "- gone", "~ other", "+ new"]
        );
    }
}

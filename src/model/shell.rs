//! Words for a shell.

/// A word that a POSIX shell, and Python's `shlex.split`, read as itself: as it is where it can be, else in quotes.
pub fn shell_quoted(word: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "_@%+=:,./-".contains(one);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

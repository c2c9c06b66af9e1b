//! Python, read by parsing.

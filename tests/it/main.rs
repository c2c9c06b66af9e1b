//! Integration tests.

mod discover;

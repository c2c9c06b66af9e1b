//! Images in a real registry, and containers of them.

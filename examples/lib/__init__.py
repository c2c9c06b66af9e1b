"""What several flows of this repository share."""

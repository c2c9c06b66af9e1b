"""Exchange rates: where they come from, and arithmetic with them."""

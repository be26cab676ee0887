"""One kind of measurement per file."""

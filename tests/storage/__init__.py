"""The desk's memory, on real SQLite."""

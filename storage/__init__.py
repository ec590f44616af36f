"""The desk's memory: one SQLite file, one connection, whole transactions only."""

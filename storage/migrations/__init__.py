"""Numbered SQL files; each takes the schema one version further."""

"""The rules of the desk, pure: no I/O, no clock, nothing of the outside."""

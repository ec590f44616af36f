"""Telegram's face of the desk: reading commands, writing answers."""

"""How the simulated SMSCode writes moments: whole seconds in UTC, each contract in its own form."""

from datetime import UTC, datetime


def utc_text(moment: float) -> str:
    """Write unix seconds as the guide does, with a Z; parts of a second are dropped."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_text(moment: float) -> str:
    """Write unix seconds as the official contract does, with +00:00; parts of a second are dropped."""
    return datetime.fromtimestamp(int(moment), UTC).isoformat()

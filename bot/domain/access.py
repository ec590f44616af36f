"""Who may do what: roles in rising order, and people on the allowlist."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a member may do; each role may do all that the ones before it may.

    viewer → operator → approver → admin
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Position in the rising order, from 0."""
        return _RISING[self]

    def reaches(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        return self.rank >= needed.rank


_RISING = {role: rank for rank, role in enumerate(Role)}
"""Looked up for each member that is read and at each command."""


@dataclass(frozen=True, slots=True)
class Member:
    """A person on the allowlist, named by the numeric Telegram id alone (usernames change hands)."""

    user_id: int
    name: str
    role: Role
    owner: bool = False
    """Named in the configuration: always an admin, not to be demoted from the chat."""

    def may(self, needed: Role) -> bool:
        """Whether this person may do what `needed` may."""
        return self.role.reaches(needed)

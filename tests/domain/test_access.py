"""Roles in rising order."""

from itertools import product

import pytest

from bot.domain.access import Member, Role

RISING = [Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN]


def test_the_roles_and_their_order() -> None:
    assert sorted(Role, key=lambda role: role.rank) == RISING
    assert [role.rank for role in RISING] == [0, 1, 2, 3]


@pytest.mark.parametrize(("role", "needed"), list(product(RISING, RISING)))
def test_a_role_may_do_what_the_ones_before_it_may(role: Role, needed: Role) -> None:
    allowed = RISING.index(role) >= RISING.index(needed)
    assert role.reaches(needed) is allowed
    assert Member(1, "Ana", role).may(needed) is allowed


def test_owning_alone_gives_nothing() -> None:
    assert not Member(1, "Ana", Role.VIEWER, owner=True).may(Role.OPERATOR)

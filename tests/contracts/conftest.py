"""The account that every contract test runs against, once for each adapter."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.clock import Clock
from bot.sandbox.sms_api import Contract
from tests.clocks import FastClock
from tests.contracts.bench import ADAPTERS, Bench, Street, open_bench, open_street


@pytest.fixture(params=ADAPTERS)
def contract(request: pytest.FixtureRequest) -> Contract:
    """The name of the contract under test."""
    name: Contract = request.param
    return name


@pytest.fixture
def clock() -> Clock:
    return FastClock(1.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street() -> AsyncIterator[Street]:
    async with open_street() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def bench(contract: Contract, clock: Clock, street: Street) -> AsyncIterator[Bench]:
    async with open_bench(contract, clock, street) as opened:
        yield opened

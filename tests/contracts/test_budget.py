"""The request budget, second by second."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.errors import NotSent
from bot.sms.budget import RequestBudget
from bot.sms.port import Priority
from tests.clocks import FastClock, ManualClock

COMMAND, WATCH = Priority.COMMAND, Priority.WATCH
ENDLESS = float("inf")


@dataclass
class Crowd:
    """Callers of one budget, and when each was let through."""

    per_minute: int
    clock: ManualClock = field(default_factory=ManualClock)
    left: list[tuple[float, Priority, int]] = field(default_factory=list)
    callers: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = RequestBudget(self.per_minute, self.clock)

    def call(self, priority: Priority, patience: float = ENDLESS) -> asyncio.Task[None]:
        """One caller who wants to leave now."""
        caller = asyncio.create_task(self._leave(priority, patience, len(self.callers)))
        self.callers.append(caller)
        return caller

    async def _leave(self, priority: Priority, patience: float, number: int) -> None:
        await self.budget.admit(priority, patience)
        self.left.append((self.clock.monotonic(), priority, number))

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.left]

    async def disperse(self) -> None:
        for caller in self.callers:
            caller.cancel()
        await asyncio.gather(*self.callers, return_exceptions=True)
        await self.budget.close()


@dataclass(frozen=True, slots=True)
class Arrival:
    gap: float
    priority: Priority
    leaves_again: bool
    pause: float


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        gap=st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.7, 3.0, 20.0]),
        priority=st.sampled_from(Priority),
        leaves_again=st.sampled_from([False, False, False, False, True]),
        pause=st.sampled_from([0.0] * 12 + [1.0, 15.0]),
    ),
    max_size=60,
)


def in_the_minute_before(times: list[float]) -> Iterator[int]:
    """For each departure, how many there were in the 60 s up to and including it."""
    for place, time in enumerate(times):
        yield place + 1 - bisect_right(times, time - 60.0)


class TestAnyPattern:
    @settings(max_examples=60)
    @given(st.integers(1, 25), ARRIVALS)
    def test_holds_in_every_rolling_minute(self, per_minute: int, arrivals: list[Arrival]) -> None:
        asyncio.run(self._play(per_minute, arrivals))

    async def _play(self, per_minute: int, arrivals: list[Arrival]) -> None:
        crowd = Crowd(per_minute)
        silences: list[tuple[float, float]] = []
        for arrival in arrivals:
            await crowd.clock.advance(arrival.gap)
            if arrival.pause:
                crowd.budget.pause(arrival.pause)
                silences.append((crowd.clock.monotonic(), crowd.clock.monotonic() + arrival.pause))
            caller = crowd.call(arrival.priority)
            await asyncio.sleep(0)
            if arrival.leaves_again:
                caller.cancel()
        await crowd.clock.advance(60.5 * (len(arrivals) + 2))
        stayed = [number for number, caller in enumerate(crowd.callers) if not caller.cancelled()]
        assert sorted(number for _, _, number in crowd.left) == stayed
        assert crowd.times == sorted(crowd.times)
        self._check_rates(crowd, per_minute)
        self._check_order(crowd)
        for begin, end in silences:
            assert not [time for time in crowd.times if begin < time < end]
        await crowd.disperse()

    def _check_rates(self, crowd: Crowd, per_minute: int) -> None:
        watch_allowance = max(1, int(per_minute * 0.8))
        for used, (_, priority, _) in zip(in_the_minute_before(crowd.times), crowd.left, strict=True):
            assert used <= (watch_allowance if priority is WATCH else per_minute)

    def _check_order(self, crowd: Crowd) -> None:
        for priority in Priority:
            numbers = [number for _, whose, number in crowd.left if whose is priority]
            assert numbers == sorted(numbers)


class TestShares:
    async def test_a_full_budget_leaves_at_once_and_not_one_more(self) -> None:
        crowd = Crowd(300)
        for _ in range(301):
            crowd.call(COMMAND)
        await crowd.clock.advance(60.0)
        assert crowd.times == [0.0] * 300
        assert crowd.budget.used == 300
        await crowd.clock.advance(1.0)
        assert len(crowd.times) == 301
        await crowd.disperse()

    async def test_watching_leaves_a_fifth_for_commands(self) -> None:
        crowd = Crowd(100)
        for _ in range(200):
            crowd.call(WATCH)
        await crowd.clock.advance(5.0)
        assert len(crowd.left) == 80
        commands = [crowd.call(COMMAND) for _ in range(25)]
        await crowd.clock.advance(0.0)
        assert len([command for command in commands if command.done()]) == 20
        assert crowd.budget.used == 100
        await crowd.disperse()

    async def test_a_command_does_not_wait_behind_watchers(self) -> None:
        """Not even for the moment until the queue is looked at again."""
        crowd = Crowd(10)
        for _ in range(20):
            crowd.call(WATCH)
        await crowd.clock.advance(1.0)
        command = crowd.call(COMMAND)
        await crowd.clock.advance(0.0)
        assert command.done()
        await crowd.disperse()

    async def test_commands_that_wait_go_before_watchers_that_waited_longer(self) -> None:
        crowd = Crowd(10)
        for _ in range(10):
            crowd.call(COMMAND)
        await crowd.clock.advance(1.0)
        for priority in (WATCH, WATCH, COMMAND, WATCH, COMMAND):
            crowd.call(priority)
        await crowd.clock.advance(120.0)
        assert [priority for _, priority, _ in crowd.left[10:]] == [COMMAND, COMMAND, WATCH, WATCH, WATCH]
        await crowd.disperse()

    async def test_a_command_that_waits_is_not_bound_to_the_time_of_a_watcher(self) -> None:
        crowd = Crowd(10)
        for priority in (COMMAND,) * 2:
            crowd.call(priority)
        await crowd.clock.advance(30.0)
        for priority in (*(WATCH,) * 6, *(COMMAND,) * 2):
            crowd.call(priority)
        await crowd.clock.advance(0.0)
        watcher = crowd.call(WATCH)
        await crowd.clock.advance(1.0)
        command = crowd.call(COMMAND)
        await crowd.clock.advance(30.0)
        assert command.done(), "two places of the first minute are free again"
        assert not watcher.done(), "but the watchers' share of this minute is not"
        await crowd.disperse()

    async def test_nobody_overtakes_while_the_machine_is_busy(self) -> None:
        crowd = Crowd(1)
        crowd.call(COMMAND)
        await crowd.clock.advance(1.0)
        first = crowd.call(COMMAND)
        await crowd.clock.advance(1.0)
        crowd.clock.jump(60.0)
        second = crowd.call(COMMAND)
        await crowd.clock.advance(1.0)
        assert first.done()
        assert not second.done()
        await crowd.disperse()

    async def test_a_budget_of_one_still_moves(self) -> None:
        crowd = Crowd(1)
        for priority in (WATCH, COMMAND, WATCH):
            crowd.call(priority)
        await crowd.clock.advance(200.0)
        assert len(crowd.left) == 3
        await crowd.disperse()

    def test_rates_are_told(self) -> None:
        budget = RequestBudget(300, ManualClock())
        assert budget.watch_rate == pytest.approx(4.0)
        assert (budget.used, budget.pause_left) == (0, 0.0)


class TestPause:
    async def test_everyone_waits_and_then_leaves_one_after_the_other(self) -> None:
        """No storm: what piled up during a pause leaves at the even pace."""
        crowd = Crowd(60)
        crowd.budget.pause(30.0)
        for priority in (COMMAND, WATCH) * 20:
            crowd.call(priority)
        await crowd.clock.advance(29.9)
        assert crowd.left == []
        await crowd.clock.advance(60.0)
        assert len(crowd.left) == 40
        gaps = [later - earlier for earlier, later in zip(crowd.times, crowd.times[1:], strict=False)]
        assert min(gaps) >= 1.0 - 1e-9
        assert crowd.times[0] == pytest.approx(30.0)
        await crowd.disperse()

    async def test_the_pace_is_even_for_those_who_come_after_it_too(self) -> None:
        crowd = Crowd(60)
        crowd.budget.pause(5.0)
        await crowd.clock.advance(6.0)
        for _ in range(10):
            crowd.call(COMMAND)
        await crowd.clock.advance(0.0)
        assert len(crowd.left) == 1
        await crowd.clock.advance(9.5)
        assert len(crowd.left) == 10
        await crowd.disperse()

    async def test_a_minute_after_it_all_is_as_before(self) -> None:
        crowd = Crowd(60)
        crowd.budget.pause(5.0)
        await crowd.clock.advance(65.1)
        for _ in range(10):
            crowd.call(COMMAND)
        await crowd.clock.advance(0.0)
        assert len(crowd.left) == 10
        await crowd.disperse()

    async def test_the_longer_of_two_holds(self) -> None:
        budget = RequestBudget(60, clock := ManualClock())
        budget.pause(30.0)
        budget.pause(5.0)
        assert budget.pause_left == 30.0
        await clock.advance(10.0)
        budget.pause(25.0)
        assert budget.pause_left == 25.0
        await clock.advance(25.0)
        assert budget.pause_left == 0.0

    async def test_who_has_less_patience_is_told_how_long_it_takes(self) -> None:
        budget = RequestBudget(60, clock := ManualClock())
        budget.pause(40.0)
        await clock.advance(10.0)
        with pytest.raises(NotSent) as caught:
            await budget.admit(COMMAND, 29.9)
        assert caught.value.retry_after == pytest.approx(30.0)
        assert budget.used == 0

    async def test_who_has_enough_waits(self) -> None:
        crowd = Crowd(60)
        crowd.budget.pause(10.0)
        patient = crowd.call(COMMAND, 10.0)
        await crowd.clock.advance(10.0)
        assert patient.done()
        assert crowd.times == [10.0]
        await crowd.disperse()

    async def test_who_waits_already_is_told_when_it_begins(self) -> None:
        crowd = Crowd(1)
        crowd.call(COMMAND)
        await crowd.clock.advance(1.0)
        hasty, patient, watcher = crowd.call(COMMAND, 15.0), crowd.call(COMMAND, 60.0), crowd.call(WATCH)
        await crowd.clock.advance(1.0)
        crowd.budget.pause(30.0)
        await crowd.clock.advance(0.0)
        error = hasty.exception()
        assert isinstance(error, NotSent)
        assert error.retry_after == pytest.approx(30.0)
        await crowd.clock.advance(200.0)
        assert [number for _, _, number in crowd.left] == [0, 2, 3]
        assert patient.done()
        assert watcher.done()
        await crowd.disperse()

    async def test_it_begins_for_those_who_wait_for_a_place(self) -> None:
        crowd = Crowd(2)
        for _ in range(3):
            crowd.call(WATCH)
        await crowd.clock.advance(50.0)
        crowd.budget.pause(40.0)
        await crowd.clock.advance(39.9)
        assert crowd.times == [0.0]
        await crowd.clock.advance(1.0)
        assert crowd.times == [0.0, pytest.approx(90.0)]
        await crowd.disperse()


class TestLeaving:
    async def test_those_who_give_up_eat_no_places(self) -> None:
        crowd = Crowd(10)
        crowd.budget.pause(5.0)
        leaving = [crowd.call(COMMAND) for _ in range(50)]
        staying = [crowd.call(COMMAND) for _ in range(10)]
        await crowd.clock.advance(1.0)
        for caller in leaving:
            caller.cancel()
        await crowd.clock.advance(5.0 + 9 * 6.0)
        assert all(caller.done() and not caller.cancelled() for caller in staying)
        assert crowd.budget.used == 10
        await crowd.disperse()

    async def test_leaving_just_as_the_place_is_given_harms_nobody(self) -> None:
        crowd = Crowd(60)
        crowd.budget.pause(10.0)
        unlucky, next_one = crowd.call(COMMAND), crowd.call(COMMAND)
        await crowd.clock.advance(1.0)
        time_passes = asyncio.create_task(crowd.clock.advance(9.0))
        for _ in range(10_000):
            if crowd.budget.used:
                break
            await asyncio.sleep(0)
        assert crowd.budget.used == 1, "the place is given"
        assert not unlucky.done(), "and the caller has not run yet"
        unlucky.cancel()
        await time_passes
        assert unlucky.cancelled()
        await crowd.clock.advance(1.0)
        assert next_one.done()
        assert crowd.times == [pytest.approx(11.0)]
        await crowd.disperse()


class TestClose:
    async def test_who_waits_is_told_that_nothing_was_sent(self) -> None:
        crowd = Crowd(60)
        crowd.budget.pause(100.0)
        waiting = [crowd.call(COMMAND), crowd.call(WATCH), crowd.call(WATCH)]
        await crowd.clock.advance(1.0)
        waiting[1].cancel()
        await crowd.budget.close()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [NotSent, asyncio.CancelledError, NotSent]
        assert crowd.left == []

    async def test_closing_an_idle_budget_twice_is_nothing(self) -> None:
        budget = RequestBudget(60, ManualClock())
        await budget.admit(COMMAND, 1.0)
        await budget.close()
        await budget.close()

    async def test_no_task_stays_behind(self) -> None:
        before = asyncio.all_tasks()
        crowd = Crowd(1)
        for _ in range(3):
            crowd.call(WATCH)
        await crowd.clock.advance(1.0)
        await crowd.disperse()
        assert asyncio.all_tasks() == before


async def test_holds_in_running_time() -> None:
    """The same promise with a clock that does not stand still between two steps."""
    clock = FastClock(120.0)
    budget = RequestBudget(30, clock)
    left: list[float] = []

    async def caller(number: int) -> None:
        await clock.sleep(number % 7)
        await budget.admit(Priority(number % 2), ENDLESS)
        left.append(clock.monotonic())

    await asyncio.gather(*(caller(number) for number in range(75)))
    await budget.close()
    assert len(left) == 75
    assert max(in_the_minute_before(left)) <= 30

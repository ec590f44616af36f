"""`otpdesk demo --tour`: the story, played on the real desk and printed as it goes."""

import asyncio
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from bot.sandbox.child import BotCommand, BotGaveUp
from bot.sandbox.run import FAILED, until_stopped
from bot.sandbox.sms_api import Contract, SmsWorld
from bot.sandbox.stage import Stage, open_stage, prepare
from bot.sandbox.story import STORIES, NotSeen, Play, Step, rupiah
from bot.sandbox.transcript import Transcript

_INTERRUPTED: Final = 130
"""What shells expect of a program that Ctrl-C has ended before its work was done."""


async def tour(
    command: BotCommand,
    console: Console,
    *,
    seed: int,
    contract: Contract = "guide",
    story: Sequence[Step] | None = None,
) -> int:
    """Play `story`, by default the contract's own, and print it; returns 0 only if every step was seen."""
    played = STORIES[contract] if story is None else story
    return await until_stopped(_tour(command, console, seed, contract, played), stopped=_INTERRUPTED)


async def _tour(command: BotCommand, console: Console, seed: int, contract: Contract, story: Sequence[Step]) -> int:
    def tell(sentence: str) -> None:
        console.print(sentence, style="yellow", markup=False)

    async with open_stage(command, tell, seed=seed, contract=contract) as stage:
        try:
            return await stage.bot.alongside(_play(stage, console, story))
        except BotGaveUp as error:
            console.print(str(error), style="red", markup=False)
            return FAILED


async def _play(stage: Stage, console: Console, story: Sequence[Step]) -> int:
    try:
        await stage.until_polled()
        await prepare(stage)
    except AssertionError as error:
        console.print(f"The desk did not open. {error}\n{stage.bot.log_tail()}", style="red", markup=False)
        return FAILED
    transcript = Transcript(console, stage.telegram)
    following = asyncio.create_task(transcript.follow(), name="transcript")
    clock = asyncio.get_running_loop().time
    started = clock()
    play = Play(stage.telegram, stage.sms, stage.contract, stage.bot)
    try:
        for number, step in enumerate(story, 1):
            if not await _is_seen(play, transcript, number, step):
                transcript.line(stage.bot.log_tail())
                return FAILED
    finally:
        following.cancel()
    transcript.line(f"\nAll {len(story)} steps were seen, in {clock() - started:.0f} s: {_summary(stage.sms)}.", "bold")
    return 0


async def _is_seen(play: Play, transcript: Transcript, number: int, step: Step) -> bool:
    """Play one step and print what became of it."""
    transcript.line(f"\n{number}. {step.title}", "bold")
    try:
        proof = await play.perform(step)
    except NotSeen as error:
        transcript.line(f"\n✗ Step {number} was not seen: {step.title}", "bold red")
        transcript.line(f"{error}\n")
        return False
    transcript.line(f"{'✓':>15}  {proof}", "green")
    return True


def _summary(sms: SmsWorld) -> str:
    books = sms.books
    return (
        f"{len(books.orders)} numbers rented, {len(books.refunds)} paid back, {len(books.messages)} codes delivered, "
        f"{rupiah(books.spent)} spent"
    )

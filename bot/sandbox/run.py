"""`otpdesk demo` and `otpdesk sandbox`: open a pretend world on loopback and keep it open until told to stop."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from bot.sandbox.bot_api import TelegramWorld, demo_cast
from bot.sandbox.child import BotCommand, BotGaveUp
from bot.sandbox.sms_api import DEFAULT_BEARER, Contract, SmsWorld, WebhookSender, sms_app
from bot.sandbox.stage import Stage, open_stage, prepare, sandbox_app, serve

FAILED: Final = 1

_SMS_ARRIVAL: Final = (4.0, 9.0)
_END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_stopped(work: Coroutine[Any, Any, int], stopped: int) -> int:
    """Do `work` and return its exit status, or `stopped` where Ctrl-C, SIGTERM or a closed terminal ended it.

    The work is canceled once, so that it can leave in good order however often Ctrl-C is pressed.
    """
    loop = asyncio.get_running_loop()
    doing = asyncio.create_task(work, name="sandbox")
    asked: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not asked:
            doing.cancel()
        asked.append(number)

    for number in _END_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await doing
    except asyncio.CancelledError:
        return stopped
    finally:
        for number in _END_SIGNALS:
            loop.remove_signal_handler(number)


async def demo(command: BotCommand, console: Console, *, port: int, seed: int, contract: Contract = "guide") -> int:
    """Run the whole desk with its page until stopped; returns the exit status.

    Raises:
        CannotOpen: the port is taken.
    """
    return await until_stopped(_demo(command, console, port, seed, contract), stopped=0)


async def _demo(command: BotCommand, console: Console, port: int, seed: int, contract: Contract) -> int:
    def tell(sentence: str) -> None:
        console.print(sentence, style="yellow", markup=False)

    async with open_stage(command, tell, port=port, seed=seed, arrival=_SMS_ARRIVAL, contract=contract) as stage:
        try:
            await stage.bot.alongside(_show(stage, console))
        except (BotGaveUp, AssertionError) as error:
            console.print(f"The desk did not open. {error}", style="red", markup=False)
            if isinstance(error, AssertionError):
                console.print(stage.bot.log_tail(), markup=False)
    return FAILED


async def _show(stage: Stage, console: Console) -> None:
    await stage.until_polled()
    await prepare(stage)
    console.print(_invitation(stage))
    await asyncio.Event().wait()


def _invitation(stage: Stage) -> Panel:
    lines = Text()
    lines.append("The desk is open: ").append(stage.url, "bold underline")
    lines.append("\n\nTake the tour on the page, or try first:\n")
    for who, command, outcome in (
        ("Omar", "/order whatsapp indonesia", "a number at once, its code seconds later"),
        ("Omar", "/order whatsapp germany", "asks first; a yes is over his limit"),
        ("Omar", "/order telegram poland", "asks first, then needs Ada's yes"),
        ("Sam", "/start", "a stranger; he may ask to come in"),
        ("Ada", "/help", "an admin; all that she can do"),
    ):
        lines.append(f"  {who:<5}").append(f"{command:<26}", "bold cyan").append(f"{outcome}\n")
    kill = f"kill -9 {stage.bot.pid}"
    lines.append("\nEnd the bot while a code is on its way: ").append(kill, "bold cyan")
    lines.append("\nIt is started again, and the code still comes.\n")
    lines.append(f"Its log is {stage.log}\n\n", "dim")
    lines.append("All of it is pretend and stays on this computer. Ctrl-C ends it.")
    return Panel.fit(lines, padding=(1, 1), border_style="cyan")


async def sandbox(
    console: Console, *, telegram_port: int, sms_port: int, seed: int, manual: bool, contract: Contract = "guide"
) -> int:
    """Serve both worlds without a bot until stopped; returns the exit status.

    Raises:
        CannotOpen: a port is taken.
    """
    return await until_stopped(_sandbox(console, telegram_port, sms_port, seed, contract, manual=manual), stopped=0)


async def _sandbox(
    console: Console, telegram_port: int, sms_port: int, seed: int, contract: Contract, *, manual: bool
) -> int:
    telegram = demo_cast(TelegramWorld(seed=seed))
    sms = SmsWorld(seed=seed, arrival=None if manual else _SMS_ARRIVAL)
    async with AsyncExitStack() as stack:
        page = await serve(stack, sandbox_app(telegram, sms), telegram_port, "otpdesk sandbox --telegram-port")
        webhooks = await stack.enter_async_context(WebhookSender(sms))
        api = await serve(stack, sms_app(sms, contract, webhooks), sms_port, "otpdesk sandbox --sms-port")
        # Addresses and commands are there to be copied, so no line of them may be folded.
        console.print(_directions(telegram, page.url, api.url, contract, manual=manual), soft_wrap=True)
        await asyncio.Event().wait()
    return FAILED


def _directions(telegram: TelegramWorld, page: str, api: str, contract: Contract, *, manual: bool) -> Text:
    arrival = "only when told" if manual else "4 to 9 seconds after an order"
    text = Text()
    for title, rows in (
        (
            "SMSCode",
            (("base url", api), ("contract", contract), ("token", DEFAULT_BEARER), ("SMS arrive", arrival)),
        ),
        (
            "Telegram",
            (("base url", page), ("bot token", telegram.token), ("chat page", f"{page}/")),
        ),
        (
            "Strings to pull, as JSON",
            (
                ("what is", f"curl {page}/world/world"),
                ("all that was", f"curl {page}/world/books"),
                ("an SMS now", f"curl -X POST {page}/world/orders/ORDER/sms"),
            ),
        ),
        (
            "A first request",
            (("", f"curl -H 'Authorization: Bearer {DEFAULT_BEARER}' {api}/v1/balance"),),
        ),
    ):
        text.append(f"{title}\n", "bold")
        for label, value in rows:
            text.append(f"  {label:<14}" if label else "  ", "dim").append(f"{value}\n", "cyan")
    return text.append("\nOpen on this computer only, with pretend money. Ctrl-C ends it.")

"""The table of commands: what exists, who may use it, how it is written. Help and menus are read off it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.chat import parsing, texts
from bot.chat.commands import (
    administration,
    approving,
    history,
    limits,
    ordering,
    people,
    reporting,
    viewing,
    watching,
)
from bot.chat.visit import Visit
from bot.domain.access import Role

Handler = Callable[[Visit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `needed` is the least role that may use it, `only` the one contract that has what it does."""

    name: str
    needed: Role
    run: Handler
    arguments: str
    summary: str
    examples: tuple[str, ...] = ()
    only: str = ""

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


async def _help(visit: Visit) -> None:
    """`/help [command]`: what this person may do, or one command with examples."""
    wanted = parsing.clean(visit.text).removeprefix("/").casefold()
    spoken = visit.desk.sms.contract
    mine = [command for command in for_role(visit.member.role) if not spoken or command.only in ("", spoken)]
    chosen = next((command for command in mine if command.name == wanted), None)
    if chosen is not None:
        await visit.answer(texts.help_on(chosen.usage, chosen.summary, chosen.examples or (f"/{chosen.name}",)))
        return
    await visit.answer(texts.help_page([(command.usage, command.summary) for command in mine], visit.member.role))


COMMANDS: tuple[Command, ...] = (
    Command("start", Role.VIEWER, viewing.start, "", "say hello"),
    Command("help", Role.VIEWER, _help, "[command]", "this list, or one command with examples", ("/help order",)),
    Command("whoami", Role.VIEWER, viewing.whoami, "", "your role, your id, your limits"),
    Command("balance", Role.VIEWER, viewing.balance, "", "what the account has, what you have left today"),
    Command(
        "catalog",
        Role.VIEWER,
        viewing.catalog,
        "[platform] [country,…]",
        "prices and stock; without arguments by buttons",
        ("/catalog", "/catalog whatsapp", "/catalog whatsapp indonesia,vietnam"),
    ),
    Command(
        "usage",
        Role.VIEWER,
        limits.usage,
        "[PERSON]",
        "what is spent, held and left, and when it starts anew; admins may name somebody",
        ("/usage", "/usage 12345"),
    ),
    Command(
        "orders",
        Role.VIEWER,
        viewing.list_orders,
        "",
        "your live orders, in a group those of that group; admins see everybody's",
    ),
    Command(
        "history",
        Role.VIEWER,
        history.list_history,
        "[day|week|month|DAY] [WORDS]",
        "your orders, by number, person or note; admins find everybody's",
        ("/history", "/history month", "/history tuesday", "/history +62 812", "/history month login test"),
    ),
    Command(
        "order",
        Role.OPERATOR,
        ordering.order,
        "[platform] [country,…] [best] [op=NETWORK] [max=PRICE] [note=TEXT]",
        "rent a number; what you leave out is chosen by buttons",
        (
            "/order",
            "/order whatsapp indonesia",
            "/order whatsapp indonesia,vietnam max=5000",
            "/order whatsapp indonesia best op=telkomsel",
            "/order telegram vietnam note=login test, build 214",
        ),
    ),
    Command(
        "cancel",
        Role.OPERATOR,
        ordering.cancel,
        "[order]",
        "end an order; before the code the money comes back",
        ("/cancel", "/cancel 17"),
    ),
    Command(
        "again",
        Role.OPERATOR,
        ordering.again,
        "[order]",
        "end an order and get a fresh number like it",
        ("/again", "/again 17"),
    ),
    Command(
        "done",
        Role.OPERATOR,
        ordering.done,
        "[order]",
        "finish an order whose code has done its work",
        ("/done 17",),
        only="official",
    ),
    Command(
        "resend",
        Role.OPERATOR,
        ordering.resend,
        "[order]",
        "wait for one more SMS on the same number",
        ("/resend 17",),
        only="official",
    ),
    Command(
        "reactivate",
        Role.OPERATOR,
        ordering.reactivate,
        "[order]",
        "rent the number of an ended order again; asks with its price first",
        ("/reactivate 17",),
        only="official",
    ),
    Command("approvals", Role.APPROVER, approving.list_open, "", "orders that wait for somebody's yes"),
    Command(
        "approve",
        Role.APPROVER,
        approving.approve,
        "REQUEST",
        "say yes to somebody's order; it is bought at once, for no more than it says",
        ("/approve 3",),
    ),
    Command("decline", Role.APPROVER, approving.decline, "REQUEST", "say no to somebody's order", ("/decline 3",)),
    Command(
        "watch",
        Role.OPERATOR,
        watching.watch,
        "[platform country [below=PRICE]]",
        "hear once when it is in stock, or that cheap; alone: what you wait for",
        ("/watch whatsapp indonesia below=4000", "/watch telegram vietnam", "/watch"),
    ),
    Command("status", Role.ADMIN, administration.status, "", "how the desk, SMSCode and the webhooks stand"),
    Command("users", Role.ADMIN, people.users, "", "who is on the list"),
    Command(
        "allow",
        Role.ADMIN,
        people.allow,
        "[PERSON] [role]",
        "let somebody in; alone, it lets you choose whom",
        ("/allow", "/allow 12345", "/allow 12345 viewer", "in reply to a message: /allow operator"),
    ),
    Command("requests", Role.ADMIN, people.requests, "", "who waits to be let in"),
    Command("revoke", Role.ADMIN, people.revoke, "PERSON", "take somebody off the list", ("/revoke 12345",)),
    Command("role", Role.ADMIN, people.role, "PERSON ROLE", "change a role", ("/role 12345 viewer",)),
    Command(
        "limit",
        Role.ADMIN,
        limits.limit,
        "[PERSON] [LIMIT] [AMOUNT] [for TIME]",
        "set or show limits; what you leave out is asked by buttons",
        (
            "/limit",
            "/limit 12345",
            "/limit 12345 daily 200000",
            "/limit 12345 daily 200000 for 3d",
            "/limit team_daily 1.000.000",
            "/limit 12345 daily default",
        ),
    ),
    Command(
        "pause", Role.ADMIN, administration.pause, "[reason]", "stop new orders for everyone", ("/pause audit week",)
    ),
    Command("backup", Role.ADMIN, administration.backup, "", "copy the books now, without codes"),
    Command("resume", Role.ADMIN, administration.resume, "", "open new orders again"),
    Command(
        "chats",
        Role.ADMIN,
        administration.chats,
        "[allow|forget]",
        "where I work; allow or forget the group you send it in",
        ("/chats", "/chats allow"),
    ),
    Command(
        "resolve",
        Role.ADMIN,
        administration.resolve,
        "ORDER [charged|refunded]",
        "show the evidence of an order, or decide one that could not be proven",
        ("/resolve 17", "/resolve 17 charged"),
    ),
    Command(
        "audit",
        Role.ADMIN,
        reporting.audit,
        "[person|number|#order] [period]",
        "who did what, when and why",
        ("/audit", "/audit +62 812 3456 7890 tuesday", "/audit omar last week", "/audit #17", "/audit 2026-03-14"),
    ),
    Command(
        "spend",
        Role.ADMIN,
        reporting.spend,
        "[period] [day|member|platform|country] [csv]",
        "what was spent, as a picture with its numbers, or as a file",
        ("/spend", "/spend today", "/spend month member", "/spend 2026-03 country", "/spend last week csv"),
    ),
    Command(
        "export",
        Role.ADMIN,
        reporting.export,
        "[period]",
        "every order of a period as a file, without codes",
        ("/export", "/export last month", "/export 2026-03-01..2026-03-14"),
    ),
)


SHARED = Command("allow", Role.ADMIN, people.shared, "", "", ("/allow 12345 operator",))
"""People chosen in Telegram's picker, or a contact that somebody sends: no command that is typed."""


def for_role(role: Role) -> list[Command]:
    """The commands that a role may use, in the order of the table."""
    return [command for command in COMMANDS if role.reaches(command.needed)]


def named(name: str) -> Command | None:
    """The command by that name."""
    return next((command for command in COMMANDS if command.name == name), None)

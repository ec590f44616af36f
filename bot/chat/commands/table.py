"""The table of commands: what exists, who may use it, how it is written. Help and menus are read off it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.chat import parsing, texts
from bot.chat.commands import administration, ordering, viewing
from bot.chat.visit import Visit
from bot.domain.access import Role

Handler = Callable[[Visit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `needed` is the least role that may use it."""

    name: str
    needed: Role
    run: Handler
    arguments: str
    summary: str
    examples: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


async def _help(visit: Visit) -> None:
    """`/help [command]`: what this person may do, or one command with examples."""
    wanted = parsing.clean(visit.text).removeprefix("/").casefold()
    mine = for_role(visit.member.role)
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
        "prices and stock, cheapest first",
        ("/catalog", "/catalog whatsapp", "/catalog whatsapp indonesia,vietnam"),
    ),
    Command("orders", Role.VIEWER, viewing.list_orders, "", "your live orders; admins see everybody's"),
    Command(
        "order",
        Role.OPERATOR,
        ordering.order,
        "platform [country,…] [best] [op=NETWORK] [max=PRICE] [note=TEXT]",
        "rent a number; the code comes here",
        (
            "/order whatsapp indonesia",
            "/order whatsapp indonesia,vietnam max=5000",
            "/order whatsapp id best op=telkomsel",
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
        "done", Role.OPERATOR, ordering.done, "[order]", "finish an order whose code has done its work", ("/done 17",)
    ),
    Command(
        "resend", Role.OPERATOR, ordering.resend, "[order]", "wait for one more SMS on the same number", ("/resend 17",)
    ),
    Command(
        "reactivate",
        Role.OPERATOR,
        ordering.reactivate,
        "[order]",
        "rent the number of an ended order again; asks with its price first",
        ("/reactivate 17",),
    ),
    Command("status", Role.ADMIN, administration.status, "", "how the desk, SMSCode and the webhooks stand"),
    Command("users", Role.ADMIN, administration.users, "", "who is on the list"),
    Command(
        "allow",
        Role.ADMIN,
        administration.allow,
        "PERSON [role]",
        "let somebody in",
        ("/allow 12345", "/allow 12345 viewer", "in reply to a message: /allow operator"),
    ),
    Command("revoke", Role.ADMIN, administration.revoke, "PERSON", "take somebody off the list", ("/revoke 12345",)),
    Command("role", Role.ADMIN, administration.role, "PERSON ROLE", "change a role", ("/role 12345 viewer",)),
    Command(
        "limit",
        Role.ADMIN,
        administration.limit,
        "PERSON LIMIT AMOUNT",
        "set or show limits",
        ("/limit 12345", "/limit 12345 daily 200000", "/limit team_daily 1.000.000", "/limit 12345 daily default"),
    ),
    Command(
        "pause", Role.ADMIN, administration.pause, "[reason]", "stop new orders for everyone", ("/pause audit week",)
    ),
    Command("backup", Role.ADMIN, administration.backup, "", "copy the books now, without codes"),
    Command("resume", Role.ADMIN, administration.resume, "", "open new orders again"),
    Command("chats", Role.ADMIN, administration.chats, "allow|forget", "let me work in this group", ("/chats allow",)),
    Command(
        "resolve",
        Role.ADMIN,
        administration.resolve,
        "ORDER [charged|refunded]",
        "show the evidence of an order, or decide one that could not be proven",
        ("/resolve 17", "/resolve 17 charged"),
    ),
)


def for_role(role: Role) -> list[Command]:
    """The commands that a role may use, in the order of the table."""
    return [command for command in COMMANDS if role.reaches(command.needed)]


def named(name: str) -> Command | None:
    """The command by that name."""
    return next((command for command in COMMANDS if command.name == name), None)

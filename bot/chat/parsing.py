"""Reading what people type after a command: pure, strict with money, forgiving with everything else."""

import difflib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from bot.domain.access import Role
from bot.domain.errors import UnknownName, WrongUsage
from bot.domain.limits import LimitName
from bot.domain.money import parse_amount
from bot.domain.orders import Policy
from bot.domain.quoting import shortened

LONGEST_NOTE: Final = 200
LONGEST_NAME: Final = 64
MOST_COUNTRIES: Final = 5
_LONGEST_TEXT: Final = 1000
_OPTION: Final = re.compile(r"(?:^|\s)(?P<key>[A-Za-z]{1,16})=", re.ASCII)
_ORDER: Final = re.compile(r"#?(?P<id>[0-9]{1,15})", re.ASCII)
_POLICIES: Final = {"best": Policy.BEST_SUCCESS, "cheapest": Policy.CHEAPEST}
_OPTIONS: Final = ("max", "op", "note")
_USER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OrderArguments:
    """What follows `/order`."""

    platform: str
    countries: tuple[str, ...]
    max_price: int | None
    note: str
    operator: str = ""
    policy: Policy | None = None


def clean(typed: str) -> str:
    """The text without invisible characters: direction marks, joiners and controls; any space is one space.

    Raises:
        WrongUsage: it is far longer than any command.
    """
    if len(typed) > _LONGEST_TEXT:
        raise WrongUsage("that is too long for a command; a few words are enough")
    visible = "".join(
        " " if character.isspace() else character
        for character in typed
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return " ".join(visible.split())


def parse_order(typed: str) -> OrderArguments:
    """Read `platform [country,country…] [best] [op=NETWORK] [max=PRICE] [note=TEXT]`; a note runs to the end.

    Nothing, or a note alone, leaves the platform empty: the rest is chosen by buttons.

    Raises:
        WrongUsage: with what is wrong and how to write it.
    """
    names, options = _split(clean(typed))
    policy, names = _policy(names, options)
    platform, _, countries = names.partition(" ")
    if not platform and (policy is not None or options.keys() - {"note"}):
        raise WrongUsage("say what for and where: /order whatsapp indonesia")
    listed = tuple(part.strip() for part in countries.split(",") if part.strip())
    if len(listed) > MOST_COUNTRIES:
        raise WrongUsage(f"at most {MOST_COUNTRIES} countries at once")
    operator = options.get("op", "")
    if "op" in options and not operator:
        raise WrongUsage("op= needs a mobile network, such as op=telkomsel")
    for name in (platform, *listed, operator):
        if len(name) > LONGEST_NAME:
            raise WrongUsage(f"a name has at most {LONGEST_NAME} characters")
    note = options.get("note", "")
    if len(note) > LONGEST_NOTE:
        raise WrongUsage(f"a note has at most {LONGEST_NOTE} characters; this one has {len(note)}")
    max_price = parse_amount(options["max"]) if "max" in options else None
    return OrderArguments(platform, listed, max_price, note, operator, policy)


def parse_catalog(typed: str) -> tuple[str, tuple[str, ...]]:
    """Read `[platform] [country,country…]`; a lone name may be either.

    Raises:
        WrongUsage: it is too long, or names too many countries.
    """
    arguments = parse_order(typed)
    return arguments.platform, arguments.countries


def parse_order_number(typed: str) -> int | None:
    """Read `#17` or `17`; nothing typed is None.

    Raises:
        WrongUsage: it is something else.
    """
    text = clean(typed)
    if not text:
        return None
    number = number_in(text)
    if number is None:
        raise WrongUsage(f"“{shortened(text)}” is no order number; write #17, or reply to the order's message")
    return number


def number_in(text: str) -> int | None:
    """`#17` or `17` as a number; anything else is None."""
    match = _ORDER.fullmatch(text)
    return int(match["id"]) if match else None


def parse_role(typed: str) -> Role:
    """Read a role's name, or the beginning of one.

    Raises:
        WrongUsage: it is none.
    """
    wanted = typed.casefold()
    found = [role for role in Role if role.value.startswith(wanted)]
    if len(found) != 1 or not wanted:
        _suggest("role", typed, list(Role))
        raise WrongUsage(f"“{shortened(typed)}” is no role; choose viewer, operator, approver or admin")
    return found[0]


def parse_limit_name(typed: str) -> LimitName:
    """Read a limit's name; dashes and case do not matter.

    Raises:
        WrongUsage: it is none.
    """
    try:
        return LimitName(typed.casefold().replace("-", "_"))
    except ValueError:
        _suggest("limit", typed, list(LimitName))
        names = ", ".join(LimitName)
        raise WrongUsage(f"“{shortened(typed)}” is no limit; choose one of {names}") from None


def parse_user_id(typed: str) -> int | None:
    """Read a numeric Telegram id; None if it is none."""
    return int(typed) if _USER.fullmatch(typed) and int(typed) > 0 else None


def _policy(names: str, options: dict[str, str]) -> tuple[Policy | None, str]:
    """The policy said behind the names or behind an option, and the names without it; `options` lose it too."""
    found: Policy | None = None
    front, _, last = names.rpartition(" ")
    if front and last.casefold() in _POLICIES:
        found, names = _POLICIES[last.casefold()], front
    for key in options.keys() - {"note"}:
        value, _, last = options[key].rpartition(" ")
        if value and last.casefold() in _POLICIES:
            found, options[key] = _POLICIES[last.casefold()], value
    return found, names


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Part the plain words in front from the `key=value` options behind them."""
    matches = list(_OPTION.finditer(text))
    names = text[: matches[0].start()] if matches else text
    options: dict[str, str] = {}
    for index, match in enumerate(matches):
        key = match["key"].casefold()
        if key not in _OPTIONS:
            raise WrongUsage(f"I do not know {shortened(match['key'])}=; there are max=, op= and note=")
        if key in options:
            raise WrongUsage(f"{key}= is there twice; say it once")
        is_note = key == "note"
        end = len(text) if is_note or index + 1 == len(matches) else matches[index + 1].start()
        options[key] = text[match.end() : end].strip()
        if is_note:
            break
    return names.strip(), options


def _suggest(kind: str, typed: str, names: list[str]) -> None:
    """Raises UnknownName if what was typed is nearly one of the names."""
    near = difflib.get_close_matches(typed.casefold().replace("-", "_"), names, n=2)
    if near:
        raise UnknownName(kind, typed, tuple(near))

"""Texts that no table lists, with made-up arguments: whoever writes a new one need not think of trying it.

The arguments are made from the types that a text names, each filled with what people and services can put into it:
tags, very long names, emoji, writing from right to left. Telegram must be able to read the result, and it must fit.
"""

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import bot.chat
from bot.chat import texts
from bot.domain.money import MOST
from bot.sandbox.telegram_markup import parse_html, utf16_length
from tests.chat.test_texts import LONGEST_MESSAGE, MOMENT, NASTY, RENDERINGS, ZONE

MANY = 10
"""Items of a list: as many as the shortest one may have. Longer ones are tried in the tables of their own texts."""
MARKUP = ("markup", "numbers")
"""Parameters by these names are given markup that was made safe before."""

LISTED = {
    *(f"texts.{name}" for name in (*RENDERINGS, "plain")),
    *(f"report_texts.{name}" for name in ("spending", "digest", "audit_page")),
}
"""What `test_texts.py` and `test_report_texts.py` try already, in every form that makes sense."""

Text = Callable[..., object]


def modules() -> list[types.ModuleType]:
    """The modules of the chat that hold its sentences."""
    names = [found.name for found in pkgutil.iter_modules(bot.chat.__path__) if found.name.endswith("texts")]
    return [importlib.import_module(f"bot.chat.{name}") for name in names]


def written(module: types.ModuleType) -> Iterator[tuple[str, Text]]:
    """The public functions of a module that make text."""
    place = module.__name__.rpartition(".")[2]
    for name, function in vars(module).items():
        if name.startswith("_") or f"{place}.{name}" in LISTED or not inspect.isfunction(function):
            continue
        if function.__module__ == module.__name__ and typing.get_type_hints(function).get("return") is str:
            yield f"{place}.{name}", function


def made(hint: typing.Any, nasty: str) -> list[typing.Any]:
    """Values of a type: the first one is the usual one, the others are its other forms."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return [value for argument in arguments for value in made(argument, nasty)]
    if origin is typing.Literal:
        return list(arguments)
    if origin is tuple and arguments[-1] is not ...:
        return [tuple(made(argument, nasty)[0] for argument in arguments)]
    if origin in (tuple, list, Sequence, frozenset, set):
        item = made(arguments[0], nasty)
        return [(value,) * MANY for value in item] + [()]
    if origin in (dict, Mapping):
        if arguments[0] is str:
            return [{}]  # facts by name: which ones there are is up to the text
        key = made(arguments[0], nasty)
        return [dict.fromkeys(key, made(arguments[1], nasty)[0]), {}]
    return simple(hint, nasty)


def simple(hint: typing.Any, nasty: str) -> list[typing.Any]:
    """Values of a type without parameters."""
    known: dict[typing.Any, list[typing.Any]] = {
        str: [nasty],
        object: [nasty],
        int: [MOST, 0, 1],
        float: [1e6, 0.0],
        bool: [True, False],
        type(None): [None],
        datetime: [MOMENT],
        date: [MOMENT.date()],
        timedelta: [timedelta(days=400), timedelta()],
        ZoneInfo: [ZONE],
    }
    if hint in known:
        return known[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)
    if dataclasses.is_dataclass(hint):
        fields = typing.get_type_hints(hint)
        needed = {field.name: fields[field.name] for field in dataclasses.fields(hint) if field.init}
        return [hint(**values) for values in combined(needed, nasty)]  # type: ignore[operator]
    raise NotImplementedError(f"no value is known for {hint}: add one here")


def combined(hints: Mapping[str, typing.Any], nasty: str) -> Iterator[dict[str, typing.Any]]:
    """Arguments for all names: the usual ones, then each name's other forms, one at a time."""
    forms = {
        name: [texts.escape(nasty)] if name in MARKUP and hint is str else made(hint, nasty)
        for name, hint in hints.items()
    }
    usual = {name: values[0] for name, values in forms.items()}
    yield usual
    for name, values in forms.items():
        yield from ({**usual, name: value} for value in values[1:])


EVERY = dict(pair for module in modules() for pair in written(module))


@pytest.mark.parametrize("name", EVERY)
def test_telegram_can_read_it_and_it_fits(name: str) -> None:
    hints = {key: hint for key, hint in typing.get_type_hints(EVERY[name]).items() if key != "return"}
    for nasty in NASTY.values():
        for arguments in combined(hints, nasty):
            shown, _ = parse_html(str(EVERY[name](**arguments)))
            assert utf16_length(shown.strip()) <= LONGEST_MESSAGE, arguments
            assert "None" not in shown, arguments


def test_all_texts_are_found() -> None:
    assert {name.partition(".")[0] for name in EVERY} >= {"texts", "report_texts"}

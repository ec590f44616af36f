"""The shape of the house: what is where, how large it may grow, and what must not be found in it."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.house.source import ROOT, modules, read, tracked

HOUSE = (
    ".ci/run",
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "config.example.toml",
    "pyproject.toml",
    "docs/index.md",
    "bot/__main__.py",
    "bot/cli.py",
    "bot/app.py",
    "bot/config.py",
    "bot/logs.py",
    "bot/py.typed",
    "bot/domain/money.py",
    "bot/domain/orders.py",
    "bot/domain/limits.py",
    "bot/domain/access.py",
    "bot/domain/notices.py",
    "bot/domain/errors.py",
    "bot/sms/port.py",
    "bot/sms/wire.py",
    "bot/sms/guide.py",
    "bot/sms/budget.py",
    "bot/services/access.py",
    "bot/services/catalog.py",
    "bot/services/ordering.py",
    "bot/services/spending.py",
    "bot/chat/application.py",
    "bot/chat/gate.py",
    "bot/chat/commands/table.py",
    "bot/chat/keyboards.py",
    "bot/chat/texts.py",
    "bot/chat/sender.py",
    "bot/chat/failures.py",
    "bot/workers/supervisor.py",
    "bot/workers/intake.py",
    "bot/workers/dispatch.py",
    "bot/workers/watcher.py",
    "bot/workers/courier.py",
    "bot/workers/housekeeping.py",
    "bot/sandbox/sms_api.py",
    "bot/sandbox/bot_api.py",
    "bot/sandbox/chat.html",
    "bot/sandbox/run.py",
    "storage/database.py",
    "storage/migrate.py",
    "storage/migrations/0001_desk.sql",
    "storage/py.typed",
    "storage/inbox.py",
    "storage/orders.py",
    "storage/ledger.py",
    "storage/outbox.py",
    "storage/members.py",
    "storage/audit.py",
)

LONGEST_MODULE = 600
"""Lines; the texts of the chat stand apart, because all words belong in one place."""
LAYERS = ("bot/domain", "bot/sms", "bot/services", "bot/chat", "bot/web", "bot/workers", "bot/sandbox", "storage")

# Put together from pieces, so that this file does not contain what it looks for.
UNFINISHED = re.compile(
    "|".join(rf"\b{left}{right}\b" for left, right in map(str.split, ("TO DO", "FIX ME", "XX X", "HA CK")))
)
PLACES = re.compile(r"(?<![\w.])/(wo{0}rk|ro{0}ot|ho{0}me/\w+|Us{0}ers)(/|\b)".format(""))
REGISTRIES = re.compile(
    r"https?://\S*(py{0}pi|python{0}hosted|artifact{0}ory|jf{0}rog|nex{0}us|npm{0}js|regis{0}try)"
    r"|(index|links)[-_]?url\s*=?\s*https?:".format("")
)


def _texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, read(path)
        except UnicodeDecodeError:
            continue  # an image


def _found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{text[: hit.start()].count(chr(10)) + 1}: {hit.group()}"
        for path, text in _texts()
        for hit in pattern.finditer(text)
    ]


def test_the_house_stands_as_it_was_drawn() -> None:
    missing = [name for name in HOUSE if not (ROOT / name).is_file()]
    assert missing == []


def test_every_module_belongs_to_a_layer_or_is_one_of_the_few_at_the_top() -> None:
    top = {path.name for path in modules() if path.parent == Path("bot")}
    assert top <= {
        "__init__.py",
        "__main__.py",
        "app.py",
        "checkup.py",
        "cli.py",
        "clock.py",
        "config.py",
        "initial.py",
        "logs.py",
        "metrics.py",
        "pulse.py",
    }
    known = LAYERS
    strays = [path for path in modules() if path.parent != Path("bot") and not path.as_posix().startswith(known)]
    assert strays == []


def test_each_module_is_small_enough_to_be_read_at_once() -> None:
    lengths = {str(path): len(read(path).splitlines()) for path in modules()}
    assert {
        name: length for name, length in lengths.items() if length > LONGEST_MODULE and name != str(SPEAKS_FOR_ITSELF)
    } == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "lib"}
    assert [path for path in tracked() if drawers & {part.removesuffix(".py") for part in path.parts}] == []


def test_nothing_is_left_for_later() -> None:
    assert _found(UNFINISHED) == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert _found(PLACES) == []


def test_no_file_names_a_package_registry() -> None:
    assert _found(REGISTRIES) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNFINISHED, "# TO" + "DO: later"),
        (PLACES, "see /ho" + "me/ada/otpdesk"),
        (PLACES, '"/ro' + 'ot/config.toml"'),
        (REGISTRIES, "https://files.python" + "hosted.org/x"),
        (REGISTRIES, "--index-" + "url = https://example.com/simple"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


# --- products ---------------------------------------------------------------------------------------------------------


def _product_constants(tree: ast.AST) -> Iterator[int]:
    """Lines that give something called a product id a value that stands in the code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            pairs = [(ast.unparse(target), node.value) for target in targets]
        elif isinstance(node, ast.keyword):
            pairs = [(node.arg or "", node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [
                (ast.unparse(key) if key else "", value) for key, value in zip(node.keys, node.values, strict=True)
            ]
        else:
            continue
        for name, value in pairs:
            if "product_id" in name.casefold() and isinstance(value, ast.Constant) and value.value is not None:
                yield value.lineno


def test_no_product_id_is_written_into_the_program() -> None:
    found = [
        f"{path}:{line}"
        for path in modules()
        if "sandbox" not in path.parts  # the simulator has a shop of its own to fill
        for line in _product_constants(ast.parse(read(path)))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["PRODUCT_ID = 42", "f(product_id=42)", 'x = {"product_id": "42"}', "a.product_id = 1"]
)
def test_a_product_id_would_be_found(text: str) -> None:
    assert list(_product_constants(ast.parse(text)))


# --- docstrings -------------------------------------------------------------------------------------------------------

SPEAKS_FOR_ITSELF = Path("bot/chat/texts.py")
"""Each of its functions is one sentence of the chat; a docstring would say it twice."""


def _public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


@cache
def _protocols() -> list[set[str]]:
    """The method names of each protocol of the program."""
    return [
        {method.name for method in _public(node.body)}
        for path in modules()
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
    ]


def _undocumented_methods(path: Path, node: ast.ClassDef) -> Iterator[str]:
    """Methods that neither say what they mean nor carry out a promise that does."""
    silent = [method.name for method in _public(node.body) if not ast.get_docstring(method)]
    if not silent:
        return
    real = getattr(importlib.import_module(".".join(path.with_suffix("").parts)), node.name)
    promised = {name for protocol in _protocols() if protocol <= set(dir(real)) for name in protocol}
    for name in silent:
        if name not in promised and not inspect.getdoc(getattr(real, name)):
            yield f"{node.name}.{name}"


def _undocumented(path: Path) -> Iterator[str]:
    tree = ast.parse(read(path))
    if not ast.get_docstring(tree):
        yield "the module"
    for node in _public(tree.body):
        if not ast.get_docstring(node) and not (path == SPEAKS_FOR_ITSELF and isinstance(node, ast.FunctionDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from _undocumented_methods(path, node)


def test_everything_public_says_what_it_means() -> None:
    assert [f"{path}: {name}" for path in modules() for name in _undocumented(path)] == []


def test_something_public_that_says_nothing_would_be_found() -> None:
    tree = ast.parse("class Open:\n    pass\n\ndef shut(): ...\n\ndef _own(): ...\n")
    assert [node.name for node in _public(tree.body)] == ["Open", "shut"]

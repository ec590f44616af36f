"""Mutation testing of what handles money: does any test notice when the code says something else?

    python -m tests.mutants                          every mutant of every target
    python -m tests.mutants --sample 60 --seed 3     some of them, drawn from a seed
    python -m tests.mutants --target bot/domain/money.py --target storage/ledger.py     all of these two

First the tests run once to learn which of them reach which line. Then, for each small change to a target, those tests
run against the changed module until one fails; the changed source is only ever in the memory of a forked process.
Prints the survivors and, last, one line with the verdict; exits with 1 under the bar. What hypothesis makes up is the
same each time.
"""

import argparse
import ast
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import hypothesis
import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
TARGETS: Final = (
    *sorted(f"bot/domain/{path.name}" for path in (ROOT / "bot" / "domain").glob("[a-z]*.py")),
    "storage/ledger.py",
    "bot/services/ordering.py",
    "bot/services/creating.py",
)
TESTS: Final = (
    "tests/domain",
    "tests/storage",
    "tests/services",
    "tests/contracts",
    "tests/chat",
    "tests/flows",
    "tests/faults",
)
BAR: Final = 90.0
"""Percent of the mutants that must be noticed."""

_MOST_SECONDS: Final = 90.0
"""What the tests tried on one mutant may take in all; the first one may take longer."""

_PATIENCE: Final = 240
"""Seconds for one mutant; whatever takes longer hangs, and a hang is noticed."""

_OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"),
    *("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"),
)
_PRELOADED: Final = (
    "hypothesis.stateful",
    "telegram.ext",
    "pydantic_settings",
    "babel.dates",
    "phonenumbers",
    "uvicorn",
)
"""What takes long to import and is none of ours: imported once, before the forks, it halves what a mutant costs."""

_WAIT: Final = 8.0
"""Real seconds in which a scene sees what it waits for, or the mutant is noticed: most of what one costs."""

_LEARNING_AT_ONCE: Final = 2
_AT_ONCE: Final = 4
_TOO_SLOW: Final = (
    "test_crash",
    "test_power",
    "test_interruption",
    "test_disk",
    "test_outage",
    "test_flood",
    "test_soak",
)
_COMPARISONS: Final[Mapping[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: Final[Mapping[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}
_SQL: Final = re.compile(r"(?P<less> <= | < )|(?P<more> >= | > )|(?P<sum> \+ )|(?P<rest> - )|(?P<both> AND )")
_SQL_WORDS: Final = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE)\b")
_IN_SQL: Final = {
    " <= ": " < ",
    " < ": " <= ",
    " >= ": " > ",
    " > ": " >= ",
    " + ": " - ",
    " - ": " + ",
    " AND ": " OR ",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: `source` is the whole module with it."""

    target: str
    line: int
    change: str
    source: str


class _Mutator(ast.NodeTransformer):
    """Makes the change that has the number `wanted`; without one it only counts them."""

    def __init__(self, wanted: int | None) -> None:
        self._wanted = wanted
        self.count = 0
        self.line = 0
        self.change = ""

    def _is_it(self, node: ast.AST, change: str) -> bool:
        self.count += 1
        if self.count - 1 != self._wanted:
            return False
        self.line, self.change = getattr(node, "lineno", 0), change
        return True

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = self._statements(node.body)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.body = self._statements(node.body)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = self._statements(node.body)
        return node

    def _statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [changed for statement in body if isinstance(changed := self.visit(statement), ast.stmt)]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant | ast.Yield) or _is_logging(node.value):
            return node
        if self._is_it(node, f"left out: {ast.unparse(node)[:60]}"):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if self._is_it(node, f"left out: {ast.unparse(node)[:60]}"):
            return ast.copy_location(ast.Pass(), node)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        nothing = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
        if not nothing and self._is_it(node, "returns None"):
            return ast.copy_location(ast.Return(ast.Constant(None)), node)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if self._is_it(node, "the other branch"):
            node.test = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
            return node
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        if self._is_it(node, "the other value"):
            node.body, node.orelse = node.orelse, node.body
            return node
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.Not) and self._is_it(node, "without not"):
            return node.operand
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        if self._is_it(node, "and for or"):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            return node
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        for place, operator in enumerate(node.ops):
            other = _COMPARISONS.get(type(operator))
            if other is not None and self._is_it(node, f"{type(operator).__name__} is {other.__name__}"):
                node.ops[place] = other()
                return node
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        other = None if isinstance(node.left, ast.Constant | ast.JoinedStr) else _ARITHMETIC.get(type(node.op))
        if other is not None and self._is_it(node, f"{type(node.op).__name__} is {other.__name__}"):
            node.op = other()
            return node
        return self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        other = _ARITHMETIC.get(type(node.op))
        if other is not None and self._is_it(node, f"{type(node.op).__name__} is {other.__name__}"):
            node.op = other()
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, bool):
            return ast.Constant(not value) if self._is_it(node, f"{value} is {not value}") else node
        if isinstance(value, int):
            return ast.Constant(value + 1) if self._is_it(node, f"{value} is {value + 1}") else node
        return self._sql(node, value) if isinstance(value, str) and _SQL_WORDS.search(value) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node if _is_logging(node) else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        if _SQL_WORDS.search(ast.unparse(node)):
            node.values = [self._part_of_sql(part) for part in node.values]
        return node  # anything else is words for people

    def _part_of_sql(self, part: ast.expr) -> ast.expr:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            return self._sql(part, part.value)
        return part

    def _sql(self, node: ast.Constant, text: str) -> ast.expr:
        for found in _SQL.finditer(text):
            other = _IN_SQL[found.group()]
            if self._is_it(node, f"{found.group().strip()} is {other.strip()} in SQL: {text[:50]}"):
                return ast.Constant(text[: found.start()] + other + text[found.end() :])
        return node


def _is_logging(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")


def mutants_of(target: str) -> Iterator[Mutant]:
    """Every mutant of a module, one after the other."""
    tree = ast.parse((ROOT / target).read_text(encoding="utf-8"))
    counter = _Mutator(None)
    counter.visit(copy.deepcopy(tree))
    for number in range(counter.count):
        mutator = _Mutator(number)
        changed = ast.fix_missing_locations(mutator.visit(copy.deepcopy(tree)))
        yield Mutant(target, mutator.line, mutator.change, ast.unparse(changed))


class Reach:
    """Which tests reach which line."""

    def __init__(self, lines: Mapping[tuple[str, int], Sequence[str]], seconds: Mapping[str, float]) -> None:
        self._lines = lines
        self._seconds = seconds
        self._fewest: dict[tuple[str, str], int] = {}
        for (target, line), tests in lines.items():
            for test in tests if line else ():
                fewest = self._fewest.get((target, test), len(tests))
                self._fewest[target, test] = min(fewest, len(tests))

    def of(self, mutant: Mutant) -> Sequence[Sequence[str]]:
        """The tests to try on a mutant: those beside its module, then the others.

        First those that know its module best: what they reach in it few others reach.
        A statement of several lines is reached by its first one. What runs when the module is imported, a constant or a
        field for one, is reached by all tests beside it and by whatever else reaches the module; and where nothing runs
        but that, by any test.
        """
        lines, seconds = self._lines, self._seconds
        beside = f"tests/{Path(mutant.target).parent.name}/"
        found = lines.get((mutant.target, mutant.line))
        if not found:
            anywhere = lines.get((mutant.target, 0)) or seconds.keys()
            found = [test for test in seconds if test.startswith(beside) or test in anywhere]

        def turn(test: str) -> tuple[bool, int, float]:
            fewest = self._fewest.get((mutant.target, test), len(seconds))
            return not test.startswith(beside), fewest, seconds[test]

        chosen: list[str] = []
        left = _MOST_SECONDS
        for test in sorted(found, key=turn):
            if chosen and seconds[test] > left:
                continue
            left -= seconds[test]
            chosen.append(test)
        near = [test for test in chosen if test.startswith(beside)]
        return [step for step in (near, chosen[len(near) :]) if step]


def learn(folder: Path) -> Reach:
    """Run all tests once and remember what each has reached, and how long it took."""
    data, times = folder / "coverage", folder / "times"
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(_LEARNING_AT_ONCE), "-p", "tests.mutants", *TESTS]
    command += [
        "--cov=bot",
        "--cov=storage",
        "--cov-context=test",
        "--cov-report=",
        "--cov-fail-under=0",
        "-k",
        _without_slow(),
    ]
    environment = {**os.environ, "COVERAGE_FILE": str(data), "MUTANTS_TIMES": str(times)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"the tests fail without any mutant:\n{done.stdout[-3000:]}")
    seconds = _seconds(times)
    return Reach(_lines(data, seconds), seconds)


def _without_slow() -> str:
    return " and ".join(f"not {name}" for name in _TOO_SLOW)


def _seconds(times: Path) -> Mapping[str, float]:
    rows = (line.rsplit("\t", 1) for line in times.read_text(encoding="utf-8").splitlines())
    return {name: float(seconds) for name, seconds in rows}


def _lines(data: Path, seconds: Mapping[str, float]) -> Mapping[tuple[str, int], Sequence[str]]:
    from coverage import CoverageData

    kept = CoverageData(basename=str(data))
    kept.read()
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for target in TARGETS:
        anywhere: set[str] = set()
        for line, contexts in kept.contexts_by_lineno(str(ROOT / target)).items():
            tests = {context.partition("|")[0] for context in contexts if context} & seconds.keys()
            anywhere |= tests
            found[target, line] = sorted(tests)
        found[target, 0] = sorted(anywhere)
    return found


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """As a plugin of the learning run: note how long each test took."""
    times = os.environ.get("MUTANTS_TIMES")
    if times and report.when == "call" and report.passed:
        with Path(times).open("a", encoding="utf-8") as file:
            file.write(f"{report.nodeid}\t{report.duration}\n")


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the changed source in the place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = mutant.target.removesuffix(".py").replace("/", ".")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, ROOT / self._mutant.target, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.source, self._mutant.target, "exec"), module.__dict__)  # noqa: S102


class _InTurn:
    """As a plugin of a mutant's run: the tests in the order they were given, and no time spent on what failed."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._turns = {test: turn for turn, test in enumerate(tests)}

    def pytest_configure(self) -> None:
        """After the house's own profile: to fail is enough, nobody reads a smaller example or needs it again."""
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile(
            "mutants", hypothesis.settings(), phases=phases, database=None, derandomize=True
        )
        hypothesis.settings.load_profile("mutants")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._turns[item.nodeid])


@dataclass(frozen=True, slots=True)
class _Trial:
    """A mutant under test in a process of its own."""

    mutant: Mutant
    process: int
    deadline: float

    def outcome(self) -> str | None:
        """`killed`, `survived` or `hung`; None while it goes on."""
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if ended:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        if time.monotonic() < self.deadline:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        return "hung"


def try_out(found: Sequence[Mutant], reach: Reach) -> Iterator[tuple[Mutant, str]]:
    """Run each mutant's tests, a few mutants at once; tell what became of each as it ends."""
    waiting, running = list(reversed(found)), set[_Trial]()
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            mutant = waiting.pop()
            steps = reach.of(mutant)
            if steps:
                running.add(_start(mutant, steps))
            else:
                yield mutant, "unreached"
        time.sleep(0.02)
        for trial in list(running):
            outcome = trial.outcome()
            if outcome is not None:
                running.remove(trial)
                yield trial.mutant, outcome


def _start(mutant: Mutant, steps: Sequence[Sequence[str]]) -> _Trial:
    child = os.fork()
    if child == 0:
        os.setsid()
        _run_forked(mutant, steps)
    return _Trial(mutant, child, time.monotonic() + _PATIENCE)


def _run_forked(mutant: Mutant, steps: Sequence[Sequence[str]]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.meta_path.insert(0, _Changed(mutant))
    status = 1
    with contextlib.suppress(BaseException):
        # Only here: what is imported before the fork would be the unchanged module.
        vars(importlib.import_module("tests.scene"))["PATIENCE"] = _WAIT
        # The first step is nearly always the last: to collect fewer tests is quicker than to run them.
        status = next((1 for tests in steps if pytest.main([*_OPTIONS, *tests], plugins=[_InTurn(tests)])), 0)
    os._exit(status)


def prove(sample: int | None, seed: int, targets: Sequence[str]) -> int:
    """Try every mutant, or a sample, print what survives and the verdict; return the exit status."""
    os.chdir(ROOT)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="otpdesk-mutants-") as folder:
        reach = learn(Path(folder))
    found = [mutant for target in targets for mutant in mutants_of(target)]
    if sample is not None:
        found = random.Random(seed).sample(found, min(sample, len(found)))
    for name in _PRELOADED:
        importlib.import_module(name)
    outcomes: Counter[str] = Counter()
    by_target: dict[str, Counter[str]] = defaultdict(Counter)
    for number, (mutant, outcome) in enumerate(try_out(found, reach), start=1):
        outcomes[outcome] += 1
        by_target[mutant.target][outcome] += 1
        if outcome in ("survived", "unreached"):
            _say(f"{outcome}: {mutant.target}:{mutant.line}  {mutant.change}")
        if number % 50 == 0:
            _say(f"… {number} of {len(found)}, {time.monotonic() - started:.0f} s")
    return _verdict(outcomes, by_target, time.monotonic() - started)


def _verdict(outcomes: Counter[str], by_target: Mapping[str, Counter[str]], seconds: float) -> int:
    for target, counted in by_target.items():
        noticed = counted["killed"] + counted["hung"]
        _say(f"{target}: {noticed} of {counted.total()} noticed")
    noticed, total = outcomes["killed"] + outcomes["hung"], outcomes.total()
    percent = 100 * noticed / total if total else 0.0
    passed = percent >= BAR
    _say(
        f"mutants {'passed' if passed else 'FAILED'}: {noticed} of {total} noticed ({percent:.1f} %, the bar is "
        f"{BAR:.0f} %), {outcomes['survived']} survived, {outcomes['unreached']} reached by no test, "
        f"{outcomes['hung']} hung, {seconds:.0f} s"
    )
    return 0 if passed else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> int:
    """Prove as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=TARGETS)
    arguments = parser.parse_args()
    return prove(arguments.sample, arguments.seed, arguments.target or TARGETS)


if __name__ == "__main__":
    sys.exit(main())

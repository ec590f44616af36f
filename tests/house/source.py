"""The project's own files, as the tests of the house look at them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bot", "storage")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that belongs to the project, relative to `ROOT`: those git knows, or would add.

    Where there is no git, as in an unpacked archive, those that are not hidden and were not built.
    """
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return tuple(sorted(path for path in _unpacked() if path.is_file()))
    command = [git, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    paths = (Path(name) for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


def _unpacked() -> list[Path]:
    parts = (".ci", "bot", "storage", "tests", "docs", "benchmarks", "requirements")
    found = [path for part in parts for path in (ROOT / part).rglob("*") if "__pycache__" not in path.parts]
    return [path.relative_to(ROOT) for path in (*found, *ROOT.glob("*"))]


def modules() -> list[Path]:
    """Every Python module of the program itself, relative to `ROOT`."""
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in PACKAGES]


def read(path: Path) -> str:
    """The text of a file named relative to `ROOT`."""
    return (ROOT / path).read_text(encoding="utf-8")

"""What is shipped: the wheel holds the whole program and nothing else."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.source import PACKAGES, ROOT, read, tracked


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without any network by the build backend that is installed."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)  # noqa: S603
    (path,) = folder.glob("otpdesk-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_program(wheel: zipfile.ZipFile) -> None:
    ours = {path.as_posix() for path in tracked() if path.parts[0] in PACKAGES}
    assert ours - set(wheel.namelist()) == set()


def test_the_wheel_holds_what_is_no_python(wheel: zipfile.ZipFile) -> None:
    suffixes = {Path(name).suffix for name in wheel.namelist()}
    assert {".html", ".css", ".js", ".sql", ".typed"} <= suffixes
    migrations = [name for name in wheel.namelist() if re.fullmatch(r"storage/migrations/\d{4}_\w+\.sql", name)]
    assert len(migrations) == len(list((ROOT / "storage/migrations").glob("*.sql"))) > 0
    assert {"bot/py.typed", "storage/py.typed"} <= set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {*PACKAGES, f"otpdesk-{_version()}.dist-info"}
    assert not [
        name for name in wheel.namelist() if "__pycache__" in name or "test" in name or name.endswith(".sqlite3")
    ]


def test_the_wheel_installs_the_command_and_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    info = f"otpdesk-{_version()}.dist-info"
    assert "otpdesk = bot.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert wheel.read(f"{info}/licenses/LICENSE").decode() == read(Path("LICENSE"))


def test_the_changelog_speaks_of_this_version() -> None:
    assert re.search(rf"^## {re.escape(_version())}\b", read(Path("CHANGELOG.md")), re.MULTILINE)


def test_the_image_is_built_from_files_that_exist_and_that_reach_the_builder() -> None:
    let_through = {line[1:] for line in read(Path(".dockerignore")).splitlines() if line.startswith("!")}
    copied = {
        source
        for line in read(Path("Dockerfile")).splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == let_through
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_every_requirement_of_the_image_is_pinned_by_hash() -> None:
    for name in ("build", "run"):
        text = read(Path(f"requirements/{name}.txt"))
        pins = re.findall(r"^(\S+)==\S+(.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+)", text, re.MULTILINE)
        named = re.findall(r"^[a-z0-9].*", text, re.MULTILINE)
        assert len(pins) == len(named) > 0


def _version() -> str:
    found = re.search(r'^version = "(.+)"$', read(Path("pyproject.toml")), re.MULTILINE)
    assert found
    return found.group(1)

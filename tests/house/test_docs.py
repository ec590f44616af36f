"""The documentation is true: links lead somewhere, commands exist, and what is shown to be typed can be typed."""

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from bot import cli
from bot.chat.commands.table import COMMANDS
from bot.config import Settings, load
from tests.house import commands_page
from tests.house.source import ROOT, read, tracked

README = Path("README.md")
CONTINUED = re.compile(r"\\\n\s*")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|(?:!\[[^\]]*\]\(|<img src=\")([^)\s\"]+)[)\"]")
RUNNER = ".venv/bin/"
UNIT = Path("deploy/otpdesk.service")


def _pages() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def _prose(path: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", read(path))


def _anchors(path: Path) -> set[str]:
    """The anchors that a page's headings make, as the usual renderers name them."""
    headings = re.findall(r"^#{1,6} (.+)$", _prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.casefold()).strip().replace(" ", "-") for heading in headings}


def shell_lines(path: Path) -> list[str]:
    """Every line of a page that is shown to be typed into a shell."""
    blocks = [text for language, text in FENCE.findall(read(path)) if language in {"sh", "bash", "shell", "console"}]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in CONTINUED.sub(" ", block).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", read(Path("Makefile")), re.MULTILINE))


def _shell_commands() -> dict[str, TyperCommand]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)
    return {name: command for name, command in group.commands.items() if isinstance(command, TyperCommand)}


# --- links ------------------------------------------------------------------------------------------------------------


def _broken_links(path: Path, text: str) -> list[str]:
    broken = []
    for match in LINK.finditer(text):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / path.parent / name).resolve() if name else ROOT / path
        if not target.exists() or (anchor and anchor not in _anchors(target.relative_to(ROOT))):
            broken.append(f"{path}: {link}")
    return broken


def test_every_link_inside_the_project_leads_somewhere() -> None:
    assert [link for path in _pages() for link in _broken_links(path, _prose(path))] == []


def test_every_page_can_be_reached_from_the_index() -> None:
    linked = {(ROOT / "docs" / link).resolve() for link, _ in LINK.findall(read(Path("docs/index.md")))}
    missing = [path for path in _pages() if (ROOT / path) not in linked and path != Path("docs/index.md")]
    assert missing == []


def test_links_to_elsewhere_are_safe_ones() -> None:
    links = [match[1] or match[2] for path in _pages() for match in LINK.finditer(read(path))]
    assert [link for link in links if link.startswith("http:")] == []


# --- commands of the shell --------------------------------------------------------------------------------------------


def test_every_make_target_that_is_named_exists() -> None:
    # Only what is marked as code: "make sure" is no target.
    named = {
        (path, word) for path in _pages() for word in re.findall(r"(?:`|^)make ([a-z-]+)", read(path), re.MULTILINE)
    }
    assert named, "the pages name no target at all, so the pattern is wrong"
    assert [(str(path), word) for path, word in named if word not in _targets()] == []


def test_every_make_target_is_explained_by_make_help() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## ", read(Path("Makefile")), re.MULTILINE))
    assert _targets() == explained


def test_every_otpdesk_command_that_is_named_exists() -> None:
    named = {word for path in _pages() for word in re.findall(r"(?:`|/)otpdesk ([a-z]+)", read(path))}
    assert named, "the pages name no command at all, so the pattern is wrong"
    assert named - set(_shell_commands()) == set()


def _check_make(words: list[str]) -> None:
    assert words[0] in _targets()
    # A dry run: that make understands the target and everything that it needs.
    planned = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    assert planned.returncode == 0, planned.stderr


def _check_otpdesk(words: list[str]) -> None:
    # Parsed by the real command line, and not carried out.
    name, *options = words
    _shell_commands()[name].make_context(name, list(options))


def _check_copy(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file()


def _check_mode(words: list[str]) -> None:
    mode, name = words
    assert int(mode, 8) == 0o600
    assert f" {name}" in "".join(line for line in shell_lines(README) if line.startswith("cp "))


def _check_docker(words: list[str]) -> None:
    assert (ROOT / "Dockerfile").is_file()
    assert words[0] in {"build", "run", "logs", "compose"}
    if words[0] == "compose":
        assert (ROOT / words[words.index("--file") + 1]).is_file()
    if words[0] == "run":
        volume = words[words.index("--volume") + 1]
        assert f"VOLUME {volume.partition(':')[2]}\n" in read(Path("Dockerfile"))


def _check_export(words: list[str]) -> None:
    name, _, value = words[0].partition("=")
    section, _, key = name.removeprefix("OTPDESK_").lower().partition("__")
    assert value
    assert key in getattr(Settings.model_fields[section].annotation, "model_fields", {})


def _check_curl(words: list[str]) -> None:
    assert urlsplit(words[-1]).path in {"/healthz", "/readyz", "/metrics"}


def _check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    for flag, name in pairwise(words):
        if flag == "--requirement":
            assert (ROOT / name).is_file()


def _check_install(words: list[str]) -> None:
    assert (ROOT / words[-2]).is_file()


def _check_venv(words: list[str]) -> None:
    assert words[:2] == ["-m", "venv"]
    assert f"ExecStart={words[2]}/bin/otpdesk " in read(UNIT)


def _check_systemctl(words: list[str]) -> None:
    assert words[-1] == UNIT.stem


def _check_chown(words: list[str]) -> None:
    assert {word.rpartition("=")[2] for word in words[1:]} == {"/var/lib/otpdesk/"}
    assert "StateDirectory=otpdesk\n" in read(UNIT)


CHECKS = {
    "pip": _check_pip,
    "install": _check_install,
    "python3": _check_venv,
    "systemctl": _check_systemctl,
    "chown": _check_chown,
    "export": _check_export,
    "curl": _check_curl,
    "make": _check_make,
    "otpdesk": _check_otpdesk,
    "cp": _check_copy,
    "chmod": _check_mode,
    "docker": _check_docker,
}
"""How each line that the README shows is held against the truth; a line of another kind has no check and fails."""


def test_every_line_shown_to_be_typed_is_a_real_one() -> None:
    lines = [line for path in _pages() for line in shell_lines(path)]
    assert len(lines) > 5
    for line in lines:
        program, *words = shlex.split(line)
        CHECKS[Path(program).name](words)


def test_the_readme_names_the_commands_that_try_it_and_prove_it() -> None:
    lines = shell_lines(README)
    assert lines[:2] == ["make demo", "make test"]


def test_the_way_to_production_can_be_walked_up_to_the_tokens(tmp_path: Path) -> None:
    """The lines of the README in a folder of their own, with the configuration as it is copied."""
    (tmp_path / "config.example.toml").write_text(read(Path("config.example.toml")), encoding="utf-8")
    steps = [shlex.split(line) for line in shell_lines(README)]
    for step in steps:
        if step[0] in {"cp", "chmod"}:
            subprocess.run(step, cwd=tmp_path, check=True)  # noqa: S603
    assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600
    walked = [step for step in steps if step[0] == f"{RUNNER}otpdesk"]
    assert [step[1] for step in walked] == ["check", "run"]
    for step in walked:
        answer = _otpdesk(step[1:], tmp_path)
        assert answer.returncode == 2
        for key in ("telegram.token", "smscode.token", "access.owners"):
            assert key in answer.stderr


def test_the_program_explains_itself(tmp_path: Path) -> None:
    answer = _otpdesk(["--help"], tmp_path)
    assert answer.returncode == 0
    assert [name for name in _shell_commands() if name not in answer.stdout] == []


def _otpdesk(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "200"}
    command = [sys.executable, "-m", "bot", *words]
    return subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def test_every_block_of_configuration_is_one_that_the_desk_takes(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4, encoding="utf-8")
    required = '[telegram]\ntoken = "123456789:AAexample_token_of_thirty_five_letters"\n[access]\nowners = [1]\n'
    blocks = [text for path in _pages() for language, text in FENCE.findall(read(path)) if language == "toml"]
    assert blocks
    for number, block in enumerate(blocks):
        text = re.sub(r'"/run/secrets/[^"]*"', f'"{secret}"', block)
        if not re.search(r"^token(_file)? =", text, re.MULTILINE):
            text = text.replace("[smscode]", "[smscode]\ntoken = 'sms'", 1)
        config = tmp_path / f"{number}.toml"
        config.write_text(f"{text}\n{required}", encoding="utf-8")
        config.chmod(0o600)
        load(config)


def test_every_block_that_is_shown_is_of_a_kind_that_is_checked() -> None:
    kinds = {language for path in _pages() for language, _ in FENCE.findall(read(path))}
    assert kinds <= {"sh", "toml", "text"}, "what is shown as text is output, which nobody types"


# --- commands of the chat ---------------------------------------------------------------------------------------------


def test_the_page_of_commands_is_current() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == commands_page.page(), "run: make docs"


def test_the_page_of_commands_lists_each_command_once_and_no_other() -> None:
    listed = re.findall(r"^\| `/([a-z]+)", read(Path("docs/commands.md")), re.MULTILINE)
    assert sorted(listed) == sorted(command.name for command in COMMANDS)


def test_every_chat_command_that_is_named_exists() -> None:
    known = {command.name for command in COMMANDS}
    named = {(str(path), word) for path in _pages() for word in re.findall(r"`/([a-z]+)(?=[ `])", read(path))}
    assert named
    assert [hit for hit in named if hit[1] not in known] == []


def test_every_key_of_the_configuration_that_is_named_exists() -> None:
    example = read(Path("config.example.toml"))
    sections = re.findall(r"^\[(\w+)\]", example, re.MULTILINE)
    named = {hit for path in _pages() for hit in re.findall(rf"`({'|'.join(sections)})\.(\w+)`", read(path))}
    assert named
    for section, key in named:
        _, _, rest = example.partition(f"[{section}]\n")
        assert re.search(rf"^(# )?{key} = ", rest.split("\n[")[0], re.MULTILINE), f"{section}.{key}"


@pytest.mark.parametrize(
    "broken",
    ["[a](nowhere.md)", "[a](docs/index.md#nowhere)", "![a](docs/images/none.png)", '<img src="docs/images/none.png">'],
)
def test_a_broken_link_would_be_found(broken: str) -> None:
    assert _broken_links(README, f"As {broken} shows.") != []


def test_a_good_link_is_not_held_for_broken() -> None:
    assert (
        _broken_links(README, "[a](docs/index.md#otpdesk-documentation) [b](LICENSE) [c](https://example.com/x)") == []
    )


def test_each_test_that_a_page_names_exists() -> None:
    named = {
        (path, name)
        for page in _pages()
        for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not Path(path).exists() or (name and f"def {name}(" not in Path(path).read_text(encoding="utf-8"))
    ]
    assert missing == []

"""Rules about the files of the repository that no linter knows."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_TEXT = (".py", ".md", ".toml", ".txt", ".cff", ".yml", ".yaml", ".json", ".j2", ".html", ".js", ".css", "")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_place_on_one_machine() -> None:
    # Put together here, so that this file does not find itself.
    place = re.compile("|".join((r"/ho" r"me/[a-z]", r"/wo" r"rk/", r"/ro" r"ot/", r"\bC:" r"\\")))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        if path.suffix in _TEXT and path.name != "LICENSE"
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if place.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "risky", [r"\bpickle\b", r"(?<![\w.])eval\(", r"(?<![\w.])exec\(", r"shell=True", r"os\.system", r"yaml\.load\("]
)
def test_nothing_in_the_package_runs_what_it_reads(risky: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "src").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(risky, line)
    ]
    assert found == []


def test_torch_loads_weights_only() -> None:
    calls = [
        call
        for path in (ROOT / "src").rglob("*.py")
        for call in re.findall(r"torch\.load\([^)]*\)", path.read_text(encoding="utf-8"))
    ]
    assert [call for call in calls if "weights_only=True" not in call] == []


def test_every_make_command_of_the_documents_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        target
        for page in pages
        for target in re.findall(r"(?:^|`|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert {"demo", "test"} <= named
    assert named <= targets


def test_every_emotrace_command_of_the_readme_exists() -> None:
    from typer.main import get_command

    from emotrace.app.cli import app

    known = set(getattr(get_command(app), "commands"))  # noqa: B009 (typer's stub hides the group)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|\$ )emotrace ([a-z]+)\b", text, flags=re.MULTILINE))
    assert named
    assert named <= known


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: path.name)
def test_every_file_says_first_what_it_turns_into_what(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.startswith('"""')


def test_the_pinned_versions_satisfy_the_package() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        requirement
        for group in (project["dependencies"], *project["optional-dependencies"].values())
        for requirement in map(Requirement, group)
        if requirement.name != "emotrace"
    ]
    pins = {
        pin.name.lower().replace("_", "-"): next(iter(pin.specifier)).version
        for pin in map(Requirement, re.findall(r"^\w.*", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))
    }
    unmet = [str(each) for each in wanted if not each.specifier.contains(pins[each.name.lower().replace("_", "-")])]
    assert unmet == []

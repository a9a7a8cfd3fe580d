"""The documents say what the code does."""

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from emotrace import timeline, timeline_schema
from emotrace.app.cli import app
from emotrace.training.face_networks import FACE_NETWORKS
from emotrace.training.presets import PRESETS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TIMELINE = (ROOT / "docs" / "timeline.md").read_text(encoding="utf-8")
SYSTEMS = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language; "" are those that name none."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def table_rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of every table row below a heading, without the two rows of the table's head."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def shown_range(column: timeline_schema.Column) -> str:
    if column.kind == "flag":
        return "0 or 1"
    if column.low is None:
        return "any"
    return f"from {column.low:g}" if column.high is None else f"{column.low:g} to {column.high:g}"


def test_the_table_of_columns_is_that_of_the_schema() -> None:
    wanted = [
        [f"`{column.name}`", column.meaning, column.unit, shown_range(column), str(column.decimals)]
        for column in timeline_schema.COLUMNS
    ]
    assert table_rows(TIMELINE, "Columns") == wanted


def test_every_kind_of_gap_is_explained() -> None:
    kinds = (timeline.NO_FACE, timeline.NO_SPEECH, timeline.NO_VIDEO_TRACK, timeline.NO_AUDIO_TRACK)
    assert [row[0] for row in table_rows(TIMELINE, "Gaps")] == [f"`{kind}`" for kind in kinds]


def test_every_field_of_the_metadata_is_explained_and_no_other() -> None:
    own = {each.name for each in fields(timeline.Metadata)} - {"settings"}
    wanted = own | {f"settings.{each.name}" for each in fields(timeline.Settings)}
    explained = {name for row in table_rows(TIMELINE, "Metadata") for name in re.findall(r"`([^`]+)`", row[0])}
    assert explained == wanted


def test_every_key_of_the_summary_is_explained_and_no_other() -> None:
    explained = [name for row in table_rows(TIMELINE, "Summary") for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(explained) == sorted(timeline.Summary.__annotations__)


def test_the_python_of_the_readme_uses_what_the_package_exports() -> None:
    import emotrace

    examples = blocks(README, "python")
    assert examples
    for example in examples:
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = {"emotrace": emotrace, "timeline": timeline.Timeline}.get(node.value.id)
                assert owner is None or hasattr(owner, node.attr), f"{node.value.id}.{node.attr}"
        names = {node.value for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Constant)}
        known = {column.name for column in timeline_schema.COLUMNS} | set(timeline.Summary.__annotations__)
        assert {name for name in names if isinstance(name, str) and "." not in name} <= known


def command_lines() -> list[str]:
    """Return the emotrace commands of the README: lines of its code blocks, and what stands in backticks."""
    lines = [line.strip() for block in blocks(README, "") for line in block.splitlines()]
    return [line for line in [*lines, *re.findall(r"`([^`\n]+)`", README)] if line.startswith("emotrace ")]


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_readme_has_known_commands_and_options(line: str) -> None:
    command: Any = get_command(app)
    words = line.split()[1:]
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_link_between_the_documents_leads_somewhere() -> None:
    broken = {
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    }
    assert not broken


def test_the_architecture_names_every_module_and_no_other() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = page.split("```")[1]
    package = ROOT / "src" / "emotrace"
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    named = set(re.findall(r"\b\w+\.py\b", tree))
    assert modules | folders <= named | set(re.findall(r"\b\w+/", tree))
    assert named <= {path.name for path in package.rglob("*.py")}


def test_every_system_has_its_paragraph_its_diagram_and_its_row() -> None:
    paragraphs = re.findall(r"^### `([^`]+)`$", SYSTEMS, re.MULTILINE)
    assert set(paragraphs) == {preset.settings.system for preset in PRESETS.values()}
    told = re.split(r"^##+ .*$", SYSTEMS, flags=re.MULTILINE)
    headings = re.findall(r"^##+ (.*)$", SYSTEMS, re.MULTILINE)
    for heading, section in zip(headings, told[1:], strict=True):
        if heading.startswith("`"):
            assert len(blocks(section, "mermaid")) == 1, heading
            assert "**Read**" in section or "read." in section or "no published system" in section, heading
    words = re.sub(r"<!-- begin.*?<!-- end", "", SYSTEMS, flags=re.DOTALL)
    assert {key for key in PRESETS if f"`{key}`" not in words} == set()
    assert re.findall(r"^\| `([^`]+)`", SYSTEMS, re.MULTILINE)[len(PRESETS) :] == list(FACE_NETWORKS)


_BOX = r'[a-z][a-z0-9]*(?:\["[^"\[\]{}<>|#;&`]+"\])?'
_ARROW = re.compile(rf'  ({_BOX}) (?:-->|-\.->)(?:\|"[^"\[\]{{}}<>|#;&`]+"\|)? ({_BOX})')
_KEYWORDS = {"end", "class", "click", "call", "default", "direction", "graph", "href", "style", "subgraph"}


@pytest.mark.parametrize("diagram", blocks(SYSTEMS, "mermaid"))
def test_a_diagram_is_plain_and_has_a_dozen_boxes_at_most(diagram: str) -> None:
    first, *lines = diagram.splitlines()
    assert first == "flowchart LR"
    ends: list[str] = []
    for line in lines:
        arrow = _ARROW.fullmatch(line)
        assert arrow, line
        ends += arrow.groups()
    named = [end.split("[")[0] for end in ends if "[" in end]
    assert sorted(named) == sorted({end.split("[")[0] for end in ends})
    assert len(named) <= 12
    assert not _KEYWORDS & set(named)

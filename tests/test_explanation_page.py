"""The page of heat maps: nothing from outside, no script, every share in its cell, and shown by a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from emotrace.explanation import Explanation, explained
from emotrace.explanation_page import MOST_COLUMNS, MOST_ROWS, write_explanations
from emotrace.timeline_schema import NOTICES
from emotrace.types import FloatArray

CLASSES = ("anger", "joy", "neutral")
EVIL = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\" onload='alert(3)'.mp4"


class Page(HTMLParser):
    """What a browser would see: tags, visible text, and for each cell its class and what it tells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.cells: list[tuple[str, str]] = []
        self.source = path.read_text(encoding="utf-8")
        self._inside = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._inside = tag
        if tag == "rect" and (attributes.get("class") or "").startswith("cell "):
            self.cells.append(((attributes["class"] or "").removeprefix("cell "), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title" and self.cells:
            self.cells[-1] = (self.cells[-1][0], self.cells[-1][1] + data)
        elif self._inside != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(tmp_path: Path, *explanations: Explanation, source_name: str = "talk.mp4", **shares: float) -> Page:
    path = tmp_path / "page.html"
    write_explanations(path, explanations, source_name=source_name, clip_probabilities=shares)
    return Page(path)


def alignment(rows: int = 4, columns: int = 6) -> Explanation:
    shares = np.random.default_rng(0).dirichlet(np.ones(columns), rows)
    return explained("alignment", shares, row_times=np.arange(rows) / 2, column_times=np.arange(columns) / 3)


def turns(shares: FloatArray) -> Explanation:
    return explained("turns", shares, row_times=np.arange(len(shares)))


def test_the_page_has_no_script_and_its_policy_lets_nothing_run_or_load(tmp_path: Path) -> None:
    page = page_of(tmp_path, alignment(), joy=0.75, anger=0.25)
    policy = next(tag["content"] for tag in page.named("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert page.named("script") == []
    assert not any(name.startswith("on") or name == "style" for _, tag in page.tags for name in tag)
    addresses = [value for _, tag in page.tags for name, value in tag.items() if name in ("src", "href", "action")]
    assert addresses == ["data:,"]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    spoken = explained("turns", np.eye(2), row_times=[0, 1], speakers=[EVIL, EVIL])
    classes = explained("perception", np.eye(2), row_times=[0, 1], classes=[EVIL, "joy"])
    page = page_of(tmp_path, spoken, classes, source_name=EVIL, **{EVIL: 1.0})
    assert page.named("script") == page.named("img") == []
    assert len(page.named("style")) == 1
    assert EVIL in page.text
    assert EVIL in page.cells[0][1]


def test_a_name_that_is_no_unicode_is_shown_as_well_as_can_be(tmp_path: Path) -> None:
    assert "caf?.mp4" in page_of(tmp_path, alignment(), source_name="caf\udce9.mp4").text


def test_every_share_is_a_cell_that_tells_it_with_its_row_and_column(tmp_path: Path) -> None:
    shares = [[0.5, 0.25, 0.0], [0.062, np.nan, 0.4]]
    found = explained("perception", shares, row_times=[0.2, 0.6], classes=CLASSES)
    cells = page_of(tmp_path, found).cells
    assert [kind for kind, _ in cells] == ["level-11", "level-6", "level-0", "level-1", "gap", "level-9"]
    assert cells[0][1] == "50.0 %\npicture: 0.20 s\nclass: anger"
    assert cells[4][1] == "unknown\npicture: 0.60 s\nclass: joy"


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_shares_that_are_all_zero_or_unknown_are_drawn(tmp_path: Path, value: float) -> None:
    cells = page_of(tmp_path, turns(np.full((2, 2), value, dtype=np.float32))).cells
    assert {kind for kind, _ in cells} == {"gap" if np.isnan(value) else "level-0"}


def test_every_level_of_the_scale_has_a_colour_in_both_lights(tmp_path: Path) -> None:
    page = page_of(tmp_path, turns(np.linspace(0, 1, 144, dtype=np.float32).reshape(12, 12)))
    levels = {kind for kind, _ in page.cells}
    assert len(levels) == 12
    for level in levels:
        assert f".{level} {{ fill: var(--{level}); }}" in page.source
        assert len(set(re.findall(rf"--{level}: (#[0-9a-f]{{6}});", page.source))) == 2


def test_more_than_fits_is_averaged_and_the_page_says_so(tmp_path: Path) -> None:
    rows, columns = 2 * MOST_ROWS, 3 * MOST_COLUMNS
    long = np.tile([[0.2, np.nan], [0.4, np.nan]], (MOST_ROWS, 1))
    wide = np.tile(np.arange(columns) % 3 == 1, (2, 1))
    found = [
        explained("alignment", long, row_times=np.arange(rows), column_times=[0, 1]),
        explained("alignment", wide, row_times=[0, 1], column_times=np.arange(columns)),
    ]
    page = page_of(tmp_path, *found)
    assert len(page.cells) == 2 * MOST_ROWS + 2 * MOST_COLUMNS
    assert page.cells[0][1].splitlines() == ["30.0 %", "picture: 0.00 s … 1.00 s", "sound: 0.00 s"]
    assert page.cells[1][1].startswith("unknown")
    assert page.cells[-1][1].splitlines() == ["33.3 %", "picture: 1.00 s", "sound: 9:57.00 … 9:59.00"]
    assert "neighbours are averaged" in page.text
    assert "neighbours are averaged" not in page_of(tmp_path, alignment()).text


def test_the_page_tells_how_to_read_it_what_it_is_not_and_the_answer(tmp_path: Path) -> None:
    found = alignment()
    page = page_of(tmp_path, found, anger=0.25, joy=0.75)
    assert found.title in page.text
    assert found.reading in page.text
    assert all(notice.partition(": ")[2] in page.text for notice in NOTICES)
    assert page.text.index("joy") < page.text.index("anger")
    assert "0.75" in page.text
    assert "as a whole" not in page_of(tmp_path, found).text


def test_labels_do_not_stand_closer_than_a_line_or_their_width(tmp_path: Path) -> None:
    def marks(found: Explanation, anchor: str, axis: str) -> list[float]:
        texts = [tag for tag in page_of(tmp_path, found).named("text") if tag.get("class") != "axis"]
        return [float(tag[axis] or 0) for tag in texts if tag.get("text-anchor") == anchor]

    lines = marks(alignment(MOST_ROWS, 2), "end", "y")
    places = marks(alignment(2, MOST_COLUMNS), "middle", "x")
    assert len(lines) > 5
    assert len(places) > 5
    assert min(np.diff(lines)) >= 15
    assert min(np.diff(places)) >= 50


@pytest.mark.slow
def test_a_browser_shows_the_page_without_complaint(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium or google-chrome on the PATH")
    page_of(tmp_path, alignment(16, 64), source_name=EVIL, joy=1.0)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert "CONSOLE" not in result.stderr
    assert result.stdout.count('<rect class="cell ') == 16 * 64
    assert "<img src=x" not in result.stdout

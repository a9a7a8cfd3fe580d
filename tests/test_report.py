"""The report: one page, nothing from outside, honest about gaps, and shown by a real browser."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from emotrace import images
from emotrace.errors import SettingsError
from emotrace.labels import CIRCUMPLEX, EMOTIONS
from emotrace.report import MAX_THUMBNAILS, Thumbnail, summary_in_words, write_report
from emotrace.report_traces import band_path, clock_text, hatches, line_path, make_bins, steps_path, time_ticks
from emotrace.timeline import (
    COLUMNS,
    NO_AUDIO_TRACK,
    NO_FACE,
    NO_SPEECH,
    NO_VIDEO_TRACK,
    NOTICES,
    Gap,
    Metadata,
    Settings,
    Timeline,
)

SETTINGS = Settings(detector="haar", only=None, recipe_digest="0123456789abcdef", label_rate_hz=25.0)
EVIL = "</script></title><img src=x onerror=alert(1)>\" onload='alert(2)'.mp4"


def make_timeline(rows: int = 100, gaps: tuple[Gap, ...] = (), source: str = "talk.mp4", **changes: Any) -> Timeline:
    """A calm, mostly happy recording on the 25 Hz clock with some columns replaced."""
    columns: dict[str, Any] = {column.name: np.zeros(rows) for column in COLUMNS}
    columns["time"] = np.arange(rows) / 25
    columns["happiness"], columns["neutral"] = np.full(rows, 0.75), np.full(rows, 0.25)
    columns["arousal"] = np.sin(np.arange(rows) / 7) / 2
    columns["valence"] = np.cos(np.arange(rows) / 7) / 2
    columns["audio_weight"], columns["video_weight"] = np.full(rows, 0.4), np.full(rows, 0.6)
    columns["face_detected"] = np.ones(rows)
    metadata = Metadata(source, rows / 25, "default", "ab12", "0.1.0", SETTINGS, gaps=gaps)
    return Timeline({**columns, **changes}, metadata)


class Page(HTMLParser):
    """What a browser would see: tags, attributes and visible text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split()]


def page_of(timeline: Timeline, tmp_path: Path, **options: Any) -> Page:
    write_report(timeline, tmp_path / "report.html", **options)
    return Page(tmp_path / "report.html")


def jpeg(shade: int = 100) -> bytes:
    return images.encode_jpeg(np.full((24, 32, 3), shade, dtype=np.uint8))


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    page = page_of(make_timeline(), tmp_path, thumbnails=[Thumbnail(1.0, jpeg())])
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "poster", "action")
    ]
    assert addresses
    assert all(address is not None and address.startswith("data:") for address in addresses)
    style = "".join(re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL))
    assert "@import" not in style
    assert re.findall(r"url\((?!\"#)", style) == []


def test_the_policy_forbids_everything_but_the_page_itself(tmp_path: Path) -> None:
    page = page_of(make_timeline(), tmp_path)
    policy = next(tag["content"] for tag in page.named("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not any(name.startswith("on") or name == "style" for _, tag in page.tags for name in tag)


@pytest.mark.parametrize("field", ["source", "bundle", "bundle_digest", "emotrace_version"])
def test_a_hostile_name_stays_text(tmp_path: Path, field: str) -> None:
    timeline = make_timeline()
    change: dict[str, Any] = {field: EVIL}
    timeline = replace(timeline, metadata=replace(timeline.metadata, **change))
    page = page_of(timeline, tmp_path)
    assert page.named("img") == []
    assert len(page.named("script")) == 2
    assert EVIL in page.text or EVIL.split(">")[0] in page.text


def test_hostile_problems_gaps_notices_and_settings_stay_text(tmp_path: Path) -> None:
    timeline = make_timeline(gaps=(Gap(EVIL, 0.0, 1.0),))
    settings = replace(SETTINGS, detector=EVIL, recipe_digest=EVIL)
    metadata = replace(timeline.metadata, problems=(EVIL,), notices=(EVIL,), settings=settings)
    page = page_of(replace(timeline, metadata=metadata), tmp_path)
    assert page.named("img") == []
    assert page.text.count("onerror") >= 5


def test_a_name_that_is_no_unicode_is_shown_as_well_as_can_be(tmp_path: Path) -> None:
    page = page_of(make_timeline(source="caf\udce9.mp4"), tmp_path)
    assert "caf?.mp4" in page.text


def test_the_notices_are_there_even_when_the_metadata_keeps_silent(tmp_path: Path) -> None:
    timeline = make_timeline()
    timeline = replace(timeline, metadata=replace(timeline.metadata, notices=()))
    page = page_of(timeline, tmp_path)
    assert all(notice.partition(": ")[2] in page.text for notice in NOTICES)


def test_the_page_tells_where_the_numbers_come_from(tmp_path: Path) -> None:
    timeline = make_timeline()
    timeline = replace(timeline, metadata=replace(timeline.metadata, problems=("one frame is damaged",)))
    page = page_of(timeline, tmp_path)
    for part in ("talk.mp4", "default", "ab12", "0.1.0", "haar", "0123456789abcdef", "25 Hz", "one frame is damaged"):
        assert part in page.text
    assert all(column.name in page.text and column.meaning in page.text for column in COLUMNS)


def test_every_emotion_has_its_area_its_legend_and_its_place_in_the_plane(tmp_path: Path) -> None:
    page = page_of(make_timeline(), tmp_path)
    for emotion in EMOTIONS:
        classes = {tag.get("class") for tag in page.with_class(emotion)}
        assert {f"area {emotion}", f"swatch {emotion}", f"word {emotion}"} <= classes
    sad = next(tag for tag in page.with_class("sadness") if tag.get("class") == "word sadness")
    assert float(sad["cx"] or 0) == pytest.approx(200 + 170 * CIRCUMPLEX["sadness"].valence, abs=0.05)
    assert float(sad["cy"] or 0) == pytest.approx(200 - 170 * CIRCUMPLEX["sadness"].arousal, abs=0.05)


def test_stretches_without_face_or_speech_are_hatched_where_they_are(tmp_path: Path) -> None:
    page = page_of(make_timeline(gaps=(Gap(NO_FACE, 1.0, 2.0), Gap(NO_SPEECH, 3.0, 4.0))), tmp_path)
    (face,) = page.with_class("no-face")
    (speech,) = page.with_class("no-speech")
    assert (face["x"], face["width"]) == ("25.0%", "25.0%")
    assert (speech["x"], speech["width"]) == ("75.0%", "25.0%")


def test_unknown_stretches_break_the_curves_and_are_hatched(tmp_path: Path) -> None:
    unknown = (np.arange(100) >= 40) & (np.arange(100) < 60)
    changes: dict[str, Any] = {
        name: np.where(unknown, np.nan, 0.125) for name in (*EMOTIONS, "arousal", "valence", "audio_weight")
    }
    page = page_of(make_timeline(**changes), tmp_path)
    assert {(tag["x"], tag["width"]) for tag in page.with_class("unknown")} == {("40.0%", "20.0%")}
    paths = [tag["d"] or "" for tag in page.with_class("line")]
    assert [path.count("M") for path in paths] == [2, 2]


@pytest.mark.parametrize("rows", [0, 1, 2, 25, 75])
def test_short_and_empty_recordings_have_a_page(tmp_path: Path, rows: int) -> None:
    page = page_of(make_timeline(rows), tmp_path)
    assert re.search(r"\b(nan|inf|None)\b", page.source) is None
    assert len(page.with_class("head")) == 5


def test_a_page_of_two_hours_stays_small(tmp_path: Path) -> None:
    rows = 2 * 3600 * 25
    noise = np.random.default_rng(0).uniform(-1, 1, rows)
    page = page_of(make_timeline(rows, arousal=noise, valence=-noise), tmp_path)
    assert len(page.source) < 1_000_000
    assert "every point is the mean of 6.00 s" in page.text


def test_the_link_to_the_media_is_relative_and_quoted(tmp_path: Path) -> None:
    media = tmp_path / "in put" / 'a "b" #1.mp4'
    (tmp_path / "out").mkdir()
    page = page_of(make_timeline(), tmp_path / "out", media=media)
    (video,) = page.named("video")
    assert unquote(video["src"] or "") == '../in put/a "b" #1.mp4'
    assert "#" not in (video["src"] or "")


def test_a_file_called_like_a_script_address_is_no_script_address(tmp_path: Path) -> None:
    page = page_of(make_timeline(), tmp_path, media=tmp_path / "javascript:alert(1)")
    assert (page.named("video")[0]["src"] or "").startswith("javascript%3A")


def test_sound_alone_gets_a_sound_player(tmp_path: Path) -> None:
    timeline = make_timeline(gaps=(Gap(NO_VIDEO_TRACK, 0.0, 4.0),), face_detected=np.zeros(100))
    page = page_of(timeline, tmp_path, media=tmp_path / "talk.ogg")
    assert len(page.named("audio")) == 1
    assert page.named("video") == []


def test_without_media_nothing_of_the_recording_is_linked(tmp_path: Path) -> None:
    page = page_of(make_timeline(), tmp_path)
    assert page.named("video") == page.named("audio") == page.named("img") == []


def test_at_most_twelve_thumbnails_are_embedded_over_the_whole_length(tmp_path: Path) -> None:
    thumbnails = [Thumbnail(n / 10, jpeg(n)) for n in range(100)]
    page = page_of(make_timeline(250), tmp_path, thumbnails=thumbnails)
    times = [float(tag["data-time"] or -1) for tag in page.named("button") if "data-time" in tag]
    assert len(times) == MAX_THUMBNAILS
    assert times[0] < 1
    assert times[-1] > 9


def test_a_thumbnail_that_is_no_jpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a JPEG"):
        write_report(make_timeline(), tmp_path / "report.html", thumbnails=[Thumbnail(0.0, b"<svg>")])


def test_bins_hold_the_mean_and_the_extremes_of_their_rows() -> None:
    timeline = make_timeline(8, arousal=[0.0, 0.5, np.nan, 0.25, np.nan, np.nan, -1.0, 1.0])
    bins = make_bins(timeline, max_bins=4)
    np.testing.assert_allclose(bins.mean(timeline["arousal"]), [0.25, 0.25, np.nan, 0.0])
    low, high = bins.extremes(timeline["arousal"])
    np.testing.assert_allclose(low, [0.0, 0.25, np.nan, -1.0])
    np.testing.assert_allclose(high, [0.5, 0.25, np.nan, 1.0])
    assert bins.width_seconds == pytest.approx(0.08)


def test_paths_are_those_a_hand_draws() -> None:
    assert line_path(np.array([1.0, -1.0, np.nan, 0.0]), -1, 1) == "M125.0 0.0L375.0 100.0M875.0 50.0h.1"
    whole = band_path(np.zeros(2), np.ones(2), 0, 1)
    assert whole.startswith("M0.0 0.0L250.0 0.0L750.0 0.0L1000.0 0.0L1000.0 100.0")
    assert whole.endswith("Z")
    steps = steps_path(np.array([0.0, 1.0, 1.0, 0.0]), 0, 1)
    corners = "M0.0 100.0L0.0 100.0L250.0 100.0L250.0 0.0L750.0 0.0L750.0 100.0L1000.0 100.0L1000.0 100.0Z"
    assert steps == corners


def test_gaps_narrower_than_a_bin_are_not_hatched_but_close_ones_are_one() -> None:
    timeline = make_timeline(100)
    bins = make_bins(timeline, max_bins=10)
    gaps = [Gap(NO_FACE, 0.0, 0.1), Gap(NO_FACE, 2.0, 2.8), Gap(NO_FACE, 3.0, 3.4), Gap(NO_SPEECH, 0.0, 4.0)]
    assert hatches(gaps, (NO_FACE,), bins) == [(50.0, 35.0)]


@pytest.mark.parametrize("rows", [1, 10, 30, 310, 45_000, 180_000])
def test_the_time_axis_has_a_few_marks_within_the_panel(rows: int) -> None:
    ticks = time_ticks(make_bins(make_timeline(rows)))
    assert 1 <= len(ticks) <= 8
    assert all(0 <= place <= 100 for place, _ in ticks)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (7.2, "7.2 s"), (59.96, "1:00"), (67.0, "1:07"), (3599.7, "1:00:00"), (3727.0, "1:02:07")],
)
def test_times_read_as_people_write_them(seconds: float, text: str) -> None:
    assert clock_text(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def words_of(timeline: Timeline) -> str:
    return summary_in_words(timeline).replace("\N{NO-BREAK SPACE}", " ")


def test_the_words_hold_the_figures() -> None:
    detected = np.arange(100) >= 17
    arousal = np.full(100, -0.25)
    arousal[50] = 0.43
    words = words_of(make_timeline(gaps=(Gap(NO_SPEECH, 0.0, 1.56),), face_detected=detected, arousal=arousal))
    assert words.startswith("In 4 s of media a face was found 83 % of the time and speech 61 %. ")
    assert "The impression is mostly happiness (mean probability 0.75), followed by neutral (0.25)." in words
    assert "Arousal is \N{MINUS SIGN}0.24 on average, with a peak of 0.43 at 2 s." in words
    assert "The voice carried 40 % of the weight, the face 60 %." in words


def test_the_words_tell_what_is_not_there() -> None:
    assert "sound without a picture" in words_of(make_timeline(gaps=(Gap(NO_VIDEO_TRACK, 0.0, 4.0),)))
    assert "picture without sound" in words_of(make_timeline(gaps=(Gap(NO_AUDIO_TRACK, 0.0, 4.0),)))
    assert "nothing to show" in words_of(make_timeline(0))
    unknown: dict[str, Any] = {column.name: np.full(100, np.nan) for column in COLUMNS[2:15]}
    assert "the trace is empty" in words_of(make_timeline(**unknown))


@pytest.mark.parametrize(("only", "missing"), [("voice", "face was found"), ("face", "speech was found")])
def test_what_was_left_out_is_not_reported_as_absent(only: Any, missing: str) -> None:
    timeline = make_timeline()
    settings = replace(SETTINGS, only=only)
    words = words_of(replace(timeline, metadata=replace(timeline.metadata, settings=settings)))
    assert f"only the {only} was analysed" in words
    assert missing not in words


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 100])
def test_a_browser_runs_the_page_without_complaint(tmp_path: Path, rows: int) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium or google-chrome on the PATH")
    write_report(make_timeline(rows, source=EVIL), tmp_path / "report.html", thumbnails=[Thumbnail(1.0, jpeg())])
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "report.html").as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert "CONSOLE" not in result.stderr
    leading = re.search(r'id="leading"[^>]*>([^<]*)<', result.stdout)
    assert leading is not None
    assert leading.group(1) == ("happiness 0.75" if rows else "nothing known here")
    assert "<img src=x" not in result.stdout

"""A recording and its timeline -> a video with the faces marked and the trace on a panel below, sound kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotrace import clock
from emotrace.errors import MediaError
from emotrace.images import Colour, draw_line, draw_rectangle, draw_text, resize
from emotrace.labels import EMOTIONS
from emotrace.media import VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.timeline import NO_AUDIO_TRACK, NO_SPEECH, Timeline
from emotrace.types import FloatArray, Image

BOX_COLOUR: Colour = (255, 206, 84)
PAPER: Colour = (22, 26, 34)
"""The ground of the panel."""
DISCLAIMER = "emotrace estimate - not a fact about the person"

_INK: Colour = (232, 236, 242)
_FAINT: Colour = (134, 144, 160)
_RULE: Colour = (58, 66, 80)
_AROUSAL: Colour = (255, 138, 92)
_VALENCE: Colour = (96, 190, 255)
_VOICE: Colour = (186, 140, 255)
_FACE: Colour = (110, 214, 150)
_TRACE_SECONDS = 10.0
_MIN_WIDTH = 480
"""Pixels; a narrower picture is enlarged by a whole number, or the panel could not be read."""
_PANEL_WIDTH, _PANEL_HEIGHT = 640, 176
"""The panel is laid out in these units and scaled to the width of the picture."""
_SHORTEST_SECONDS = 0.001
"""A picture that comes this soon after the one before cannot be seen and is left out."""


def annotate(source: Path, timeline: Timeline, destination: Path) -> None:
    """Write the recording as mp4 with face boxes, and below it the emotions, the trace and the trust in voice and face.

    Pictures keep their times and are upright; the sound is taken over. Memory does not grow with the length.

    Args:
        source: the recording that was analysed.
        timeline: its analysis. Where several people are followed, all are boxed and numbered, and the panel shows
            whoever speaks or did so last.
        destination: of the mp4 file; an existing file is replaced at the end.

    Raises:
        MediaError: the source has no pictures or cannot be read, or the destination cannot be written.
    """
    with open_clip(source) as clip:
        info = clip.info
        if not info.has_video:
            raise MediaError(f"{source} has no pictures to draw on; annotate a video.")
        layout = _Layout.of(info.width, info.height)
        panel = _Panel(timeline, layout)
        rate = min(120.0, max(1.0, info.frame_rate or 25.0))
        width, height = layout.width, layout.height + layout.panel_height
        with ClipWriter(destination, width=width, height=height, frame_rate=rate, sound_of=source) as writer:
            for frame in _visible(clip.read()):
                canvas = np.empty((height, width, 3), np.uint8)
                canvas[: layout.height] = _enlarged(frame.rgb(), layout)
                panel.draw(canvas, frame.time_seconds)
                writer.write_frame(frame.time_seconds, canvas)


def _visible(stretches: Iterator[object]) -> Iterator[VideoFrame]:
    last = -1.0
    for stretch in stretches:
        if isinstance(stretch, VideoFrame) and stretch.time_seconds - last >= _SHORTEST_SECONDS:
            last = stretch.time_seconds
            yield stretch


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels of what is written.

    Attributes:
        factor: by which the picture is enlarged.
        width: of the picture and of the panel.
        height: of the picture.
        panel_height: below the picture.
    """

    factor: int
    width: int
    height: int
    panel_height: int

    @staticmethod
    def of(width: int, height: int) -> "_Layout":
        factor = -(-_MIN_WIDTH // width)
        panel_height = round(width * factor * _PANEL_HEIGHT / _PANEL_WIDTH)
        return _Layout(factor, width * factor, height * factor, panel_height)

    @property
    def unit(self) -> float:
        """Pixels per unit of the panel."""
        return self.width / _PANEL_WIDTH


def _enlarged(picture: Image, layout: _Layout) -> Image:
    """Return the picture in the size of the layout, also where the recording changes its size on the way."""
    if picture.shape[:2] == (layout.height, layout.width):
        return picture
    return resize(picture, layout.width, layout.height)


class _Panel:
    """Draws what the timeline knows at a time."""

    def __init__(self, timeline: Timeline, layout: _Layout) -> None:
        self._everybody = timeline
        self._timeline = timeline = timeline.foremost()
        self._layout = layout
        self._ticks = timeline["time"]
        self._silent = timeline.inside(NO_SPEECH, NO_AUDIO_TRACK)
        self._max_age_seconds = 2 / timeline.metadata.settings.label_rate_hz

    def draw(self, canvas: Image, time_seconds: float) -> None:
        """Draw boxes on the picture and everything else below it."""
        layout = self._layout
        tick = int(clock.latest(self._ticks, np.array([time_seconds]), self._max_age_seconds)[0])
        row = tick if tick >= 0 else None
        canvas[layout.height :] = PAPER
        if row is not None:
            for each in range(*self._rows_at(self._ticks[tick])):
                self._box(canvas, each)
        self._emotions(canvas, row)
        self._trace(canvas, row, time_seconds)
        self._trust(canvas, row)
        self._text(canvas, DISCLAIMER, 12, 168, 8, _FAINT)
        minutes, seconds = divmod(time_seconds, 60)
        self._text(canvas, f"{minutes:.0f}:{seconds:04.1f}", 588, 168, 8, _FAINT)

    def _rows_at(self, time_seconds: float) -> tuple[int, int]:
        times = self._everybody["time"]
        return int(np.searchsorted(times, time_seconds)), int(np.searchsorted(times, time_seconds, side="right"))

    def _box(self, canvas: Image, row: int) -> None:
        picture = canvas[: self._layout.height]
        sides = [float(self._everybody[f"face_{name}"][row]) for name in ("x", "y", "width", "height")]
        if not self._everybody["face_detected"][row] or np.isnan(sides).any():
            return
        limit = 2 * max(self._layout.width, self._layout.height)
        x, y, width, height = (
            (np.clip(np.array(sides) * self._layout.factor, -limit, limit)).round().astype(int).tolist()
        )
        thickness = max(2, round(1.6 * self._layout.unit))
        draw_rectangle(picture, (x, y, x + width, y + height), BOX_COLOUR, thickness)
        if self._everybody.metadata.settings.people == "all":
            number, height = str(self._everybody["person"][row]), 12 * self._layout.unit
            draw_text(picture, number, (x, max(round(height), y - 2 * thickness)), height, BOX_COLOUR)

    def _emotions(self, canvas: Image, row: int | None) -> None:
        """Draw a bar per emotion, the likeliest in a strong colour."""
        known = row is not None and not np.isnan(self._timeline[EMOTIONS[0]][row])
        shares = [float(self._timeline[emotion][row]) if known else 0.0 for emotion in EMOTIONS]
        likeliest = EMOTIONS[int(np.argmax(shares))] if known else "unknown"
        self._text(canvas, likeliest, 12, 24, 12, BOX_COLOUR if known else _FAINT)
        for index, (emotion, share) in enumerate(zip(EMOTIONS, shares, strict=True)):
            y = 46 + 14.5 * index
            strong = emotion == likeliest
            self._text(canvas, emotion, 12, y, 7.5, _INK if strong else _FAINT)
            self._bar(canvas, (78, 170), y, share, BOX_COLOUR if strong else _FAINT)
            if known:
                self._text(canvas, f"{100 * share:.0f}", 176, y, 7.5, _INK if strong else _FAINT)

    def _trace(self, canvas: Image, row: int | None, time_seconds: float) -> None:
        """Draw arousal and valence of the last seconds, now at the right edge."""
        left, right, top, bottom = 216.0, 444.0, 34.0, 148.0
        self._text(canvas, "last 10 s", left, 24, 7.5, _FAINT)
        for level in (-1, 0, 1):
            y = (top + bottom) / 2 - level * (bottom - top) / 2
            self._line(canvas, np.array([[left, y], [right, y]], np.float32), _RULE, 1.0)
            self._text(canvas, f"{level:+d}" if level else "0", right + 4, y + 3.5, 7, _FAINT)
        first = int(np.searchsorted(self._ticks, time_seconds - _TRACE_SECONDS))
        stop = int(np.searchsorted(self._ticks, time_seconds + 1e-6, side="right"))
        x = right + (self._ticks[first:stop] - time_seconds) / _TRACE_SECONDS * (right - left)
        for name, colour, legend_y in (("arousal", _AROUSAL, 44.0), ("valence", _VALENCE, 84.0)):
            values = self._timeline[name][first:stop]
            points = np.column_stack([x, (top + bottom) / 2 - values * (bottom - top) / 2])
            for run in _known_runs(values):
                self._line(canvas, points[run].astype(np.float32), colour, 1.5)
            value = float(self._timeline[name][row]) if row is not None else np.nan
            self._text(canvas, name, 474, legend_y, 8, colour)
            self._text(canvas, "-" if np.isnan(value) else f"{value:+.2f}", 474, legend_y + 18, 11, _INK)

    def _trust(self, canvas: Image, row: int | None) -> None:
        """Draw the shares of voice and face as one band, and say what is missing."""
        timeline = self._timeline
        share = float(timeline["audio_weight"][row]) if row is not None else np.nan
        self._text(canvas, "trust", 548, 24, 7.5, _FAINT)
        voice = f"{100 * share:.0f} %" if not np.isnan(share) else "-"
        face = f"{100 * (1 - share):.0f} %" if not np.isnan(share) else "-"
        for name, text, y, colour in (("voice", voice, 44.0, _VOICE), ("face", face, 84.0, _FACE)):
            self._text(canvas, name, 564, y, 8, colour)
            self._text(canvas, text, 564, y + 18, 11, _INK)
        split = 34 + (0.5 if np.isnan(share) else share) * 84
        self._fill(canvas, (548, 556), (34, split), _RULE if np.isnan(share) else _VOICE)
        self._fill(canvas, (548, 556), (split, 118), _RULE if np.isnan(share) else _FACE)
        if row is None or self._silent[row]:
            self._text(canvas, "no speech", 548, 132, 8, _VOICE)
        if row is None or not timeline["face_detected"][row]:
            self._text(canvas, "no face", 548, 146, 8, _FACE)

    def _bar(self, canvas: Image, span: tuple[float, float], y: float, share: float, colour: Colour) -> None:
        left, right = span
        self._fill(canvas, (left, right), (y - 7, y), _RULE)
        if share > 0:
            self._fill(canvas, (left, left + share * (right - left)), (y - 7, y), colour)

    def _fill(self, canvas: Image, across: tuple[float, float], down: tuple[float, float], colour: Colour) -> None:
        (left, right), (top, bottom) = ([self._pixels(edge) for edge in edges] for edges in (across, down))
        if right > left and bottom > top:
            corners = (left, self._layout.height + top, right - 1, self._layout.height + bottom - 1)
            draw_rectangle(canvas, corners, colour, -1)

    def _line(self, canvas: Image, points: FloatArray, colour: Colour, thickness: float) -> None:
        pixels = points * np.float32(self._layout.unit) + np.array([0, self._layout.height], np.float32)
        draw_line(canvas, pixels, colour, max(1, self._pixels(thickness)))

    def _text(self, canvas: Image, text: str, x: float, y: float, height: float, colour: Colour) -> None:
        position = (self._pixels(x), self._layout.height + self._pixels(y))
        draw_text(canvas, text, position, height * self._layout.unit, colour)

    def _pixels(self, units: float) -> int:
        return round(units * self._layout.unit)


def _known_runs(values: FloatArray) -> Iterator[slice]:
    """Yield the stretches without NaN."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~np.isnan(values), [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)

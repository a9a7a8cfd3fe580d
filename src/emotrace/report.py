"""Timeline -> one HTML page that needs nothing else: no network, no library, no second file (but a linked video).

The curves are SVG paths written here and a few dozen lines of script move the play-head; plotly's script alone
would be 4.8 MB a page. The Content-Security-Policy names the page's own script and style by hash, so that nothing
a file name smuggles in could run even if it escaped the escaping.
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from numpy.lib.stride_tricks import sliding_window_view

from emotrace.errors import SettingsError
from emotrace.labels import CIRCUMPLEX, EMOTIONS
from emotrace.page import write_page
from emotrace.report_traces import (
    Bins,
    Curve,
    band_path,
    bin_of,
    clock_text,
    hatches,
    line_path,
    make_bins,
    percent,
    runs,
    steps_path,
    time_ticks,
)
from emotrace.report_words import percent_text, signed_text, summary_in_words
from emotrace.timeline import (
    COLUMNS,
    NO_AUDIO_TRACK,
    NO_FACE,
    NO_SPEECH,
    NO_VIDEO_TRACK,
    NOTICES,
    Summary,
    Timeline,
)
from emotrace.timeline_people import PersonSummary
from emotrace.types import FloatArray

__all__ = ["MAX_THUMBNAILS", "Thumbnail", "summary_in_words", "write_report"]

MAX_THUMBNAILS = 12
STACK_ORDER = ("anger", "disgust", "contempt", "fear", "sadness", "surprise", "happiness", "neutral")
"""From the bottom up: neutral last, as the pale ground the others rise into."""
_NO_PICTURE = (NO_FACE, NO_VIDEO_TRACK)
_NO_SOUND = (NO_SPEECH, NO_AUDIO_TRACK)
_MAX_PROBLEMS = 20
_PATH_BINS = 240
"""Points of the way through the valence-arousal plane; more make a hairball."""
_MAX_PEOPLE = 12


@dataclass(frozen=True)
class Thumbnail:
    """A still of the video.

    Attributes:
        time_seconds: media time of the frame.
        jpeg: the file's bytes.
    """

    time_seconds: float
    jpeg: bytes


def write_report(
    timeline: Timeline, path: Path, *, media: Path | None = None, thumbnails: Sequence[Thumbnail] = ()
) -> None:
    """Write the page.

    Args:
        timeline: what to show.
        path: of the HTML file.
        media: the recording, to be linked (not embedded) relative to the page; None shows no player.
        thumbnails: in order of time; at most `MAX_THUMBNAILS` of them, evenly chosen, are embedded.

    Raises:
        SettingsError: a thumbnail is no JPEG.
        TimelineError: the page cannot be written.
    """
    everybody = timeline
    timeline = everybody.foremost()  # as it is, where one person is followed
    bins = make_bins(timeline)
    of_all, summary = everybody.summary(), timeline.summary()
    summary["face_share"], summary["speech_share"] = of_all["face_share"], of_all["speech_share"]
    values = {
        "metadata": timeline.metadata,
        "summary": summary,
        "words": summary_in_words(timeline, summary),
        "people": _people(everybody, of_all["people"], bins),
        "num_people": len(of_all["people"]),
        "columns": COLUMNS,
        "emotions": STACK_ORDER,
        "num_rows": len(everybody),
        "start_seconds": 0.0 if media else summary["peak_arousal_seconds"] or 0.0,
        "player": _player(timeline, path, media),
        "thumbnails": [_embedded(thumbnail) for thumbnail in _evenly(thumbnails)],
        "drawing": _drawing(timeline, bins),
        "plane": _plane(timeline, summary),
        "data": Markup(_script_safe(_series(timeline, bins))),  # every "<" is escaped
        "notices": [notice.partition(": ") for notice in _all_notices(timeline)],
        "problems": timeline.metadata.problems[:_MAX_PROBLEMS],
        "more_problems": max(0, len(timeline.metadata.problems) - _MAX_PROBLEMS),
        "clock": clock_text,
        "signed": signed_text,
        "percent": percent_text,
        "ranking": _ranking(summary),
    }
    write_page(path, "report_template.html.j2", ["report_style.css"], values, script="report_script.js")


def _drawing(timeline: Timeline, bins: Bins) -> dict[str, Any]:
    """Return paths, hatches and marks of all panels on the time axis."""
    gaps = timeline.metadata.gaps
    lines = {}
    for name in ("valence", "arousal"):
        band = band_path(*bins.extremes(timeline[name]), -1, 1) if bins.ticks_per_bin > 1 else ""
        lines[name] = {"line": line_path(bins.mean(timeline[name]), -1, 1), "band": band}
    audio = bins.mean(timeline["audio_weight"])
    zero = np.where(np.isnan(audio), np.nan, 0.0)
    face, speech = _presence(timeline)
    persons = np.flatnonzero(np.diff(timeline["person"])) + 1
    return {
        "lines": lines,
        "layers": _layers(timeline, bins),
        "voice_share": band_path(zero, audio, 0, 1),
        "face_share": band_path(audio, zero + 1, 0, 1),
        "face": steps_path(bins.mean(face), 0, 1),
        "speech": steps_path(bins.mean(speech), 0, 1),
        "energy": steps_path(bins.mean(timeline["speech_energy"]), 0, 1),
        "unknown": _unknown(bins.mean(timeline["neutral"]), bins),
        "unknown_share": _unknown(audio, bins),
        "no_face": hatches(gaps, _NO_PICTURE, bins) + _unknown(bins.mean(face), bins),
        "no_speech": hatches(gaps, _NO_SOUND, bins) + _unknown(bins.mean(speech), bins),
        "other_gaps": [gap for gap in gaps if gap.kind not in (*_NO_PICTURE, *_NO_SOUND)],
        "new_people": sorted({percent(float(timeline["time"][row]), bins) for row in persons}),
        "ticks": time_ticks(bins),
        "end": bins.end_seconds,
        "bin": bins.width_seconds,
        "averaged": bins.ticks_per_bin > 1,
    }


def _people(everybody: Timeline, people: list[PersonSummary], bins: Bins) -> list[dict[str, Any]]:
    """Return what is drawn of each person, of the few who are seen for longest, in order of their numbers."""
    seen_longest = sorted(people, key=lambda each: -each["seen_seconds"])[:_MAX_PEOPLE]
    return [
        {"summary": summary, **_person(everybody, summary["person"], bins)}
        for summary in sorted(seen_longest, key=lambda each: each["person"])
    ]


def _person(everybody: Timeline, person: int, bins: Bins) -> dict[str, str]:
    rows = everybody["person"] == person
    places = replace(bins, row_bins=bin_of(everybody["time"][rows], bins))
    energy = np.nan_to_num(everybody["speech_energy"][rows])
    return {
        "seen": steps_path(places.mean(everybody["face_detected"][rows]), 0, 1),
        "speaking": steps_path(places.mean(energy > 0), 0, 1),
        "valence": line_path(places.mean(everybody["valence"][rows]), -1, 1),
        "arousal": line_path(places.mean(everybody["arousal"][rows]), -1, 1),
    }


def _presence(timeline: Timeline) -> tuple[FloatArray, FloatArray]:
    """Return [T] each: 1 where a face, and where speech, was found; NaN where it was not looked for."""
    only = timeline.metadata.settings.only
    face, speech = timeline["face_detected"].astype(np.float32), (~timeline.inside(*_NO_SOUND)).astype(np.float32)
    unknown = np.full(len(timeline), np.nan, dtype=np.float32)
    return unknown if only == "voice" else face, unknown if only == "face" else speech


def _layers(timeline: Timeline, bins: Bins) -> list[dict[str, Any]]:
    """Return the stacked areas from the top one down, each drawn from zero, with a label where it is thick."""
    lower = np.zeros(bins.num_bins)
    layers: list[dict[str, Any]] = []
    for emotion in STACK_ORDER:
        upper = lower + bins.mean(timeline[emotion])
        path = band_path(np.zeros_like(upper), upper, 0, 1)
        layers.append({"emotion": emotion, "path": path, "label": _label_place(lower, upper)})
        lower = upper
    return layers[::-1]


def _label_place(lower: Curve, upper: Curve) -> tuple[float, float] | None:
    """Return x and y in percent where a word fits between two curves of a stacked area, None where it does not."""
    word = max(1, len(lower) // 10)  # bins that a word of ten letters covers on a wide screen
    ceiling, floor = sliding_window_view(upper, word).min(axis=1), sliding_window_view(lower, word).max(axis=1)
    room = np.nan_to_num(ceiling - floor)
    at = int(np.argmax(room))
    if room[at] < 0.12:
        return None
    middle = float(floor[at] + ceiling[at]) / 2
    return round(100 * (at + word / 2) / len(lower), 2), round(100 * (1 - middle), 2)


def _unknown(curve: Curve, bins: Bins) -> list[tuple[float, float]]:
    """Return start and width in percent of the stretches without a value."""
    scale = 100 / bins.num_bins
    return [(round(a * scale, 3), round((b - a) * scale, 3)) for a, b in runs(np.isnan(curve))]


def _plane(timeline: Timeline, summary: Summary) -> dict[str, Any]:
    """Return the way through the valence-arousal plane in a box of 400 x 400, in pieces from early to late."""
    bins = make_bins(timeline, _PATH_BINS)
    x, y = bins.mean(timeline["valence"]), bins.mean(timeline["arousal"])
    points = [_in_plane(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True) if a == a and b == b]
    num_pieces = min(16, max(1, len(points) - 1))
    cuts = [round(n * (len(points) - 1) / num_pieces) for n in range(num_pieces + 1)] if points else []
    pieces = []
    for n, (start, stop) in enumerate(pairwise(cuts)):
        text = " ".join(f"{a},{b}" for a, b in points[start : stop + 1])
        pieces.append({"points": text, "opacity": round(0.18 + 0.82 * (n + 1) / num_pieces, 2)})
    emotions = {name: _in_plane(point.valence, point.arousal) for name, point in CIRCUMPLEX.items()}
    valence, arousal = summary["mean_valence"], summary["mean_arousal"]
    mean = None if valence is None or arousal is None else _in_plane(valence, arousal)
    return {"pieces": pieces, "emotions": emotions, "mean": mean, "averaged": bins.ticks_per_bin > 1}


def _in_plane(valence: float, arousal: float) -> tuple[float, float]:
    return round(200 + 170 * valence, 1), round(200 - 170 * arousal, 1)


def _series(timeline: Timeline, bins: Bins) -> dict[str, Any]:
    """Return what the script reads out under the play-head, in thousandths; null is unknown."""
    curves = {name: bins.mean(timeline[name]) for name in ("valence", "arousal", *EMOTIONS, "audio_weight")}
    curves["face"], curves["speech"] = (bins.mean(present) for present in _presence(timeline))
    thousandths = {
        name: [None if value != value else round(1000 * value) for value in curve.tolist()]
        for name, curve in curves.items()
    }
    return {"end": round(bins.end_seconds, 4), "bins": bins.num_bins, "series": thousandths}


def _player(timeline: Timeline, path: Path, media: Path | None) -> Mapping[str, str] | None:
    if media is None:
        return None
    try:
        link = Path(os.path.relpath(media.resolve(), path.parent.resolve())).as_posix()
        address = quote(os.fsencode(link))
    except ValueError:  # on Windows, another drive
        address = media.resolve().as_uri()
    silent_picture = NO_VIDEO_TRACK in {gap.kind for gap in timeline.metadata.gaps}
    return {"element": "audio" if silent_picture else "video", "address": address}


def _evenly(thumbnails: Sequence[Thumbnail]) -> list[Thumbnail]:
    count = min(len(thumbnails), MAX_THUMBNAILS)
    return [thumbnails[int((n + 0.5) * len(thumbnails) / count)] for n in range(count)]


def _embedded(thumbnail: Thumbnail) -> dict[str, Any]:
    if not thumbnail.jpeg.startswith(b"\xff\xd8"):
        raise SettingsError(f"The thumbnail at {thumbnail.time_seconds} s is not a JPEG file: encode it first.")
    data = base64.b64encode(thumbnail.jpeg).decode("ascii")
    return {"time": round(thumbnail.time_seconds, 3), "source": f"data:image/jpeg;base64,{data}"}


def _all_notices(timeline: Timeline) -> list[str]:
    """Return what the numbers are not, also for a file whose metadata keeps silent about it."""
    return list(dict.fromkeys((*NOTICES, *timeline.metadata.notices)))


def _script_safe(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _ranking(summary: Summary) -> list[tuple[str, float | None]]:
    """Return the emotions with their mean probabilities, the highest first."""
    return sorted(summary["mean_probability"].items(), key=lambda item: -(item[1] or 0.0))

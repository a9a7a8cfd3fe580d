"""A made clip with a known trace -> its timeline, its report, and how close the trace came."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotrace.app.job import write
from emotrace.demo import DemoTruth, make_demo
from emotrace.inference.film_strip import FilmStrip
from emotrace.inference.offline import Progress, analyze

if TYPE_CHECKING:
    from emotrace.timeline import Timeline


def run_demo(output: Path, progress: Progress) -> Iterator[str]:
    """Make the clip, analyse it and write the results; yield what to tell, line by line."""
    output.mkdir(parents=True, exist_ok=True)
    clip = output / "demo.mp4"
    yield "Drawing a talking face and a voice with a known trace ..."
    truth = make_demo(clip)
    yield f"Analysing {clip} ..."
    strip = FilmStrip()
    timeline = analyze(clip, progress=progress, watch=strip.see)
    for kind in ("csv", "json", "html"):
        write(timeline, kind, output / f"demo.{kind}", clip, strip)
    yield from _comparison(timeline, truth)
    yield f"Report: {(output / 'demo.html').resolve()}"


def _comparison(timeline: "Timeline", truth: DemoTruth) -> Iterator[str]:
    """Compare with what the clip was made from; the drawn person is no real one, so this is no figure of merit."""
    times = timeline["time"]
    for name, known in (("arousal", truth.arousal), ("valence", truth.valence)):
        wanted = np.interp(times, truth.times, known)
        usable = ~np.isnan(timeline[name])
        if usable.sum() > 2 and np.std(timeline[name][usable]) > 0:
            r = float(np.corrcoef(timeline[name][usable], wanted[usable])[0, 1])
            yield f"Truth and trace: {name} correlates with r = {r:.2f}."
    for label, (start, end), seen in (
        ("no face", truth.no_face, timeline["face_detected"]),
        ("no speech", truth.no_speech, ~timeline.inside("no speech")),
    ):
        inside = (times >= start) & (times < end)
        share = float(np.mean(~seen[inside].astype(bool))) if inside.any() else 0.0
        yield f"Truth and trace: {label} from {start:.1f} to {end:.1f} s, marked in {share:.0%} of it."

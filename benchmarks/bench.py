"""The installed package -> the table of docs/performance.md: speed, memory, start-up, size.

`make bench` runs it with the runtime environment of `make demo`, which is what a user installs.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

from emotrace.app import measuring
from emotrace.features.faces import make_detector

PEER = "fer"
_PEER_RUN = """
import sys, cv2; from fer.fer import FER
finder, clip = FER(), cv2.VideoCapture(sys.argv[1])
while True:
    there, picture = clip.read()
    if not there: break
    finder.detect_emotions(picture)
"""


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="virtual environment with the runtime alone")
    parser.add_argument("--minutes", type=float, default=30, help="length of the long clip")
    parser.add_argument("--output", type=Path, default=Path("docs/performance.md"))
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    python = str(options.runtime / "bin" / "python")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), python, options.minutes)
    figures["install_megabytes"] = installed_megabytes(options.runtime)
    text = table(figures, options.minutes)
    options.output.write_text(text, encoding="utf-8")
    print(json.dumps(figures, indent=2) if options.json else text)


def measure(folder: Path, python: str, minutes: float) -> dict[str, float]:
    """Return all figures but the size."""
    story, short, long = folder / "story.mp4", folder / "short.mp4", folder / "long.mp4"
    measuring.make_clip(story, 60, python)
    repeat(story, short, 60)
    repeat(story, long, 60 * minutes)
    figures = measuring.speed(short, folder / "short", python)
    whole = measuring.analysis(long, folder / "long", python)
    figures["long_peak_megabytes"] = whole.peak_megabytes
    figures["long_x_real_time"] = 60 * minutes / whole.seconds
    figures |= measuring.start_up(python)
    if importlib.util.find_spec(PEER) is not None:
        peer = measuring.cost(["-c", _PEER_RUN, str(short)], sys.executable)
        figures["peer_x_real_time"] = figures["clip_seconds"] / peer.seconds
    return figures


def repeat(source: Path, target: Path, seconds: float) -> None:
    """Copy the packets of a clip again and again, without coding them anew, until the target is long enough."""
    with av.open(str(target), mode="w") as out:
        with av.open(str(source)) as first:
            streams = {stream.index: out.add_stream_from_template(stream) for stream in first.streams}
            length = Fraction(first.duration or 0, av.time_base)
        last = dict.fromkeys(streams, Fraction(-1))
        begin = Fraction(0)
        while begin < seconds:
            with av.open(str(source)) as again:
                for packet in again.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    decoded = begin + packet.dts * packet.time_base
                    # Where the copies meet, an encoder's lead-in would go back in time.
                    if last[packet.stream_index] < decoded < seconds:
                        last[packet.stream_index] = decoded
                        shift = round(begin / packet.time_base)
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = streams[packet.stream_index]
                        out.mux(packet)
            begin += length


def installed_megabytes(runtime: Path) -> float:
    """Return the size of what `pip install` added to an empty environment, in 10^6 bytes."""
    [packages] = (runtime / "lib").glob("python3*/site-packages")
    own = [entry for entry in packages.iterdir() if not entry.name.startswith(("pip", "setuptools", "pkg_resources"))]
    files = [path for entry in own for path in ([entry] if entry.is_file() else entry.rglob("*")) if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6


def commit() -> str:
    """Return the commit of this tree, marked where files differ from it."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()


def table(figures: dict[str, float], minutes: float) -> str:
    """Return the page with the table, Markdown."""
    growth = figures["long_peak_megabytes"] / figures["peak_megabytes"] - 1
    peer = f"{figures['peer_x_real_time']:.2f}x" if "peer_x_real_time" in figures else "not installed, not measured"
    rows = [
        ("`emotrace analyze`, 1 min of video, csv + json + html", f"{figures['x_real_time']:.1f}x real time"),
        ("the same against decoding alone", f"{figures['x_decode']:.1f} times as long"),
        (f"`emotrace analyze`, {minutes:g} min of video", f"{figures['long_x_real_time']:.1f}x real time"),
        ("peak memory, 1 min of video", f"{figures['peak_megabytes']:.0f} MB"),
        (f"peak memory, {minutes:g} min of video", f"{figures['long_peak_megabytes']:.0f} MB ({growth:+.0%})"),
        ("`import emotrace`", f"{figures['import_seconds']:.2f} s"),
        ("`emotrace --help`", f"{figures['help_seconds']:.2f} s"),
        ("runtime install (`pip install --no-compile`), after this run", f"{figures['install_megabytes']:.0f} MB"),
        (f"peer package `{PEER}`, the same clip", peer),
    ]
    cores = len(os.sched_getaffinity(0))
    return "\n".join(
        [
            "# Performance",
            "",
            f"Written by `make bench` on {time.strftime('%Y-%m-%d')} at commit `{commit()}`: {cores} cores, "
            f"{platform.machine()}, Python {platform.python_version()}, face detector {make_detector('auto').name}.",
            "The clip is the generated one of `emotrace demo`: 640x480, 25 frames per second, H.264 and AAC. Each row",
            "is a process of its own; times include the start of Python.",
            "",
            "| what | measured |",
            "|---|---|",
            *(f"| {what} | {value} |" for what, value in rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()

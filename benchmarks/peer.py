"""The peer `fer` and a clip -> pictures per second of its face search and face network, in an interpreter that has it.

It answers for every picture by itself and does not hear; of emotrace the whole analysis counts, with sound, report and
start of Python. So the ratio is to the peer's favour.
`fer` 25.10 runs beside tensorflow-cpu with "opencv-contrib-python-headless<5" and "setuptools<80".
"""

import json
from pathlib import Path
from typing import Any

from emotrace.app import measuring

NAME = "fer"
SECONDS = 20.0
"""Of the clip that the peer is given: it would take minutes for the whole."""
_RUN = """
import json, sys, time
from importlib.metadata import version
import cv2
from fer.fer import FER
finder, clip = FER(), cv2.VideoCapture(sys.argv[1])
rate, pictures, faces = clip.get(cv2.CAP_PROP_FPS), 0, 0
there, picture = clip.read()
finder.detect_emotions(picture)  # what is made at the first call is no picture's cost
begin = time.perf_counter()
while there and pictures < rate * float(sys.argv[2]):
    faces += bool(finder.detect_emotions(picture))
    pictures += 1
    there, picture = clip.read()
seconds = time.perf_counter() - begin
print(json.dumps(dict(version=version("fer"), pictures=pictures, pictures_with_face=faces, seconds=seconds)))
"""


def measure(clip: Path, python: str) -> dict[str, Any]:
    """Return what the peer took for the first seconds of a clip.

    Args:
        clip: with pictures.
        python: an interpreter that has `fer`.

    Raises:
        EmotraceError: it has not, or failed.
    """
    cost = measuring.cost(["-c", _RUN, str(clip), str(SECONDS)], python)
    found: dict[str, Any] = json.loads(cost.printed.splitlines()[-1])
    speed = found["pictures"] / found["seconds"]
    return {"name": NAME, **found, "pictures_per_second": speed, "peak_megabytes": cost.peak_megabytes}

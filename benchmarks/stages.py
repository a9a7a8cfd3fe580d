"""A clip -> the seconds that each stage of its analysis takes: `python -m benchmarks.stages CLIP OUTPUT` prints JSON.

All in one thread, the decoder too, so that the stages follow each other and their seconds add up to the whole.
Functions of the package are wrapped where they stand; what none of them takes is told as "other".
"""

import argparse
import functools
import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emotrace import media_container
from emotrace.app.inputs import Job
from emotrace.app.job import Task, Wishes, do

START, OTHER = "start of Python, imports, end", "other"
_LAZY = ("emotrace.inference.offline", "emotrace.inference.film_strip", "emotrace.app.growing_csv", "emotrace.report")
"""What the job imports when it needs it: here before the clock of the stages starts."""
STAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "decoding": ("emotrace.media:open_clip", "emotrace.media:Clip.read"),
        "looking for faces": (
            "emotrace.features.faces:HaarDetector.detect",
            "emotrace.features.faces:YuNetDetector.detect",
            "emotrace.features.following:follow",
            "emotrace.features.following:expected_face",
        ),
        "cropping": ("emotrace.features.face_crops:crop_face",),
        "hearing": ("emotrace.features.voice_input:voice_inputs", "emotrace.features.audio_signal:detect_speech"),
        "loading bundle and networks": (
            "emotrace.bundle:load_bundle",
            "emotrace.inference.system_session:open_session",
            "emotrace.features.faces:make_detector",
        ),
        "face network": ("emotrace.inference.session:FaceEncoder.see",),
        "voice network": ("emotrace.inference.session:Voice.hear",),
        "fusion network": ("emotrace.inference.session:Session.run",),
        "rows and tables": (
            "emotrace.timeline:Timeline.concatenate",
            "emotrace.timeline:Timeline.__post_init__",
            "emotrace.timeline:Timeline.summary",
            "emotrace.timeline:find_gaps",
        ),
        "writing csv": ("emotrace.app.growing_csv:GrowingCsv.append", "emotrace.app.growing_csv:GrowingCsv.become"),
        "writing json": ("emotrace.timeline:Timeline.to_json",),
        "thumbnails of the report": (
            "emotrace.inference.film_strip:FilmStrip.see",
            "emotrace.inference.film_strip:FilmStrip.thumbnails",
        ),
        "writing html": ("emotrace.report:write_report",),
        "digest of the input": ("emotrace.app.content:read_content",),
    }
)
"""Stage -> functions by module and name; a function inside another's time counts by itself alone."""
WHOLE = frozenset({"writing csv", "writing json", "writing html"})
"""Stages that keep the time of what they call."""


class Clock:
    """Gives every moment to the stage that was entered last."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing entered."""
        self._now = now
        self._stack = [OTHER]
        self._since = now()
        self.seconds: dict[str, float] = {}

    def settle(self) -> None:
        """Give the time so far to the stage that it was spent in."""
        now = self._now()
        stage = self._stack[-1]
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def within(self, stage: str) -> Iterator[None]:
        """Spend the time of the block in a stage."""
        self.settle()
        self._stack.append(self._stack[-1] if self._stack[-1] in WHOLE else stage)
        try:
            yield
        finally:
            self.settle()
            self._stack.pop()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time given to a stage; of a generator, the making of each item."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            with self.within(stage):
                result = function(*arguments, **options)
            return self._items(stage, result) if inspect.isgenerator(result) else result

        return call

    def _items(self, stage: str, items: Iterator[Any]) -> Iterator[Any]:
        try:
            while True:
                with self.within(stage):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item
        finally:
            items.close()  # type: ignore[attr-defined]


def wrap(clock: Clock) -> None:
    """Time every function of `STAGES`, in this process from now on.

    Raises:
        AttributeError: the package has such a function no more: name it anew in `STAGES`.
    """
    for name in _LAZY:
        importlib.import_module(name)
    for stage, names in STAGES.items():
        for name in names:
            module_name, _, path = name.partition(":")
            module = importlib.import_module(module_name)
            owner_name, _, method = path.rpartition(".")
            if owner_name:
                _wrap_method(getattr(module, owner_name), method, clock, stage)
            else:
                _wrap_function(getattr(module, path), clock, stage)


def _wrap_method(owner: type, name: str, clock: Clock, stage: str) -> None:
    held = inspect.getattr_static(owner, name)
    is_bound = isinstance(held, classmethod)
    timed = clock.timed(stage, held.__func__ if is_bound else held)
    setattr(owner, name, classmethod(timed) if is_bound else timed)


def _wrap_function(function: Callable[..., Any], clock: Clock, stage: str) -> None:
    """Replace it in every module that has it: most import functions by their names."""
    timed = clock.timed(stage, function)
    for module in [each for name, each in sys.modules.items() if name.partition(".")[0] in ("emotrace", __name__)]:
        for name, held in list(vars(module).items()):
            if held is function:
                setattr(module, name, timed)


def analyse(clip: Path, output: Path) -> dict[str, float]:
    """Return stage -> seconds of an analysis with the default results; changes the package in this process.

    Raises:
        SystemExit: the analysis failed.
    """
    media_container.MAX_THREADS = 1
    clock = Clock()
    wrap(clock)
    clock.seconds.clear()
    clock.settle()
    bundle = importlib.import_module("emotrace.bundle").load_bundle("default")
    wishes = Wishes(bundle, ("csv", "json", "html"), num_threads=1)
    outcome = do(Task(Job(clip, output / clip.stem), wishes), lambda sign: None)
    clock.settle()
    if outcome.failure is not None:
        raise SystemExit(outcome.failure)
    return {stage: clock.seconds.get(stage, 0.0) for stage in (*STAGES, OTHER)}


def with_start(stages: Mapping[str, float], whole_seconds: float) -> dict[str, float]:
    """Return the stages with what the process took besides them, so that they add up to the whole."""
    return {START: whole_seconds - sum(stages.values()), **stages}


def main() -> None:
    """Print the stages of one clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("output", type=Path, help="folder of the results")
    options = parser.parse_args()
    stages = analyse(options.clip, options.output)
    print(json.dumps({"stages": stages, "processor_seconds": time.process_time()}))


if __name__ == "__main__":
    main()

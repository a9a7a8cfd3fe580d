"""Windows of sound -> inputs of the voice network, made in a process beside this one.

Features are many small steps that hold Python's lock, so that threads hardly gain from a second core; a process does.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from emotrace.app.serving import end_with_parent
from emotrace.errors import EmotraceError
from emotrace.features.block import described_here
from emotrace.features.voice_input import voice_inputs

if TYPE_CHECKING:
    from emotrace.features.block import Describe
    from emotrace.recipe import AudioRecipe
    from emotrace.types import FloatArray, IntArray

_LEAST_SECONDS = 120.0
"""Of a recording: a shorter one is done before a process has started."""
_OWN_TURN = 5
"""Every fifth block is made here: the process beside would be the slowest of all otherwise."""


def pays_off(source: Path) -> bool:
    """Return whether a recording has sound and is long, as far as it says how long it is."""
    from emotrace.media import open_clip

    try:
        with open_clip(source) as clip:
            return clip.info.has_audio and (clip.info.duration_seconds or 0.0) >= _LEAST_SECONDS
    except EmotraceError:
        return False  # the analysis will say what is wrong with it


@contextmanager
def voice_process() -> Iterator["Describe"]:
    """Yield what begins the inputs in a process that lives as long; where it dies, they are made here."""
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
    turns = count(1)
    pool.submit(int)  # it ends with the thread that starts it, which should not be one that only reads ahead

    def describe(sound: "FloatArray", ends: "IntArray", recipe: "AudioRecipe") -> Callable[[], "FloatArray"]:
        here = described_here(sound, ends, recipe)
        if next(turns) % _OWN_TURN == 0:
            return here
        try:
            made = pool.submit(voice_inputs, sound, ends, recipe)
        except BrokenExecutor:
            return here

        def inputs() -> "FloatArray":
            try:
                return made.result()
            except BrokenExecutor:
                return here()

        return cache(inputs)

    try:
        yield describe
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

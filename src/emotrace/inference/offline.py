"""A media file -> a timeline. What `emotrace analyze` and `emotrace.analyze` run."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

import emotrace
from emotrace.ahead import ahead
from emotrace.bundle import Bundle, load_bundle
from emotrace.errors import MediaError
from emotrace.features.block import Describe, Pending, described_here
from emotrace.features.extract import Source, pending
from emotrace.features.faces import Detector, make_detector
from emotrace.features.sources import ReadingAhead, Watched
from emotrace.inference.rows import Rows
from emotrace.inference.system_session import open_session
from emotrace.media import Clip, VideoFrame, open_clip
from emotrace.timeline import (
    NO_AUDIO_TRACK,
    NO_FACE,
    NO_SPEECH,
    NO_VIDEO_TRACK,
    Gap,
    Metadata,
    Settings,
    Timeline,
    find_gaps,
)
from emotrace.types import BoolArray

NO_EMOTIONS = "the bundle was trained on recordings without labels of emotions, so it gives no probabilities of them"
"""Stands among the problems of a timeline whose emotion columns are empty for this reason."""
NO_WEIGHTS = "the system of this bundle does not weigh voice against face, so their shares are unknown"
"""Likewise of the weights."""
Progress = Callable[[float, float | None], None]
"""Called with the seconds of media done and the duration, None where the file does not say."""
_BLOCKS_AHEAD = 1
_BLOCK_SECONDS = 5.0
_SOUND_BLOCK_SECONDS = 30.0
"""Without pictures a block is done in a moment, and every block hears three seconds again."""
OnPart = Callable[[Timeline], None]
"""Called with the rows of every block as soon as they are known; joined, they are the rows of the whole."""


def analyze(
    path: str | Path,
    *,
    bundle: str | Path | Bundle = "default",
    only: Literal["voice", "face"] | None = None,
    people: Literal["main", "all"] = "main",
    detector: Literal["auto", "yunet", "haar"] | None = None,
    progress: Progress | None = None,
    on_part: OnPart | None = None,
    watch: Callable[[VideoFrame], None] | None = None,
    num_threads: Literal[1] | None = None,
    describe: Describe = described_here,
) -> Timeline:
    """Analyse a media file and return its timeline.

    Args:
        path: video, audio or silent video.
        bundle: a name in the package, a folder, or a loaded bundle.
        only: leave the other modality out altogether.
        people: whose traces: the main person's, a row for each tick; or everybody's, a row for each tick and person
            who is seen at it, and under -1 a voice that comes from nobody visible.
        detector: instead of the recipe's.
        progress: told after every block.
        on_part: given the rows of every block; the problems, gaps and classes of the whole are not known yet in its
            metadata, and its duration is the time so far.
        watch: shown every picture that is looked at, in order of time; it must not keep them.
        num_threads: 1 does all in the thread of the caller, as is best where other recordings keep the other cores
            busy; with None decoding, features and networks run side by side. The rows do not depend on it.
        describe: makes the inputs of the voice network, here or elsewhere.

    Raises:
        MediaError: the file cannot be read, or has not what `only` asks for.
        BundleError: the bundle is missing or damaged.
    """
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    if only == "voice":
        people = "main"
    finder = None if only == "voice" else make_detector(detector or loaded.recipe.video.detector)
    with ExitStack() as stack:
        clip = stack.enter_context(open_clip(Path(path)))
        _check(clip, only)
        provisional = Metadata(
            source=Path(path).name,
            duration_seconds=0.0,
            bundle=loaded.manifest.name,
            bundle_digest=loaded.digest,
            emotrace_version=emotrace.__version__,
            settings=Settings(
                detector=finder.name if finder else "none",
                only=only,
                recipe_digest=loaded.recipe.digest(),
                label_rate_hz=loaded.recipe.label_rate_hz,
                people=people,
            ),
        )
        source = clip if watch is None else Watched(clip, watch)
        blocks = stack.enter_context(closing(_blocks(source, loaded, finder, only, people, num_threads, describe)))
        rows = Rows(open_session(loaded, num_threads=1), provisional)  # while the first block is made
        for persons in blocks:
            part = rows.add([features() for features in persons])
            if on_part is not None:
                on_part(part)
            if progress is not None:
                progress(float(part["time"][-1]), clip.info.duration_seconds)
        whole = rows.whole()
        duration = _duration(clip, whole)
        metadata = replace(
            provisional,
            duration_seconds=duration,
            problems=(*clip.problems, *_what_is_not_told(loaded, whole)),
            gaps=_gaps(clip, whole, rows.speech(), duration),
            clip_probabilities=rows.classes(),
        )
    return Timeline(whole.columns, metadata)


def _what_is_not_told(bundle: Bundle, rows: Timeline) -> list[str]:
    said, weighed = (bool(np.isfinite(rows[name]).any()) for name in ("arousal", "audio_weight"))
    untold = [] if bundle.manifest.tells_emotions else [NO_EMOTIONS]
    return [*untold, NO_WEIGHTS] if said and not weighed else untold


def _blocks(
    source: Source,
    bundle: Bundle,
    finder: Detector | None,
    only: str | None,
    people: Literal["main", "all"],
    num_threads: int | None,
    describe: Describe,
) -> Generator[tuple[Pending, ...], None, None]:
    """Yield what gives the features of whoever is followed; decoding and looking are done ahead of whoever asks."""
    if num_threads != 1:
        source = ReadingAhead(source)
    seen = finder is not None and source.info.has_video
    blocks = pending(
        source,
        bundle.recipe,
        finder,
        people=people if finder is not None else "main",
        hear=only != "face",
        block_seconds=_BLOCK_SECONDS if seen else _SOUND_BLOCK_SECONDS,
        describe=describe,
    )
    return blocks if num_threads == 1 else ahead(blocks, _BLOCKS_AHEAD)


def _check(clip: Clip, only: str | None) -> None:
    if only == "voice" and not clip.info.has_audio:
        raise MediaError(f"{clip.info.path.name} has no audio track, but only the voice was asked for.")
    if only == "face" and not clip.info.has_video:
        raise MediaError(f"{clip.info.path.name} has no video track, but only the face was asked for.")


def _duration(clip: Clip, rows: Timeline) -> float:
    """Return what the file says of itself, or where the ticks end if it says nothing or less than the last tick."""
    declared = clip.info.duration_seconds
    if declared is not None and declared > rows["time"][-1]:
        return declared
    return rows.metadata.duration_seconds


def _gaps(clip: Clip, rows: Timeline, speech: BoolArray, duration: float) -> tuple[Gap, ...]:
    settings = rows.metadata.settings
    starts = np.flatnonzero(np.diff(rows["time"], prepend=-np.inf))  # several people share a tick
    gaps: list[Gap] = []
    for has, left_out, present, track, kind in (
        (clip.info.has_audio, settings.only == "face", speech, NO_AUDIO_TRACK, NO_SPEECH),
        (clip.info.has_video, settings.only == "voice", rows["face_detected"], NO_VIDEO_TRACK, NO_FACE),
    ):
        if left_out:
            continue
        if not has:
            gaps.append(Gap(track, 0.0, duration))
        else:
            anybody = _closed(np.logical_or.reduceat(present, starts), settings.label_rate_hz)
            gaps += find_gaps(rows["time"][starts], anybody, kind, settings.label_rate_hz)
    return tuple(gaps)


_SHORT_GAP_SECONDS = 0.3
"""Pauses between words and blinks of a detector are no gaps worth a mark."""


def _closed(present: BoolArray, rate_hz: float) -> BoolArray:
    """Return the mask with absences shorter than 0.3 s filled."""
    longest = round(_SHORT_GAP_SECONDS * rate_hz)
    padded = np.concatenate([[True], present, [True]])
    edges = np.diff(padded.astype(np.int8))
    out = present.copy()
    for start, stop in zip(np.flatnonzero(edges == -1), np.flatnonzero(edges == 1), strict=True):
        if stop - start < longest:
            out[start:stop] = True
    return out

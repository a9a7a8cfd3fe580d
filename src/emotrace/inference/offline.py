"""A media file -> a timeline. What `emotrace analyze` and `emotrace.analyze` run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

import emotrace
from emotrace.bundle import Bundle, load_bundle
from emotrace.errors import MediaError
from emotrace.features.extract import extract
from emotrace.features.faces import Detector, make_detector
from emotrace.inference.session import Estimates, Session
from emotrace.inference.system_session import SystemSession, open_session
from emotrace.labels import EMOTIONS
from emotrace.media import Clip, open_clip
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
from emotrace.types import BoolArray, Features

NO_EMOTIONS = "the bundle was trained on recordings without labels of emotions, so it gives no probabilities of them"
"""Stands among the problems of a timeline whose emotion columns are empty for this reason."""
NO_WEIGHTS = "the system of this bundle does not weigh voice against face, so their shares are unknown"
"""Likewise of the weights."""
Progress = Callable[[float, float | None], None]
"""Called with the seconds of media done and the duration, None where the file does not say."""


def analyze(
    path: str | Path,
    *,
    bundle: str | Path | Bundle = "default",
    only: Literal["voice", "face"] | None = None,
    detector: Literal["auto", "yunet", "haar"] | None = None,
    progress: Progress | None = None,
) -> Timeline:
    """Analyse a media file and return its timeline.

    Args:
        path: video, audio or silent video.
        bundle: a name in the package, a folder, or a loaded bundle.
        only: leave the other modality out altogether.
        detector: instead of the recipe's.
        progress: told after every block.

    Raises:
        MediaError: the file cannot be read, or has not what `only` asks for.
        BundleError: the bundle is missing or damaged.
    """
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    session = open_session(loaded)
    finder = None if only == "voice" else make_detector(detector or loaded.recipe.video.detector)
    with open_clip(Path(path)) as clip:
        _check(clip, only)
        blocks, estimates, classes = _run(clip, session, finder, only, progress)
        settings = Settings(
            detector=finder.name if finder else "none",
            only=only,
            recipe_digest=loaded.recipe.digest(),
            label_rate_hz=loaded.recipe.label_rate_hz,
        )
        joined = Features.concatenate(blocks)
        duration = _duration(clip, joined, loaded.recipe.label_rate_hz)
        metadata = Metadata(
            source=Path(path).name,
            duration_seconds=duration,
            bundle=loaded.manifest.name,
            bundle_digest=loaded.digest,
            emotrace_version=emotrace.__version__,
            settings=settings,
            problems=(*clip.problems, *_what_is_not_told(loaded, estimates)),
            gaps=_gaps(clip, joined, settings, duration),
            clip_probabilities=classes,
        )
    return Timeline(_columns(joined, estimates), metadata)


def _what_is_not_told(bundle: Bundle, estimates: list[Estimates]) -> list[str]:
    said = any(np.isfinite(part.arousal).any() for part in estimates)
    weighed = any(np.isfinite(part.audio_weight).any() for part in estimates)
    untold = [] if bundle.manifest.tells_emotions else [NO_EMOTIONS]
    return [*untold, NO_WEIGHTS] if said and not weighed else untold


def _check(clip: Clip, only: str | None) -> None:
    if only == "voice" and not clip.info.has_audio:
        raise MediaError(f"{clip.info.path.name} has no audio track, but only the voice was asked for.")
    if only == "face" and not clip.info.has_video:
        raise MediaError(f"{clip.info.path.name} has no video track, but only the face was asked for.")


def _run(
    clip: Clip,
    session: Session | SystemSession,
    finder: Detector | None,
    only: str | None,
    progress: Progress | None,
) -> tuple[list[Features], list[Estimates], dict[str, float]]:
    """Return per block what is known at the ticks (without the network inputs, which are large) and the estimates.

    At last come the classes of the whole, of a bundle that tells them.
    """
    blocks: list[Features] = []
    estimates: list[Estimates] = []
    state: Any = session.initial_state()  # each kind of session has its own, which nobody else looks into
    for features in extract(clip, session.bundle.recipe, finder, hear=only != "face"):
        found, state = session.run(features, state)
        estimates.append(found)
        blocks.append(features.without_inputs())
        if progress is not None:
            progress(float(features.times[-1]), clip.info.duration_seconds)
    return blocks, estimates, session.classes(state)


def _duration(clip: Clip, features: Features, rate_hz: float) -> float:
    """Return what the file says of itself, or where the ticks end if it says nothing or less than the last tick."""
    declared = clip.info.duration_seconds
    if declared is not None and declared > features.times[-1]:
        return declared
    return float(features.times[-1] + 1 / rate_hz)


def _gaps(clip: Clip, features: Features, settings: Settings, duration: float) -> tuple[Gap, ...]:
    gaps: list[Gap] = []
    for has, left_out, present, track, kind in (
        (clip.info.has_audio, settings.only == "face", features.speech, NO_AUDIO_TRACK, NO_SPEECH),
        (clip.info.has_video, settings.only == "voice", features.face_detected, NO_VIDEO_TRACK, NO_FACE),
    ):
        if left_out:
            continue
        if not has:
            gaps.append(Gap(track, 0.0, duration))
        else:
            gaps += find_gaps(features.times, _closed(present, settings.label_rate_hz), kind, settings.label_rate_hz)
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


def _columns(features: Features, estimates: list[Estimates]) -> dict[str, np.ndarray]:
    def gathered(name: str) -> np.ndarray:
        parts = [getattr(part, name) for part in estimates]
        width = (0, len(EMOTIONS)) if name == "emotions" else (0,)
        return np.concatenate(parts) if parts else np.zeros(width, dtype=np.float32)

    emotions, audio_weight = gathered("emotions"), gathered("audio_weight")
    return {
        "time": features.times,
        "person": features.person,
        "arousal": gathered("arousal"),
        "valence": gathered("valence"),
        **{emotion: emotions[:, place] for place, emotion in enumerate(EMOTIONS)},
        "audio_weight": audio_weight,
        "video_weight": 1 - audio_weight,
        "speech_energy": features.speech_energy,
        "face_detected": features.face_detected,
        "face_confidence": features.face_confidence,
        **{f"face_{name}": features.face_box[:, place] for place, name in enumerate(("x", "y", "width", "height"))},
    }

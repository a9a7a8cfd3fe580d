"""How the mouths of the visible people move, and the voice -> who of them speaks, or that nobody visible does.

A speaker's mouth moves while there is sound and rests while there is none. How well the two agree is judged over the
last two seconds, recent moments counting more, together with how much the mouth moves during speech.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emotrace.types import BoolArray, FloatArray, Image

_SIDE = 48
_UPPER = (0.12, 0.52, 0.15, 0.85)
_MOUTH = (0.62, 0.95, 0.22, 0.78)
"""Top, bottom, left and right of eyes and mouth in the crop."""
_MAX_SHIFT = 2
_MIN_CONTRAST = 8.0

MEMORY_SECONDS = 2.0
_MAX_PICTURES = 256
"""In memory: at more than 128 pictures a second it is shorter."""
_FADING_SECONDS = 0.5
_SMOOTHING_SECONDS = 0.12
_GLIMPSE_SECONDS = 0.3
"""A face unseen for less is still there."""
_PAUSE_SECONDS = 0.5
"""Silence up to which somebody goes on speaking."""
_CHANGE_SECONDS = 0.4
"""For how long another answer has to be better before it is given."""

_CALM = 0.003
_LIVELY = 0.015
"""Motion of a mouth that rests, by noise alone, and of one that speaks."""
_AGREEMENT_WEIGHT = 5.0
_AGREEMENT_WEIGHT_ALONE = 1.0
"""Within continuous speech a real mouth agrees faintly: that decides between people, hardly about one alone."""
_MOTION_WEIGHT = 1.5
_ALONE = 1.0
"""Evidence that whoever is alone in the picture speaks, against a voice from elsewhere."""
_ELSEWHERE = -1.5
"""Evidence for a voice from elsewhere: it has to be beaten by a mouth that is hardly more than still."""
_DOUBT = 4.0
"""Pictures by which an agreement is held back: of few pictures it says little."""


def mouth_motion(previous: Image, crop: Image) -> float:
    """Return how much more the mouth changes than the eyes and brows do, in deviations of the crop's grey.

    Both crops are standardised, which takes out flicker, and laid onto each other by the upper half of the face, which
    takes out motion of the head. About 0.1 while somebody speaks; about 0 otherwise, also slightly below.

    Args:
        previous: [size, size] grey crop of the same person, of the picture before.
        crop: [size, size] grey.
    """
    before, after = _standardised(previous), _standardised(crop)
    upper = _changes(before, after, _UPPER)
    best = int(upper.argmin())
    return float(_changes(before, after, _MOUTH)[best] - upper[best])


def _standardised(crop: Image) -> FloatArray:
    step = max(1, len(crop) // _SIDE)
    grey = crop[::step, ::step].astype(np.float32)
    return np.asarray((grey - grey.mean()) / max(float(grey.std()), _MIN_CONTRAST))


def _changes(before: FloatArray, after: FloatArray, region: tuple[float, float, float, float]) -> FloatArray:
    """Return [shifts] mean absolute changes of a region, for every shift of the picture before."""
    top, bottom, left, right = (round(share * len(after)) for share in region)
    shift = _MAX_SHIFT if len(after) >= 20 * _MAX_SHIFT else 1  # the mouth is near the edge of the crop
    area = before[top - shift : bottom + shift, left - shift : right + shift]
    shifted = np.lib.stride_tricks.sliding_window_view(area, (bottom - top, right - left))
    return np.asarray(np.abs(shifted - after[top:bottom, left:right]).mean(axis=(2, 3)).reshape(-1))


@dataclass(frozen=True)
class Speaking:
    """What `who_speaks` carries from picture to picture, K of them.

    Attributes:
        times: [K] seconds of media time.
        loudness: [K] smoothed.
        speech: [K].
        motion: person -> [K] smoothed; NaN where not seen.
        speaker: who speaks, or spoke last; None: nobody visible.
        rival: another answer that is the better one at present.
        rival_since: media time since when; NaN while there is none.
        spoken_seconds: media time of the last speech.
        is_decided: whether anybody visible has spoken so far: the first one is believed at once if alone.
    """

    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    loudness: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    speech: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))
    motion: dict[int, FloatArray] = field(default_factory=dict)
    speaker: int | None = None
    rival: int | None = None
    rival_since: float = math.nan
    spoken_seconds: float = -math.inf
    is_decided: bool = False


@dataclass(frozen=True)
class Voices:
    """Who speaks at a time.

    Attributes:
        probability: person -> 0..1 for everybody visible; the rest to 1 is a voice from elsewhere. All 0 in silence.
        speaker: whose turn it is; None in silence and while nobody visible speaks.
    """

    probability: dict[int, float]
    speaker: int | None


def who_speaks(
    state: Speaking, motions: dict[int, float], energy: float, speech: bool, time_seconds: float
) -> tuple[Speaking, Voices]:
    """Say who of the visible people speaks.

    Causal and deterministic. The speaker changes only after 0.4 s of better evidence, the probabilities at once.

    Args:
        state: of the picture before; `Speaking()` at the start.
        motions: person -> `mouth_motion` since the picture before; NaN for somebody who was not in that one.
        energy: 0..1 of the voice since the picture before, see `audio_signal.Speech`.
        speech: whether there was speech since then.
        time_seconds: media time of the picture, after that of the state.
    """
    state = _with(state, motions, energy, speech, time_seconds)
    if speech:
        state = replace(state, spoken_seconds=time_seconds)
    if time_seconds - state.spoken_seconds > _PAUSE_SECONDS:
        return replace(state, rival_since=math.nan), Voices(dict.fromkeys(motions, 0.0), None)
    visible = [person for person, motion in state.motion.items() if _is_visible(motion, state.times)]
    probability = _probabilities(state, visible)
    if speech:
        state = _decided(state, probability)
    return state, Voices(probability, state.speaker if state.speaker in probability else None)


def _with(state: Speaking, motions: dict[int, float], energy: float, speech: bool, time_seconds: float) -> Speaking:
    times = np.append(state.times, time_seconds)
    start = max(int(np.searchsorted(times, time_seconds - MEMORY_SECONDS)), len(times) - _MAX_PICTURES)
    kept = math.exp(-(time_seconds - state.times[-1]) / _SMOOTHING_SECONDS) if len(state.times) else 0.0
    loud = math.sqrt(max(energy, 0.0))
    if len(state.loudness):
        loud = kept * float(state.loudness[-1]) + (1 - kept) * loud
    nothing = np.full(len(state.times), np.nan, np.float32)
    motion = {}
    for person in sorted(state.motion.keys() | motions.keys()):
        before = state.motion.get(person, nothing)
        new = motions.get(person, math.nan)
        last = float(before[-1]) if len(before) else math.nan
        smooth = new if math.isnan(last) else kept * last + (1 - kept) * new
        history = np.append(before, np.float32(smooth))[start:]
        if person in motions or not np.isnan(history).all():
            motion[person] = history
    loudness = np.append(state.loudness, np.float32(loud))[start:]
    return replace(
        state, times=times[start:], loudness=loudness, speech=np.append(state.speech, speech)[start:], motion=motion
    )


def _is_visible(motion: FloatArray, times: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(motion[np.searchsorted(times, times[-1] - _GLIMPSE_SECONDS) :]).any())


def _probabilities(state: Speaking, visible: list[int]) -> dict[int, float]:
    if not visible:
        return {}
    weight = _AGREEMENT_WEIGHT if len(visible) > 1 else _AGREEMENT_WEIGHT_ALONE
    evidence = _evidence(state, np.stack([state.motion[person] for person in visible]), weight)
    odds = np.exp(evidence + (_ALONE if len(visible) == 1 else 0.0))
    shares = odds / (odds.sum() + math.exp(_ELSEWHERE))
    return dict(zip(visible, shares.tolist(), strict=True))


def _evidence(state: Speaking, motion: FloatArray, agreement_weight: float) -> NDArray[np.float64]:
    """Return [P] log odds, by agreement and by how much a mouth moves during speech."""
    seen = np.isfinite(motion)
    moved = np.where(seen, np.maximum(motion, 0), 0).astype(np.float64)
    weight = seen * np.exp((state.times - state.times[-1]) / _FADING_SECONDS)
    during = weight * state.speech
    level = (during * moved).sum(axis=1) / np.maximum(during.sum(axis=1), 1e-9)
    lively = np.clip(np.log((level + _CALM) / (_LIVELY + _CALM)), -2, 0.7) * (during.sum(axis=1) > 0)
    agreement = _agreement(np.sqrt(moved), state.loudness, weight)
    return np.asarray(agreement_weight * agreement + _MOTION_WEIGHT * lively)


def _agreement(motion: NDArray[np.float64], loudness: FloatArray, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [P] weighted correlations of motion [P, K] and loudness [K], drawn to 0 where there are few pictures."""
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    share = weight / total
    across = motion - (share * motion).sum(axis=1, keepdims=True)
    along = loudness - (share * loudness).sum(axis=1, keepdims=True)
    covariance = (share * across * along).sum(axis=1)
    # A floor under both deviations: what hardly varies agrees with nothing.
    spread = np.sqrt(((share * across**2).sum(axis=1) + 1e-3) * ((share * along**2).sum(axis=1) + 1e-3))
    pictures = total[:, 0] ** 2 / np.maximum((weight**2).sum(axis=1), 1e-9)
    return np.asarray(covariance / spread * pictures / (pictures + _DOUBT))


def _decided(state: Speaking, probability: dict[int, float]) -> Speaking:
    elsewhere = 1.0 - sum(probability.values())
    best = max(probability, key=lambda person: (probability[person], -person), default=None)
    if best is not None and probability[best] < elsewhere:
        best = None
    if best == state.speaker:
        return replace(state, rival_since=math.nan)
    now = float(state.times[-1])
    since = state.rival_since if best == state.rival and not math.isnan(state.rival_since) else now
    if now - since >= _CHANGE_SECONDS - 1e-6 or (len(probability) == 1 and not state.is_decided):
        return replace(state, speaker=best, rival_since=math.nan, is_decided=True)
    return replace(state, rival=best, rival_since=since)

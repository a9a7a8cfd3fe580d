"""A story of moods -> a talking clip with sound and the trace that it was made from.

Nothing in the clip is recorded: `demo_face` draws the head, `demo_voice` makes the voice. For a while a card stands
where the face was, and for a while nothing is said, so that an analysis shows what it does with a missing modality.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace.demo_face import Expression, HeadPainter, mix
from emotrace.demo_voice import Mood, babble
from emotrace.errors import SettingsError
from emotrace.images import draw_text, overlay, text_width
from emotrace.labels import CIRCUMPLEX
from emotrace.media_writer import ClipWriter
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray, Image

_STORY_SECONDS = 24.0
_STORY = ((0.0, "neutral"), (3.5, "happiness"), (10.0, "surprise"), (14.0, "sadness"), (19.0, "anger"))
"""When each emotion starts to come."""
_CHANGE_SECONDS = 1.2
_NO_FACE = (9.0, 12.0)
_NO_SPEECH = (17.0, 20.0)
_LOUD = 0.14
"""Root mean square of a vowel, at which the mouth is wide open."""
_MIN_SIDE, _MAX_SIDE = 64, 4096


@dataclass(frozen=True, eq=False)
class DemoTruth:
    """What the clip was made from.

    Attributes:
        times: [T] seconds of every picture.
        arousal: [T] in [-1, 1], by the coordinates in `labels.CIRCUMPLEX`.
        valence: [T] in [-1, 1], likewise.
        emotion: [T] the emotion that weighs most.
        no_face: seconds [start, end) in which a card is shown.
        no_speech: seconds [start, end) in which nothing is said.
    """

    times: NDArray[np.float64]
    arousal: FloatArray
    valence: FloatArray
    emotion: tuple[str, ...]
    no_face: tuple[float, float]
    no_speech: tuple[float, float]


def make_demo(
    path: Path,
    *,
    seconds: float = _STORY_SECONDS,
    size: tuple[int, int] = (640, 480),
    frame_rate: float = 25,
    seed: int = 0,
) -> DemoTruth:
    """Write an mp4 file of a drawn person who babbles; the same arguments give the same pictures and sound.

    The story of 24 s is stretched or squeezed to the length asked for. Memory does not grow with the length.

    Args:
        path: of the mp4 file; an existing file is replaced at the end.
        seconds: length of the clip.
        size: width and height in pixels.
        frame_rate: pictures per second.
        seed: of the choice of syllables.

    Raises:
        SettingsError: the length, the size or the frame rate is out of range.
        MediaError: the file cannot be written.
    """
    width, height = size
    if not (0 < seconds < math.inf and 1 <= frame_rate <= 120 and _MIN_SIDE <= min(size) <= max(size) <= _MAX_SIDE):
        raise SettingsError(
            f"A clip of {seconds} s, {width}x{height} pixels and {frame_rate} pictures per second cannot be made; "
            f"expected more than 0 s, {_MIN_SIDE} to {_MAX_SIDE} pixels a side and 1 to 120 pictures per second."
        )
    stretch = seconds / _STORY_SECONDS
    truth = _truth(np.arange(max(1, round(seconds * frame_rate))) / frame_rate, stretch)
    speech = babble(lambda time: _mood(time / stretch), truth.no_speech, seed)
    stage = _Stage(width, height)
    mouth_open = 0.0
    with ClipWriter(path, width=width, height=height, frame_rate=frame_rate, sample_rate=SAMPLE_RATE) as writer:
        for time, samples in zip(truth.times.tolist(), _per_picture(speech, frame_rate, len(truth.times)), strict=True):
            loudness = min(1.0, float(np.sqrt(np.mean(samples**2))) / _LOUD)
            mouth_open += 0.6 * (loudness - mouth_open)
            no_face = truth.no_face[0] <= time < truth.no_face[1]
            picture = stage.card if no_face else stage.portrait(time, time / stretch, mouth_open)
            writer.write_frame(time, picture)
            writer.write_audio(samples)
    return truth


def _truth(times: NDArray[np.float64], stretch: float) -> DemoTruth:
    weights = [_weights(time) for time in (times / stretch).tolist()]
    moods = [_mean_mood(each) for each in weights]
    return DemoTruth(
        times=times,
        arousal=np.array([mood.arousal for mood in moods], np.float32),
        valence=np.array([mood.valence for mood in moods], np.float32),
        emotion=tuple(max(each, key=each.__getitem__) for each in weights),
        no_face=(_NO_FACE[0] * stretch, _NO_FACE[1] * stretch),
        no_speech=(_NO_SPEECH[0] * stretch, _NO_SPEECH[1] * stretch),
    )


def _weights(story_seconds: float) -> dict[str, float]:
    """Return how much of each emotion there is; the weights sum to 1."""
    come = [_smooth_step((story_seconds - start) / _CHANGE_SECONDS) for start, _ in _STORY[1:]]
    shares = [before - after for before, after in pairwise([1.0, *come, 0.0])]
    return {emotion: share for (_, emotion), share in zip(_STORY, shares, strict=True)}


def _mood(story_seconds: float) -> Mood:
    return _mean_mood(_weights(story_seconds))


def _mean_mood(weights: dict[str, float]) -> Mood:
    return Mood(
        arousal=sum(weight * CIRCUMPLEX[emotion].arousal for emotion, weight in weights.items()),
        valence=sum(weight * CIRCUMPLEX[emotion].valence for emotion, weight in weights.items()),
    )


def _smooth_step(progress: float) -> float:
    step = min(1.0, max(0.0, progress))
    return step * step * (3 - 2 * step)


def _per_picture(speech: Iterator[FloatArray], frame_rate: float, num_pictures: int) -> Iterator[FloatArray]:
    """Yield the samples that sound while each picture is shown."""
    waiting = np.zeros(0, np.float32)
    for index in range(num_pictures):
        count = round((index + 1) / frame_rate * SAMPLE_RATE) - round(index / frame_rate * SAMPLE_RATE)
        while len(waiting) < count:
            waiting = np.concatenate([waiting, next(speech)])
        yield waiting[:count]
        waiting = waiting[count:]


class _Stage:
    """Pictures of one size: the person before a background, and the card."""

    def __init__(self, width: int, height: int) -> None:
        scale = min(0.22 * height, 0.20 * width)
        self._painter = HeadPainter(scale)
        self._centre = (0.5 * width, 0.45 * height)
        self._scale = scale
        self._background = _soft_background(width, height)
        self.card = _card(width, height)

    def portrait(self, seconds: float, story_seconds: float, mouth_open: float) -> Image:
        """Return the person [height, width, 3].

        Args:
            seconds: media time, of the blinking and the movements of the head.
            story_seconds: time in the story, of the expression.
            mouth_open: 0..1, by the loudness of the voice.
        """
        expression = _speaking(mix(_weights(story_seconds)), mouth_open, seconds)
        picture = self._painter.paint(expression, gaze=0.02 * math.sin(0.9 * seconds) * math.sin(0.37 * seconds))
        roll = math.radians(2.0) * math.sin(0.8 * seconds) + math.radians(0.8) * math.sin(2.3 * seconds)
        x = self._centre[0] + 0.10 * self._scale * math.sin(0.55 * seconds)
        y = self._centre[1] + self._scale * (0.03 * math.sin(1.1 * seconds) + 0.03 * mouth_open)
        cosine, sine = math.cos(roll), math.sin(roll)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        shift = np.array([x, y]) - turn @ np.array(self._painter.origin)
        placement = np.column_stack([turn, shift]).astype(np.float32)
        return overlay(self._background, picture, self._painter.alpha, placement)


def _speaking(expression: Expression, mouth_open: float, seconds: float) -> Expression:
    """Return the expression with the mouth moved by the voice, and with a blink every few seconds."""
    lids = 1 - math.exp(-((((seconds % 3.7) - 2.1) / 0.07) ** 2))
    return replace(
        expression,
        jaw=min(0.30, expression.jaw + 0.15 * mouth_open),
        mouth_width=expression.mouth_width * (1 - 0.08 * mouth_open),
        upper_lip=expression.upper_lip + 0.02 * mouth_open,
        upper_lid=expression.upper_lid * lids,
        inner_brow=expression.inner_brow + 0.015 * mouth_open,
        outer_brow=expression.outer_brow + 0.015 * mouth_open,
    )


def _soft_background(width: int, height: int) -> Image:
    """Return a wall out of focus: a gradient with a few blurred lights."""
    x, y = np.arange(width) / width, np.arange(height)[:, None] / height
    picture = np.array([214.0, 218.0, 220.0]) - np.array([70.0, 62.0, 52.0]) * (0.7 * y + 0.3 * x)[..., None]
    for centre_x, centre_y, radius in (
        (0.10, 0.25, 0.10),
        (0.90, 0.18, 0.13),
        (0.82, 0.62, 0.08),
        (0.16, 0.66, 0.06),
    ):
        distance = np.hypot(x - centre_x, (y - centre_y) * height / width) / radius
        glow = 0.35 / (1 + np.exp((distance - 1) * 14))
        picture += glow[..., None] * (np.array([252.0, 240.0, 214.0]) - picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _card(width: int, height: int) -> Image:
    """Return what is shown while there is no face."""
    y = np.arange(height)[:, None, None] / height
    picture = np.broadcast_to(np.array([58.0, 74.0, 92.0]) - 24 * y, (height, width, 3)).astype(np.uint8, order="C")
    text, letters = "voice only", height / 16
    position = (round((width - text_width(text, letters)) / 2), round((height + letters) / 2))
    draw_text(picture, text, position, letters, (226, 232, 238))
    return picture

"""Emotion names, and the arousal and valence that emotrace takes to stand for them.

There is no continuous arousal and valence corpus behind the default bundle. Its arousal and valence are a
**proxy**: the published mean ratings of the emotion words, applied to categorical labels.

Source: J. A. Russell and A. Mehrabian, "Evidence for a three-factor theory of emotions", Journal of Research in
Personality 11 (1977) 273-294, table 4 (151 emotion terms rated for pleasure, arousal and dominance in [-1, 1]).
Pleasure is what the field now calls valence. Two rows are not in that table under their own name: neutral is the
origin of the scales, and contempt is taken as the midpoint of anger and disgust, between which theory places it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from types import MappingProxyType

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")
"""The emotion columns of every timeline, in this order."""

VOICE_CLASSES = (*EMOTIONS, "calm")
"""What a voice branch tells apart: the eight emotions and RAVDESS's calm, which a timeline counts as neutral."""


@dataclass(frozen=True)
class Circumplex:
    """A point of the valence-arousal plane; both coordinates in [-1, 1]."""

    valence: float
    arousal: float


CIRCUMPLEX: Mapping[str, Circumplex] = MappingProxyType(
    {
        "anger": Circumplex(-0.51, 0.59),  # "angry"
        "disgust": Circumplex(-0.60, 0.35),  # "disgusted"
        "fear": Circumplex(-0.64, 0.60),  # "fearful"
        "happiness": Circumplex(0.81, 0.51),  # "happy"
        "sadness": Circumplex(-0.63, -0.27),  # "sad"
        "surprise": Circumplex(0.40, 0.67),  # "surprised"
        "neutral": Circumplex(0.0, 0.0),  # the origin, by definition
        "contempt": Circumplex(-0.555, 0.47),  # midpoint of anger and disgust, ours
    }
)
"""Valence and arousal of each emotion: a proxy, see the file's docstring for the source."""

RAVDESS_CODES: Mapping[str, str] = MappingProxyType(
    {
        "01": "neutral",
        "02": "calm",
        "03": "happiness",
        "04": "sadness",
        "05": "anger",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    }
)
NEMO_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "neutral": "neutral",
        "sadness": "sadness",
        "anger": "anger",
        "happiness": "happiness",
        "fear": "fear",
        "surprised": "surprise",
    }
)
EMOGATOR_CODES: Mapping[str, str] = MappingProxyType(
    {
        "02": "happiness",  # amusement
        "03": "anger",
        "06": "contempt",
        "10": "disgust",
        "15": "fear",
        "18": "neutral",
        "24": "sadness",
        "27": "surprise",  # negative surprise
        "28": "surprise",  # positive surprise
    }
)
FERPLUS_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)
"""The emotions of FER+ in the order of its label file; two more columns count "unknown" and "not a face"."""

_SAME_AS: Mapping[str, str] = MappingProxyType({"calm": "neutral", "joy": "happiness", "excitement": "happiness"})

POLARITY: Mapping[str, int] = MappingProxyType(
    {
        "anger": -1,
        "disgust": -1,
        "fear": -1,
        "sadness": -1,
        "contempt": -1,
        "frustration": -1,
        "happiness": 1,
        "joy": 1,
        "excitement": 1,
        "surprise": 1,
        "anticipation": 1,
        "trust": 1,
        "neutral": 0,
        "calm": 0,
    }
)
"""Positive (1), negative (-1) or neither (0), for every class of every corpus.

The eight of VideoEmotion-8 are as in the code of VAANet (Zhao et al., AAAI 2020); the others are ours.
"""


def timeline_emotion(label: str) -> str | None:
    """Return the emotion of a timeline that a class of any corpus counts as; None where there is none."""
    label = _SAME_AS.get(label, label)
    return label if label in EMOTIONS else None


def class_points(classes: Sequence[str]) -> tuple[tuple[float, float], ...]:
    """Return arousal and valence, in this order, that stand for each class of any corpus.

    Args:
        classes: their names; one without coordinates has NaN twice.
    """
    places = [CIRCUMPLEX.get(timeline_emotion(name) or "") for name in classes]
    return tuple((nan, nan) if place is None else (place.arousal, place.valence) for place in places)


def fold_calm(label: str) -> str:
    """Return the timeline's emotion for a voice class: calm counts as neutral, all others as themselves."""
    return "neutral" if label == "calm" else label

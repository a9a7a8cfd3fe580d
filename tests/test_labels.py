"""The labels: every corpus code has a class, every class a place, and the published ratings are as printed."""

import pytest

from emotrace.labels import (
    CIRCUMPLEX,
    EMOGATOR_CODES,
    EMOTIONS,
    FERPLUS_COLUMNS,
    NEMO_NAMES,
    RAVDESS_CODES,
    VOICE_CLASSES,
    fold_calm,
)


def test_every_emotion_has_a_point_and_no_other_has() -> None:
    assert list(CIRCUMPLEX) == list(EMOTIONS)
    assert all(-1 <= each <= 1 for point in CIRCUMPLEX.values() for each in (point.valence, point.arousal))


@pytest.mark.parametrize(
    ("emotion", "valence", "arousal"),
    # Russell and Mehrabian 1977, table 4: angry, disgusted, fearful, happy, sad, surprised.
    [
        ("anger", -0.51, 0.59),
        ("disgust", -0.60, 0.35),
        ("fear", -0.64, 0.60),
        ("happiness", 0.81, 0.51),
        ("sadness", -0.63, -0.27),
        ("surprise", 0.40, 0.67),
        ("neutral", 0.0, 0.0),
    ],
)
def test_the_points_are_the_published_ones(emotion: str, valence: float, arousal: float) -> None:
    assert (CIRCUMPLEX[emotion].valence, CIRCUMPLEX[emotion].arousal) == (valence, arousal)


def test_contempt_is_the_midpoint_of_anger_and_disgust() -> None:
    anger, disgust = CIRCUMPLEX["anger"], CIRCUMPLEX["disgust"]
    assert CIRCUMPLEX["contempt"].valence == pytest.approx((anger.valence + disgust.valence) / 2)
    assert CIRCUMPLEX["contempt"].arousal == pytest.approx((anger.arousal + disgust.arousal) / 2)


def test_the_labels_of_every_corpus_are_known_classes() -> None:
    for names in (RAVDESS_CODES.values(), NEMO_NAMES.values(), EMOGATOR_CODES.values()):
        assert set(names) <= set(VOICE_CLASSES)
    assert sorted(FERPLUS_COLUMNS) == sorted(EMOTIONS)
    assert len(set(VOICE_CLASSES)) == len(VOICE_CLASSES) == 9


def test_calm_counts_as_neutral_and_all_others_as_themselves() -> None:
    assert [fold_calm(label) for label in VOICE_CLASSES] == [*EMOTIONS, "neutral"]

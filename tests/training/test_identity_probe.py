"""What a fresh classifier reads from embeddings."""

import numpy as np
import pytest

from emotrace.training.identity_probe import Probe, probe, probe_of_known
from emotrace.types import FloatArray, IntArray

PERSONS: IntArray = np.arange(240) % 6
LOOKS = np.random.default_rng(7).normal(size=(6, 16))


def _embeddings(leak: float, persons: IntArray = PERSONS, seed: int = 0) -> FloatArray:
    """Return [N, 16]: noise, and so much of how each person looks."""
    noise = np.random.default_rng(seed).normal(size=(len(persons), 16))
    return (noise + leak * LOOKS[persons]).astype(np.float32)


def _found(embeddings: FloatArray, groups: IntArray, seed: int = 0) -> Probe:
    found = probe(embeddings, groups, seed)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_told_by_chance_and_more_of_a_person_is_told_better(seed: int) -> None:
    nothing, some, everything = (_found(_embeddings(leak, seed=seed), PERSONS) for leak in (0.0, 0.4, 4.0))
    assert nothing.chance == pytest.approx(1 / 6)
    assert nothing.accuracy < 0.27
    assert 0.35 < some.accuracy < 0.85
    assert everything.accuracy > 0.98
    assert (everything.num_groups, everything.num_clips) == (6, 240)


def test_a_probe_of_known_people_learns_from_other_clips_of_them() -> None:
    learnt, judged = _embeddings(4.0, seed=1), _embeddings(4.0, PERSONS[:60], seed=2)
    found = probe_of_known(learnt, PERSONS, judged, PERSONS[:60])
    assert found is not None
    assert found.accuracy > 0.95
    assert (found.num_groups, found.num_clips) == (6, 60)
    mixed_up = probe_of_known(learnt, (PERSONS + 1) % 6, judged, PERSONS[:60])
    assert mixed_up is not None
    assert mixed_up.accuracy < 0.05
    assert probe_of_known(learnt[PERSONS > 0], PERSONS[PERSONS > 0], judged, PERSONS[:60]) is None


def test_the_same_seed_finds_the_same_and_the_seed_chooses_the_folds() -> None:
    embeddings = _embeddings(0.3)
    assert _found(embeddings, PERSONS, 1) == _found(embeddings, PERSONS, 1)
    assert len({_found(embeddings, PERSONS, seed).accuracy for seed in range(5)}) > 1


def test_scale_and_offset_of_a_column_mean_nothing() -> None:
    embeddings = _embeddings(0.5)
    moved = (embeddings * np.geomspace(0.1, 100, 16) + np.arange(16)).astype(np.float32)
    assert _found(moved, PERSONS).accuracy == pytest.approx(_found(embeddings, PERSONS).accuracy, abs=0.01)


def test_a_column_that_never_changes_and_more_columns_than_clips_do_no_harm() -> None:
    embeddings = np.tile(_embeddings(4.0)[:48], (1, 8))
    embeddings[:, :5] = 3.0
    assert _found(embeddings, PERSONS[:48]).accuracy > 0.9


def test_unknown_persons_and_those_of_a_single_clip_are_left_out() -> None:
    persons = np.array([*[0] * 10, *[1] * 30, 2, *[-1] * 20])
    found = _found(_embeddings(4.0, np.maximum(persons, 0)), persons)
    assert (found.num_groups, found.num_clips, found.chance) == (2, 40, 0.75)
    alone = persons < 2
    assert found == _found(_embeddings(4.0, np.maximum(persons, 0))[alone], persons[alone])


def test_two_clips_of_a_person_are_enough_and_two_persons_are_needed() -> None:
    persons = np.array([0, 0, 1, 1, 1, 4, 4])
    assert _found(_embeddings(9.0, persons), persons).accuracy > 0.8
    for too_few in ([0, 0, 0, 1], [0, 1, 2], [-1, -1, 2, 2], []):
        groups = np.array(too_few, dtype=np.int64)
        assert probe(_embeddings(1.0, groups), groups) is None


def test_an_embedding_that_is_not_finite_is_refused() -> None:
    embeddings = _embeddings(1.0)
    embeddings[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        probe(embeddings, PERSONS)

"""RAVDESS and nEMO -> windows of utterances, and what the voice branch is trained on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from emotrace.corpora.base import Utterance
from emotrace.encoders.descriptor_mlp import DescriptorMlp, Ensemble
from emotrace.labels import VOICE_CLASSES
from emotrace.recipe import SAMPLE_RATE, AudioRecipe
from emotrace.training.settings import VoiceSettings
from emotrace.training.voice import (
    VoiceBank,
    VoiceSource,
    train_voice,
    voice_bank,
)
from emotrace.training.voice_windows import CLEAN_WINDOWS, DISTURBED_WINDOWS, SPEED_WINDOWS, window_input
from emotrace.types import FloatArray
from tests.corpora.trees import write_sound

RECIPE = AudioRecipe(window_seconds=0.5)


def utterance(path: Path, label: str = "anger", corpus: str = "ravdess", split: str = "train") -> Utterance:
    return Utterance(path, label, f"{corpus}-1", corpus, split)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("voices")
    return [utterance(write_sound(folder / f"{number}.wav", 1.0, number), VOICE_CLASSES[number]) for number in range(3)]


def test_a_bank_repeats_for_its_seed_and_differs_for_another(utterances: list[Utterance], tmp_path: Path) -> None:
    first, again, other = (
        voice_bank(utterances, RECIPE, tmp_path / f"{place}.npz", seed=seed) for place, seed in enumerate((0, 0, 1))
    )
    count = CLEAN_WINDOWS + SPEED_WINDOWS + DISTURBED_WINDOWS
    assert first.windows.shape[:2] == (3, count)
    assert np.isfinite(first.windows).all()
    np.testing.assert_array_equal(first.windows, again.windows)
    # The first window ends with the speech, nothing about it is drawn.
    np.testing.assert_array_equal(first.windows[:, 0], other.windows[:, 0])
    for place in range(1, count):
        assert not np.array_equal(first.windows[:, place], other.windows[:, place])
    for own in first.windows:
        assert len(np.unique(own, axis=0)) == len(own)  # all windows of an utterance differ


def test_a_kept_bank_is_read_again_and_made_anew_for_anything_else(utterances: list[Utterance], tmp_path: Path) -> None:
    kept = tmp_path / "bank.npz"
    made = voice_bank(utterances, RECIPE, kept)
    written = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(voice_bank(utterances, RECIPE, kept).windows, made.windows)
    assert kept.stat().st_mtime_ns == written
    assert len(voice_bank(utterances[:2], RECIPE, kept).windows) == 2
    assert kept.stat().st_mtime_ns > written
    longer = voice_bank(utterances[:2], AudioRecipe(window_seconds=0.7), kept)
    assert not np.array_equal(longer.windows, made.windows[:2])
    assert not np.array_equal(voice_bank(utterances, RECIPE, kept, seed=1).windows, made.windows)
    assert [path.name for path in tmp_path.iterdir()] == ["bank.npz"]


FIRST, LAST = 4_000, 20_000


def speech(later: Callable[[int], FloatArray] = lambda count: np.zeros(count, dtype=np.float32)) -> FloatArray:
    """Return sound from sample 4,000 to 20,000 and something too faint to count as sound after it."""
    samples = np.zeros(40_000, dtype=np.float32)
    samples[FIRST:LAST] = np.random.default_rng(0).uniform(-1, 1, LAST - FIRST)
    samples[[FIRST, LAST - 1]] = 1.0
    samples[LAST:] = later(len(samples) - LAST)
    return samples


def faint_from(start: int) -> FloatArray:
    faint = np.random.default_rng(1).uniform(-0.02, 0.02, 40_000 - LAST).astype(np.float32)
    faint[: start - LAST] = 0
    return speech(lambda _: faint)


def test_a_window_holds_no_sound_from_after_its_end() -> None:
    end = LAST + SAMPLE_RATE // 10  # a tenth of a second after the speech, where nothing is drawn
    expected = window_input(speech(), RECIPE, None)
    np.testing.assert_array_equal(window_input(faint_from(end), RECIPE, None), expected)
    assert not np.array_equal(window_input(faint_from(end - 400), RECIPE, None), expected)


def test_a_drawn_window_ends_between_shortly_after_the_beginning_and_shortly_after_the_end() -> None:
    latest = LAST + SAMPLE_RATE // 2
    ended_in_the_speech = 0
    for seed in range(12):
        end = np.random.default_rng(seed).integers(FIRST + 3 * SAMPLE_RATE // 4, latest)
        expected = window_input(speech(), RECIPE, np.random.default_rng(seed))
        np.testing.assert_array_equal(window_input(faint_from(latest), RECIPE, np.random.default_rng(seed)), expected)
        ended_in_the_speech += int(end <= LAST)
        early = window_input(faint_from(LAST), RECIPE, np.random.default_rng(seed))
        assert np.array_equal(early, expected) == (end <= LAST)
    assert 0 < ended_in_the_speech < 12


@pytest.mark.parametrize("length", [1, 500, 3_000])
def test_utterances_shorter_than_a_window_are_no_problem(length: int) -> None:
    for rng in (None, np.random.default_rng(0)):
        assert np.isfinite(window_input(np.ones(length, dtype=np.float32), RECIPE, rng)).all()


def source(*, training: bool) -> VoiceSource:
    """Return nine utterances of RAVDESS and one of nEMO, windows numbered."""
    ravdess = [utterance(Path(f"{label}.wav"), label) for label in VOICE_CLASSES]
    windows = torch.arange(10 * 6, dtype=torch.float32).view(10, 6, 1)
    return VoiceSource([*ravdess, utterance(Path("n.wav"), "fear", "nemo")], windows, training=training)


def test_undisturbed_windows_are_the_first_and_drawn_ones_any() -> None:
    chosen = torch.tensor([3, 0, 3])
    assert source(training=False).draw(chosen, None).flatten().tolist() == [18, 0, 18]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([source(training=True).draw(chosen, generator) for _ in range(50)]).flatten()
    assert set(drawn.tolist()) == {*range(18, 24), *range(6)}


def test_targets_are_smoothed_for_training_only() -> None:
    fear = VOICE_CLASSES.index("fear")
    smooth, hard = source(training=True).targets, source(training=False).targets
    torch.testing.assert_close(smooth.sum(dim=1), torch.ones(10))
    assert float(smooth[9, fear]) == pytest.approx(0.9 + 0.1 / 9)
    assert hard[9].tolist() == [float(place == fear) for place in range(9)]


def test_speakers_are_drawn_equally_often_and_the_prior_says_so() -> None:
    one = source(training=True)  # one speaker of nine utterances, one of one
    assert float(one.draw_weight[:9].sum()) == pytest.approx(float(one.draw_weight[9:].sum()))
    prior = one.prior()
    assert sum(prior) == pytest.approx(1)
    assert prior[VOICE_CLASSES.index("fear")] == pytest.approx(0.9 * (1 / 9 + 1) / 2 + 0.1 / 9, rel=1e-5)


def test_a_bank_gives_the_chosen_utterances_with_their_windows() -> None:
    utterances = [utterance(Path(f"{split}.wav"), split=split) for split in ("train", "test", "train")]
    bank = VoiceBank(utterances, np.arange(18, dtype=np.float32).reshape(3, 6, 1))
    found = bank.source(lambda each: each.split == "train", training=False)
    assert found.draw(torch.arange(2), None).flatten().tolist() == [0, 12]


def test_members_are_trained_from_consecutive_seeds_and_normalised_by_the_training_windows(tmp_path: Path) -> None:
    settings = VoiceSettings(
        network="descriptor-mlp",
        members=2,
        epochs=1,
        batch_size=5,
        learning_rate=1e-3,
        weight_decay=0,
        patience=1,
        average_decay=0.5,
        precision="32-true",
    )
    training = source(training=True)
    ensemble = train_voice(training, source(training=False), settings, tmp_path, resume=False)
    assert not ensemble.training
    first, second = _members(ensemble)
    assert not torch.equal(first.head.weight, second.head.weight)
    torch.testing.assert_close(first.mean, training.windows.mean().view(1))
    one = settings.model_copy(update={"members": 1, "seed": 1})
    alone = train_voice(training, source(training=False), one, tmp_path / "alone", resume=False)
    assert torch.equal(_members(alone)[0].head.weight, second.head.weight)


def _members(ensemble: nn.Module) -> list[DescriptorMlp]:
    assert isinstance(ensemble, Ensemble)
    return [member for member in ensemble.members if isinstance(member, DescriptorMlp)]

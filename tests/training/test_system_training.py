"""Every preset on toy recordings: it trains, answers, is written and read again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from emotrace import metrics
from emotrace.errors import EmotraceError
from emotrace.training.prediction import predict
from emotrace.training.presets import PRESETS
from emotrace.training.settings import SystemSettings, UtteranceSettings
from emotrace.training.system_training import DrawnStretches, train_system
from emotrace.training.systems import PAPERS, build, load_system, reading_of, save_system, sizes_of
from emotrace.training.train import train
from tests.training.tracks import sliced, track

TRAINING = [replace(track(f"t{number}", seed=number), subject=f"speaker {number % 2}") for number in range(6)]
VALIDATION = [track(f"v{number}", seed=100 + number) for number in range(2)]
TEST = track("x", seed=200)


def _quick(key: str, **changes: object) -> SystemSettings:
    """Return a preset with few steps; toy voices are vectors for all of them."""
    few = {"epochs": 2, "batch_size": 3, "stretches_per_epoch": 6, "learning_rate": 5e-3, "stretch_seconds": 6.0}
    return PRESETS[key].settings.model_copy(update=few | changes)


_BANDS = {"log-mel": 64, "log-spectrogram": 200}
_OF_PICTURES = ("end-to-end-lstm", "deep-belief")


@pytest.mark.parametrize("key", [key for key in PRESETS if key not in _OF_PICTURES])
def test_a_preset_trains_and_its_checkpoint_gives_the_same_answers(key: str, tmp_path: Path) -> None:
    settings = _quick(key)
    bands = _BANDS.get(settings.front_end)
    training, validation, test = (
        [each if bands is None else sliced(each, bands) for each in tracks] for tracks in (TRAINING, VALIDATION, [TEST])
    )
    system = train(training, validation, settings, tmp_path / "training", whole=False)
    before = predict(system, settings, test[0])
    save_system(tmp_path, system, settings, 10, ["t0", "t1"])
    saved = load_system(tmp_path)
    assert (saved.settings, saved.label_delay_ticks, saved.learnt) == (settings, 10, ("t0", "t1"))
    for ours, theirs in zip(before, predict(saved.system, saved.settings, test[0]), strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    assert before.arousal_valence.shape == (len(TEST), 2)
    assert before.arousal_valence.isfinite().all()
    assert before.arousal_valence.abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("key", _OF_PICTURES)
def test_a_preset_of_pictures_trains_too(key: str, tmp_path: Path) -> None:
    test_a_preset_trains_and_its_checkpoint_gives_the_same_answers(key, tmp_path)


def test_the_paper_s_network_learns_what_voice_and_face_say(tmp_path: Path) -> None:
    settings = _quick("bimodal-attention", epochs=12, stretches_per_epoch=24)
    system = train_system(TRAINING, VALIDATION, settings, tmp_path)
    answer = predict(system, settings, TEST).arousal_valence[50:]
    scores = [metrics.ccc(TEST.arousal_valence[50:, place], answer[:, place]) for place in range(2)]
    assert min(scores) > 0.5


def test_windows_that_overlap_are_averaged_and_a_short_recording_is_one_window() -> None:
    settings = _quick("modular-hierarchy", prediction="windows", step_seconds=0.04)
    system = build(settings, reading_of(settings, 25.0).sizes(TEST)).eval()
    whole = settings.model_copy(update={"prediction": "whole"})
    for ours, theirs in zip(predict(system, settings, TEST), predict(system, whole, TEST), strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    long = track("long", ticks=650, seed=7)
    ours, theirs = (predict(system, each, long).arousal_valence for each in (settings, whole))
    torch.testing.assert_close(ours[:200], theirs[:200])  # in the first window alone
    assert not torch.allclose(ours[300:], theirs[300:], atol=1e-4)


def test_an_answer_does_not_depend_on_what_comes_later(tmp_path: Path) -> None:
    settings = _quick("bimodal-attention")
    system = build(settings, reading_of(settings, 25.0).sizes(TEST)).eval()
    cut = 100
    later_face = torch.where(torch.arange(200) < cut, TEST.face_index, 0)
    changed = replace(TEST, face_index=later_face, audio_valid=TEST.audio_valid & (torch.arange(200) < cut))
    one, other = (predict(system, settings, each).arousal_valence[:cut] for each in (TEST, changed))
    torch.testing.assert_close(one, other)


def test_a_system_of_one_modality_does_not_notice_the_other() -> None:
    settings = _quick("voice-only")
    system = build(settings, reading_of(settings, 25.0).sizes(TEST)).eval()
    blind = replace(TEST, face_index=torch.full_like(TEST.face_index, -1))
    one, other = (predict(system, settings, each).arousal_valence for each in (TEST, blind))
    torch.testing.assert_close(one, other)


def test_withheld_labels_and_unknown_emotions_are_left_out_of_the_loss(tmp_path: Path) -> None:
    withheld = [
        replace(
            each,
            arousal_valence=torch.where(torch.arange(200)[:, None] % 7 == 0, torch.nan, each.arousal_valence),
            emotion=torch.full_like(each.emotion, -1),
        )
        for each in TRAINING
    ]
    settings = _quick("bimodal-attention")
    system = train_system(withheld, VALIDATION, settings, tmp_path)
    assert all(value.isfinite().all() for value in system.state_dict().values())


def test_a_stopped_training_ends_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    settings = _quick("bimodal-attention", epochs=3)
    whole = train_system(TRAINING, VALIDATION, settings, tmp_path / "whole")

    class _PowerCutError(Exception):
        pass

    original, seen = DrawnStretches.set_epoch, []

    def fail_late(self: DrawnStretches, epoch: int) -> None:
        seen.append(epoch)
        if epoch == 2:
            raise _PowerCutError
        original(self, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnStretches, "set_epoch", fail_late)
        with pytest.raises(_PowerCutError):
            train_system(TRAINING, VALIDATION, settings, tmp_path / "cut", resume=True)
    resumed = train_system(TRAINING, VALIDATION, settings, tmp_path / "cut", resume=True)
    for ours, theirs in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_stretches_are_the_same_for_the_same_seed_and_epoch_and_others_for_another() -> None:
    settings = _quick("bimodal-attention")
    batches = DrawnStretches(TRAINING, reading_of(settings, 25.0), settings)
    first = [batch.arousal_valence for batch in batches]
    again = [batch.arousal_valence for batch in batches]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    batches.set_epoch(1)
    assert not all(torch.equal(one, other.arousal_valence) for one, other in zip(first, batches, strict=True))


@pytest.mark.parametrize("content", ["", "{}", '{"settings": {"system": "bimodal-attention"}, "sizes": {}}'])
def test_a_damaged_system_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "system.json").write_text(content)
    with pytest.raises(EmotraceError, match="no trained system") as error:
        load_system(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_sizes_beyond_what_the_weights_hold_are_refused_before_room_is_made_for_them(tmp_path: Path) -> None:
    settings = _quick("bimodal-attention")
    save_system(tmp_path, build(settings, sizes_of(settings, TEST)), settings, 10, [])
    told = json.loads((tmp_path / "system.json").read_text())
    told["sizes"]["region_dim"] = 10**9
    (tmp_path / "system.json").write_text(json.dumps(told))
    with pytest.raises(EmotraceError, match=r"asks for \d+ numbers, but weights\.safetensors holds"):
        load_system(tmp_path)


@pytest.mark.parametrize("name", get_args(UtteranceSettings.model_fields["system"].annotation))
def test_a_dialogue_may_hear_through_every_system_and_is_read_again(name: str, tmp_path: Path) -> None:
    settings = _quick("dialogue-attention", utterance=UtteranceSettings(system=name), front_end="log-spectrogram")
    built = build(settings, sizes_of(settings, sliced(TEST, 200)))
    save_system(tmp_path, built, settings, 10, [])
    again = load_system(tmp_path).system.state_dict()
    for key, value in built.state_dict().items():
        torch.testing.assert_close(again[key], value)


def test_every_preset_names_its_source() -> None:
    assert all(PAPERS[preset.settings.system] for preset in PRESETS.values())


def test_presets_differ() -> None:
    told = [preset.settings.model_dump_json() for preset in PRESETS.values()]
    assert len(set(told)) == len(told)

"""Training of the fusion: it repeats, it learns, and what it sees of a recording is what an analysis sees."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from emotrace.bundle import Bundle, Manifest, save_bundle
from emotrace.corpora.composed import Conditions, KnownFace, Material, compose
from emotrace.encoders.descriptor_mlp import DescriptorMlp, DescriptorMlpConfig, Ensemble
from emotrace.encoders.face_cnn import FaceCnn, FaceCnnConfig
from emotrace.encoders.mirrored import Mirrored
from emotrace.features.extract import extract
from emotrace.features.voice_input import input_shape
from emotrace.inference.recordings import Listener, Recording, record
from emotrace.inference.session import Session, softmax
from emotrace.labels import CIRCUMPLEX, EMOTIONS, VOICE_CLASSES
from emotrace.layers.fusion import FusionOutput
from emotrace.recipe import AudioRecipe, Recipe
from emotrace.training.export import CalibratedFace, CalibratedVoice, export_face, export_fusion, export_voice
from emotrace.training.fusion import (
    HIDDEN_DIM,
    FusionLearner,
    Stretches,
    Whole,
    build,
    score,
    stretch,
    train_fusion,
)
from emotrace.training.settings import FusionSettings
from tests.corpora.trees import face
from tests.training.toys import PowerCutError

TICKS, AUDIO, REGIONS, DEPTH = 30, 4, 4, 3
SETTINGS = FusionSettings(
    epochs=5,
    batch_size=4,
    learning_rate=0.01,
    weight_decay=0,
    patience=5,
    average_decay=0.5,
    precision="32-true",
    ticks=20,
)
RECIPE = Recipe(audio=AudioRecipe(window_seconds=0.5, hop_seconds=2.0))


def recording(seed: int, ticks: int = TICKS) -> Recording:
    """Return a recording of two emotions which voice and face both tell, each missing at times."""
    rng = np.random.default_rng(seed)
    told = EMOTIONS.index("happiness"), EMOTIONS.index("sadness")
    emotion = np.where(np.arange(ticks) < rng.integers(5, ticks - 5), *rng.permutation(told)).astype(np.int64)
    happy = emotion == told[0]
    audio = rng.standard_normal((ticks, AUDIO)).astype(np.float32) * np.float32(0.1)
    audio[:, 0] += np.where(happy, 1, -1)
    regions = rng.standard_normal((ticks, REGIONS, DEPTH)) * 0.1
    regions[:, :, 0] += np.where(happy, 1, -1)[:, None]
    seen = rng.random(ticks) > 0.2
    return Recording(
        audio=audio,
        regions=regions.astype(np.float16),
        region_index=np.where(seen, np.arange(ticks), -1),
        audio_valid=rng.random(ticks) > 0.2,
        video_valid=seen,
        speech_energy=rng.random(ticks).astype(np.float32),
        emotion=emotion,
        arousal_valence=np.array(
            [(CIRCUMPLEX[EMOTIONS[each]].arousal, CIRCUMPLEX[EMOTIONS[each]].valence) for each in emotion], np.float32
        ),
    )


def recordings(count: int, first: int = 0) -> list[Recording]:
    return [recording(seed) for seed in range(first, first + count)]


def test_a_stretch_is_cut_out_of_every_recording_where_it_begins() -> None:
    one, other = recordings(2)
    batch = stretch([one, other], [3, 0], 10)
    for place, (source, first) in enumerate(((one, 3), (other, 0))):
        for name in ("audio", "audio_valid", "video_valid", "speech_energy", "emotion", "arousal_valence"):
            np.testing.assert_array_equal(getattr(batch, name)[place], getattr(source, name)[first : first + 10])
        for tick in range(10):
            row = source.region_index[first + tick]
            wanted = source.regions[row] if row >= 0 else np.zeros((REGIONS, DEPTH))
            np.testing.assert_array_equal(batch.regions[place, tick], wanted.astype(np.float32))
    assert not batch.video_valid.all()


def test_a_recording_without_any_face_has_regions_of_zeros() -> None:
    one = recording(0)
    blind = replace(
        one, regions=one.regions[:0], region_index=np.full(TICKS, -1), video_valid=np.zeros(TICKS, dtype=np.bool_)
    )
    batch = stretch([blind], [0], TICKS)
    assert batch.regions.shape == (1, TICKS, REGIONS, DEPTH)
    assert not batch.regions.any()


def test_stretches_repeat_for_seed_and_epoch_and_differ_between_epochs() -> None:
    batches = Stretches(recordings(9), SETTINGS)

    def drawn(epoch: int) -> Tensor:
        batches.set_epoch(epoch)
        return torch.cat([batch.audio for batch in batches])

    first = drawn(0)
    assert len(batches) == 2
    assert first.shape == (8, 20, AUDIO)
    assert torch.equal(drawn(0), first)
    assert not torch.equal(drawn(1), first)
    other = Stretches(recordings(9), SETTINGS.model_copy(update={"seed": 1}))
    other.set_epoch(0)
    assert not torch.equal(torch.cat([batch.audio for batch in other]), first)


def test_a_stretch_is_no_longer_than_the_shortest_recording() -> None:
    batches = Stretches([recording(0), recording(1, ticks=12)], SETTINGS.model_copy(update={"batch_size": 2}))
    assert [batch.audio.shape[:2] for batch in batches] == [(2, 12)]


def said(settings: FusionSettings, audio: Tensor, regions: Tensor) -> FusionOutput:
    batch = next(iter(Whole(recordings(1))))
    learner = FusionLearner(build(settings, AUDIO, DEPTH), settings).eval()
    with torch.inference_mode():
        output: FusionOutput = learner(batch._replace(audio=batch.audio + audio, regions=batch.regions + regions))
    return output


@pytest.mark.parametrize("system", ["bimodal-attention", "concatenation"])
@pytest.mark.parametrize("missing", ["mask", "zeros"])
@pytest.mark.parametrize("only", ["voice", "face"])
def test_one_modality_alone_leaves_the_other_without_effect(system: str, missing: str, only: str) -> None:
    settings = SETTINGS.model_copy(update={"system": system, "missing": missing, "only": only})
    nothing = torch.zeros(())
    plain, louder, other_face = (
        said(settings, audio, regions)
        for audio, regions in ((nothing, nothing), (torch.tensor(0.5), nothing), (nothing, torch.tensor(0.5)))
    )
    for name in ("arousal_valence", "emotion_logits", "audio_weight"):
        kept, moved = (other_face, louder) if only == "voice" else (louder, other_face)
        assert torch.equal(getattr(kept, name), getattr(plain, name))
        if name != "audio_weight":
            assert not torch.allclose(getattr(moved, name), getattr(plain, name))


def test_both_modalities_have_an_effect_otherwise() -> None:
    nothing = torch.zeros(())
    plain = said(SETTINGS, nothing, nothing).arousal_valence
    assert not torch.allclose(said(SETTINGS, torch.tensor(0.5), nothing).arousal_valence, plain)
    assert not torch.allclose(said(SETTINGS, nothing, torch.tensor(0.5)).arousal_valence, plain)


@pytest.mark.parametrize("main_loss", ["ccc", "rmse"])
def test_what_is_told_apart_in_voice_and_face_is_learnt(main_loss: Literal["ccc", "rmse"], tmp_path: Path) -> None:
    training, validation = recordings(12), recordings(4, first=100)
    settings = SETTINGS.model_copy(update={"main_loss": main_loss})
    before = score(build(settings, AUDIO, DEPTH).eval(), validation, None)
    network = train_fusion(training, validation, settings, tmp_path)
    after = score(network, validation, None)
    assert not network.training
    assert before["ccc_valence"] < 0.5
    assert after["ccc_valence"] > 0.8
    assert after["ccc_arousal"] > before["ccc_arousal"]
    assert after["unweighted_average_recall"] > 0.9


def test_the_same_seed_gives_the_same_network_also_when_stopped_and_resumed(tmp_path: Path) -> None:
    training, validation = recordings(8), recordings(2, first=100)
    settings = SETTINGS.model_copy(update={"epochs": 3})
    expected = train_fusion(training, validation, settings, tmp_path / "whole").state_dict()
    with pytest.raises(PowerCutError):
        train_fusion(training, FailingRecordings(validation, passes_left=2), settings, tmp_path / "stopped")
    found = train_fusion(training, validation, settings, tmp_path / "stopped", resume=True).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class FailingRecordings(list[Recording]):
    """Recordings that can be gone through a few times, then the power is cut."""

    def __init__(self, given: list[Recording], passes_left: int) -> None:
        super().__init__(given)
        self.passes_left = passes_left

    def __iter__(self) -> Iterator[Recording]:
        if self.passes_left == 0:
            raise PowerCutError
        self.passes_left -= 1
        return super().__iter__()


@pytest.fixture(scope="module")
def material() -> Material:
    noise = np.random.default_rng(1).standard_normal((2, 3, 20_000)).astype(np.float32)
    noise[1] = np.cumsum(noise[1], axis=1) / 50  # dull
    return Material(
        voices={"happiness": list(0.1 * noise[0]), "sadness": list(0.1 * noise[1])},
        faces={
            "happiness": np.stack([face(seed) for seed in range(3)]),
            "sadness": np.stack([np.sort(face(seed), axis=0) for seed in range(3)]),
        },
    )


def branches() -> Listener:
    torch.manual_seed(0)
    eye = Mirrored(FaceCnn(FaceCnnConfig(stages=((4, 1), (4, 1), (4, 1)), region_dim=DEPTH)))
    shape = input_shape(RECIPE.audio)
    ear = Ensemble([DescriptorMlp(DescriptorMlpConfig(num_descriptors=shape[0], hidden_dims=(8,))) for _ in range(2)])
    return Listener(
        RECIPE,
        export_face(CalibratedFace(eye, [1 / 8] * 8, 1.0), RECIPE.video.crop_size),
        export_voice(CalibratedVoice(ear, [1 / 9] * 9, 1.0), shape),
    )


@pytest.mark.parametrize("system", ["bimodal-attention", "concatenation"])
def test_an_analysis_gives_what_the_training_saw(system: str, material: Material, tmp_path: Path) -> None:
    listener = branches()
    settings = SETTINGS.model_copy(update={"system": system})
    network = build(settings, len(VOICE_CLASSES), DEPTH).eval()
    bundle = _bundle(tmp_path / "bundle", listener, export_fusion(network, len(VOICE_CLASSES), 144, DEPTH))
    (kept,) = record(material, listener, Conditions(), count=1, seed=7)
    with torch.inference_mode():
        wanted = FusionLearner(network, settings).eval()(next(iter(Whole([kept]))))

    session = Session(bundle, num_threads=1)
    state = session.initial_state()
    ticks = 0
    composition = compose(material, RECIPE, np.random.default_rng((7, 0)), Conditions())
    for features in extract(composition, RECIPE, KnownFace(RECIPE)):
        found, state = session.run(features, state)
        here = slice(ticks, ticks + len(found.arousal))
        ticks = here.stop
        known = kept.audio_valid[here] | kept.video_valid[here]
        np.testing.assert_array_equal(np.isnan(found.arousal), ~known)
        # Kept regions are rounded to 16 bit.
        for told, row in ((found.arousal, 0), (found.valence, 1)):
            expected = wanted.arousal_valence[0, here, row].clamp(-1, 1).numpy()
            np.testing.assert_allclose(told[known], expected[known], atol=2e-3)
        np.testing.assert_allclose(found.audio_weight[known], wanted.audio_weight[0, here].numpy()[known], atol=2e-3)
        probabilities = softmax(wanted.emotion_logits[0, here].numpy())
        np.testing.assert_allclose(found.emotions[known], probabilities[known], atol=2e-3)
    assert ticks == len(kept.emotion) == 400
    assert 0.3 < kept.video_valid.mean() < 1
    assert 0.3 < kept.audio_valid.mean() < 1


def _bundle(folder: Path, listener: Listener, fusion: bytes) -> Bundle:
    manifest = Manifest(
        name="tiny",
        emotrace_version="0.1.0",
        model="bimodal-attention",
        licence="CC0-1.0",
        recipe=RECIPE,
        recipe_digest=RECIPE.digest(),
        emotions=EMOTIONS,
        voice_classes=VOICE_CLASSES,
        hidden_dim=HIDDEN_DIM,
        face_prior=(1 / 8,) * 8,
        voice_prior=(1 / 9,) * 9,
        temperature={"face": 1.0, "voice": 1.0},
        metrics={},
        versions={},
        settings={},
        files={},
    )
    graphs = {"face.onnx": listener.face, "voice.onnx": listener.voice, "fusion.onnx": fusion}
    return save_bundle(folder, manifest, graphs | {"MODEL_CARD.md": b"# Tiny\n"})

"""Features -> estimates through ONNX Runtime, block after block."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotrace.bundle import Bundle, load_bundle, save_bundle
from emotrace.errors import BundleError
from emotrace.features.voice_input import input_shape
from emotrace.inference.session import Estimates, Session, fusion_inputs, softmax
from emotrace.types import Features
from tests.app import tiny_bundle

TICKS = 12


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny"))


def features(bundle: Bundle, ticks: int = TICKS) -> Features:
    """Return ticks of which every third has no voice, the last half no face."""
    rng = np.random.default_rng(0)
    heard = np.arange(ticks) % 3 != 0
    seen = np.arange(ticks) < ticks // 2
    return Features(
        times=np.arange(ticks) / 25,
        voice_inputs=rng.standard_normal((3, *input_shape(bundle.recipe.audio))).astype(np.float32),
        voice_index=np.arange(ticks) * 3 // ticks,
        voice_valid=heard,
        speech=heard,
        speech_energy=np.zeros(ticks, dtype=np.float32),
        face_crops=rng.integers(0, 256, (2, 48, 48)).astype(np.uint8),
        face_index=np.where(seen, np.arange(ticks) % 2, -1),
        face_detected=seen,
        face_confidence=np.where(seen, 1, np.nan).astype(np.float32),
        face_box=np.zeros((ticks, 4), dtype=np.float32),
        person=np.zeros(ticks, dtype=np.int64),
    )


def cut(whole: Features, first: int, stop: int) -> Features:
    per_tick = [name for name in Features.__dataclass_fields__ if name not in ("voice_inputs", "face_crops")]
    return replace(whole, **{name: getattr(whole, name)[first:stop] for name in per_tick})


def test_estimates_are_unknown_exactly_where_neither_voice_nor_face_is_known(bundle: Bundle) -> None:
    session = Session(bundle, num_threads=1)
    given = features(bundle)
    found, _ = session.run(given, session.initial_state())
    unknown = ~given.voice_valid & ~given.face_detected
    assert 0 < unknown.sum() < TICKS
    for values in (found.arousal, found.valence, found.audio_weight, found.emotions[:, 0]):
        np.testing.assert_array_equal(np.isnan(values), unknown)
    assert found.emotions.shape == (TICKS, 8)
    np.testing.assert_allclose(found.emotions[~unknown].sum(axis=1), 1, rtol=1e-5)
    assert np.abs(found.arousal[~unknown]).max() <= 1


def test_blocks_with_carried_state_equal_the_whole(bundle: Bundle) -> None:
    session = Session(bundle, num_threads=1)
    whole, end = session.run(features(bundle), session.initial_state())
    state = session.initial_state()
    parts: list[Estimates] = []
    for first, stop in ((0, 1), (1, 7), (7, TICKS)):
        part, state = session.run(cut(features(bundle), first, stop), state)
        parts.append(part)
    for name in Estimates.__dataclass_fields__:
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, getattr(whole, name), atol=1e-6)
    for carried, expected in zip(state, end, strict=True):
        np.testing.assert_allclose(carried, expected, atol=1e-6)


def test_the_fusion_reads_the_row_of_each_tick_and_zeros_where_there_is_none(bundle: Bundle) -> None:
    session = Session(bundle, num_threads=1)
    given = features(bundle)
    inputs = fusion_inputs(given, session.branches)
    voices, faces = session.branches.voice.hear(given.voice_inputs)[0], session.branches.see(given.face_crops)[0]
    for tick in range(TICKS):
        np.testing.assert_array_equal(inputs.audio[tick], voices[given.voice_index[tick]])
        expected = faces[given.face_index[tick]] if given.face_index[tick] >= 0 else np.zeros_like(faces[0])
        np.testing.assert_array_equal(inputs.regions[tick], expected)
    np.testing.assert_array_equal(inputs.video_valid, given.face_detected)


def test_without_any_input_all_is_unknown(bundle: Bundle) -> None:
    session = Session(bundle, num_threads=1)
    given = features(bundle)
    nothing = replace(
        given,
        voice_inputs=given.voice_inputs[:0],
        face_crops=given.face_crops[:0],
        voice_index=np.full(TICKS, -1),
        face_index=np.full(TICKS, -1),
    )
    found, _ = session.run(nothing, session.initial_state())
    assert np.isnan(found.arousal).all()
    assert np.isnan(found.emotions).all()


def test_batches_give_what_one_run_gives(bundle: Bundle) -> None:
    session = Session(bundle, num_threads=1)
    crops = np.random.default_rng(1).integers(0, 256, (70, 48, 48)).astype(np.uint8)
    regions, logits = session.branches.see(crops)
    assert (len(regions), len(logits)) == (70, 70)
    np.testing.assert_allclose(logits[40:41], session.branches.see(crops[40:41])[1], atol=1e-6)


def test_a_network_of_other_shapes_is_refused_when_it_runs(bundle: Bundle, tmp_path: Path) -> None:
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    other = save_bundle(tmp_path / "other", bundle.manifest.model_copy(update={"hidden_dim": 6}), contents)
    session = Session(other, num_threads=1)
    with pytest.raises(BundleError, match=r"fusion\.onnx does not fit the bundle"):
        session.run(features(bundle), session.initial_state())


def test_softmax_is_stable_and_sums_to_one() -> None:
    found = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]], dtype=np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)

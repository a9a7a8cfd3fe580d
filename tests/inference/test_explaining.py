"""What a bundle shows of how it came to its answer is what its system shows, with times of the recording."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto

from emotrace.bundle import SYSTEM, load_bundle, save_bundle
from emotrace.errors import BundleError, EmotraceError, MediaError, SettingsError
from emotrace.inference.explaining import check_shows, explain, shows_clips
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.systems import clip_reading_of
from tests.corpora.miniature_clips import write_clip
from tests.inference.bundles import CLASSES, Made, noise, with_answer, write_sound

NAMES = {
    "perception-attention": ("alignment", "perception"),
    "positive-sample-propagation": ("segments", "propagation"),
}
SECONDS = 6.0
Make = Callable[[str], Made]
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


def seconds(label: str) -> list[float]:
    """Return the times of a label: of a moment one, of a part two."""
    return [float(part.removesuffix(" s")) for part in label.split(" \N{EN DASH} ")]


@pytest.mark.parametrize("key", NAMES)
def test_a_bundle_shows_what_its_system_shows(key: str, talk: Path, made: Make) -> None:
    system, track, bundle = made(key)
    assert isinstance(system.system, StandardisedClipSystem)
    clips = clip_reading_of(system.settings, 25.0).batch([track], [(0, len(track))])
    with torch.inference_mode():
        expected = system.system.explain(clips)
    shown = explain(talk, bundle)
    assert tuple(each.name for each in shown) == NAMES[key]
    for found, values in zip(shown, expected, strict=True):
        np.testing.assert_allclose(found.values, values[0].numpy(), atol=5e-3)
        assert found.values.std() > 0


@pytest.mark.parametrize("key", NAMES)
def test_rows_and_columns_are_classes_or_times_that_rise_within_the_recording(key: str, talk: Path, made: Make) -> None:
    for shown in explain(talk, made(key)[2]):
        assert shown.values.shape == (len(shown.rows), len(shown.columns))
        told = [shown.rows] if shown.has_classes else [shown.rows, shown.columns]
        for labels in told:
            times = np.array([seconds(label) for label in labels])
            assert (np.diff(times, axis=0) > 0).all()
            assert times.min() >= 0
            assert times.max() <= SECONDS + 0.05
            assert times.max() - times.min() > 0.8 * SECONDS
        if shown.has_classes:
            assert shown.columns == CLASSES


def test_shares_sum_to_one_along_what_was_chosen_from(talk: Path, made: Make) -> None:
    alignment, perception = explain(talk, made("perception-attention")[2])
    np.testing.assert_allclose(alignment.values.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(perception.values.sum(axis=0), 1, atol=1e-5)
    segments, _ = explain(talk, made("positive-sample-propagation")[2])
    np.testing.assert_allclose(segments.values.sum(axis=1), 1, atol=1e-5)


def test_of_pictures_alone_no_sound_is_aligned(tmp_path: Path, talk: Path, made: Make) -> None:
    write_clip(tmp_path / "face.mp4", arousal=0.5, valence=0.4, seconds=3.0, audio=False)
    bundle = made("perception-attention")[2]
    for shown in (explain(tmp_path / "face.mp4", bundle), explain(talk, bundle, only="face")):
        alignment, perception = shown
        assert not alignment.values.any()
        np.testing.assert_allclose(perception.values.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("key", NAMES)
def test_where_nothing_is_known_nothing_was_looked_at(key: str, tmp_path: Path, made: Make) -> None:
    silence = write_sound(tmp_path / "silence.wav", np.zeros(2 * 16_000))
    first, second = explain(silence, made(key)[2])
    assert not first.values.any()
    assert not second.values.any()


def test_what_is_longer_than_a_minute_is_refused(tmp_path: Path, made: Make) -> None:
    path = write_sound(tmp_path / "long.wav", noise(61))
    with pytest.raises(MediaError, match=r"long\.wav is longer than 60 s.*cut it"):
        explain(path, made("perception-attention")[2])


@pytest.mark.parametrize("key", NAMES)
def test_a_bundle_that_shows_clips_may_be_asked_to(key: str, made: Make) -> None:
    bundle = made(key)[2]
    assert shows_clips(bundle)
    for dialogue in (False, True):
        check_shows(bundle, dialogue=dialogue)


def test_a_bundle_that_shows_nothing_is_refused_with_what_to_do(made: Make) -> None:
    for bundle in (load_bundle(), made("vaanet")[2]):
        assert not shows_clips(bundle)
        for dialogue in (False, True):
            with pytest.raises(SettingsError, match=r"--explain: the bundle .* shows nothing: train perception-att"):
                check_shows(bundle, dialogue=dialogue)


def test_a_bundle_that_hears_turns_shows_a_dialogue_alone(made: Make) -> None:
    bundle = made("dialogue-attention")[2]
    assert not shows_clips(bundle)
    check_shows(bundle, dialogue=True)
    with pytest.raises(SettingsError, match=r"dialogue-attention\) shows nothing of a clip by itself: add --dia"):
        check_shows(bundle, dialogue=False)


@pytest.mark.parametrize(
    ("key", "output", "operation", "attributes"),
    [
        ("perception-attention", "alignment", "ReduceSum", {"keepdims": 0}),
        ("perception-attention", "alignment", "Flatten", {}),
        ("perception-attention", "alignment", "Concat again again", {"axis": 2}),
        ("perception-attention", "alignment", "Concat again", {"axis": 1}),
        ("perception-attention", "perception", "Concat again", {"axis": 0}),
        ("perception-attention", "perception", "Concat again", {"axis": 2}),
        ("positive-sample-propagation", "segments", "ReduceSum", {"keepdims": 1}),
        ("positive-sample-propagation", "propagation", "Concat again", {"axis": 1}),
    ],
)
def test_what_is_shown_in_another_shape_is_refused(
    key: str, output: str, operation: str, attributes: dict[str, int], talk: Path, made: Make, tmp_path: Path
) -> None:
    other = with_answer(made(key)[2], SYSTEM, output, operation, tmp_path, **attributes)
    with pytest.raises(BundleError, match=rf"system\.onnx answers with {output} of shape \(.*expected \(1, \d+, \d+\)"):
        explain(talk, other, only="voice")


def test_what_is_unknown_may_be_shown_and_what_is_no_share_may_not(talk: Path, made: Make, tmp_path: Path) -> None:
    bundle = made("perception-attention")[2]
    nothing = with_answer(bundle, SYSTEM, "perception", "Mul nothing", tmp_path)
    assert np.isnan(explain(talk, nothing, only="voice")[1].values).all()
    for constant in ("infinity", "minus"):
        other = with_answer(bundle, SYSTEM, "perception", f"Mul {constant}", tmp_path)
        with pytest.raises(EmotraceError, match=r"explanation perception has values from .*expected shares"):
            explain(talk, other, only="voice")


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.INT64, TensorProto.DOUBLE])
def test_a_graph_that_answers_with_no_plain_numbers_is_refused(
    kind: int, talk: Path, made: Make, tmp_path: Path
) -> None:
    other = with_answer(made("perception-attention")[2], SYSTEM, "alignment", "Cast", tmp_path, to=kind)
    with pytest.raises(BundleError, match=r"system\.onnx answers with alignment of type .*expected tensor\(float\)"):
        explain(talk, other, only="voice")


def test_what_the_manifest_promises_and_the_graph_does_not_show_is_refused(
    talk: Path, made: Make, tmp_path: Path
) -> None:
    bundle = made("perception-attention")[2]
    graph = bundle.manifest.system
    assert graph is not None
    contents = {each: bundle.read(each) for each in bundle.manifest.files}
    for promised in (("alignment", "perception", "segments"), ("alignment",), ()):
        told = bundle.manifest.model_copy(update={"system": graph.model_copy(update={"explains": promised})})
        with pytest.raises(BundleError, match=r"system\.onnx has the inputs and outputs"):
            explain(talk, save_bundle(tmp_path / "other", told, contents))

"""A bundle of one graph says of a file what the system said in training: the same numbers, however the file is cut."""

from pathlib import Path

import numpy as np
import pytest

from emotrace import labels
from emotrace.bundle import load_bundle, save_bundle
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import BundleError
from emotrace.features.extract import extract
from emotrace.features.faces import make_detector
from emotrace.inference.history import rows
from emotrace.inference.offline import NO_WEIGHTS, analyze
from emotrace.inference.system_session import SystemSession
from emotrace.labels import EMOTIONS
from emotrace.layers.heads import class_points
from emotrace.media import open_clip
from emotrace.training.prediction import predict, predict_classes
from emotrace.training.presets import PRESETS
from emotrace.training.settings import EncoderSettings
from emotrace.training.system_bundle import fits_a_bundle
from emotrace.training.systems import is_clip_level
from tests.corpora.miniature_clips import write_clip
from tests.inference.bundles import CLASSES, bundle_of, features_of, settings_of, write_sound

KEYS = (
    *("leader-follower", "fcn-attention", "g-fbp", "ag-fbp", "am-fbp", "vaanet", "cross-modal-metric"),
    *("modular-hierarchy", "lstm-ensemble", "decision-fusion", "kalman-fusion", "leader-follower-own"),
    *("vaanet-own", "perception-attention", "disentangled", "dialogue-attention", "positive-sample-propagation"),
)
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> LabelledClip:
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    write_clip(path, arousal=0.5, valence=0.4, seconds=5.3)
    return LabelledClip("talk", "somebody", "train", "anger", path, path)


@pytest.fixture(scope="module")
def features(clip: LabelledClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return features_of(clip, tmp_path_factory.mktemp("features"))


@pytest.mark.parametrize("key", KEYS)
def test_a_file_gets_the_answers_that_training_saw(
    key: str, clip: LabelledClip, features: Path, tmp_path: Path
) -> None:
    system, track, bundle = bundle_of(key, clip, features, tmp_path)
    assert clip.video is not None
    timeline = analyze(clip.video, bundle=bundle)
    expected = predict(system.system, system.settings, track)
    known = np.isfinite(timeline["arousal"])
    assert known.mean() > 0.8
    assert len(timeline) == len(track)
    for place, name in enumerate(("arousal", "valence")):
        np.testing.assert_allclose(timeline[name][known], expected.arousal_valence[known, place].numpy(), atol=5e-3)
    shares = expected.emotion_logits.softmax(dim=-1).numpy()[known]
    np.testing.assert_allclose(timeline["anger"][known], shares[:, 0], atol=5e-3)
    np.testing.assert_allclose(timeline["neutral"][known], shares[:, 3], atol=5e-3)  # calm counts as neutral
    assert np.isnan(timeline["disgust"]).all()  # no class stands for it
    np.testing.assert_allclose(
        timeline["audio_weight"][known], expected.audio_weight.numpy()[known], atol=5e-3, equal_nan=True
    )


@pytest.mark.parametrize("key", [key for key in KEYS if is_clip_level(settings_of(key))])
def test_a_short_recording_is_also_looked_at_as_a_whole(
    key: str, clip: LabelledClip, features: Path, tmp_path: Path
) -> None:
    system, track, bundle = bundle_of(key, clip, features, tmp_path)
    assert clip.video is not None
    timeline = analyze(clip.video, bundle=bundle)
    expected = predict_classes(system.system, system.settings, [track])[0]
    told = timeline.metadata.clip_probabilities
    assert tuple(told) == CLASSES
    np.testing.assert_allclose(list(told.values()), expected.numpy(), atol=5e-3)
    assert timeline.summary()["clip_class"] == CLASSES[int(expected.argmax())]


@pytest.mark.parametrize("key", ["leader-follower", "vaanet", "dialogue-attention"])
@pytest.mark.parametrize("block_seconds", [0.36, 1.0])
def test_the_length_of_a_block_changes_nothing(
    key: str, block_seconds: float, clip: LabelledClip, features: Path, tmp_path: Path
) -> None:
    _, _, bundle = bundle_of(key, clip, features, tmp_path)
    assert clip.video is not None
    session = SystemSession(bundle, num_threads=1)
    finder = make_detector(bundle.recipe.video.detector)

    def run(seconds: float) -> np.ndarray:
        state, parts = session.initial_state(), []
        with open_clip(clip.video or Path()) as media:
            for block in extract(media, bundle.recipe, finder, block_seconds=seconds):
                estimates, state = session.run(block, state)
                parts.append(np.stack([estimates.arousal, estimates.valence], axis=1))
        return np.concatenate(parts)

    whole, cut = run(100.0), run(block_seconds)
    first = int(0.8 * 25)  # before the first answer a whole knows more than its parts
    np.testing.assert_allclose(cut[first:], whole[first:], atol=1e-4, equal_nan=True)


def test_what_a_long_recording_needs_does_not_grow(clip: LabelledClip, features: Path, tmp_path: Path) -> None:
    _, _, bundle = bundle_of("leader-follower", clip, features, tmp_path)
    session, state = SystemSession(bundle, num_threads=1), None
    finder = make_detector(bundle.recipe.video.detector)
    state, held = session.initial_state(), []
    assert clip.video is not None
    for _ in range(12):
        with open_clip(clip.video) as media:
            for block in extract(media, bundle.recipe, finder):
                _, state = session.run(block, state)
                held.append(len(state.history))
    graph = bundle.manifest.system
    assert graph is not None
    assert graph.level == "frame"
    assert held[-1] == held[-2] == (graph.context_steps + 1) * graph.step_ticks + graph.heard


def test_sound_alone_and_pictures_alone_are_answered(features: Path, clip: LabelledClip, tmp_path: Path) -> None:
    _, _, bundle = bundle_of("ag-fbp", clip, features, tmp_path)
    write_clip(tmp_path / "voice.wav", arousal=0.5, valence=0.4, seconds=3.0, video=False)
    write_clip(tmp_path / "face.mp4", arousal=0.5, valence=0.4, seconds=3.0, audio=False)
    heard, seen = (analyze(tmp_path / name, bundle=bundle) for name in ("voice.wav", "face.mp4"))
    assert np.nanmax(np.abs(heard["video_weight"])) < 1e-6
    assert np.nanmax(np.abs(seen["audio_weight"])) < 1e-6
    for timeline in (heard, seen):
        assert abs(sum(timeline.metadata.clip_probabilities.values()) - 1) < 1e-3


def test_a_bundle_says_at_which_level_it_answers(features: Path, clip: LabelledClip, tmp_path: Path) -> None:
    assert load_bundle().manifest.level == "frame"
    for key, level in (("leader-follower", "frame"), ("vaanet", "clip")):
        _, _, bundle = bundle_of(key, clip, features, tmp_path / key)
        assert load_bundle(bundle.folder).manifest.level == level
        assert ("clip-level" in bundle.card) == (level == "clip")


def test_what_reads_the_waveform_fits_no_bundle() -> None:
    assert not fits_a_bundle(PRESETS["end-to-end-lstm"].settings)
    own = EncoderSettings(backbone="own")
    assert fits_a_bundle(PRESETS["vaanet"].settings.model_copy(update={"visual": own}))
    assert "neutral" in EMOTIONS


def test_a_system_that_weighs_nothing_says_so(features: Path, clip: LabelledClip, tmp_path: Path) -> None:
    assert clip.video is not None
    for key, told in (("vaanet", True), ("ag-fbp", False)):
        _, _, bundle = bundle_of(key, clip, features, tmp_path / key)
        assert (NO_WEIGHTS in analyze(clip.video, bundle=bundle).metadata.problems) == told


@pytest.mark.parametrize("seconds", [3, 62])
def test_where_nothing_is_known_no_class_and_no_weight_is_told(
    seconds: int, features: Path, clip: LabelledClip, tmp_path: Path
) -> None:
    _, _, bundle = bundle_of("ag-fbp", clip, features, tmp_path)
    silence = write_sound(tmp_path / "silence.wav", np.zeros(seconds * 16_000))
    timeline = analyze(silence, bundle=bundle)
    assert timeline.metadata.clip_probabilities == {}
    for name in ("arousal", "anger", "audio_weight", "video_weight"):
        assert np.isnan(timeline[name]).all()


@pytest.mark.parametrize("key", ["leader-follower", "vaanet"])
def test_a_graph_of_another_number_of_classes_is_refused(
    key: str, features: Path, clip: LabelledClip, tmp_path: Path
) -> None:
    _, _, bundle = bundle_of(key, clip, features, tmp_path)
    graph = bundle.manifest.system
    assert clip.video is not None
    assert graph is not None
    changed = bundle.manifest.model_copy(update={"system": graph.model_copy(update={"classes": CLASSES[:3]})})
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    other = save_bundle(tmp_path / "other", changed, contents)
    with pytest.raises(BundleError, match=r"system\.onnx answers with \w*logits of shape .*4\), expected .*3\)"):
        analyze(clip.video, bundle=other)


@pytest.mark.parametrize(("key", "kept"), [("vaanet-own", np.uint8), ("vaanet", np.float32)])
def test_pictures_are_kept_as_bytes(key: str, kept: type, features: Path, clip: LabelledClip, tmp_path: Path) -> None:
    _, _, bundle = bundle_of(key, clip, features, tmp_path)
    assert clip.video is not None
    session = SystemSession(bundle, num_threads=1)
    state = session.initial_state()
    with open_clip(clip.video) as media:
        for block in extract(media, bundle.recipe, make_detector(bundle.recipe.video.detector)):
            _, state = session.run(block, state)
    assert len(state.history.faces)
    assert state.history.faces.dtype == kept


def test_rows_of_pictures_are_shares_and_zero_where_there_is_none() -> None:
    pictures = np.array([[0, 51], [102, 255]], dtype=np.uint8)
    taken = rows(pictures, np.array([1, -1, 0]))
    assert taken.dtype == np.float32
    np.testing.assert_allclose(taken, np.array([[0.4, 1], [0, 0], [0, 0.2]], dtype=np.float32))
    values = pictures.astype(np.float32)
    np.testing.assert_array_equal(rows(values, np.array([[0], [-1]])), [[[0, 51]], [[0, 0]]])


def test_training_and_analysis_place_classes_alike() -> None:
    told = labels.class_points(CLASSES)
    assert told[0] == (labels.CIRCUMPLEX["anger"].arousal, labels.CIRCUMPLEX["anger"].valence)
    assert told[3] == (0, 0)  # calm counts as neutral
    assert np.isnan(told[2]).all()  # nobody placed frustration
    np.testing.assert_array_equal(class_points(CLASSES).numpy(), np.array(told, dtype=np.float32))

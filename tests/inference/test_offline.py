"""A file -> a timeline, with a real bundle of tiny networks."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from emotrace.bundle import Bundle, load_bundle
from emotrace.errors import MediaError
from emotrace.inference.offline import analyze
from emotrace.labels import EMOTIONS
from emotrace.timeline import COLUMNS, NO_AUDIO_TRACK, NO_FACE, NO_SPEECH, NO_VIDEO_TRACK, Timeline
from emotrace.types import NOBODY, FloatArray
from tests.app import tiny_bundle
from tests.media_factory import Pictures, Sound, flat_images, tone, write_clip

ESTIMATES = ("arousal", "valence", *EMOTIONS, "audio_weight", "video_weight")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny"))


def bursts(seconds: float) -> FloatArray:
    """Return [1, N] at 48 kHz: a tone that comes and goes, which counts as speech."""
    sound = tone(seconds)
    times = np.arange(sound.shape[1]) / 48_000
    return np.asarray(sound * np.where(times % 0.7 > 0.3, 1, 0.001), dtype=np.float32)


def clip(path: Path, *, seconds: float = 1.6, sound: bool = True, level: int = 120, side: int = 64) -> Path:
    count = round(seconds * 25)
    pictures = Pictures(flat_images([level] * count, side, side), [number / 25 for number in range(count)])
    return write_clip(path, pictures=pictures, sounds=[Sound(bursts(seconds))] if sound else [])


def kinds(timeline: Timeline) -> set[str]:
    return {gap.kind for gap in timeline.metadata.gaps}


def test_every_column_is_there_and_unknown_exactly_where_neither_is_known(bundle: Bundle, tmp_path: Path) -> None:
    timeline = analyze(clip(tmp_path / "clip.mp4"), bundle=bundle, detector="haar")
    assert list(timeline.columns) == [column.name for column in COLUMNS]
    unknown = np.isnan(timeline["arousal"])
    assert unknown.any()
    assert not unknown.all()
    for name in ESTIMATES:
        np.testing.assert_array_equal(np.isnan(timeline[name]), unknown, err_msg=name)
    probabilities = np.stack([timeline[name] for name in EMOTIONS])[:, ~unknown]
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-6)
    weights = (timeline["audio_weight"] + timeline["video_weight"])[~unknown]
    np.testing.assert_allclose(weights, 1, atol=1e-7)
    for column in COLUMNS:
        values = timeline[column.name][~unknown & ~np.isnan(timeline[column.name])]
        assert column.low is None or (values >= column.low).all()
        assert column.high is None or (values <= column.high).all()
    assert kinds(timeline) == {NO_FACE, NO_SPEECH}
    assert timeline.metadata.source == "clip.mp4"
    assert (timeline.metadata.settings.detector, timeline.metadata.settings.only) == ("haar", None)
    assert timeline.metadata.settings.recipe_digest == bundle.recipe.digest()


def test_only_leaves_the_other_modality_out(bundle: Bundle, tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4")
    voice, face = (analyze(path, bundle=bundle, only=only, detector="haar") for only in ("voice", "face"))
    assert len(voice) == len(face)
    assert not np.isnan(voice["arousal"]).all()
    assert np.isnan(face["arousal"]).all()  # there is no face in it
    assert np.isnan(face["speech_energy"]).all()
    assert kinds(voice) == {NO_SPEECH}
    assert kinds(face) == {NO_FACE}
    assert voice.metadata.settings.detector == "none"


def test_silent_video_and_sound_alone_say_what_they_lack(bundle: Bundle, tmp_path: Path) -> None:
    silent = analyze(clip(tmp_path / "silent.mp4", sound=False), bundle=bundle, detector="haar")
    sound = write_clip(tmp_path / "sound.wav", sounds=[Sound(bursts(1.6), codec="pcm_s16le")])
    alone = analyze(sound, bundle=bundle, detector="haar")
    assert len(alone) == 40
    assert 39 <= len(silent) <= 40  # every second picture is looked at, so that the last may stand for one unseen
    assert kinds(silent) == {NO_AUDIO_TRACK, NO_FACE}
    assert kinds(alone) == {NO_VIDEO_TRACK, NO_SPEECH}
    [gap] = [gap for gap in alone.metadata.gaps if gap.kind == NO_VIDEO_TRACK]
    assert gap.start_seconds == 0
    assert gap.end_seconds == pytest.approx(1.6)
    with pytest.raises(MediaError, match=r"silent\.mp4 has no audio track"):
        analyze(tmp_path / "silent.mp4", bundle=bundle, only="voice")
    with pytest.raises(MediaError, match=r"sound\.wav has no video track"):
        analyze(sound, bundle=bundle, only="face")


def ten_milliseconds(path: Path) -> Path:
    return write_clip(path.with_suffix(".wav"), sounds=[Sound(tone(0.01), codec="pcm_s16le")])


def one_pixel(path: Path) -> Path:
    pictures = Pictures(flat_images([90] * 3, 1, 1), [0.0, 0.04, 0.08], codec="ffv1", pixel_format="bgr0")
    return write_clip(path.with_suffix(".mkv"), pictures=pictures)


def black(path: Path) -> Path:
    return clip(path, seconds=0.4, level=0, sound=False)


@pytest.mark.parametrize(("make", "ticks"), [(ten_milliseconds, 1), (one_pixel, 3), (black, 10)])
def test_the_smallest_and_emptiest_files_give_a_timeline_of_unknowns(
    bundle: Bundle, tmp_path: Path, make: Callable[[Path], Path], ticks: int
) -> None:
    timeline = analyze(make(tmp_path / "clip.mp4"), bundle=bundle, detector="haar")
    assert abs(len(timeline) - ticks) <= 1
    assert len(timeline) >= 1
    assert np.isnan(timeline["arousal"]).all()
    assert not timeline["face_detected"].any()


def test_a_truncated_file_keeps_what_is_there_and_tells(bundle: Bundle, tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mkv", seconds=2.0)
    content = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) // 2])
    expected = analyze(whole, bundle=bundle, detector="haar")
    timeline = analyze(cut, bundle=bundle, detector="haar")
    assert expected.metadata.problems == ()
    assert any("cut off" in problem for problem in timeline.metadata.problems)
    assert 10 < len(timeline) < len(expected)
    sure = len(timeline) - 5  # the last sound before the cut is damaged
    np.testing.assert_allclose(timeline["arousal"][:sure], expected["arousal"][:sure], atol=1e-5)


def test_the_duration_is_never_less_than_the_ticks(bundle: Bundle, tmp_path: Path) -> None:
    path = ten_milliseconds(tmp_path / "clip.wav")
    timeline = analyze(path, bundle=bundle)
    assert timeline.metadata.duration_seconds == pytest.approx(0.01)
    assert timeline["time"].tolist() == [0.0]


def test_an_interrupt_during_the_analysis_ends_it(bundle: Bundle, tmp_path: Path) -> None:
    told: list[tuple[float, float | None]] = []

    def interrupt(seconds: float, duration: float | None) -> None:
        told.append((seconds, duration))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze(clip(tmp_path / "clip.mp4"), bundle=bundle, detector="haar", progress=interrupt)
    [(seconds, duration)] = told
    assert duration is not None
    assert 1.5 < seconds <= duration


def test_a_file_that_is_not_there_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4 does not exist"):
        analyze(tmp_path / "gone.mp4", bundle=bundle, detector="haar")


def test_the_parts_are_the_rows_of_the_whole_as_they_come(bundle: Bundle, tmp_path: Path) -> None:
    parts: list[Timeline] = []
    path = clip(tmp_path / "clip.mp4", seconds=24)
    whole = analyze(path, bundle=bundle, detector="haar", on_part=parts.append)
    assert len(parts) == 5
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), column)
    assert [part.metadata.duration_seconds for part in parts] == [5.0, 10.0, 15.0, 20.0, 24.0]


@pytest.mark.parametrize("people", ["main", "all"])
def test_one_thread_and_several_give_the_same_rows_to_the_bit(
    bundle: Bundle, tmp_path: Path, people: Literal["main", "all"]
) -> None:
    path = clip(tmp_path / "clip.mp4", seconds=3)
    one, several = (analyze(path, bundle=bundle, detector="haar", people=people, num_threads=n) for n in (1, None))
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, several[name])
    assert one.metadata == several.metadata


def test_pictures_are_shown_to_whoever_watches(bundle: Bundle, tmp_path: Path) -> None:
    seen: list[float] = []
    analyze(clip(tmp_path / "clip.mp4"), bundle=bundle, watch=lambda frame: seen.append(frame.time_seconds))
    np.testing.assert_allclose(seen, np.arange(0, 1.6, 0.08), atol=0.001)


def test_a_failing_watcher_ends_the_analysis_and_leaves_no_thread(bundle: Bundle, tmp_path: Path) -> None:
    def fail(frame: object) -> None:
        raise RuntimeError("seen enough")

    with pytest.raises(RuntimeError, match="seen enough"):
        analyze(clip(tmp_path / "clip.mp4"), bundle=bundle, watch=fail)
    assert not [thread for thread in threading.enumerate() if thread.name == "emotrace-ahead"]


def test_where_nobody_is_seen_everybody_is_a_voice_without_a_face(bundle: Bundle, tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4")
    main, everybody = (analyze(path, bundle=bundle, detector="haar", people=people) for people in ("main", "all"))
    assert set(everybody["person"]) == {NOBODY}
    for name in ("time", "arousal", "valence", "speech_energy"):
        np.testing.assert_array_equal(everybody[name], main[name])
    assert everybody.metadata.settings.people == "all"
    assert everybody.summary()["people"] == []

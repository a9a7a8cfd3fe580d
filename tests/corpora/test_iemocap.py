"""IEMOCAP: which utterances are read, what of sound and pictures belongs to each, and what is refused."""

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from emotrace.corpora import iemocap
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError, SettingsError
from emotrace.media import VideoFrame
from emotrace.types import AudioChunk, Image
from tests.corpora.miniature_acted import write_iemocap

TEXT = Path("Session1") / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_iemocap(tmp_path, clips=False)


def named(clips: list[LabelledClip], name: str) -> LabelledClip:
    [found] = [clip for clip in clips if clip.name == name]
    return found


def test_an_utterance_has_its_own_sound_and_its_part_of_the_video(root: Path) -> None:
    clip = named(iemocap.read(root), "Ses01F_impro01_M000")  # the second of the dialogue, after one of a woman
    dialogue = root / "Session1" / "dialog" / "avi" / "DivX" / "Ses01F_impro01.avi"
    sound = root / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_M000.wav"
    assert (clip.video, clip.audio) == (dialogue, sound)
    assert (clip.start_seconds, clip.end_seconds) == (1.2, 2.4)
    assert (clip.label, clip.subject, clip.split, clip.fold) == ("anger", "iemocap-1M", "train", 0)


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("Ses01F_impro01_F001", "left"),
        ("Ses01F_impro01_M000", "right"),
        ("Ses01M_script01_1_F001", "right"),
        ("Ses01M_script01_1_M001", "left"),
    ],
)
def test_who_wears_the_markers_is_on_the_left(name: str, half: str, root: Path) -> None:
    assert named(iemocap.read(root), name).half == half


def test_without_the_video_the_sound_is_read_alone(root: Path) -> None:
    for video in root.glob("Session*/dialog/avi/DivX/*"):
        video.unlink()
    clips = iemocap.read(root)
    assert {(clip.video, clip.start_seconds, clip.end_seconds, clip.half) for clip in clips} == {
        (None, 0.0, None, None)
    }
    assert all(clip.audio is not None for clip in clips)


@pytest.mark.parametrize("has_video", [True, False])
def test_turns_stand_in_order_of_time_though_files_list_one_speaker_after_the_other(
    has_video: bool, root: Path
) -> None:
    before = [clip.name for clip in iemocap.read(root)]
    path = root / TEXT
    lines = path.read_text().splitlines()
    turns = sorted((line for line in lines if line.startswith("[")), key=lambda line: line.split()[3])
    assert turns != [line for line in lines if line.startswith("[")]
    path.write_text("\n".join(turns) + "\n")
    if not has_video:
        (root / "Session1" / "dialog" / "avi" / "DivX" / "Ses01F_impro01.avi").unlink()
    clips = iemocap.read(root)
    assert [clip.name for clip in clips] == before
    assert {clip.dialogue for clip in clips if clip.name.startswith("Ses01F_impro01_")} == {"Ses01F_impro01"}


def test_of_four_classes_happiness_holds_excitement(root: Path) -> None:
    clips = iemocap.read(root)
    assert Counter(clip.label for clip in clips) == {"anger": 10, "happiness": 20, "sadness": 10, "neutral": 10}
    assert {clip.label for clip in clips} == set(iemocap.CLASSES)


def test_of_six_classes_excitement_and_frustration_stand_alone(root: Path) -> None:
    assert Counter(clip.label for clip in iemocap.read(root, 6)) == dict.fromkeys(iemocap.SIX_CLASSES, 10)


def test_only_four_or_six_classes_are_known(root: Path) -> None:
    five: Literal[4] = 5  # type: ignore[assignment]
    with pytest.raises(SettingsError, match="5 classes was asked for: choose 4 or 6"):
        iemocap.read(root, five)


def test_the_improvised_part_alone_can_be_read(root: Path) -> None:
    both, improvised = iemocap.read(root), iemocap.read(root, improvised_only=True)
    assert [clip for clip in both if "impro" in clip.name] == improvised
    assert 0 < len(improvised) < len(both)


@pytest.mark.parametrize("code", ["xxx", "oth", "fea", "sur", "dis"])
def test_other_emotions_are_left_out(code: str, root: Path) -> None:
    before = {clip.name for clip in iemocap.read(root, 6)}
    (root / TEXT).write_text((root / TEXT).read_text().replace("\tneu\t", f"\t{code}\t"))
    assert before - {clip.name for clip in iemocap.read(root, 6)} == {"Ses01F_impro01_M002"}


def test_the_splits_go_by_session_and_the_miniature_fills_them(root: Path) -> None:
    clips = iemocap.read(root, 6)
    assert {(clip.fold, clip.split) for clip in clips} == {
        (0, "train"),
        (1, "train"),
        (2, "train"),
        (3, "validation"),
        (4, "test"),
    }
    assert len({clip.subject for clip in clips}) == 10
    assert all(clip.subject[8] == str((clip.fold or 0) + 1) for clip in clips)
    counts = Counter((clip.split, clip.label) for clip in clips)
    assert len(counts) == 3 * 6
    assert min(counts.values()) == 2
    assert len({clip.name for clip in clips}) == len(clips)


@pytest.mark.parametrize(
    "line",
    [
        "[6.2901 - 8.2357]",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\thappy\t[2.5, 2.5, 2.5]",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tjoy\t[2.5, 2.5, 2.5]",
        "[nan - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        "[-6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        "[6.2901 - 999999999999.0]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        "[6.2901 - 8.2357]\tSes02F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        "[6.2901 - 8.2357]\t../../Ses01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        "[6.2901 - 8.2357]\tSes01F_impro01_/etc/F000\tneu\t[2.5, 2.5, 2.5]",
    ],
)
def test_a_damaged_line_is_named(line: str, root: Path) -> None:
    (root / TEXT).write_text(f"% header\n\n{line}\n")
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt, line 3 is .*expected such as"):
        iemocap.read(root)


def test_an_utterance_that_ends_before_it_begins_is_refused(root: Path) -> None:
    (root / TEXT).write_text("[8.5 - 6.25]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]\n")
    with pytest.raises(CorpusError, match=r"line 1 begins at 8\.5 s and ends at 6\.25 s"):
        iemocap.read(root)


def test_remarks_of_raters_in_any_encoding_are_passed_over(root: Path) -> None:
    text = (root / TEXT).read_bytes()
    (root / TEXT).write_bytes(text.replace(b"so-so", b"caf\xe9 \xe2\x80\xa8[1.0 - 2.0]").replace(b"\n", b"\r\n"))
    assert len(iemocap.read(root)) == 50


def test_files_that_are_no_dialogues_of_the_session_are_passed_over(root: Path) -> None:
    for name in ("._Ses01F_impro01.txt", "Ses02F_impro09.txt", "notes.txt"):
        (root / TEXT).with_name(name).write_text("[nonsense\n")
    (root / TEXT).with_name("Categorical").mkdir()
    assert len(iemocap.read(root)) == 50


def test_a_missing_sound_is_named(root: Path) -> None:
    next(root.glob("Session2/sentences/wav/*/*_F001.wav")).unlink()
    with pytest.raises(CorpusError, match=r"Ses02\w+_F001\.wav is missing though Ses02\w+\.txt names it"):
        iemocap.read(root)


def test_a_missing_session_is_named_with_the_layout(root: Path) -> None:
    (root / "Session3" / "dialog").rename(root / "elsewhere")
    with pytest.raises(CorpusError, match=r"Session3/dialog/EmoEvaluation missing, .*Session1 \.\. Session5"):
        iemocap.read(root)
    with pytest.raises(CorpusError, match=r"Session1.*Session5.* missing, expected five sessions: --root must name"):
        iemocap.read(root / "elsewhere")


def test_a_session_without_an_utterance_is_named(root: Path) -> None:
    for text in root.glob("Session5/dialog/EmoEvaluation/*.txt"):
        text.write_text("% header\n")
    with pytest.raises(CorpusError, match="EmoEvaluation holds no utterance of the 4 classes"):
        iemocap.read(root)


def test_a_file_of_emotions_that_is_too_large_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iemocap, "MAX_TEXT_BYTES", 100)
    with pytest.raises(CorpusError, match="at most 100 expected"):
        iemocap.read(root)


def test_the_layout_fits_a_screen() -> None:
    assert 0 < len(iemocap.LAYOUT.splitlines()) <= 8


def test_a_clip_of_the_miniature_shows_the_speaker_alone_and_lasts_as_long_as_its_sound(root: Path) -> None:
    write_iemocap(root, clips=True, sessions=(1,), dialogues=("F_impro01",), seconds=0.4)
    clips = [clip for clip in iemocap.read(root, 6) if clip.name.startswith("Ses01F_impro01")]
    seen = {clip.name: _opened(clip) for clip in clips}
    assert {images.shape for images, _ in seen.values()} == {(5, 160, 200, 3)}
    assert {num_samples for _, num_samples in seen.values()} == {6400}
    woman = [images[0, :40] for clip, (images, _) in zip(clips, seen.values(), strict=True) if clip.subject[-1] == "F"]
    man = [images[0, :40] for clip, (images, _) in zip(clips, seen.values(), strict=True) if clip.subject[-1] == "M"]
    assert _difference(woman[0], woman[1]) < 0.2 * _difference(woman[0], man[0])


def _opened(clip: LabelledClip) -> tuple[Image, int]:
    """Return the pictures and the number of samples of a clip."""
    with clip.open() as source:
        items = list(source.read(sample_rate=16_000, video_rate_hz=None))
    images = [item.rgb() for item in items if isinstance(item, VideoFrame)]
    return np.stack(images), sum(len(item.samples) for item in items if isinstance(item, AudioChunk))


def _difference(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(np.float32) - other).mean())

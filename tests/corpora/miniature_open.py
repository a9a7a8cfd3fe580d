"""Few numbers -> small Aff-Wild2, AFEW, VideoEmotion-8 and Ekman-6 in their official layouts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emotrace.media import VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import AudioChunk
from tests.corpora.miniature_clips import point_of, write_clip

AFEW_FOLDERS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
VIDEOEMOTION8_FOLDERS = ("Anger", "Anticipation", "Disgust", "Fear", "Joy", "Sadness", "Surprise", "Trust")
EKMAN6_FOLDERS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
AFFWILD2_TRIALS = {
    "Train_Set": ("1-30-1280x720", "10-60-1280x720", "10-60-1280x720_right", "112", "video55_left", "video55_right"),
    "Validation_Set": ("5-60-1920x1080-3", "video4"),
}
MOODS = ((0.7, 0.6), (-0.5, -0.6), (0.6, -0.7), (-0.6, 0.4))
"""Arousal and valence of the trials, which take turns."""


def write_affwild2(
    root: Path,
    *,
    clips: bool = False,
    trials: Mapping[str, Sequence[str]] = AFFWILD2_TRIALS,
    seconds: float = 2.0,
    unlabelled: Sequence[int] = (1,),
) -> Path:
    """Write annotations of one mood per trial, and a video for all trials whose names differ by the side alone.

    Args:
        root: is made.
        clips: whether the videos show and voice the moods; else they are grey and silent, but of the right length.
        trials: names of the trials of each set.
        seconds: of every video.
        unlabelled: frames without labels.
    """
    moods: dict[str, dict[str, tuple[float, float]]] = {}
    for folder, names in trials.items():
        for name in names:
            video = name.removesuffix("_left").removesuffix("_right")
            sides = moods.setdefault(video, {})
            arousal, valence = MOODS[(len(moods) + len(sides)) % len(MOODS)]
            sides[name.removeprefix(video)] = arousal, valence
            lines = [f"{valence},{arousal}"] * round(seconds * 12.5)
            for frame in unlabelled:
                lines[frame] = "-5,-5"
            path = root / "VA_Set" / folder / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(["valence,arousal", *lines]) + "\n")
    for number, (video, sides) in enumerate(sorted(moods.items())):
        path = root / f"batch{1 + number % 2}" / f"{video}.mp4"
        path.parent.mkdir(exist_ok=True)
        if not clips:
            _write_grey(path, seconds)
        elif len(sides) == 1:
            _write_mood(path, next(iter(sides.values())), seconds, number)
        else:
            left = sides.get("_left", sides.get(""))
            right = sides.get("_right", sides.get(""))
            assert left is not None
            assert right is not None
            _write_pair(path, left, right, seconds, number)
    return root


def write_afew(root: Path, *, clips: bool = False, train: int = 5, validation: int = 2, seconds: float = 2.0) -> Path:
    """Write that many clips of each class into Train_AFEW and Val_AFEW."""
    number = 0
    for part, count in (("Train_AFEW", train), ("Val_AFEW", validation)):
        for folder, label in AFEW_FOLDERS.items():
            for _ in range(count):
                number += 1
                _write(root / part / folder / f"{46_280 + 37 * number:09d}.avi", label, number, clips, seconds)
    return root


def write_videoemotion8(
    root: Path, *, clips: bool = False, count: int = 6, silent: int = 1, seconds: float = 2.0
) -> Path:
    """Write that many clips of each class; the last `silent` of them have no sound."""
    for place, folder in enumerate(VIDEOEMOTION8_FOLDERS):
        for index in range(count):
            number = 100 * place + index
            name = (
                f"{3_500_000_000 + 7_919 * number}_{number:03d}d0c_700"
                if index % 2
                else f"[{folder}]Compilation.{index}"
            )
            has_sound = index < count - silent
            _write(root / folder / f"{name}.mp4", folder.lower(), number, clips, seconds, audio=has_sound)
    return root


def write_ekman6(root: Path, *, clips: bool = False, count: int = 6, lists: bool = False, seconds: float = 2.0) -> Path:
    """Write that many clips of each class, numbered through; and lists of every other one."""
    number = 0
    lines: tuple[list[str], list[str]] = ([], [])
    for place, folder in enumerate(EKMAN6_FOLDERS, start=1):
        for _ in range(count):
            number += 1
            _write(root / folder / f"{number}.mp4", folder, number, clips, seconds)
            lines[number % 2].append(f"{folder}/{number} {place}")
    if lists:
        for name, chosen in zip(("testlist01.txt", "trainlist01.txt"), lines, strict=True):
            (root / name).write_text("\n".join(chosen) + "\n")
    return root


def _write(path: Path, label: str, seed: int, clips: bool, seconds: float, audio: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not clips:
        path.touch()
        return
    arousal, valence = point_of(label)
    write_clip(path, arousal=arousal, valence=valence, seconds=seconds, seed=seed, audio=audio)


def _write_mood(path: Path, mood: tuple[float, float], seconds: float, seed: int) -> None:
    write_clip(path, arousal=mood[0], valence=mood[1], seconds=seconds, seed=seed)


def _write_grey(path: Path, seconds: float) -> None:
    with ClipWriter(path, width=32, height=24, frame_rate=12.5) as writer:
        for index in range(round(seconds * 12.5)):
            writer.write_frame(index / 12.5, np.full((24, 32, 3), 100, np.uint8))


def _write_pair(path: Path, left: tuple[float, float], right: tuple[float, float], seconds: float, seed: int) -> None:
    """Write two people side by side who speak at once."""
    frames: list[list[VideoFrame]] = []
    sounds = []
    for mood, side in ((left, "left"), (right, "right")):
        alone = path.with_name(f"{side}-of-{path.name}")
        _write_mood(alone, mood, seconds, seed + 1000 * (side == "right"))
        with open_clip(alone) as clip:
            items = list(clip.read(sample_rate=SAMPLE_RATE))
        alone.unlink()
        frames.append([item for item in items if isinstance(item, VideoFrame)])
        sounds.append(np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)]))
    width, height = 2 * frames[0][0].width, frames[0][0].height
    with ClipWriter(path, width=width, height=height, frame_rate=12.5, sample_rate=SAMPLE_RATE) as writer:
        for one, other in zip(*frames, strict=True):
            writer.write_frame(one.time_seconds, np.concatenate([one.rgb(), other.rgb()], axis=1))
        count = min(map(len, sounds))
        writer.write_audio((sounds[0][:count] + sounds[1][:count]) / 2)

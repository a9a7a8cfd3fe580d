"""Few numbers -> tiny corpora of acted clips in their official layouts: empty files, or people who are drawn.

Each has training, validation and test people, and at least two clips of every class in every split.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from emotrace.corpora import cremad
from emotrace.corpora.synthetic_face import HEIGHT, WIDTH
from emotrace.corpora.synthetic_story import PICTURE_RATE_HZ
from emotrace.labels import RAVDESS_CODES
from emotrace.media import VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import Image
from tests.corpora.miniature_clips import point_of, write_clip

CREMAD_CODES = dict(zip(cremad.CLASSES, ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), strict=True))
IEMOCAP_CODES = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "frustration",
}


def write_ravdess_av(
    root: Path, *, clips: bool, actors: Sequence[int] = (1, 17, 21), repetitions: int = 2, seconds: float = 1.2
) -> Path:
    """Write clips with sound and pictures as the official archives unpack, each emotion of an actor repeated."""
    for actor in actors:
        folder = root / f"Video_Speech_Actor_{actor:02d}" / f"Actor_{actor:02d}"
        for code, label in RAVDESS_CODES.items():
            for repetition in range(1, repetitions + 1):
                path = folder / f"01-01-{code}-01-01-{repetition:02d}-{actor:02d}.mp4"
                _write(path, label, clips=clips, seed=10 * actor + repetition, seconds=seconds)
    return root


def write_cremad(
    root: Path,
    *,
    clips: bool,
    actors: Sequence[int] = (1001, 1004, 1005),
    sentences: Sequence[str] = ("DFA", "ITS"),
    seconds: float = 1.2,
) -> Path:
    """Write videos, sounds and the table of votes, where the crowd hears neutral and sees the class, 6 of 10."""
    rows = ['"","A","D","F","H","N","S","fileName","numResponses"']
    names = [
        (f"{actor}_{sentence}_{code}_XX", label, 10 * actor + number)
        for actor in actors
        for number, sentence in enumerate(sentences)
        for label, code in CREMAD_CODES.items()
    ]
    for number, (name, label, seed) in enumerate(names, start=1):
        _write(root / "VideoFlash" / f"{name}.flv", label, clips=clips, seed=seed, seconds=seconds)
        _write(root / "AudioWAV" / f"{name}.wav", label, clips=clips, seed=seed, seconds=seconds, video=False)
        for played, chosen in ((1, "neutral"), (2, label), (3, label)):
            votes = ",".join("6" if each == chosen else "4" if each == "fear" else "0" for each in cremad.CLASSES)
            rows.append(f'"{100_000 * played + number}",{votes},"{name}",10')
    table = root / "processedResults" / "tabulatedVotes.csv"
    table.parent.mkdir()
    table.write_text("\n".join(rows) + "\n")
    return root


def write_iemocap(
    root: Path,
    *,
    clips: bool,
    sessions: Sequence[int] = (1, 2, 3, 4, 5),
    dialogues: Sequence[str] = ("F_impro01", "M_script01_1"),
    seconds: float = 1.2,
) -> Path:
    """Write sessions of these dialogues, every emotion once in each, after an utterance without agreement.

    The two people speak in turn for `seconds` each; in the video one shows the emotion, the other listens, neutral.
    """
    for session in sessions:
        for number, ending in enumerate(dialogues):
            dialogue = f"Ses0{session}{ending}"
            turns = _turns(dialogue, first=number % 2)
            folder = root / f"Session{session}"
            _write_emotions(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", turns, seconds)
            seed = 100 * session + 10 * number
            for name, code in turns:
                path = folder / "sentences" / "wav" / dialogue / f"{name}.wav"
                _write(path, _shown(code), clips=clips, seed=seed + _is_male(name), seconds=seconds, video=False)
            video = folder / "dialog" / "avi" / "DivX" / f"{dialogue}.avi"
            video.parent.mkdir(parents=True, exist_ok=True)
            if clips:
                _film_dialogue(video, turns, seed, seconds)
            else:
                video.touch()
    return root


def _turns(dialogue: str, first: int) -> list[tuple[str, str]]:
    """Return utterances and their emotions; the woman begins where `first` is 0, else the man."""
    codes = ("xxx", *IEMOCAP_CODES)
    return [(f"{dialogue}_{'FM'[(number + first) % 2]}{number // 2:03d}", code) for number, code in enumerate(codes)]


def _write_emotions(text: Path, turns: Sequence[tuple[str, str]], seconds: float) -> None:
    rows = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for number, (name, code) in enumerate(turns):
        start, end = number * seconds, (number + 1) * seconds
        rows.append(f"[{start:.4f} - {end:.4f}]\t{name}\t{code}\t[2.5000, 2.5000, 3.0000]")
        rows += ["C-E1:\tNeutral;\t([so-so])", "A-E1:\tval 3; act 3; dom  3;\t()", ""]
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n".join(rows) + "\n")


def _shown(code: str) -> str:
    return IEMOCAP_CODES.get(code, "neutral")


def _film_dialogue(video: Path, turns: Sequence[tuple[str, str]], seed: int, seconds: float) -> None:
    """Film two people side by side, who wears the markers on the left."""
    markers_are_male = video.stem[5] == "M"
    with (
        TemporaryDirectory() as folder,
        ClipWriter(video, width=2 * WIDTH, height=HEIGHT, frame_rate=PICTURE_RATE_HZ) as clip,
    ):
        scratch = Path(folder) / "one.mp4"
        listeners = [_pictures(scratch, "neutral", seed + person, seconds) for person in (0, 1)]
        shown = 0
        for name, code in turns:
            speaker = _is_male(name)
            people = list(listeners)
            people[speaker] = _pictures(scratch, _shown(code), seed + speaker, seconds)
            left, right = people[::-1] if markers_are_male else people
            for pair in zip(left, right, strict=True):
                clip.write_frame(shown / PICTURE_RATE_HZ, np.hstack(pair))
                shown += 1


def _pictures(scratch: Path, label: str, seed: int, seconds: float) -> list[Image]:
    _write(scratch, label, clips=True, seed=seed, seconds=seconds, audio=False)
    with open_clip(scratch) as clip:
        items = clip.read(sample_rate=SAMPLE_RATE, video_rate_hz=None)
        return [item.rgb() for item in items if isinstance(item, VideoFrame)]


def _is_male(name: str) -> int:
    return int(name.split("_")[-1].startswith("M"))


def _write(
    path: Path, label: str, *, clips: bool, seed: int, seconds: float, video: bool = True, audio: bool = True
) -> None:
    if clips:
        arousal, valence = point_of(label)
        write_clip(path, arousal=arousal, valence=valence, seconds=seconds, seed=seed, video=video, audio=audio)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()

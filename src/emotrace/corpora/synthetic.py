"""A seed -> a generated corpus in the layout of AVEC 2016 (RECOLA), with the truth behind it; nothing is recorded.

Hidden courses of arousal and valence drive a drawn face and a synthetic voice: the face shows valence closely and
arousal loosely, the voice the other way round. Now and then a modality is missing or poor. Six raters follow the truth
late and unequally. So it can be told whether a system learns what can be learnt, without any recording of a person.

Layout: `recordings_audio/{split}_{k}.wav`, `recordings_video/{split}_{k}.mp4` without sound, and for the splits train
and dev `ratings_gold_standard/{arousal,valence}/{split}_{k}.arff` and `ratings_individual/{arousal,valence}/
{split}_{k}.csv`; like the challenge, test has none. `truth/{split}_{k}.csv` is ours, for every split.

F. Ringeval, A. Sonderegger, J. Sauer and D. Lalanne, "Introducing the RECOLA multimodal corpus of remote collaborative
and affective interactions", EmoSPACE at FG 2013; M. Valstar et al., "AVEC 2016", Proc. AVEC, 2016.
"""

import json
import os
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from emotrace.corpora import synthetic_face, synthetic_story, synthetic_voice
from emotrace.corpora.rated import DIMENSIONS
from emotrace.corpora.synthetic_ratings import DECIMALS, RATERS, Raters
from emotrace.errors import CorpusError, SettingsError
from emotrace.media_writer import ClipWriter
from emotrace.ratings import centred_gold_standard
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray, Image

SPLITS = ("train", "dev", "test")
"""As the challenge names them."""
_RATED_SPLITS = ("train", "dev")
_VERSION = 1
"""Raised when the same seed gives another corpus, also because the drawn head or the babble changed."""
_MIN_SECONDS, _MAX_SECONDS = 2.0, 1800.0
_MAX_PER_SPLIT = 99
_SETTINGS = "generated.json"
_FOLDERS = ("recordings_audio", "recordings_video", "ratings_gold_standard", "ratings_individual", "truth")
_TRUTH_COLUMNS = ("time", "arousal", "valence", "voice_reliability", "face_reliability")
_MAX_TEXT_BYTES = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Truth:
    """What a recording was made from; T ticks at 25 Hz, tick k at k / 25 seconds.

    Attributes:
        arousal: [T] in [-1, 1].
        valence: [T] in [-1, 1].
        voice_reliability: [T] in 0..1; 0 where nothing is said, low where noise covers it.
        face_reliability: [T] in 0..1; 0 where no face is there, low where the pictures are dark and noisy.
    """

    arousal: FloatArray
    valence: FloatArray
    voice_reliability: FloatArray
    face_reliability: FloatArray


def generate(
    root: Path,
    *,
    seconds: float = 300.0,
    seed: int = 0,
    per_split: int = 9,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the corpus, on all cores; the same seconds and seed give the same recordings.

    A recording whose files are all there is left alone, so that an interrupted call can be made again; so is one beyond
    `per_split`.

    Args:
        root: the folder; made where it is not there.
        seconds: length of every recording, rounded to ticks of 0.04 s.
        seed: not negative.
        per_split: recordings in each of `SPLITS`.
        progress: is told how many recordings are there, and of how many, whenever one more is.

    Raises:
        SettingsError: seconds, seed or per_split is out of range.
        CorpusError: the folder holds a corpus of other settings or one that is not generated, or cannot be written to.
        MediaError: a clip cannot be written.
    """
    if not (_MIN_SECONDS <= seconds <= _MAX_SECONDS and seed >= 0 and 1 <= per_split <= _MAX_PER_SPLIT):
        raise SettingsError(
            f"A corpus of {per_split} recordings a split, {seconds} s each, with seed {seed} cannot be made; expected "
            f"1 to {_MAX_PER_SPLIT} recordings, {_MIN_SECONDS:g} to {_MAX_SECONDS:g} s and a seed of 0 or more."
        )
    names = [(split, number) for split in SPLITS for number in range(1, per_split + 1)]
    _claim(root, {"version": _VERSION, "seconds": seconds, "seed": seed})
    missing = [name for name in names if not all(path.is_file() for path in _paths(root, *name))]
    if not missing:
        return
    # Spawned, not forked: a forked worker could wait for ever for a lock that a thread of the parent holds.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        made = pool.map(partial(_make, root, seconds, seed), missing)
        for done, _ in enumerate(made, start=len(names) - len(missing) + 1):
            if progress is not None:
                progress(done, len(names))


def read_truth(root: Path, name: str) -> Truth:
    """Return the truth behind a recording, such as `test_3`.

    Raises:
        CorpusError: there is no such recording, or its file is damaged.
    """
    path = root / "truth" / f"{name}.csv"
    lines = [line for line in _text(path).splitlines()[1:] if line.strip()]
    if not lines:
        raise CorpusError(f"{path} holds no row: generate the corpus again.")
    try:
        rows = np.loadtxt(lines, np.float32, delimiter=";", ndmin=2, comments=None)
    except ValueError as error:
        raise CorpusError(f"{path} is damaged ({error}): generate the corpus again.") from error
    if rows.shape[1] != len(_TRUTH_COLUMNS):
        raise CorpusError(f"{path} has {rows.shape[1]} columns, expected {len(_TRUTH_COLUMNS)}: generate it again.")
    return Truth(*(np.ascontiguousarray(column) for column in rows.T[1:]))


def _claim(root: Path, settings: dict[str, float]) -> None:
    """Make the folder one of these settings, or check that it is."""
    path = root / _SETTINGS
    if path.is_file():
        try:
            found = json.loads(_text(path))
        except ValueError as error:
            raise CorpusError(f"{path} is damaged ({error}): choose another folder or remove this one.") from error
        if found != settings:
            raise CorpusError(
                f"{root} holds a corpus generated with {found}, asked for was {settings}: choose another folder or "
                "remove this one."
            )
        return
    if any((root / folder).exists() for folder in _FOLDERS):
        raise CorpusError(f"{root} holds a corpus that was not generated here, no {_SETTINGS}: choose another folder.")
    with _telling_what_failed(root):
        root.mkdir(parents=True, exist_ok=True)
        _write_text(path, json.dumps(settings) + "\n")


def _paths(root: Path, split: str, number: int) -> list[Path]:
    """Return the files of a recording: sound, pictures, truth, then gold standard and ratings where it is rated."""
    name = f"{split}_{number}"
    paths = [
        root / "recordings_audio" / f"{name}.wav",
        root / "recordings_video" / f"{name}.mp4",
        root / "truth" / f"{name}.csv",
    ]
    if split in _RATED_SPLITS:
        for dimension in DIMENSIONS:
            paths.append(root / "ratings_gold_standard" / dimension / f"{name}.arff")
            paths.append(root / "ratings_individual" / dimension / f"{name}.csv")
    return paths


def _make(root: Path, seconds: float, seed: int, recording: tuple[str, int]) -> None:
    sources = np.random.SeedSequence([seed, SPLITS.index(recording[0]), recording[1]]).spawn(5)
    told, spoken, heard, seen, rated = (np.random.default_rng(source) for source in sources)
    story = synthetic_story.tell(seconds, told)
    speech = synthetic_voice.speak(story, spoken)
    sound, pictures, truth, *ratings = _paths(root, *recording)
    with _telling_what_failed(root):
        for path in (sound, pictures, truth, *ratings):
            path.parent.mkdir(parents=True, exist_ok=True)
        _write_sound(sound, synthetic_voice.microphone(speech, story, heard))
        _write_pictures(pictures, synthetic_face.film(story, speech, seen))
        reliability = np.stack([story.voice_reliability, story.face_reliability], axis=-1)
        _write_rows(truth, _TRUTH_COLUMNS, np.concatenate([story.mood, reliability], axis=-1))
        if ratings:
            raters = Raters.draw(np.random.default_rng(seed))
            _write_ratings(ratings, raters.rate(story.mood, rated), "_".join(map(str, recording)))


def _write_ratings(paths: list[Path], ratings: FloatArray, name: str) -> None:
    """Write gold standard and individual ratings [6, T, 2] of arousal, then of valence."""
    for axis in range(len(DIMENSIONS)):
        gold, individual = paths[2 * axis : 2 * axis + 2]
        _write_gold_standard(gold, name, centred_gold_standard(ratings[..., axis]))
        _write_rows(individual, ("time", *RATERS), ratings[..., axis].T)


def _write_gold_standard(path: Path, name: str, values: FloatArray) -> None:
    times = synthetic_story.tick_times(len(values) / synthetic_story.LABEL_RATE_HZ).tolist()
    rows = [f"'{name}',{time:.2f},{value:.{DECIMALS}f}" for time, value in zip(times, values.tolist(), strict=True)]
    header = [
        "@relation gold_standard",
        "",
        "@attribute Instance_name string",
        "@attribute frameTime numeric",
        "@attribute GoldStandard numeric",
        "",
        "@data",
    ]
    _write_text(path, "\n".join([*header, *rows]) + "\n")


def _write_rows(path: Path, columns: tuple[str, ...], values: FloatArray) -> None:
    """Write values [T, C] behind their times, one row a tick."""
    times = synthetic_story.tick_times(len(values) / synthetic_story.LABEL_RATE_HZ).tolist()
    rows = [
        ";".join([f"{time:.2f}", *(f"{value:.{DECIMALS}f}" for value in row)])
        for time, row in zip(times, values.tolist(), strict=True)
    ]
    _write_text(path, "\n".join([";".join(columns), *rows]) + "\n")


def _write_sound(path: Path, samples: FloatArray) -> None:
    with _new(path) as temporary, temporary.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def _write_pictures(path: Path, pictures: Iterator[Image]) -> None:
    rate = synthetic_story.PICTURE_RATE_HZ
    with ClipWriter(path, width=synthetic_face.WIDTH, height=synthetic_face.HEIGHT, frame_rate=rate) as clip:
        for index, picture in enumerate(pictures):
            clip.write_frame(index / rate, picture)


def _write_text(path: Path, text: str) -> None:
    with _new(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _telling_what_failed(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"{root} cannot be written to: {error}. Choose another folder or make room.") from error


@contextmanager
def _new(path: Path) -> Iterator[Path]:
    """Give a temporary name that becomes the file when the block ends well, and is removed otherwise."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(path: Path) -> str:
    """Return a text file of bounded size."""
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise CorpusError(f"{path} is larger than {_MAX_TEXT_BYTES} bytes: it was not generated here.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read ({error}): generate the corpus again.") from error

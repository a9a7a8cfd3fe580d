"""Recordings with labels -> one file of features per recording, made once, on all cores. No torch: workers start often.

Everything goes through `features.extract`; other front ends than the first hear the sound that was kept from it.
A file that is there and of the same origin is not made again, so an interrupted run goes on where it stopped.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from emotrace.clock import tick_times
from emotrace.corpora.composed import Conditions, KnownFace, Material, compose
from emotrace.corpora.feature_tables import TabledClip
from emotrace.corpora.labelled import LabelledClip
from emotrace.corpora.rated import RatedRecording
from emotrace.errors import CorpusError
from emotrace.features.extract import Source, extract
from emotrace.features.faces import Detector, make_detector
from emotrace.features.voice_input import input_shape
from emotrace.features.whole_picture import WholePicture
from emotrace.media import ClipInfo, VideoFrame
from emotrace.recipe import SAMPLE_RATE, SLICE_FRONT_ENDS, AudioRecipe, Recipe
from emotrace.training.arrays import Arrays, origin_of, read_arrays, write_arrays
from emotrace.types import AudioChunk, BoolArray, FloatArray, IntArray

FrontEnd = Literal["descriptors", "descriptors-cut", "spectrum", "egemaps", "log-mel", "log-spectrogram"]
"""H, H with the silence cut out (the literal reading of P-15), S and O of the paper's section 4.1 and 6.2; and the
slices of a spectrogram that the clip-level systems hear."""
FRONT_ENDS: tuple[FrontEnd, ...] = get_args(FrontEnd)

SPECTRUM_HOP_SECONDS = 1.0
"""The paper's shift of segments (P-14): a spectrum costs its network a hundred times what descriptors cost theirs."""
SLICE_SECONDS = 0.04
"""A tick of the label clock: the inputs of consecutive ticks, joined, are the spectrogram of the recording."""
_VERSION = 1
"""Raised whenever the files below change their meaning."""


@dataclass(frozen=True)
class ComposedRecording:
    """What names a composed recording; it is composed where it is needed.

    Attributes:
        name: unique in its corpus.
        split: whose faces and voices it is made of.
        seed: of the split's recordings.
        number: of the recording.
        conditions: how hard it is.
    """

    name: str
    split: str
    seed: int
    number: int
    conditions: Conditions

    @property
    def subject(self) -> str:
        """Composed recordings have many speakers each."""
        return self.name


MediaItem = RatedRecording | ComposedRecording | LabelledClip
Item = MediaItem | TabledClip
"""A recording of a corpus; of a corpus of feature tables there are no media to make features of."""


def origin(item: Item, recipe: Recipe) -> str:
    """Return a digest of everything that a file of features depends on."""
    told: list[object] = [_VERSION, recipe.digest(), item.name]
    if isinstance(item, ComposedRecording):
        told += [item]
    elif isinstance(item, TabledClip):
        told += [(each.stat().st_size, each.stat().st_mtime_ns) if each else None for each in (item.voice, item.face)]
        told += [item.ticks, item.label, None if item.labels is None else _digest_of(item.labels)]
    else:
        for path in (item.video, item.audio):
            told += [(path.stat().st_size, path.stat().st_mtime_ns) if path else None]
        told += [_detector_name(recipe.video.detector)]
    if isinstance(item, LabelledClip):
        told += [item.start_seconds, item.end_seconds, item.half]
        told += [item.whole_picture] if item.whole_picture else []
    if isinstance(item, RatedRecording):
        told += [item.half] if item.half else []
        told += [item.label_rate_hz, None if item.labels is None else _digest_of(item.labels)]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def _digest_of(labels: FloatArray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()


@cache
def _detector_name(choice: Literal["auto", "yunet", "haar"]) -> str:
    return make_detector(choice).name  # "auto" is another one when YuNet has been fetched


def stored(folder: Path, item: Item) -> Path:
    """Return the file with everything but the inputs of further front ends."""
    return folder / "recordings" / f"{item.name}.safetensors"


def stored_voice(folder: Path, item: Item, front_end: FrontEnd) -> Path:
    """Return the file with the voice inputs of a front end."""
    return folder / front_end / f"{item.name}.safetensors"


def audio_recipe(recipe: Recipe, front_end: FrontEnd) -> AudioRecipe:
    """Return how a front end hears."""
    changes: dict[str, object] = {"front_end": front_end.removesuffix("-cut")}
    if front_end == "spectrum":
        changes["hop_seconds"] = SPECTRUM_HOP_SECONDS
    if front_end in SLICE_FRONT_ENDS:
        changes |= {"window_seconds": SLICE_SECONDS, "hop_seconds": SLICE_SECONDS, "pre_emphasis": 0.0}
    return recipe.audio.model_copy(update=changes)


def _voice_origin(recording: str, front_end: FrontEnd) -> str:
    """Return the origin of voice inputs, of that of the recording."""
    return f"{recording} every {SPECTRUM_HOP_SECONDS} s" if front_end == "spectrum" else recording


def extract_all(
    items: Sequence[MediaItem],
    recipe: Recipe,
    front_ends: Sequence[FrontEnd],
    folder: Path,
    materials: Callable[[], Mapping[str, Material]],
    progress: Callable[[int, int], None],
) -> None:
    """Make every file that is not there yet.

    Args:
        items: recordings of all splits.
        recipe: its front end is replaced by each of `front_ends`.
        front_ends: what systems will ask for.
        folder: of the files.
        materials: gives per split what composed recordings are composed of; asked only where one is to be composed.
        progress: told how many recordings are done, of how many.

    Raises:
        CorpusError: labels and recording do not fit.
        MediaError: a recording cannot be read.
    """
    jobs = [item for item in items if is_missing(item, recipe, front_ends, folder)]
    progress(len(items) - len(jobs), len(items))
    if not jobs:
        return
    # Spawned, not forked: a forked worker could wait for ever for a lock that a thread of the parent holds.
    with ProcessPoolExecutor(
        mp_context=get_context("spawn"), initializer=_prepare, initargs=(recipe, tuple(front_ends), folder, materials())
    ) as pool:
        for done, _ in enumerate(pool.map(_make, jobs), start=len(items) - len(jobs) + 1):
            progress(done, len(items))


def is_missing(item: MediaItem, recipe: Recipe, front_ends: Sequence[FrontEnd], folder: Path) -> bool:
    """Tell whether a file of a recording is not there, or not of this origin."""
    wanted = origin(item, recipe)
    if origin_of(stored(folder, item)) != wanted:
        return True
    return any(origin_of(stored_voice(folder, item, each)) != _voice_origin(wanted, each) for each in front_ends)


@dataclass(frozen=True)
class _Work:
    recipe: Recipe
    front_ends: tuple[FrontEnd, ...]
    folder: Path
    materials: Mapping[str, Material]


_WORK: dict[str, _Work] = {}
"""What a worker process holds from its start on: the materials are too large to be sent with every job."""


def _prepare(recipe: Recipe, front_ends: tuple[FrontEnd, ...], folder: Path, materials: Mapping[str, Material]) -> None:
    _WORK["work"] = _Work(recipe, front_ends, folder, materials)


def _make(item: MediaItem) -> None:
    work = _WORK["work"]
    wanted = origin(item, work.recipe)
    path = stored(work.folder, item)
    if origin_of(path) != wanted:
        write_arrays(path, _features(item, work), wanted)
    kept = read_arrays(path)
    for front_end in work.front_ends:
        voice_path, from_here = stored_voice(work.folder, item, front_end), _voice_origin(wanted, front_end)
        if origin_of(voice_path) != from_here:
            write_arrays(voice_path, voice_arrays(kept["waveform"], kept["speech"], work.recipe, front_end), from_here)


def _features(item: MediaItem, work: _Work) -> Arrays:
    if isinstance(item, RatedRecording):
        arrays = _read(item.open(), work.recipe, make_detector(work.recipe.video.detector))
        return arrays | _rated_labels(item, len(arrays["speech"]), work.recipe.label_rate_hz)
    if isinstance(item, LabelledClip):
        # Its class is known without a file, and which classes there are is the study's choice.
        chosen = work.recipe.video.detector
        return _read(
            item.open(), work.recipe, WholePicture(work.recipe) if item.whole_picture else make_detector(chosen)
        )
    rng = np.random.default_rng((item.seed, item.number))
    composition = compose(work.materials[item.split], work.recipe, rng, item.conditions)
    arrays = _read(nullcontext(composition), work.recipe, KnownFace(work.recipe))
    ticks = len(arrays["speech"])
    labels: Arrays = {"emotion": composition.emotion, "arousal_valence": composition.arousal_valence()}
    return arrays | {name: values[:ticks] for name, values in labels.items()}


def _rated_labels(item: RatedRecording, ticks: int, rate_hz: float) -> Arrays:
    """Return the labels on the label clock; NaN throughout where they are withheld."""
    unknown = np.full(ticks, -1, dtype=np.int64)
    if item.labels is None:
        return {"emotion": unknown, "arousal_valence": np.full((ticks, 2), np.nan, dtype=np.float32)}
    recorded, rated = ticks / rate_hz, len(item.labels) / item.label_rate_hz
    if abs(recorded - rated) > max(1.0, 0.05 * recorded):
        raise CorpusError(
            f"{item.name} lasts {recorded:.1f} s but has labels for {rated:.1f} s: check that both belong together."
        )
    times = tick_times(0, ticks, rate_hz)
    known = np.arange(len(item.labels)) / item.label_rate_hz
    columns = [np.interp(times, known, item.labels[:, place]) for place in range(2)]
    return {"emotion": unknown, "arousal_valence": np.stack(columns, axis=1).astype(np.float32)}


class _Overheard:
    """A source that keeps the sound which goes through it."""

    def __init__(self, source: Source) -> None:
        self.info = source.info
        self._source = source
        self._chunks: list[AudioChunk] = []

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        for item in self._source.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz):
            if isinstance(item, AudioChunk):
                self._chunks.append(item)
            yield item

    def samples(self, count: int) -> FloatArray:
        """Return [count] samples from media time zero on."""
        out = np.zeros(count, dtype=np.float32)
        for chunk in self._chunks:
            first = round(chunk.start_seconds * SAMPLE_RATE)
            kept = chunk.samples[max(0, -first) : max(0, count - first)]
            out[max(0, first) : max(0, first) + len(kept)] = kept
        return out


class _Sound:
    """Samples in memory, read like a clip without pictures."""

    def __init__(self, samples: FloatArray) -> None:
        self._samples = samples
        self.info = ClipInfo(Path("sound"), len(samples) / SAMPLE_RATE, True, False, 0, 0, None)

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        step = 10 * sample_rate
        for start in range(0, len(self._samples), step):
            yield AudioChunk(start / sample_rate, self._samples[start : start + step])


def _read(opening: AbstractContextManager[Source], recipe: Recipe, detector: Detector) -> Arrays:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("speech", "energy", "crops", "index")}
    with opening as source:
        overheard = _Overheard(source)
        # The front ends hear the sound afterwards; here a cheap one stands in for them.
        cheap = recipe.model_copy(update={"audio": recipe.audio.model_copy(update={"hop_seconds": 30.0})})
        num_crops = 0
        for block in extract(overheard, cheap, detector):
            parts["speech"].append(block.speech)
            parts["energy"].append(block.speech_energy)
            parts["crops"].append(block.face_crops)
            parts["index"].append(np.where(block.face_index >= 0, block.face_index + num_crops, -1))
            num_crops += len(block.face_crops)
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    count = round(len(joined["speech"]) / recipe.label_rate_hz * SAMPLE_RATE)
    return {
        "waveform": np.round(overheard.samples(count) * 32768).clip(-32768, 32767).astype(np.int16),
        "speech": joined["speech"],
        "speech_energy": np.nan_to_num(joined["energy"]),
        "crops": joined["crops"],
        "face_index": joined["index"],
    }


def voice_arrays(waveform: np.ndarray, speech: BoolArray, recipe: Recipe, front_end: FrontEnd) -> Arrays:
    """Return what a front end makes of a recording's sound.

    Args:
        waveform: [N] int16.
        speech: [T].
        recipe: its front end is replaced.
        front_end: "descriptors-cut" hears the speech alone, one stretch after the other.

    Returns:
        `voice` [W, ...], `voice_index` [T] (-1 where nothing was heard yet) and `audio_valid` [T].
    """
    samples = waveform.astype(np.float32) / np.float32(32768)
    own_recipe = recipe.model_copy(update={"audio": audio_recipe(recipe, front_end)})
    if not front_end.endswith("-cut"):
        return _heard(samples, own_recipe, len(speech))
    per_tick = round(SAMPLE_RATE / recipe.label_rate_hz)
    spoken = np.repeat(speech, per_tick)[: len(samples)]
    heard = _heard(samples[: len(spoken)][spoken], own_recipe, int(speech.sum()))
    place = np.cumsum(speech) - 1  # a tick in silence stays at the last one with speech
    index = np.append(heard["voice_index"], -1)[np.maximum(place, -1)]
    return {"voice": heard["voice"], "voice_index": index, "audio_valid": index >= 0}


def _heard(samples: FloatArray, recipe: Recipe, ticks: int) -> Arrays:
    voice: list[FloatArray] = []
    index: list[IntArray] = []
    valid: list[BoolArray] = []
    num_inputs = 0
    for block in extract(_Sound(samples), recipe, None):
        voice.append(block.voice_inputs)
        index.append(np.where(block.voice_index >= 0, block.voice_index + num_inputs, -1))
        valid.append(block.voice_valid & (block.voice_index >= 0))
        num_inputs += len(block.voice_inputs)
    missing = ticks - sum(map(len, index))
    if missing > 0 or not index:  # sound of no length at all, or shorter by a rounding
        index.append(np.full(missing, -1))
        valid.append(np.zeros(missing, dtype=bool))
    inputs = np.concatenate([np.zeros((0, *input_shape(recipe.audio)), dtype=np.float32), *voice])
    # Spectra are many and in the thousands of cells each: half precision keeps them in memory.
    return {
        "voice": inputs.astype(np.float16) if inputs.ndim > 2 else inputs,
        "voice_index": np.concatenate(index)[:ticks],
        "audio_valid": np.concatenate(valid)[:ticks],
    }

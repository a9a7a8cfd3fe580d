"""Composed recordings -> what a fusion network reads and should say, ready for training and evaluation. No torch."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from emotrace.corpora import ferplus, nemo, ravdess
from emotrace.corpora.base import Utterance
from emotrace.corpora.composed import Composition, Conditions, KnownFace, Material, compose
from emotrace.features.extract import extract
from emotrace.features.voice_input import sounding_span
from emotrace.inference.session import Branches, fusion_inputs
from emotrace.labels import EMOTIONS, fold_calm
from emotrace.media import open_clip
from emotrace.recipe import SAMPLE_RATE, Recipe
from emotrace.types import AudioChunk, BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Recording:
    """One composed recording as the fusion sees it.

    Attributes:
        audio: [T, A] voice features.
        regions: [M, K, D] float16 regions of the distinct faces.
        region_index: [T] row of `regions` at each tick; -1 without a face.
        audio_valid: [T].
        video_valid: [T].
        speech_energy: [T] m of eq. 31.
        emotion: [T] index into `labels.EMOTIONS`.
        arousal_valence: [T, 2] circumplex coordinates of the emotion.
    """

    audio: FloatArray
    regions: np.ndarray
    region_index: IntArray
    audio_valid: BoolArray
    video_valid: BoolArray
    speech_energy: FloatArray
    emotion: IntArray
    arousal_valence: FloatArray


def decode(path: Path) -> FloatArray:
    """Return the whole sound of a file: [N] mono at 16 kHz."""
    with open_clip(path) as clip:
        chunks = [item.samples for item in clip.read(sample_rate=SAMPLE_RATE) if isinstance(item, AudioChunk)]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)


def speech_corpora(data: Path) -> list[Utterance]:
    """Return RAVDESS and nEMO under a folder that holds them as `ravdess` and `nemo`."""
    return ravdess.read(data / "ravdess") + nemo.read(data / "nemo")


def face_material(data: Path, split: str) -> dict[str, np.ndarray]:
    """Return the images of a FER+ split that have a majority emotion, by emotion."""
    faces = ferplus.read(data / "ferplus", split)
    majority = faces.majority()
    return {emotion: faces.pixels[majority == place] for place, emotion in enumerate(EMOTIONS)}


def voice_material(utterances: Sequence[Utterance]) -> dict[str, list[FloatArray]]:
    """Return utterances by emotion, without the silence before and after; calm counts as neutral."""
    voices: dict[str, list[FloatArray]] = {emotion: [] for emotion in EMOTIONS}
    for utterance in utterances:
        voices[fold_calm(utterance.label)].append(_trimmed(decode(utterance.path)))
    return voices


def _trimmed(samples: FloatArray) -> FloatArray:
    first, last = sounding_span(samples)
    margin = SAMPLE_RATE // 10
    return samples[max(0, first - margin) : last + margin]


@dataclass(frozen=True)
class Listener:
    """What turns composed recordings into what the fusion reads.

    Attributes:
        recipe: of the features.
        face: graph of the face branch, ONNX.
        voice: graph of the voice branch, ONNX.
    """

    recipe: Recipe
    face: bytes
    voice: bytes


def record(material: Material, listener: Listener, conditions: Conditions, *, count: int, seed: int) -> list[Recording]:
    """Compose recordings and run the branches over them, on all cores; the same seed gives the same recordings."""
    jobs = [(seed, number) for number in range(count)]
    # Spawned, not forked: a forked worker could wait for ever for a lock that a thread of the parent holds.
    with ProcessPoolExecutor(
        mp_context=get_context("spawn"), initializer=_prepare, initargs=(material, listener, conditions)
    ) as pool:
        return list(pool.map(_compose_and_record, jobs, chunksize=4))


def _prepare(material: Material, listener: Listener, conditions: Conditions) -> None:
    # One thread each: the processes share the cores already.
    branches = Branches(listener.face, listener.voice, num_threads=1)
    _PREPARED["work"] = (material, listener.recipe, branches, conditions)


_PREPARED: dict[str, tuple[Material, Recipe, Branches, Conditions]] = {}
"""What a worker process holds from its start on: sessions of ONNX Runtime cannot be sent to it."""


def _compose_and_record(job: tuple[int, int]) -> Recording:
    material, recipe, branches, conditions = _PREPARED["work"]
    return _record(compose(material, recipe, np.random.default_rng(job), conditions), recipe, branches)


def _record(composition: Composition, recipe: Recipe, branches: Branches) -> Recording:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("audio", "index", "heard", "seen", "energy")}
    regions: list[np.ndarray] = []
    for features in extract(composition, recipe, KnownFace(recipe)):
        inputs = fusion_inputs(features, branches)
        offset = sum(map(len, regions))
        regions.append(inputs.faces.astype(np.float16))
        parts["audio"].append(inputs.audio)
        parts["index"].append(np.where(features.face_index >= 0, features.face_index + offset, -1))
        parts["heard"].append(inputs.audio_valid)
        parts["seen"].append(inputs.video_valid)
        parts["energy"].append(features.speech_energy)
    joined: Mapping[str, np.ndarray] = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    ticks = min(len(composition.emotion), len(joined["audio"]))
    return Recording(
        audio=joined["audio"][:ticks],
        regions=np.concatenate(regions),
        region_index=joined["index"][:ticks],
        audio_valid=joined["heard"][:ticks],
        video_valid=joined["seen"][:ticks],
        speech_energy=joined["energy"][:ticks],
        emotion=composition.emotion[:ticks],
        arousal_valence=composition.arousal_valence()[:ticks],
    )

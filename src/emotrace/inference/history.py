"""Features of consecutive blocks -> what a system still has to look back at, tick by tick."""

from dataclasses import dataclass

import numpy as np

from emotrace.types import BoolArray, Features, FloatArray, Image, IntArray


@dataclass(frozen=True, eq=False)
class History:
    """The last ticks of a recording; T ticks, W voice inputs, F faces.

    Attributes:
        first_tick: of the rows, counted from the start of the recording.
        voice: [W, ...] inputs of the front end.
        voice_index: [T] row of `voice` that is the latest at the tick; -1 where none is yet.
        audio_valid: [T].
        speech_energy: [T], 0 where there is no audio.
        faces: [F, ...] crops as they were cut, or what a frozen encoder made of them.
        face_index: [T] row of `faces`; -1 without a face.
    """

    first_tick: int
    voice: FloatArray
    voice_index: IntArray
    audio_valid: BoolArray
    speech_energy: FloatArray
    faces: FloatArray | Image
    face_index: IntArray

    def __len__(self) -> int:
        return len(self.voice_index)

    @property
    def stop_tick(self) -> int:
        """The tick after the last row."""
        return self.first_tick + len(self)

    def extended(self, block: Features, faces: FloatArray | Image) -> "History":
        """Return the same with the ticks of the next block.

        Args:
            block: its rows follow the last one.
            faces: [F, ...] what is kept of the block's crops.
        """
        return History(
            self.first_tick,
            np.concatenate([self.voice, block.voice_inputs]),
            np.concatenate([self.voice_index, _moved(block.voice_index, len(self.voice))]),
            np.concatenate([self.audio_valid, block.voice_valid & (block.voice_index >= 0)]),
            np.concatenate([self.speech_energy, np.nan_to_num(block.speech_energy)]),
            np.concatenate([self.faces, faces]),
            np.concatenate([self.face_index, _moved(block.face_index, len(self.faces))]),
        )

    def last(self, ticks: int) -> "History":
        """Return the last ticks, and what stands at them."""
        cut = max(0, len(self) - ticks)
        voice_rows, voice_index = _used(self.voice_index[cut:])
        face_rows, face_index = _used(self.face_index[cut:])
        return History(
            self.first_tick + cut,
            self.voice[voice_rows],
            voice_index,
            self.audio_valid[cut:],
            self.speech_energy[cut:],
            self.faces[face_rows],
            face_index,
        )


def empty_history(voice_shape: tuple[int, ...], faces: FloatArray | Image) -> History:
    """Return what is known before the first tick.

    Args:
        voice_shape: of one input of the front end.
        faces: [0, ...] none of what will be kept of crops.
    """
    no_index, nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    voice = np.zeros((0, *voice_shape), dtype=np.float32)
    return History(0, voice, no_index, np.zeros(0, dtype=bool), nothing, faces, no_index)


def rows(table: FloatArray | Image, index: IntArray) -> FloatArray:
    """Return table[index] as float32, pictures of bytes in 0..1; zeros where the index is -1."""
    if not len(table):
        return np.zeros((*index.shape, *table.shape[1:]), dtype=np.float32)
    out = table[np.maximum(index, 0)].astype(np.float32, copy=False)
    if table.dtype == np.uint8:
        out /= np.float32(255)
    out[index < 0] = 0
    return out


def _moved(index: IntArray, by: int) -> IntArray:
    return np.where(index >= 0, index + by, -1)


def _used(index: IntArray) -> tuple[IntArray, IntArray]:
    """Return the rows that are used, and the index into these."""
    used = np.unique(index[index >= 0])
    return used, np.where(index >= 0, np.searchsorted(used, index), -1)

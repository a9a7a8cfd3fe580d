"""A media file -> what is read of it, and what its sound and its pictures measure."""

import wave
from pathlib import Path

import numpy as np

from emotrace.media import Clip, VideoFrame, open_clip
from emotrace.types import AudioChunk, FloatArray


def read_all(
    clip: Clip, sample_rate: int = 16_000, video_rate_hz: float | None = None
) -> tuple[list[AudioChunk], list[VideoFrame]]:
    chunks: list[AudioChunk] = []
    frames: list[VideoFrame] = []
    for item in clip.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz):
        if isinstance(item, AudioChunk):
            chunks.append(item)
        else:
            frames.append(item)
    return chunks, frames


def read_file(path: Path, sample_rate: int = 16_000) -> tuple[list[AudioChunk], list[VideoFrame], tuple[str, ...]]:
    with open_clip(path) as clip:
        chunks, frames = read_all(clip, sample_rate)
        return chunks, frames, clip.problems


def times(frames: list[VideoFrame]) -> list[float]:
    return [frame.time_seconds for frame in frames]


def levels(frames: list[VideoFrame]) -> list[float]:
    return [float(frame.grey().mean()) for frame in frames]


def joined(chunks: list[AudioChunk]) -> FloatArray:
    return np.concatenate([chunk.samples for chunk in chunks])


def starts_of_runs(chunks: list[AudioChunk], sample_rate: int = 16_000) -> list[float]:
    """Return where the sound starts and where it jumps."""
    starts: list[float] = []
    end = -1.0
    for chunk in chunks:
        if abs(chunk.start_seconds - end) > 1e-6:
            starts.append(chunk.start_seconds)
        end = chunk.start_seconds + len(chunk.samples) / sample_rate
    return starts


def end_of(chunks: list[AudioChunk], sample_rate: int = 16_000) -> float:
    return chunks[-1].start_seconds + len(chunks[-1].samples) / sample_rate


def strongest_hertz(samples: FloatArray, sample_rate: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * sample_rate / len(samples))


def write_wav(path: Path, samples: FloatArray, sample_rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * 32768).astype("<i2").tobytes())
    return path

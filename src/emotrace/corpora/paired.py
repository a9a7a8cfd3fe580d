"""Sound of one file and pictures of another, of the same time -> one source that `extract` reads."""

from collections.abc import Iterator
from dataclasses import replace

from emotrace.features.extract import Source
from emotrace.media import ClipInfo, VideoFrame
from emotrace.types import AudioChunk


class PairedClip:
    """Two open clips read as one, merged by time, so that neither has to wait in memory for the other."""

    def __init__(self, *, sound: Source, pictures: Source) -> None:
        self._sound = sound
        self._pictures = pictures

    @property
    def info(self) -> ClipInfo:
        """What the file of the pictures says, with the sound of the other."""
        return replace(self._pictures.info, has_audio=self._sound.info.has_audio)

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        """Yield sound and pictures in the order of their times."""
        sound = self._sound.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz)
        pictures = self._pictures.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz)
        chunks = (item for item in sound if isinstance(item, AudioChunk))
        frames = (item for item in pictures if isinstance(item, VideoFrame))
        chunk, frame = next(chunks, None), next(frames, None)
        while chunk is not None or frame is not None:
            if frame is None or (chunk is not None and chunk.start_seconds <= frame.time_seconds):
                assert chunk is not None
                yield chunk
                chunk = next(chunks, None)
            else:
                yield frame
                frame = next(frames, None)

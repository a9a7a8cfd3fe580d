"""The recipe: every choice that changes the features. Its digest names the cache folder and travels in the bundle."""

import hashlib
import json
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

FEATURES_VERSION = 3
"""Raised whenever the code makes other features for the same recipe; the digest covers it."""
SAMPLE_RATE = 16_000
"""Hz; the paper's section 4.1 resamples everything to 16 kHz, 16 bit."""

_SPECTRUM_SECONDS = 3.0
"""120 steps of 25 ms: a spectrum of 24x120 is made of nothing else."""
_SHORTEST_SECONDS = 0.1
"""Descriptors of less sound say nothing; a slice of a spectrogram may be shorter."""

FrontEnd = Literal["descriptors", "spectrum", "egemaps", "compare", "log-mel", "log-spectrogram"]
SliceFrontEnd = Literal["log-mel", "log-spectrogram"]
"""Front ends whose inputs are slices: joined, they are the spectrogram of the recording; see `features.slices`."""
SLICE_FRONT_ENDS: tuple[SliceFrontEnd, ...] = get_args(SliceFrontEnd)
FRAMES_PER_SECOND = 100
"""Of the spectrogram that slices are cut from."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CropGeometry(_Part):
    """Where the square crop lies relative to a detector's box, so that faces are framed as in the training data."""

    scale: float = Field(gt=0.2, lt=5, description="side of the crop / longer side of the box")
    shift_y: float = Field(ge=-1, le=1, description="downward move of the crop's centre / longer side of the box")


class AudioRecipe(_Part):
    """How sound becomes inputs of the voice network."""

    front_end: FrontEnd = "descriptors"
    window_seconds: float = Field(3.0, ge=0.04, le=30)
    hop_seconds: float = Field(0.4, ge=0.04, le=30)
    pre_emphasis: float = Field(0.94, ge=0.0, le=1.0, description="a of eq. 2")
    speech_hold_seconds: float = Field(1.0, ge=0, le=30)

    @model_validator(mode="after")
    def _fits_the_front_end(self) -> Self:
        if self.front_end == "spectrum" and self.window_seconds != _SPECTRUM_SECONDS:
            raise ValueError(f"the front end spectrum takes windows of 3 s, not of {self.window_seconds:g} s")
        if self.front_end in SLICE_FRONT_ENDS:
            self._check_slices()
        elif self.window_seconds <= _SHORTEST_SECONDS:
            raise ValueError(
                f"the front end {self.front_end} takes windows of more than {_SHORTEST_SECONDS:g} s, "
                f"not of {self.window_seconds:g} s"
            )
        return self

    def _check_slices(self) -> None:
        if self.window_seconds != self.hop_seconds:
            raise ValueError(
                f"the front end {self.front_end} takes windows as long as the hop, "
                f"not of {self.window_seconds:g} s every {self.hop_seconds:g} s"
            )
        if not _is_whole(self.window_seconds * FRAMES_PER_SECOND):
            raise ValueError(
                f"the front end {self.front_end} takes windows of whole 10 ms, not of {self.window_seconds:g} s"
            )
        if self.pre_emphasis:
            raise ValueError(f"the front end {self.front_end} takes no pre_emphasis, but it is {self.pre_emphasis:g}")


class VideoRecipe(_Part):
    """How pictures become inputs of the face network."""

    detector: Literal["auto", "yunet", "haar"] = "auto"
    rate_hz: float = Field(12.5, gt=0, le=120, description="frames looked at per second of media time, at most")
    crop_size: int = Field(48, ge=16, le=512)
    haar_geometry: CropGeometry = CropGeometry(scale=1.03, shift_y=0.0)
    yunet_geometry: CropGeometry = CropGeometry(scale=0.99, shift_y=0.0)
    search_rate_hz: float = Field(
        4.0, gt=0, le=120, description="whole pictures searched per second, at most, while no face is followed"
    )
    face_hold_seconds: float = Field(0.25, ge=0, le=10, description="how long the last crop stands for the face")
    switch_seconds: float = Field(1.0, ge=0, le=60, description="absence after which another face is followed")


class Recipe(_Part):
    """Everything that turns media into features. Frozen; an unknown key is refused."""

    version: Literal[1] = 1
    label_rate_hz: float = Field(25.0, gt=0, le=200)
    audio: AudioRecipe = AudioRecipe()
    video: VideoRecipe = VideoRecipe()

    @model_validator(mode="after")
    def _slices_meet(self) -> Self:
        hop_ticks = self.audio.hop_seconds * self.label_rate_hz
        if self.audio.front_end in SLICE_FRONT_ENDS and not (_is_whole(hop_ticks) and round(hop_ticks) >= 1):
            raise ValueError(
                f"the front end {self.audio.front_end} takes a hop of whole ticks, "
                f"but hop_seconds {self.audio.hop_seconds:g} is {hop_ticks:g} ticks at {self.label_rate_hz:g} Hz"
            )
        return self

    def digest(self) -> str:
        """Return 16 hex digits that differ whenever the features may differ."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{FEATURES_VERSION} {canonical}".encode()).hexdigest()[:16]


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6

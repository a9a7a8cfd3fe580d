"""A clip's sound and pictures -> the vectors that factorised bilinear pooling fuses.

Source: see `models/bilinear_fusion.py`, which says what was read and what is ours.

Axes: B clips, V snippets, P pictures of a snippet, A segments, F frames of a segment, M bands, T columns of the audio
network's map along time, R rows along frequency, D width of a vector.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from emotrace.encoders.alexnet_fcn import AlexNetFcn, AlexNetFcnConfig
from emotrace.encoders.classic import scaled
from emotrace.encoders.feature_rows import FeatureRows, FeatureRowsConfig
from emotrace.errors import SettingsError
from emotrace.layers.backbones import FrameVectors, own_encoders
from emotrace.layers.clips import Backbone, Clips, ClipSizes, Scale
from emotrace.layers.pooling import CellAttention, FrameAttention

LEAST_BANDS = 67
"""Of which the audio network's convolutions, the first of them without padding, leave one row."""

_AUDIO_WIDTHS: Mapping[Scale, float] = MappingProxyType({"small": 3 / 16, "published": 1.0})
"""Share of AlexNet's channels; the small network does 46 million multiply-adds for 200 bands and 300 frames."""


_CHANNELS = 256
"""Of AlexNet's last map, and of a cell that is made of a row of features."""


class SoundMap(nn.Module):
    """Segments of a spectrogram -> the cells of the audio network's map; or rows of features -> a cell of each.

    Attributes:
        encoder: the audio network, or the layer that all rows share.
        dim: D.
    """

    def __init__(self, sizes: ClipSizes, scale: Scale, audio: Backbone = "own") -> None:
        """Build the audio network with "own", the layer with "frozen", which takes rows of any width.

        Raises:
            SettingsError: there are fewer than `LEAST_BANDS` bands for the audio network.
        """
        super().__init__()
        self.encoder: AlexNetFcn | FeatureRows
        if audio == "frozen":
            self.dim = scaled(_CHANNELS, _AUDIO_WIDTHS[scale])
            self.encoder = FeatureRows(FeatureRowsConfig(num_features=sizes.bands, embedding_dim=self.dim))
            return
        if sizes.bands < LEAST_BANDS:
            raise SettingsError(
                f"The spectrogram has {sizes.bands} bands, expected {LEAST_BANDS} or more, of which AlexNet's "
                'convolutions leave something: choose the voice front end "log-spectrogram".'
            )
        self.encoder = AlexNetFcn(AlexNetFcnConfig(width=_AUDIO_WIDTHS[scale]))
        self.dim = self.encoder.channels

    def forward(self, sound: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Encode sound [B, A, F, M], zero where not valid [B, A, F].

        Returns:
            Cells [B, A, T, R, D], and [B, A, T]: there was valid sound in the column's share of the frames, which is
            taken as equal, so that no valid frame is in none. Of rows of features T = F and R = 1.
        """
        if isinstance(self.encoder, FeatureRows):
            return self.encoder.cells(sound, valid).unsqueeze(3), valid
        maps = self.encoder(sound.flatten(0, 1).transpose(1, 2).unsqueeze(1))
        cells = maps.permute(0, 3, 2, 1)
        cells = cells.reshape(*sound.shape[:2], *cells.shape[1:])
        columns = cells.shape[2]
        column_of_frame = torch.arange(sound.shape[2], device=sound.device) * columns // sound.shape[2]
        shares = column_of_frame.unsqueeze(1) == torch.arange(columns, device=sound.device)
        return cells, valid.to(sound.dtype) @ shares.to(sound.dtype) > 0

    def encoders(self) -> dict[str, nn.Module]:
        """Return "audio" where the voice comes as a spectrogram."""
        return own_encoders(None, self.encoder)


class Streams(NamedTuple):
    """What the two encoders make of clips, before attention.

    Attributes:
        columns: [B, A, T, D] of the sound, averaged over frequency.
        heard: [B, A, T] bool: the column counts.
        frames: [B, V, P, D] of the pictures.
        seen: [B, V, P] bool: the picture counts.
    """

    columns: Tensor
    heard: Tensor
    frames: Tensor
    seen: Tensor


class Attended(NamedTuple):
    """One vector of each modality for every part of a clip; J parts, 1 where the clip is taken whole.

    Attributes:
        sound: [B, J, D]; zeros where nothing is heard.
        face: [B, J, D]; zeros where nothing is seen.
        heard: [B, J] bool.
        seen: [B, J] bool.
    """

    sound: Tensor
    face: Tensor
    heard: Tensor
    seen: Tensor


class BilinearStreams(nn.Module):
    """Attention along time over what the audio network and the face network make of a clip.

    Attributes:
        dims: D of sound and of face.
    """

    def __init__(
        self, sizes: ClipSizes, scale: Scale, visual: Backbone, temperature: float, audio: Backbone = "own"
    ) -> None:
        """Build both networks; `temperature` is that of `CellAttention`.

        Raises:
            SettingsError: there are fewer than `LEAST_BANDS` bands for the audio network, or the crops are too small
                for the face network.
        """
        super().__init__()
        self.map = SoundMap(sizes, scale, audio)
        self.frames = FrameVectors(visual, scale, region_dim=sizes.region_dim, crop_side=sizes.crop_side)
        self.sound = CellAttention(self.map.dim, self.map.dim, temperature)
        self.face = FrameAttention(self.frames.dim)
        self.dims = (self.map.dim, self.frames.dim)

    def forward(self, clips: Clips) -> Streams:
        """Encode clean clips."""
        cells, heard = self.map(clips.sound, clips.sound_valid)
        frames = self.frames(clips.pictures, clips.regions, clips.pictures_valid)
        return Streams(cells.mean(dim=3), heard, frames, clips.pictures_valid)

    def attend(self, streams: Streams, parts: int = 1) -> Attended:
        """Pool all of a clip, or each of `parts` equal parts, which must divide V and A."""
        columns, heard, frames, seen = (
            values.reshape(values.shape[0], parts, -1, *values.shape[3:]) for values in streams
        )
        return Attended(self.sound(columns, heard), self.face(frames, seen), heard.any(dim=2), seen.any(dim=2))

    def encoders(self) -> dict[str, nn.Module]:
        """Return "audio" and "visual", without those that are frozen."""
        return own_encoders(self.frames.encoder, self.map.encoder)

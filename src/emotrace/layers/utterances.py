"""A clip -> one vector of what is heard and seen in it: recurrent networks, and statistics over time.

The design is ours, for systems whose papers leave the encoder open. Axes as in `layers/clips.py`; T frames or pictures
in order of time, D width of the vector.
"""

import torch
from torch import Tensor, nn

from emotrace.layers.backbones import FrameVectors
from emotrace.layers.clips import Backbone, Clips, ClipSizes, Scale
from emotrace.layers.sequences import grouped, statistics

FRAMES_OF_GROUP = 4
"""Of a spectrogram, averaged before the recurrent network: 40 ms."""
_WIDTHS: dict[Scale, int] = {"small": 48, "published": 128}
"""Of each direction of a recurrent network, and of the vector of each modality."""


class UtteranceEncoder(nn.Module):
    """Voice and face, each by a bidirectional LSTM whose states are averaged, with their spread; joined.

    Attributes:
        dim: D, the voice's half first.
    """

    def __init__(self, sizes: ClipSizes, scale: Scale, visual: Backbone) -> None:
        super().__init__()
        width = _WIDTHS[scale]
        self.dim = 2 * width
        self.hear = _Recurrent(sizes.bands, width)
        self.frames = FrameVectors(visual, scale, region_dim=sizes.region_dim, crop_side=sizes.crop_side)
        self.see = _Recurrent(self.frames.dim, width)

    def forward(self, clips: Clips) -> Tensor:
        """Return [B, D] of clips that are clean; the half of a modality that is missing is zero."""
        known = clips.pictures_valid
        seen = self.frames(clips.pictures, clips.regions, known)
        heard, spoken = grouped(clips.sound, clips.sound_valid, FRAMES_OF_GROUP)
        return torch.cat([self.hear(heard, spoken), self.see(seen.flatten(1, 2), known.flatten(1))], dim=-1)


class _Recurrent(nn.Module):
    """Items [B, T, M] -> [B, D / 2], zero where none is known."""

    def __init__(self, in_dim: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(in_dim, width)
        self.recur = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.leave = nn.Linear(4 * width, width)

    def forward(self, items: Tensor, known: Tensor) -> Tensor:
        entered = torch.where(known[..., None], self.enter(items).relu(), 0.0)
        pooled = statistics(self.recur(entered)[0], known)
        return torch.where(known.any(dim=1, keepdim=True), self.leave(pooled).relu(), 0.0)

"""Groups of voice descriptors and of face regions -> arousal, valence and emotions, by a hierarchy of modules.

Paper: W. Li, M. Chu and J. Qiao, "Design of a hierarchy modular neural network and its application in multimodal
emotion recognition", Soft Computing 23 (2019) 11817-11828; reference 20 of Liu & Tang 2021. Only its abstract and its
description in section 2 of Liu & Tang were read: a hierarchy of modules as in the brain, each with sub-modules that
process features of different patterns. Unlike the paper, whose abstract has sub-modules for the modalities, modules
that compete for the label and Hebbian learning: here a module is a modality, as the description can be read, an upper
module joins them, and all is learnt by gradient, as arousal and valence have no winner. All sizes are ours.

Axes: B recordings, S steps, D width of a region, W width of a group, H hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from emotrace.errors import SettingsError
from emotrace.layers.heads import AffectHeads
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known, no_weight
from emotrace.layers.vectors import voice_vectors, voice_width

_FACE_BANDS = 3
"""Upper, middle and lower rows of the grid of regions."""


@dataclass(frozen=True, kw_only=True)
class ModularHierarchyConfig:
    """Sizes of a `ModularHierarchy`."""

    sizes: Sizes
    voice_groups: int = 4
    """Sub-modules of the voice, each for consecutive descriptors."""
    group_dim: int = 32
    """Width of a sub-module."""
    hidden_dim: int = 64
    """Width of a module, and of the memory of the upper one."""
    dropout: float = 0.3


class ModularHierarchy(nn.Module):
    """Sub-modules, a module per modality, and an upper module with a memory; causal.

    The modules of the modalities have a loss of their own, so that each learns its task by itself. The upper module is
    told which of them is known and sees zeros in place of the other. There is no audio weight.
    """

    Config = ModularHierarchyConfig
    paper: ClassVar[str] = "Li, Chu & Qiao 2019"
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "regions"})
    pictures: ClassVar[int] = 1

    def __init__(self, config: ModularHierarchyConfig) -> None:
        super().__init__()
        self.config = config
        sizes, hidden = config.sizes, config.hidden_dim
        self._side = round(sizes.num_regions**0.5)
        if self._side**2 != sizes.num_regions:
            raise SettingsError(f"{sizes.num_regions} face regions found, a square grid expected: choose its side.")
        self.voice = _Module(_near_equal(voice_width(sizes), config.voice_groups), config)
        self.face = _Module([sizes.region_dim] * min(_FACE_BANDS, self._side), config)
        self.join = nn.Linear(2 * hidden + 2, hidden)
        self.memory = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = AffectHeads(hidden, "linear", sizes.num_emotions)

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the answer of the upper module."""
        return self.outputs_to_train(steps)[0]

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return the answers of the whole, of the voice module and of the face module."""
        voice = self.voice(torch.tensor_split(voice_vectors(steps), len(self.voice.parts), dim=-1))
        face = self.face(self._bands(steps))
        known = torch.stack([steps.audio_valid, steps.video_valid], dim=-1).to(voice.dtype)
        heard = torch.cat([voice * known[..., :1], face * known[..., 1:]], dim=-1)
        remembered, _ = self.memory(self.join(torch.cat([self.dropout(heard), known], dim=-1)).relu())
        return [
            self._answer(self.heads, remembered, any_known(steps), steps),
            self._answer(self.voice.heads, voice, steps.audio_valid, steps),
            self._answer(self.face.heads, face, steps.video_valid, steps),
        ]

    def _answer(self, heads: AffectHeads, hidden: Tensor, valid: Tensor, steps: Steps) -> SystemOutput:
        arousal_valence, logits = heads(self.dropout(hidden))
        return SystemOutput(arousal_valence, logits, no_weight(steps), valid)

    def _bands(self, steps: Steps) -> Sequence[Tensor]:
        """Return the mean region [B, S, D] of each band of rows; zero where there is no face."""
        side = self._side
        rows = steps.regions.reshape(*steps.regions.shape[:2], side, side, -1).mean(dim=3)
        rows = rows.masked_fill(~steps.video_valid[..., None, None], 0)
        return [band.mean(dim=2) for band in torch.tensor_split(rows, len(self.face.parts), dim=2)]


class _Module(nn.Module):
    """Sub-modules for groups [B, S, W], one each, and their integration [B, S, H]."""

    def __init__(self, widths: Sequence[int], config: ModularHierarchyConfig) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, config.group_dim), nn.ReLU(), nn.Linear(config.group_dim, config.group_dim), nn.ReLU()
            )
            for width in widths
        )
        self.integrate = nn.Linear(len(widths) * config.group_dim, config.hidden_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = AffectHeads(config.hidden_dim, "linear", config.sizes.num_emotions)

    def forward(self, groups: Sequence[Tensor]) -> Tensor:
        heard = [part(group) for part, group in zip(self.parts, groups, strict=True)]
        activity: Tensor = self.integrate(self.dropout(torch.cat(heard, dim=-1))).relu()
        return activity


def _near_equal(total: int, parts: int) -> list[int]:
    """Return the lengths that `torch.tensor_split` cuts; fewer where there is not enough for each."""
    parts = min(parts, total)
    return [total // parts + (number < total % parts) for number in range(parts)]

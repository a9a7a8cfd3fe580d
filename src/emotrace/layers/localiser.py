"""Features of the segments of a clip, seen and heard -> the classes of each.

Source: J. Zhou et al., "Positive sample propagation along the audio-visual event line", CVPR 2021: all of both networks
and the published widths were read in the authors' code. Ours are the masks, the mean of face and voice over those that
are known, and the small widths.

Axes: B clips, T segments, K cells of a segment's picture, C classes, E width of a fused segment.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from emotrace.layers.clips import Scale
from emotrace.layers.propagation import DROPOUT, GuidedAttention, PositiveSamplePropagation

Supervision = Literal["full", "weak"]
"""Whether training is told the class of every segment, or of the clip only.

Nothing in a clip's class keeps the weak network from finding it in all of the clip, and the longer it learns what is
easy the more it does; it still ranks the segments of one clip.
"""

_HEAD_DIM = 64


class _Widths(NamedTuple):
    attention: int
    scores: int
    middle: int
    segment: int
    recurrent: int


_WIDTHS: dict[Scale, _Widths] = {
    "small": _Widths(64, 16, 96, 64, 48),
    "published": _Widths(512, 49, 256, 128, 128),
}


class Localised(NamedTuple):
    """What a `Localiser` finds; all but `ties` is zero where it is not known.

    Attributes:
        scores: [B, T, C] of the classes.
        fused: [B, T, E] mean of face and voice.
        face: [B, T, E].
        voice: [B, T, E].
        ties: [B, T, T] what each segment of the face takes from each of the voice.
    """

    scores: Tensor
    fused: Tensor
    face: Tensor
    voice: Tensor
    ties: Tensor


class Localiser(nn.Module):
    """Features of segments -> their classes: all that the authors train."""

    def __init__(
        self,
        scale: Scale,
        supervision: Supervision,
        *,
        voice_dim: int,
        cell_dim: int,
        num_classes: int,
        threshold: float,
    ) -> None:
        super().__init__()
        widths, full = _WIDTHS[scale], supervision == "full"
        heard = widths.segment if full else voice_dim
        fused = 2 * widths.recurrent
        self.enter_voice = _narrow(voice_dim, widths) if full else nn.Identity()
        self.look = GuidedAttention(cell_dim, heard, widths.attention, widths.scores)
        self.enter_face = _narrow(cell_dim, widths) if full else nn.Linear(cell_dim, widths.segment)
        self.listen = nn.LSTM(heard, widths.recurrent, batch_first=True, bidirectional=True)
        self.watch = nn.LSTM(widths.segment, widths.recurrent, batch_first=True, bidirectional=True)
        self.propagate = PositiveSamplePropagation(fused, threshold, renormalise=full)
        self.leave_voice = _leave(fused) if full else nn.Identity()
        self.leave_face = _leave(fused) if full else nn.Identity()
        self.norm = nn.LayerNorm(fused, eps=1e-6)
        self.classify = nn.Sequential(
            nn.Linear(fused, _HEAD_DIM, bias=False),
            nn.ReLU(),
            nn.Linear(_HEAD_DIM, num_classes, bias=False),
        )
        self.weigh = None if full else nn.Linear(num_classes, 1, bias=False)
        for part in (*self.classify, *self.leave_voice.children(), *self.leave_face.children()):
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)

    def forward(self, cells: Tensor, voice: Tensor, shown: Tensor, spoken: Tensor) -> Localised:
        """Return what is found.

        Args:
            cells: [B, T, K, width of a cell] of the pictures, finite everywhere.
            voice: [B, T, width of the voice], zero where not known.
            shown: [B, T] bool: where the face is known.
            spoken: [B, T] bool: where the voice is known.
        """
        heard = self.enter_voice(voice)
        seen = self.enter_face(self.look(cells, heard, shown[..., None].expand(cells.shape[:3])))
        heard, seen = self.listen(heard)[0], self.watch(torch.where(shown[..., None], seen, 0.0))[0]
        face, voice, ties, _ = self.propagate(seen, heard, shown, spoken)
        face = torch.where(shown[..., None], self.norm(self.leave_face(face)), 0.0)
        voice = torch.where(spoken[..., None], self.norm(self.leave_voice(voice)), 0.0)
        fused = (face + voice) / (shown.long() + spoken.long()).clamp(min=1)[..., None]
        scores = self.classify(fused)
        if self.weigh is not None:
            scores = scores * self.weigh(scores).relu().sigmoid()
        return Localised(scores, fused, face, voice, ties)


def _narrow(inputs: int, widths: _Widths) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, widths.middle, bias=False), nn.Linear(widths.middle, widths.segment, bias=False)
    )


def _leave(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width, bias=False), nn.ReLU(), nn.Dropout(DROPOUT))

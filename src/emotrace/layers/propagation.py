"""Segments of voice and face -> the same, each with what fits it best of the other modality added.

Source: J. Zhou et al., "Positive sample propagation along the audio-visual event line", CVPR 2021, as read in the
authors' code. The masks are ours.

Axes: B clips, T segments, K cells of a segment's picture, ... any leading axes, D width of a segment or of a cell.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotrace.layers.pooling import masked_softmax

DROPOUT = 0.1
_LEAST_SUM = 1e-8


class PositiveSamplePropagation(nn.Module):
    """Adds to every segment what the network makes of those of the other modality that are most like it.

    With v1, v2, a1, a2 = Dropout(ReLU(W v)), ... the likeness is beta = ReLU(v2 a1^T / sqrt D). gamma_va has its rows
    divided by their sums, without the shares up to the threshold; gamma_av the same of beta^T.
    """

    def __init__(self, dim: int, threshold: float, *, renormalise: bool) -> None:
        """Set the sizes.

        Args:
            dim: D.
            threshold: share of a row that an entry must exceed to stay; 0 keeps all, 1 none.
            renormalise: whether rows are divided by their sums once more, so that each sums to one or zero.
        """
        super().__init__()
        self.threshold = threshold
        self.renormalise = renormalise
        self.face_gives = _linear(dim, dim)  # v1
        self.face_asks = _linear(dim, dim)  # v2
        self.voice_asks = _linear(dim, dim)  # a1
        self.voice_gives = _linear(dim, dim)  # a2
        self.dropout = nn.Dropout(DROPOUT)

    def forward(
        self, face: Tensor, voice: Tensor, shown: Tensor, spoken: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return both modalities [B, T, D], zero where not known, gamma_va and gamma_av [B, T, T].

        Row i of gamma_va says what segment i of the face takes from every segment of the voice. Rows and columns of
        what is not known are zero.

        Args:
            face: [B, T, D].
            voice: [B, T, D].
            shown: [B, T] bool: where the face is known.
            spoken: [B, T] bool: where the voice is known.
        """
        face, voice = torch.where(shown[..., None], face, 0.0), torch.where(spoken[..., None], voice, 0.0)
        # Without a bias, what is zero stays zero and is like nothing.
        face_asks, voice_asks = self._branch(self.face_asks, face), self._branch(self.voice_asks, voice)
        likeness = (face_asks @ voice_asks.transpose(1, 2) / face.shape[-1] ** 0.5).relu()
        to_face, to_voice = self._shares(likeness), self._shares(likeness.transpose(1, 2))
        fuller_face = face + to_face @ self._branch(self.voice_gives, voice)
        fuller_voice = voice + to_voice @ self._branch(self.face_gives, face)
        return fuller_face, fuller_voice, to_face, to_voice

    def _branch(self, layer: nn.Linear, items: Tensor) -> Tensor:
        out: Tensor = self.dropout(layer(items).relu())
        return out

    def _shares(self, likeness: Tensor) -> Tensor:
        shares = _normalised(likeness)
        kept = torch.where(shares > self.threshold, shares, 0.0)
        return _normalised(kept) if self.renormalise else kept


class GuidedAttention(nn.Module):
    """Pools the cells of a picture by softmax(w^T tanh(W_v v' + W_g a')), led by the voice.

    v' = ReLU(linear) of a cell and a' = ReLU(linear) of the voice. What is pooled are the cells as they came.
    """

    def __init__(self, cell_dim: int, guide_dim: int, width: int, score_dim: int) -> None:
        """Set the sizes.

        Args:
            cell_dim: D.
            guide_dim: width of the guide.
            width: of v' and a'.
            score_dim: of what tanh takes.
        """
        super().__init__()
        self.enter_cells = _linear(cell_dim, width, bias=True)
        self.enter_guide = _linear(guide_dim, width, bias=True)
        self.score_cells = _linear(width, score_dim)  # W_v
        self.score_guide = _linear(width, score_dim)  # W_g
        self.weigh = _linear(score_dim, 1)  # w

    def forward(self, cells: Tensor, guide: Tensor, valid: Tensor) -> Tensor:
        """Return [..., D], zero where no cell is valid.

        Args:
            cells: [..., K, D], finite everywhere.
            guide: [..., width of the guide], finite everywhere.
            valid: [..., K] bool.
        """
        led = self.score_guide(self.enter_guide(guide).relu()).unsqueeze(-2)
        scores = self.weigh((self.score_cells(self.enter_cells(cells).relu()) + led).tanh()).squeeze(-1)
        return (masked_softmax(scores, valid).unsqueeze(-2) @ cells).squeeze(-2)


def pair_similarity_loss(face: Tensor, voice: Tensor, event: Tensor, known: Tensor) -> Tensor:
    """Mean squared error between where voice and face agree and where the event is.

    Agreement is the cosine of the two, ReLU, divided by its sum over the clip; the event is spread evenly over its
    segments. Clips of which no known segment has the event do not count; without any that count the loss is zero.

    Args:
        face: [B, T, D].
        voice: [B, T, D].
        event: [B, T] bool.
        known: [B, T] bool: where face and voice both are.
    """
    cosine = functional.cosine_similarity(face.float(), voice.float(), dim=-1)
    agreement = _normalised(torch.where(known, cosine, 0.0).relu())
    event = event & known
    target = _normalised(event.to(agreement))
    counted = event.any(dim=1)
    each = torch.where(counted, (agreement - target).square().mean(dim=1), 0.0)
    return each.sum() / counted.sum().clamp(min=1)


def _normalised(rows: Tensor) -> Tensor:
    return rows / (rows.sum(dim=-1, keepdim=True) + _LEAST_SUM)


def _linear(inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    return layer

"""Face regions and a voice state -> one face vector and the voice's weight, by additive attention.

Paper: Liu & Tang 2021 (see `models/bimodal_attention.py`), eqs. 28-30. It does not say how beta is computed.
Its equations are those of J. Lu, C. Xiong, D. Parikh, R. Socher, "Knowing when to look", CVPR 2017, whose
sentinel is here the voice state; the gate is the other reading. Both classes have one signature.

Axes: ... any leading axes (B, T), K regions, D width of a region, H of the voice state, A of the attention.
"""

import torch
from torch import Tensor, nn


class RegionAttention(nn.Module):
    """Scores face regions by how well they fit the voice state, and pools them (eqs. 28, 29)."""

    def __init__(self, region_dim: int, state_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.regions = nn.Linear(region_dim, attention_dim, bias=False)  # W
        self.state = nn.Linear(state_dim, attention_dim, bias=False)  # W_g
        self.weigh = nn.Linear(attention_dim, 1, bias=False)  # w_h

    def score(self, regions: Tensor, state: Tensor) -> Tensor:
        """Return z [..., K], the logits of attention to regions [..., K, D] by a state [..., H] (eq. 28)."""
        joint = self.regions(regions) + self.state(state).unsqueeze(-2)
        scores: Tensor = self.weigh(joint.tanh()).squeeze(-1)
        return scores

    def forward(self, regions: Tensor, state: Tensor) -> Tensor:
        """Return c [..., D]: the regions averaged by their attention (eq. 29)."""
        return pool_regions(regions, self.score(regions, state))


def pool_regions(regions: Tensor, scores: Tensor) -> Tensor:
    """Return [..., D]: regions [..., K, D] averaged with the softmax of scores [..., K] (eq. 29)."""
    attention = scores.softmax(dim=-1)
    return (attention.unsqueeze(-2) @ regions).squeeze(-2)


class SentinelAttention(nn.Module):
    """Lets the voice compete with the face regions: beta is its share of one softmax over K + 1 scores."""

    def __init__(self, region_dim: int, state_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.attention = RegionAttention(region_dim, state_dim, attention_dim)
        self.sentinel = nn.Linear(state_dim, attention_dim, bias=False)  # W_s

    def forward(self, regions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return c [..., D] and beta [...] for regions [..., K, D] and a state [..., H].

        The last element of softmax([z; s]) is sigmoid(s - log sum exp z); the others, renormalised, are
        softmax(z).
        """
        attention = self.attention
        scores = attention.score(regions, state)
        joint = self.sentinel(state) + attention.state(state)
        sentinel_score = attention.weigh(joint.tanh()).squeeze(-1)
        audio_weight = torch.sigmoid(sentinel_score - scores.logsumexp(dim=-1))
        return pool_regions(regions, scores), audio_weight


class GatedAttention(nn.Module):
    """Pools the face regions, then weighs the pooled face against the voice: beta is a sigmoid of both."""

    def __init__(self, region_dim: int, state_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.attention = RegionAttention(region_dim, state_dim, attention_dim)
        self.gate_state = nn.Linear(state_dim, attention_dim, bias=False)  # W_a
        self.gate_face = nn.Linear(region_dim, attention_dim, bias=False)  # W_c
        self.gate = nn.Linear(attention_dim, 1)  # u, b

    def forward(self, regions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return c [..., D] and beta [...] for regions [..., K, D] and a state [..., H]."""
        face = self.attention(regions, state)
        joint = self.gate_state(state) + self.gate_face(face)
        return face, torch.sigmoid(self.gate(joint.tanh())).squeeze(-1)

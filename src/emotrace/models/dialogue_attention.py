"""The clips of a dialogue, one per turn -> the class of each, by attention to the turns before it.

Paper: Partaourides et al., "A self-attentive emotion recognition network", ICASSP 2020 (arXiv 1905.01972). Read: its
abstract, and the authors' code, from which the conversation part is (`layers/turns.py`): speakers as two zeros or ones,
a GRU of 50 states with a learnt beginning, the three scores of the causal attention, the window, dropout, one linear
layer. The authors' network reads words alone; ours reads voice and face, by an encoder of our own
(`layers/utterances.py`) or by any trained system. Three mistakes of their code are not repeated: padding counts in
their loss, as the first class; their dropout stays on when they test; and of the backward half of their LSTM over words
they take the state that has met a single word. Ours, further: an answer depends on the last 64 turns at most, so that a
running dialogue can be followed, and a clip by itself has no speaker.

Axes as in `layers/clips.py` and `layers/turns.py`: B clips, N dialogues, T turns, D width of a turn's vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from emotrace.layers.backbones import own_encoders
from emotrace.layers.clips import (
    Backbone,
    ClipAnswer,
    Clips,
    ClipSizes,
    Modality,
    Sampling,
    Scale,
    clean,
    no_weight_of_clips,
)
from emotrace.layers.turns import DialogueEncoder, Score, TurnTable, turn_table
from emotrace.layers.utterances import UtteranceEncoder


@dataclass(frozen=True, kw_only=True)
class DialogueAttentionConfig:
    """Sizes and variants of a `DialogueAttention`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    score: Score = "dot"
    context_turns: int | None = None
    """Turns before its own that a turn attends to; None for all. With 0 the past is still in the state of the GRU."""


class DialogueAttention(nn.Module):
    """A vector for every turn, then a GRU and attention over the turns so far.

    Attributes:
        vector_dim: D.
    """

    Config = DialogueAttentionConfig
    paper: ClassVar[str] = "Partaourides et al. 2020 (SERN)"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {"small": Sampling(6, 1, 6, 24), "published": Sampling(16, 1, 16, 48)}
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})
    explanations: ClassVar[tuple[str, ...]] = ("turns",)
    memory_turns: ClassVar[int] = 64
    """An answer depends on so many turns at most, its own among them."""

    def __init__(self, config: DialogueAttentionConfig) -> None:
        super().__init__()
        self.config = config
        encoder = UtteranceEncoder(config.sizes, config.scale, config.visual)
        self.utterance: nn.Module = encoder
        self.vector_dim = encoder.dim
        self.dialogue = self._conversation(encoder.dim)
        self._is_lent = False

    def hear_with(self, encoder: nn.Module, dim: int) -> None:
        """Make the vectors of turns by another network, which stays as it is; the conversation part starts anew.

        To be called before weights of this system are loaded, and before it is trained or moved to a device. The
        encoder is part of what `state_dict` saves, so that weights fit only a system with the same one.

        Args:
            encoder: clips that are clean -> [B, dim]. It is frozen, and stays in evaluation.
            dim: D.
        """
        self.utterance = encoder.requires_grad_(False).eval()
        self.vector_dim = dim
        self.dialogue = self._conversation(dim)
        self._is_lent = True

    def train(self, mode: bool = True) -> Self:
        """Switch training on or off; a lent encoder stays in evaluation."""
        super().train(mode)
        if self._is_lent:
            self.utterance.eval()
        return self

    def utterances(self, clips: Clips) -> Tensor:
        """Return one vector [B, D] per turn, which depends on no other turn."""
        vectors: Tensor = self.utterance(clean(clips))
        return vectors

    def converse(self, vectors: Tensor, speaker: Tensor, known: Tensor) -> Tensor:
        """Return logits [N, T, C] of dialogues, each turn's from those before it; see `DialogueEncoder`.

        Args:
            vectors: [N, T, D].
            speaker: [N, T]: 0 for who spoke first, 1 for the second; any other number says nothing.
            known: [N, T] bool; padding stands after the last turn.
        """
        logits: Tensor = self.dialogue(vectors, speaker, known)[0]
        return logits

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the embedding is the vector of the turn. A graph for export takes each clip by itself."""
        vectors = self.utterances(clips)
        if torch.onnx.is_in_onnx_export():
            alone = torch.ones_like(clips.dialogue[:, None], dtype=torch.bool)
            logits = self.converse(vectors[:, None], torch.where(alone, -1, 0), alone)[:, 0]
        else:
            table = turn_table(clips.dialogue, self.memory_turns)
            logits = self._among_turns(vectors, clips, table)[0]
        return ClipAnswer(logits, vectors, no_weight_of_clips(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the mean cross-entropy of the clips whose label is known; zero where none is."""
        logits = self(clips).logits.float()
        total = nn.functional.cross_entropy(logits, clips.label, ignore_index=-1, reduction="sum")
        return total / (clips.label >= 0).sum().clamp(min=1)

    def explain(self, clips: Clips) -> tuple[Tensor, ...]:
        """Return shares [B, B]: how much each clip (row) attends to each turn; zero but for those it may know."""
        table = turn_table(clips.dialogue, self.memory_turns)
        shares = self._among_turns(self.utterances(clips), clips, table)[1]
        places = table.turns[table.row].clamp(min=0)  # padding has no share, wherever it is added
        return (shares.new_zeros(len(shares), len(shares)).scatter_add(1, places, shares),)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that can begin with weights learnt elsewhere."""
        if self._is_lent:
            return {"utterance": self.utterance}
        assert isinstance(self.utterance, UtteranceEncoder)
        return own_encoders(self.utterance.frames.encoder)

    def _conversation(self, dim: int) -> DialogueEncoder:
        config = self.config
        return DialogueEncoder(dim, len(config.sizes.classes), config.score, config.context_turns)

    def _among_turns(self, vectors: Tensor, clips: Clips, table: TurnTable) -> tuple[Tensor, Tensor]:
        """Return logits [B, C] and shares [B, T] of the turns in its row of the table."""
        speaker = torch.where(clips.dialogue >= 0, clips.speaker, -1)
        chosen = table.turns.clamp(min=0)
        logits, alpha = self.dialogue(vectors[chosen], speaker[chosen], table.turns >= 0)
        return logits[table.row, table.step], alpha[table.row, table.step]


class TurnContext(nn.Module):
    """The conversation part as a running dialogue needs it: the turns so far -> the answer for the last of them.

    It can be exported with N and T free.
    """

    def __init__(self, system: DialogueAttention) -> None:
        super().__init__()
        self.dialogue = system.dialogue

    def forward(self, vectors: Tensor, speaker: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N, C] of the last known turn, and its shares [N, T] of the turns.

        Args:
            vectors: [N, T, D] as `DialogueAttention.utterances` makes them, at most `memory_turns` of a dialogue.
            speaker: [N, T] int64: 0 for who spoke first in the dialogue, 1 for the second; any other says nothing.
            known: [N, T] bool; one turn at least, and padding after the last.
        """
        logits, alpha = self.dialogue(vectors, speaker, known)
        steps = torch.arange(known.shape[1], device=known.device)
        is_last = (steps == known.sum(dim=1, keepdim=True) - 1)[..., None]
        return (logits * is_last).sum(dim=1), (alpha * is_last).sum(dim=1)

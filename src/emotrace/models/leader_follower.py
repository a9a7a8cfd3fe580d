"""Face and sound of every step -> arousal, valence and emotions: the face leads, an attention over all three follows.

Paper: S. Zhang, Y. Ding, Z. Wei & C. Guan, "Continuous emotion recognition with audio-visual leader-follower attentive
fusion", ICCV workshops 2021, arXiv 2107.01175. Of the paper abstract and introduction were read, of the authors' code
all: the sizes of the temporal convolutions, the attention (in which the keys ask and the queries answer, the other way
round than usual) and the heads are its. Form "abaw3" is the later version of that code, as far as it is used here: two
attention heads, projection, batch normalisation, tanh, and dropout of single values in place of whole channels.

Read in the code and done otherwise here: it trains a model for arousal and one for valence, ours has both in one head;
it takes features from a VGGish trained elsewhere, ours trains VGGish along, from drawn weights or loaded ones; it knows
no missing modality, here zeros enter where one is not known; its cepstral coefficients are openSMILE's (MFCC12_0_D_A),
ours a cosine transform of the log-mel bands and their deltas, 39 values too, without its "liftering", of the newest
frame with four after it, 40 ms ago; the later version has functionals (eGeMAPS) in their place, ours has them always.
It sees the corpus' own aligned faces in colour and every picture of the video, ours grey crops of the face that it
follows, 12.5 a second at most. Left out is its augmentation: in training it cuts 40 of the 48 pixels at random and
flips half of the windows; here IR-50 always sees the middle 40, as there where it is judged.
Ours are also the emotions, the frozen encoder of the default bundle in place of IR-50, the size "small", and in the
later form the share of its 32 values that each attention head has (16) and the order of its last steps. So are rows of
features of any kind, one for each step, in place of the spectrogram: a layer on them stands for VGGish, and as there
are no cepstral coefficients then, one modality follows the face and not two.

Axes: B recordings, S steps, M = 3 modalities, 2 with rows of features, A = 32 values of attention, D width of an input,
F frames.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from emotrace.encoders.classic import scaled
from emotrace.encoders.feature_rows import FeatureRows, FeatureRowsConfig
from emotrace.encoders.vggish import Vggish, VggishConfig
from emotrace.errors import SettingsError
from emotrace.layers.backbones import WIDTHS, FrameVectors, own_encoders
from emotrace.layers.clips import Backbone, Scale
from emotrace.layers.heads import AffectHeads
from emotrace.layers.items import encode_items
from emotrace.layers.known import encode_known
from emotrace.layers.mel import DELTA_CONTEXT, Mfcc, deltas
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known, no_weight
from emotrace.layers.temporal_convolution import TemporalConvolution

Form = Literal["abaw2", "abaw3"]

_SOUND = (96, 64)
"""10 ms frames and bands that VGGish sees."""
_VGGISH_DIM = 128
_COEFFICIENTS = 13
_CHANNELS: Mapping[Form, tuple[tuple[int, ...], ...]] = MappingProxyType(
    {
        "abaw2": ((128, 128, 128, 128), (32, 32, 32, 32), (32, 32, 32, 32)),
        "abaw3": ((256, 256, 128, 128), (64, 64, 32, 32), (32, 32, 32, 32)),
    }
)
"""Of the temporal convolutions of face, VGGish and cepstra at the published size; the small one has half of them."""
_ATTENTION_DIM = 32
_CENTRE = (40, 48)
"""Pixels of the side that IR-50 sees, of those of the crop; of other crops the same share."""
_PATCHES_AT_ONCE = 256
"""The first maps of VGGish are many times larger than its input: a whole recording at once fills the memory."""


@dataclass(frozen=True, kw_only=True)
class LeaderFollowerConfig:
    """Sizes of a `LeaderFollower`."""

    sizes: Sizes
    """The voice is [96, 64]: the 0.96 s of a log-mel spectrogram that end at the step; a row [D] if it is "frozen"."""
    scale: Scale = "small"
    visual: Backbone = "frozen"
    """What encodes the face: the default bundle's frozen encoder, or IR-50, trained here, of the centre of the crop."""
    audio: Backbone = "own"
    """What encodes the voice: VGGish and cepstra, or "frozen", one layer on rows of features that were made before."""
    form: Form = "abaw2"
    dropout: float = 0.1


class LeaderFollower(nn.Module):
    """Temporal convolutions per modality, attention over them at each step, and the face's once more; causal.

    Attributes:
        context_steps: steps before the newest that an answer depends on: what a stream carries along.
    """

    Config = LeaderFollowerConfig
    paper: ClassVar[str] = "Zhang et al. 2021"
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "regions"})
    needs_of: ClassVar[Mapping[Backbone, frozenset[Need]]] = MappingProxyType(
        {"frozen": needs, "own": frozenset({"voice", "crops"})}
    )
    """What is needed with each backbone; `needs` is for the one that is not trained."""
    pictures: ClassVar[int] = 1
    heard: ClassVar[int] = 24
    """Slices of 40 ms of the front end "log-mel" that make the voice of a step."""

    def __init__(self, config: LeaderFollowerConfig) -> None:
        """Draw the weights.

        Raises:
            SettingsError: the voice is no stretch of a log-mel spectrogram, or no row of features if it is "frozen".
        """
        super().__init__()
        sizes = config.sizes
        _check_voice(sizes, config.audio)
        self.config = config
        seen = sizes.crop_side * _CENTRE[0] // _CENTRE[1]
        margin = (sizes.crop_side - seen) // 2
        self._centre = slice(margin, margin + seen)
        self.visual = FrameVectors(config.visual, config.scale, region_dim=sizes.region_dim, crop_side=seen)
        self.rows: FeatureRows | None = None
        followers: tuple[int, ...]
        if config.audio == "own":
            self.vggish = Vggish(VggishConfig(width=WIDTHS[config.scale]))
            self.mfcc = Mfcc(_SOUND[1], _COEFFICIENTS)
            followers = (self.vggish.embedding_dim, 3 * _COEFFICIENTS)
        else:
            width = scaled(_VGGISH_DIM, WIDTHS[config.scale])
            self.rows = FeatureRows(FeatureRowsConfig(num_features=sizes.voice_shape[0], embedding_dim=width))
            followers = (width,)
        inputs = (self.visual.dim, *followers)
        later, divisor = config.form == "abaw3", 2 if config.scale == "small" else 1
        channels = [[width // divisor for width in widths] for widths in _CHANNELS[config.form][: len(inputs)]]
        temporal = [
            TemporalConvolution(width, blocks, dropout=config.dropout, dropped="values" if later else "channels")
            for width, blocks in zip(inputs, channels, strict=True)
        ]
        self.temporal = nn.ModuleList(temporal)
        self.context_steps = max(part.receptive_field for part in temporal) - 1
        outputs = [blocks[-1] for blocks in channels]
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) if later else nn.Identity() for width in outputs)
        self.attention = FollowerAttention(outputs, config.form, config.dropout)
        self.heads = AffectHeads(
            outputs[0] + len(outputs) * _ATTENTION_DIM, "tanh" if later else "linear", sizes.num_emotions
        )

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the answer at every step; there is no audio weight, as the face also enters past the attention."""
        crops = steps.crops
        if self.config.visual == "own":
            crops = crops[:, :, -1, self._centre, self._centre]
        inputs = (self.visual(crops, steps.regions, steps.video_valid), *self._heard(steps.voice, steps.audio_valid))
        known = [
            norm(temporal(each).transpose(1, 2)).transpose(1, 2)
            for each, temporal, norm in zip(inputs, self.temporal, self.norms, strict=True)
        ]
        arousal_valence, logits = self.heads(torch.cat([known[0], self.attention(known)], dim=-1))
        return SystemOutput(arousal_valence, logits, no_weight(steps), any_known(steps))

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return the answer: all parts learn together."""
        return [self(steps)]

    def release_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters in the order in which training sets them free; those of no group stay frozen.

        All but IR-50, with the output layer of that; its last stage; the last three units of the stage before. The
        authors start from a trained IR-50: one whose weights were drawn must not be frozen.
        """
        if self.visual.encoder is None:
            return [list(self.parameters())]
        others = [value for name, value in self.named_parameters() if not name.startswith("visual.")]
        first, *rest = self.visual.encoder.release_groups()
        return [others + first, *rest]

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks whose weights can be loaded by themselves: "audio" and "visual", each where it is own."""
        return own_encoders(self.visual.encoder, self.vggish if self.rows is None else None)

    def _heard(self, voice: Tensor, known: Tensor) -> tuple[Tensor, ...]:
        """Return what follows, each [B, S, D], of the voice [B, S, ...] where it is known [B, S]."""
        if self.rows is not None:
            return (self.rows(voice[..., None, :], known[..., None]),)
        heard = torch.where(known[..., None, None], voice, 0.0)
        return self._sound_vectors(heard, known), self._cepstra(heard)

    def _sound_vectors(self, heard: Tensor, known: Tensor) -> Tensor:
        """Return the embeddings [B, S, D] of sound [B, S, 96, 64]; zero where it is not known."""
        patches, width = heard.unsqueeze(2), self.vggish.embedding_dim
        if torch.onnx.is_in_onnx_export():  # a graph for export cannot choose steps
            return encode_items(self.vggish, patches, known, width)
        return encode_known(self._embedded, patches, known, width)

    def _embedded(self, patches: Tensor) -> Tensor:
        return torch.cat([self.vggish(part) for part in torch.split(patches, _PATCHES_AT_ONCE)])

    def _cepstra(self, heard: Tensor) -> Tensor:
        """Return the coefficients [B, S, 39] of the newest frame that has both deltas, and these."""
        # The second deltas need F = 9 frames.
        levels: Tensor = self.mfcc(heard[..., -2 * DELTA_CONTEXT - 1 :, :])
        slopes = deltas(levels)
        bends = deltas(slopes)
        middles = [each[..., each.shape[-2] // 2, :] for each in (levels, slopes, bends)]
        return torch.cat(middles, dim=-1)


def _check_voice(sizes: Sizes, audio: Backbone) -> None:
    found = f"The leader-follower network got voice inputs of shape {sizes.voice_shape}, expected"
    if audio == "own" and sizes.voice_shape != _SOUND:
        raise SettingsError(f"{found} {_SOUND} (frames, bands): set front_end=log-mel.")
    if audio == "frozen" and len(sizes.voice_shape) != 1:
        raise SettingsError(f"{found} a row of features for each step: set audio.backbone=own for a spectrogram.")


class FollowerAttention(nn.Module):
    """The modalities at one step -> each and what it takes from all of them: LayerNorm(S V + V).

    S = softmax(K Q^T / sqrt A) over the last axis: in row i the shares that modality i, by its key, takes of all by
    their queries. The later form has two such heads, and a projection before the normalisation.
    """

    def __init__(self, widths: Sequence[int], form: Form, dropout: float) -> None:
        super().__init__()
        self.heads = 2 if form == "abaw3" else 1
        self.query, self.key, self.value = (
            nn.ModuleList(nn.Linear(width, _ATTENTION_DIM) for width in widths) for _ in range(3)
        )
        total = len(widths) * _ATTENTION_DIM
        self.finish = nn.Sequential(nn.LayerNorm((len(widths), _ATTENTION_DIM)), nn.Flatten(-2))
        if form == "abaw3":
            self.finish = nn.Sequential(
                nn.Flatten(-2), nn.Linear(total, total), nn.Dropout(dropout), nn.LayerNorm(total)
            )

    def forward(self, known: Sequence[Tensor]) -> Tensor:
        """Return [..., M A] of M vectors [..., D], D of each its own."""
        query, key, value = (
            torch.stack([part(each) for part, each in zip(parts, known, strict=True)], dim=-2)
            for parts in (self.query, self.key, self.value)
        )
        scores = self._split(key) @ self._split(query).transpose(-1, -2) / math.sqrt(_ATTENTION_DIM // self.heads)
        mixed = (scores.softmax(dim=-1) @ self._split(value)).transpose(-2, -3).flatten(-2)
        out: Tensor = self.finish(mixed + value)
        return out

    def _split(self, each: Tensor) -> Tensor:
        """Return [..., heads, M, A / heads] of [..., M, A]."""
        return each.reshape(*each.shape[:-1], self.heads, -1).transpose(-2, -3)

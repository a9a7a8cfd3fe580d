"""The fusion networks that a bundle can hold, as systems to be compared, with a voice encoder where one is needed."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from emotrace.encoders.spectrogram_cnn import SpectrogramCnn, SpectrogramCnnConfig
from emotrace.layers.fusion import Missing
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known, no_weight
from emotrace.models.bimodal_attention import BimodalAttention, BimodalAttentionConfig
from emotrace.models.concatenation import Concatenation, ConcatenationConfig

_VOICE_DIM = 128


@dataclass(frozen=True, kw_only=True)
class FusionSystemConfig:
    """Sizes of a `FusionSystem` and readings of the paper, as in `models/bimodal_attention.py`."""

    sizes: Sizes
    network: Literal["bimodal-attention", "concatenation"]
    hidden_dim: int = 128
    attention_dim: int = 48
    missing: Missing = "zeros"
    beta_form: Literal["sentinel", "gate"] = "sentinel"
    residual: bool = True


class FusionSystem(nn.Module):
    """Liu & Tang 2021, or plain concatenation: vectors go straight in, spectra through the paper's CNN."""

    Config = FusionSystemConfig
    paper: ClassVar[str] = BimodalAttention.paper
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "regions"})
    pictures: ClassVar[int] = 1

    def __init__(self, config: FusionSystemConfig) -> None:
        super().__init__()
        self.config = config
        shape = config.sizes.voice_shape
        self.spectrum: SpectrogramCnn | None = None
        if len(shape) == 2:
            cnn = SpectrogramCnnConfig(height=shape[0], width=shape[1], embedding_dim=_VOICE_DIM)
            self.spectrum = SpectrogramCnn(cnn)
        audio_dim = shape[0] if self.spectrum is None else _VOICE_DIM
        self.fusion: BimodalAttention | Concatenation
        if config.network == "concatenation":
            self.fusion = Concatenation(
                ConcatenationConfig(
                    audio_dim=audio_dim,
                    region_dim=config.sizes.region_dim,
                    hidden_dim=config.hidden_dim,
                    missing=config.missing,
                    num_emotions=config.sizes.num_emotions,
                )
            )
        else:
            self.fusion = BimodalAttention(
                BimodalAttentionConfig(
                    audio_dim=audio_dim,
                    region_dim=config.sizes.region_dim,
                    hidden_dim=config.hidden_dim,
                    attention_dim=config.attention_dim,
                    missing=config.missing,
                    beta_form=config.beta_form,
                    residual=config.residual,
                    num_emotions=config.sizes.num_emotions,
                )
            )

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the network's answer from its initial state on."""
        state = self.fusion.initial_state(len(steps.audio_valid))
        said = self.fusion(self._voice(steps), steps.regions, steps.audio_valid, steps.video_valid, state)
        weight = said.audio_weight if self.config.network == "bimodal-attention" else no_weight(steps)
        return SystemOutput(said.arousal_valence, said.emotion_logits, weight, any_known(steps))

    def outputs_to_train(self, steps: Steps) -> list[SystemOutput]:
        """Return the one answer."""
        return [self(steps)]

    def _voice(self, steps: Steps) -> Tensor:
        """Return [B, S, A]; a spectrum is encoded once where the same one stands at several steps in a row."""
        if self.spectrum is None:
            return steps.voice
        spectra = steps.voice.flatten(0, 1)
        new = torch.ones(len(spectra), dtype=torch.bool, device=spectra.device)
        new[1:] = (spectra[1:] != spectra[:-1]).flatten(1).any(dim=1)
        embeddings: Tensor = self.spectrum(spectra[new][:, None])[0]
        return embeddings[new.cumsum(0) - 1].reshape(*steps.voice.shape[:2], _VOICE_DIM)

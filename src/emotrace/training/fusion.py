"""Stage two: train a fusion system on composed recordings, the branches frozen (Liu & Tang 2021, section 5)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Generator, Tensor

from emotrace import metrics
from emotrace.evaluation import trace_scores
from emotrace.inference.recordings import Recording
from emotrace.labels import EMOTIONS
from emotrace.layers.fusion import FusionOutput
from emotrace.losses import ccc_loss, modal_scaling_loss, rmse_loss, soft_cross_entropy
from emotrace.models import FusionModel
from emotrace.models.bimodal_attention import BimodalAttention, BimodalAttentionConfig
from emotrace.models.concatenation import Concatenation, ConcatenationConfig
from emotrace.training.run import fit, optimiser, seeded, tell_epoch
from emotrace.training.settings import FusionSettings

HIDDEN_DIM = 128
ATTENTION_DIM = 48


class Stretch(NamedTuple):
    """A batch of stretches of recordings; axes as in `models`. A named tuple, as Lightning refuses frozen dataclasses.

    Attributes:
        audio: [B, T, A].
        regions: [B, T, K, D].
        audio_valid: [B, T].
        video_valid: [B, T].
        speech_energy: [B, T].
        emotion: [B, T].
        arousal_valence: [B, T, 2].
    """

    audio: Tensor
    regions: Tensor
    audio_valid: Tensor
    video_valid: Tensor
    speech_energy: Tensor
    emotion: Tensor
    arousal_valence: Tensor

    def without(self, only: str | None) -> "Stretch":
        """Return the same with one modality left out."""
        audio_valid = self.audio_valid & (only != "face")
        video_valid = self.video_valid & (only != "voice")
        return self._replace(audio_valid=audio_valid, video_valid=video_valid)


def stretch(recordings: Sequence[Recording], first: Sequence[int], ticks: int) -> Stretch:
    """Cut `ticks` ticks from `first` on out of each recording."""

    def gathered(name: str) -> Tensor:
        parts = [getattr(one, name)[start : start + ticks] for one, start in zip(recordings, first, strict=True)]
        return torch.from_numpy(np.stack(parts))

    regions = []
    for one, start in zip(recordings, first, strict=True):
        index = one.region_index[start : start + ticks]
        table = one.regions if len(one.regions) else np.zeros((1, *one.regions.shape[1:]), np.float16)
        regions.append(np.where((index >= 0)[:, None, None], table[index], 0))
    return Stretch(
        audio=gathered("audio"),
        regions=torch.from_numpy(np.stack(regions)).float(),
        audio_valid=gathered("audio_valid"),
        video_valid=gathered("video_valid"),
        speech_energy=gathered("speech_energy"),
        emotion=gathered("emotion"),
        arousal_valence=gathered("arousal_valence"),
    )


class Stretches:
    """Batches of stretches, drawn anew every epoch, the same for the same seed and epoch."""

    def __init__(self, recordings: Sequence[Recording], settings: FusionSettings) -> None:
        self.recordings = recordings
        self.settings = settings
        self.epoch = 0

    def __len__(self) -> int:
        return max(1, len(self.recordings) // self.settings.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Draw the stretches of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Stretch]:
        generator = seeded(self.settings.seed, self.epoch)
        order = torch.randperm(len(self.recordings), generator=generator)
        for number in range(len(self)):
            chosen = order[number * self.settings.batch_size : (number + 1) * self.settings.batch_size]
            yield self._batch([self.recordings[int(item)] for item in chosen], generator)

    def _batch(self, recordings: list[Recording], generator: Generator) -> Stretch:
        ticks = min(self.settings.ticks, *(len(one.emotion) for one in recordings))
        last = [len(one.emotion) - ticks for one in recordings]
        first = [int(torch.randint(end + 1, (), generator=generator)) for end in last]
        return stretch(recordings, first, ticks)


class Whole:
    """Every recording by itself, whole."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.recordings = recordings

    def __len__(self) -> int:
        return len(self.recordings)

    def __iter__(self) -> Iterator[Stretch]:
        for one in self.recordings:
            yield stretch([one], [0], len(one.emotion))


class FusionLearner(lightning.LightningModule):
    """Trains a fusion network: emotions, arousal and valence, and the modal-scaling loss (eq. 33)."""

    def __init__(self, network: FusionModel, settings: FusionSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self._said: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: Stretch) -> FusionOutput:
        """Return what the network says, from its initial state on."""
        batch = batch.without(self.settings.only)
        state = self.network.initial_state(len(batch.audio))
        output: FusionOutput = self.network(batch.audio, batch.regions, batch.audio_valid, batch.video_valid, state)
        return output

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch and tell the batches which epoch it is."""
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)
        tell_epoch(self)

    def training_step(self, batch: Stretch, batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        output = self(batch)
        known = batch.without(self.settings.only)
        valid = known.audio_valid | known.video_valid
        main = ccc_loss if self.settings.main_loss == "ccc" else rmse_loss
        loss = main(output.arousal_valence.float(), batch.arousal_valence, valid)
        targets = torch.nn.functional.one_hot(batch.emotion, len(EMOTIONS)).float()
        loss = loss + self.settings.emotion_weight * soft_cross_entropy(output.emotion_logits, targets, valid)
        if self.settings.modal_scaling != "none" and self.settings.only is None:
            scaling = modal_scaling_loss(
                output.audio_weight.float(),
                batch.speech_energy,
                batch.video_valid,
                torch.ones_like(valid),
                form=self.settings.modal_scaling,
            )
            loss = loss + self.settings.modal_scaling_weight * scaling
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch.audio))
        return loss

    def validation_step(self, batch: Stretch, batch_index: int) -> None:
        """Collect what is said of one recording."""
        self._said.append((self(batch).arousal_valence.float(), batch.arousal_valence))

    def on_validation_epoch_end(self) -> None:
        """Log the mean of the concordance correlations of arousal and valence, over all recordings together."""
        said = torch.cat([one.flatten(0, 1) for one, _ in self._said]).cpu().numpy()
        truth = torch.cat([one.flatten(0, 1) for _, one in self._said]).cpu().numpy()
        self._said.clear()
        scores = [metrics.ccc(truth[:, place], said[:, place]) for place in range(2)]
        self.log("validation_ccc", float(np.mean(scores)), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with warm-up and cosine."""
        return optimiser(self, self.settings)


def build(settings: FusionSettings, audio_dim: int, region_dim: int) -> FusionModel:
    """Return the untrained system, its weights drawn by the seed."""
    torch.manual_seed(settings.seed)
    if settings.system == "concatenation":
        return Concatenation(
            ConcatenationConfig(
                audio_dim=audio_dim,
                region_dim=region_dim,
                hidden_dim=HIDDEN_DIM,
                missing=settings.missing,
                output=settings.output,
            )
        )
    return BimodalAttention(
        BimodalAttentionConfig(
            audio_dim=audio_dim,
            region_dim=region_dim,
            hidden_dim=HIDDEN_DIM,
            attention_dim=ATTENTION_DIM,
            missing=settings.missing,
            beta_form=settings.beta_form,
            residual=settings.residual,
            output=settings.output,
        )
    )


def train_fusion(
    training: Sequence[Recording],
    validation: Sequence[Recording],
    settings: FusionSettings,
    folder: Path,
    *,
    resume: bool = False,
) -> FusionModel:
    """Train a fusion system and return it with the weights of its best validation epoch."""
    network = build(settings, training[0].audio.shape[1], training[0].regions.shape[2])
    learner = FusionLearner(network, settings)
    fit(
        learner,
        settings,
        Stretches(training, settings),
        Whole(validation),
        folder,
        monitor="validation_ccc",
        resume=resume,
    )
    return network.eval()


@torch.inference_mode()
def score(network: FusionModel, recordings: Sequence[Recording], only: str | None) -> dict[str, float]:
    """Return figures over all recordings together.

    CCC of arousal and valence, unweighted average recall of the emotions, and the correlation of the audio weight with
    (1 + m - n) / 2, which is what eq. 31 wants it to be.
    """
    said, truth, emotion, true_emotion, weight, ideal = [], [], [], [], [], []
    for batch in Whole(recordings):
        known = batch.without(only)
        output = network(known.audio, known.regions, known.audio_valid, known.video_valid, network.initial_state(1))
        said.append(output.arousal_valence[0].clamp(-1, 1).numpy())
        truth.append(batch.arousal_valence[0].numpy())
        emotion.append(output.emotion_logits[0].argmax(dim=1).numpy())
        true_emotion.append(batch.emotion[0].numpy())
        weight.append(output.audio_weight[0].numpy())
        ideal.append((1 + batch.speech_energy[0].numpy() - batch.video_valid[0].numpy()) / 2)
    correlation = metrics.pearson(np.concatenate(ideal), np.concatenate(weight))
    return trace_scores(truth, said, true_emotion, emotion) | {"audio_weight_correlation": correlation}

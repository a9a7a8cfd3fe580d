"""Recordings with labels -> a trained system and its answers: stage two of Liu & Tang 2021, for all systems alike."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from emotrace import metrics
from emotrace.layers.steps import Begins, Finishes, Steps, SystemOutput
from emotrace.losses import ccc_loss, modal_scaling_loss, rmse_loss, soft_cross_entropy
from emotrace.training.run import fit, optimiser, seeded, tell_epoch
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import StandardisedSystem, build, reading_of
from emotrace.training.tracks import Reading, Track, on_ticks


class DrawnStretches:
    """Batches of stretches, drawn anew every epoch, the same for the same seed and epoch."""

    def __init__(self, tracks: Sequence[Track], how: Reading, settings: SystemSettings) -> None:
        self.tracks = tracks
        self.how = how
        self.settings = settings
        self.epoch = 0
        wanted = round(settings.stretch_seconds / settings.step_seconds)
        self.count = min(wanted, *(how.num_steps(track) for track in tracks))

    def __len__(self) -> int:
        return max(1, self.settings.stretches_per_epoch // self.settings.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Draw the stretches of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Steps]:
        generator = seeded(self.settings.seed, self.epoch)
        # A longer recording is drawn from as much more often.
        room = torch.tensor([self.how.num_steps(track) for track in self.tracks], dtype=torch.float64)
        for _ in range(len(self)):
            chosen = torch.multinomial(room, self.settings.batch_size, replacement=True, generator=generator).tolist()
            tracks = [self.tracks[place] for place in chosen]
            ends = [self.how.num_steps(track) - self.count for track in tracks]
            first = [int(torch.randint(end + 1, (), generator=generator)) for end in ends]
            yield self.how.batch(tracks, first, self.count)


class WholeTracks(Sequence[Steps]):
    """Every recording by itself and whole, read when it is asked for; standardised where a system is given."""

    def __init__(self, tracks: Sequence[Track], how: Reading, system: StandardisedSystem | None = None) -> None:
        self.tracks = tracks
        self.how = how
        self.system = system

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, place: int) -> Steps:  # type: ignore[override]  # slices are asked for by nobody
        steps = self.how.whole(self.tracks[place])
        return steps if self.system is None else self.system.standardise(steps)


class SystemLearner(lightning.LightningModule):
    """Trains every output that a system gives for training; the modal-scaling loss on its audio weight (eq. 33)."""

    def __init__(self, system: StandardisedSystem, settings: SystemSettings) -> None:
        super().__init__()
        self.system = system
        self.settings = settings
        self._said: list[tuple[Tensor, Tensor]] = []

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch and tell the batches which epoch it is."""
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)
        tell_epoch(self)

    def training_step(self, batch: Steps, batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        outputs = self.system.outputs_to_train(batch)
        loss = torch.stack([self._loss(output, batch) for output in outputs]).sum()
        if self.settings.modal_scaling != "none":
            scaling = modal_scaling_loss(
                outputs[0].audio_weight,
                batch.speech_energy,
                batch.video_valid,
                torch.ones_like(batch.video_valid),
                form=self.settings.modal_scaling,
            )
            loss = loss + self.settings.modal_scaling_weight * scaling
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.emotion))
        return loss

    def _loss(self, output: SystemOutput, batch: Steps) -> Tensor:
        labelled = output.valid & batch.arousal_valence.isfinite().all(dim=-1)
        main = ccc_loss if self.settings.main_loss == "ccc" else rmse_loss
        loss = main(output.arousal_valence, batch.arousal_valence, labelled)
        named = output.valid & (batch.emotion >= 0)
        if self.settings.emotion_weight and named.any():
            targets = torch.nn.functional.one_hot(batch.emotion.clamp(min=0), output.emotion_logits.shape[-1]).float()
            loss = loss + self.settings.emotion_weight * soft_cross_entropy(output.emotion_logits, targets, named)
        return loss

    def validation_step(self, batch: Steps, batch_index: int) -> None:
        """Collect what is said of one recording."""
        answer, counts = self._answer(batch)
        labelled = counts & batch.arousal_valence.isfinite().all(dim=-1)
        self._said.append((answer[labelled], batch.arousal_valence[labelled]))

    def _answer(self, batch: Steps) -> tuple[Tensor, Tensor]:
        """Return the answer [B, S, 2] that the epoch is judged by, and on which steps [B, S].

        It is the system's, unless that learns how to answer only after its epochs: then the mean of its parts.
        """
        if not isinstance(self.system.system, Finishes):
            output = self.system(batch)
            # An unknown answer is no way out: it counts as zero.
            said = torch.where(output.valid[..., None], output.arousal_valence, 0.0)
            return said, torch.ones_like(output.valid)
        outputs = self.system.outputs_to_train(batch)
        shares = torch.stack([output.valid for output in outputs])
        parts = torch.stack([output.arousal_valence.nan_to_num() for output in outputs]) * shares[..., None]
        count = shares.sum(dim=0)
        return parts.sum(dim=0) / count.clamp(min=1)[..., None], count > 0

    def on_validation_epoch_end(self) -> None:
        """Log the mean of the concordance correlations of arousal and valence, over all recordings together."""
        said, truth = (torch.cat(parts).cpu().numpy() for parts in zip(*self._said, strict=True))
        self._said.clear()
        scores = [metrics.ccc(truth[:, place], said[:, place]) for place in range(2)]
        self.log("validation_ccc", float(np.mean(scores)))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with warm-up and cosine."""
        return optimiser(self, self.settings)


def train_system(
    training: Sequence[Track],
    validation: Sequence[Track],
    settings: SystemSettings,
    folder: Path,
    *,
    resume: bool = False,
) -> StandardisedSystem:
    """Train a system; gradient training keeps the epoch that is best on the validation recordings.

    Args:
        training: recordings with labels.
        validation: recordings that decide which epoch is kept.
        settings: of the system and its training.
        folder: checkpoints and logs.
        resume: go on from the folder's last checkpoint when there is one.
    """
    how = reading_of(settings, training[0].ticks_per_second)
    training = [track.without(settings.only) for track in training]
    validation = [track.without(settings.only) for track in validation]
    system = build(settings, how.sizes(training[0]))
    system.fit_standardiser(training)
    if isinstance(system.system, Begins):
        system.system.begin(WholeTracks(training, how, system))
    if system.outputs_to_train(how.batch(training[:1], [0], 2)):
        batches, held_out = DrawnStretches(training, how, settings), WholeTracks(validation, how)
        learner = SystemLearner(system, settings)
        fit(learner, settings, batches, held_out, folder, monitor="validation_ccc", resume=resume, show_progress=False)
    system.eval()
    if isinstance(system.system, Finishes):
        torch.manual_seed(settings.seed)
        system.system.finish(WholeTracks(training, how, system))
    return system.eval()


@torch.inference_mode()
def predict(system: StandardisedSystem, settings: SystemSettings, track: Track) -> SystemOutput:
    """Return what the system says at every tick of a recording, [T, ...], arousal and valence within [-1, 1]."""
    how = reading_of(settings, track.ticks_per_second)
    said = system(how.whole(track.without(settings.only)))
    on = [on_ticks(part[0], len(track), how.step_ticks) for part in said]
    return SystemOutput(on[0].clamp(-1, 1), on[1], on[2], on[3])

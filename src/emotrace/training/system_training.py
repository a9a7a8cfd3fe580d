"""Recordings with labels -> a trained system and its answers: stage two of Liu & Tang 2021, for all systems alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

from emotrace import metrics
from emotrace.layers.steps import Begins, Finishes, Steps, SystemOutput
from emotrace.losses import ccc_loss, modal_scaling_loss, rmse_loss, soft_cross_entropy, windowed_ccc_loss
from emotrace.models.leader_follower import LeaderFollower
from emotrace.training.gradual_release import GradualRelease
from emotrace.training.prediction import mean_shares
from emotrace.training.run import fit, optimiser, seeded, tell_epoch
from emotrace.training.settings import SystemSettings
from emotrace.training.sharing import Sharing
from emotrace.training.systems import StandardisedSystem, build, frozen_encoders, reading_of
from emotrace.training.tracks import Reading, Track

_MAIN_LOSSES: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = MappingProxyType(
    {"ccc": ccc_loss, "rmse": rmse_loss, "windowed-ccc": windowed_ccc_loss}
)


class DrawnStretches:
    """Batches of stretches, drawn anew every epoch, the same for the same seed and epoch."""

    def __init__(self, tracks: Sequence[Track], how: Reading, settings: SystemSettings) -> None:
        self.tracks = tracks
        self.how = how
        self.settings = settings
        self.epoch = 0
        wanted = round(settings.stretch_seconds / settings.step_seconds)
        # A shorter recording is filled up with steps at which nothing is known.
        self.count = min(wanted, max(how.num_steps(track) for track in tracks))

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
            ends = [max(0, self.how.num_steps(track) - self.count) for track in tracks]
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

    def __init__(self, system: StandardisedSystem, settings: SystemSettings, *, whole: bool) -> None:
        super().__init__()
        self.system = system
        self.settings = settings
        self.whole = whole
        self.release = _release(system, settings)
        self.sharing = Sharing(system.system, settings.system)
        self._said: list[tuple[Tensor, Tensor]] = []

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch, tell the batches which epoch it is, and keep frozen encoders as they are."""
        for encoder in frozen_encoders(self.system.system, self.settings):
            encoder.eval()
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)
        tell_epoch(self)

    def training_step(self, batch: Steps, batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        outputs = self.sharing.outputs(self.system.outputs_to_train, batch)
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
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.emotion))
        return loss

    def _loss(self, output: SystemOutput, batch: Steps) -> Tensor:
        labelled = output.valid & batch.arousal_valence.isfinite().all(dim=-1)
        # The labels of a clip of one class are constant: there is nothing to correlate within its window.
        main = "ccc" if self.whole else self.settings.main_loss
        loss = _MAIN_LOSSES[main](output.arousal_valence, batch.arousal_valence, labelled)
        named = output.valid & (batch.emotion >= 0)
        if self.settings.emotion_weight and named.any():
            targets = torch.nn.functional.one_hot(batch.emotion.clamp(min=0), output.emotion_logits.shape[-1]).float()
            loss = loss + self.settings.emotion_weight * soft_cross_entropy(output.emotion_logits, targets, named)
        return loss

    def validation_step(self, batch: Steps, batch_index: int) -> None:
        """Collect what is said of one recording."""
        if self.whole:
            told = mean_shares(self._outputs(batch)).argmax(dim=-1, keepdim=True)
            self._said.append((told, batch.emotion[:, 0]))
            return
        answer, counts = self._answer(batch)
        labelled = counts & batch.arousal_valence.isfinite().all(dim=-1)
        self._said.append((answer[labelled], batch.arousal_valence[labelled]))

    def _answer(self, batch: Steps) -> tuple[Tensor, Tensor]:
        """Return the answer [B, S, 2] that the epoch is judged by, and on which steps [B, S].

        Of several outputs it is the mean.
        """
        outputs = self._outputs(batch)
        if len(outputs) == 1:
            output = outputs[0]
            # An unknown answer is no way out: it counts as zero.
            said = torch.where(output.valid[..., None], output.arousal_valence, 0.0)
            return said, torch.ones_like(output.valid)
        shares = torch.stack([output.valid for output in outputs])
        parts = torch.stack([output.arousal_valence.nan_to_num() for output in outputs]) * shares[..., None]
        count = shares.sum(dim=0)
        return parts.sum(dim=0) / count.clamp(min=1)[..., None], count > 0

    def _outputs(self, batch: Steps) -> Sequence[SystemOutput]:
        """Return the system's answer; its parts' where it learns how to answer only after its epochs."""
        if isinstance(self.system.system, Finishes):
            return self.system.outputs_to_train(batch)
        return [self.system(batch)]

    def on_validation_epoch_end(self) -> None:
        """Log the mean CCC of arousal and valence over all recordings together, or the recall of whole recordings."""
        said, truth = (torch.cat(parts).cpu().numpy() for parts in zip(*self._said, strict=True))
        self._said.clear()
        if self.whole:
            self.log("validation_score", metrics.unweighted_average_recall(truth, said), sync_dist=True)
            return
        scores = [metrics.ccc(truth[:, place], said[:, place]) for place in range(2)]
        self.log("validation_score", float(np.mean(scores)), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler | Optimizer:
        """AdamW with warm-up and cosine, or the Adam of the gradual release."""
        return optimiser(self, self.settings) if self.release is None else self.release.optimiser()


def _release(system: StandardisedSystem, settings: SystemSettings) -> GradualRelease | None:
    """Return the schedule that sets the encoder free group by group, where the settings ask for it."""
    if settings.schedule == "cosine":
        return None
    inner = system.system
    assert isinstance(inner, LeaderFollower)  # `fitting.py` refuses others
    return GradualRelease(
        inner.release_groups(),
        monitor="validation_score",
        learning_rate=settings.learning_rate,
        least_rate=0.1 * settings.learning_rate,
        weight_decay=settings.weight_decay,
    )


def train_system(
    training: Sequence[Track],
    validation: Sequence[Track],
    settings: SystemSettings,
    folder: Path,
    *,
    resume: bool = False,
    whole: bool = False,
) -> StandardisedSystem:
    """Train a frame-level system; gradient training keeps the epoch that is best on the validation recordings.

    Args:
        training: recordings with labels.
        validation: recordings that decide which epoch is kept.
        settings: of the system and its training.
        folder: checkpoints and logs.
        resume: go on from the folder's last checkpoint when there is one.
        whole: whether each recording is one clip of one class.
    """
    how = reading_of(settings, training[0].ticks_per_second)
    training = [track.without(settings.only) for track in training]
    validation = [track.without(settings.only) for track in validation]
    system = build(settings, how.sizes(training[0]))
    assert isinstance(system, StandardisedSystem)
    system.fit_standardiser(training)
    if isinstance(system.system, Begins):
        system.system.begin(WholeTracks(training, how, system))
    if system.outputs_to_train(how.batch(training[:1], [0], 2)):
        batches, held_out = DrawnStretches(training, how, settings), WholeTracks(validation, how)
        learner = SystemLearner(system, settings, whole=whole)
        fit(
            learner,
            settings,
            batches,
            held_out,
            folder,
            monitor="validation_score",
            resume=resume,
            show_progress=False,
            schedule=learner.release,
        )
    system.eval()
    if isinstance(system.system, Finishes):
        torch.manual_seed(settings.seed)
        system.system.finish(WholeTracks(training, how, system))
    return system.eval()

"""Recordings with classes -> a trained clip-level system; the epoch that is best on the validation recordings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from emotrace import metrics
from emotrace.errors import CorpusError, SettingsError
from emotrace.layers.clips import Clips, Paced
from emotrace.training.arrays import read_tensors
from emotrace.training.clip_batches import ClipReading, ending_at
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.dialogues import DrawnDialogues
from emotrace.training.prediction import predict, predict_classes
from emotrace.training.run import fit, optimiser, seeded, tell_epoch
from emotrace.training.segments import segment_accuracy
from emotrace.training.settings import SystemSettings
from emotrace.training.sharing import Sharing
from emotrace.training.systems import build, clip_reading_of, frozen_encoders, hears_dialogues, sizes_of
from emotrace.training.tracks import Track


class DrawnClips:
    """Batches of clips, drawn anew every epoch, the same for the same seed and epoch.

    A recording of one class is taken whole, once an epoch; of a recording whose class changes windows are drawn that
    end wherever a class is known.
    """

    def __init__(self, tracks: Sequence[Track], how: ClipReading, settings: SystemSettings, *, whole: bool) -> None:
        self.tracks = tracks
        self.how = how
        self.settings = settings
        self.whole = whole
        self.window = round(settings.window_seconds * tracks[0].ticks_per_second)
        self.epoch = 0
        drawn = len(self.tracks) if whole else settings.stretches_per_epoch
        self.num_batches = max(1, drawn // settings.batch_size)

    def __len__(self) -> int:
        return self.num_batches

    def set_epoch(self, epoch: int) -> None:
        """Draw the clips of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Clips]:
        generator = seeded(self.settings.seed, self.epoch)
        size = self.settings.batch_size
        rounds = -(-len(self) * size // len(self.tracks))
        order = torch.cat([torch.randperm(len(self.tracks), generator=generator) for _ in range(rounds)]).tolist()
        for number in range(len(self)):
            tracks = [self.tracks[place] for place in order[number * size : (number + 1) * size]]
            spans = [(0, len(track)) if self.whole else self._window(track, generator) for track in tracks]
            draws = [
                np.random.default_rng(each) for each in torch.randint(2**31, (size,), generator=generator).tolist()
            ]
            yield self.how.batch(tracks, spans, draws)

    def _window(self, track: Track, generator: torch.Generator) -> tuple[int, int]:
        known = torch.nonzero(track.emotion >= 0)[:, 0]
        last = int(known[int(torch.randint(len(known), (), generator=generator))])
        return ending_at(last + 1, self.window)


class ClipLearner(lightning.LightningModule):
    """Minimises the system's own loss; judged like every other system."""

    def __init__(
        self, system: StandardisedClipSystem, settings: SystemSettings, held_out: Sequence[Track], *, whole: bool
    ) -> None:
        super().__init__()
        self.system = system
        self.settings = settings
        self.held_out = held_out
        self.whole = whole
        self.sharing = Sharing(system.system, settings.system)

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch, tell the batches which epoch it is, and keep frozen encoders as they are."""
        for encoder in frozen_encoders(self.system.system, self.settings):
            encoder.eval()
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)
        tell_epoch(self)

    def training_step(self, batch: Clips, batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        if isinstance(self.system.system, Paced):
            self.system.system.pace(self.trainer.global_step, int(self.trainer.estimated_stepping_batches))
        with self.sharing.cut():
            loss = self.system.loss(batch)
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.label))
        return loss

    def validation_step(self, batch: int, batch_index: int) -> None:
        """Judge all validation recordings at once: by their recall, or by the mean CCC of arousal and valence.

        A system that learns from labels of parts of clips is judged by these, where they are not all as the clip.
        """
        parts = segment_accuracy(self.system, self.settings, self.held_out) if self._knows_parts() else None
        if parts is None:
            parts = self._recall() if self.whole else self._mean_ccc()
        self.log("validation_score", parts, batch_size=1)

    def _knows_parts(self) -> bool:
        return self.whole and self.settings.supervision == "full"

    def _recall(self) -> float:
        truth = np.array([track.clip_class for track in self.held_out])
        told = predict_classes(self.system, self.settings, self.held_out).argmax(dim=1).numpy()
        return metrics.unweighted_average_recall(truth, told)

    def _mean_ccc(self) -> float:
        said, wanted = [], []
        for track in self.held_out:
            known = track.arousal_valence.isfinite().all(dim=1)
            said.append(predict(self.system, self.settings, track).arousal_valence[known].numpy())
            wanted.append(track.arousal_valence[known].numpy())
        told, truth = np.concatenate(said), np.concatenate(wanted)
        return float(np.mean([metrics.ccc(truth[:, place], told[:, place]) for place in range(2)]))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with warm-up and cosine."""
        return optimiser(self, self.settings)


def train_clip_system(
    training: Sequence[Track], validation: Sequence[Track], settings: SystemSettings, folder: Path, *, whole: bool
) -> StandardisedClipSystem:
    """Train a clip-level system; goes on where an earlier run in the folder stopped.

    Args:
        training: recordings with classes.
        validation: recordings that decide which epoch is kept.
        settings: of the system and its training.
        folder: checkpoints and logs.
        whole: whether each recording is one clip of one class.

    Raises:
        CorpusError: no recording has a class.
        SettingsError: the system learns who speaks, and the recordings do not tell.
    """
    how = clip_reading_of(settings, training[0].ticks_per_second)
    training = _numbered([track.without(settings.only) for track in _with_classes(training, settings)])
    if settings.system == "disentangled" and settings.disentangling != "single" and training[0].num_persons < 2:
        raise SettingsError(
            f"disentangling={settings.disentangling} learns who speaks, and the recordings name "
            f"{training[0].num_persons} persons: choose a corpus that names them, or disentangling=single."
        )
    drawn = DrawnDialogues if hears_dialogues(settings) else DrawnClips
    batches = drawn(training, how, settings, whole=whole)
    system = build(settings, sizes_of(settings, training[0]))
    assert isinstance(system, StandardisedClipSystem)
    system.fit_standardiser(training)
    if settings.utterance.weights is not None:
        # What encodes turns stays as it was trained: it hears sound on the scale that it was trained with.
        system.standardise_as(read_tensors(settings.utterance.weights))
    learner = ClipLearner(system, settings, validation, whole=whole)
    fit(learner, settings, batches, [0], folder, monitor="validation_score", resume=True, show_progress=False)
    return system.eval()


def _with_classes(tracks: Sequence[Track], settings: SystemSettings) -> list[Track]:
    """Return the recordings that have a class anywhere."""
    found = [track for track in tracks if (track.emotion >= 0).any()]
    if not found:
        raise CorpusError(
            f"{settings.system} learns classes of emotion, and no recording has labels of them: "
            "choose a corpus with emotions, or another system."
        )
    return found


def _numbered(tracks: Sequence[Track]) -> list[Track]:
    """Return the recordings with their speakers numbered; without numbers where every recording is its own speaker."""
    if all(track.subject == track.name for track in tracks):
        return list(tracks)
    persons = sorted({track.subject for track in tracks})
    return [replace(track, person=persons.index(track.subject), num_persons=len(persons)) for track in tracks]

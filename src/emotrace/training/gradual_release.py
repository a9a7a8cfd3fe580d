"""Groups of parameters and a validation score -> a training that sets one group after the other free.

Source: the code of Zhang et al. 2021 (arXiv 2107.01175). At the start all is frozen but the first group. The learning
rate falls where the score has not risen for some epochs; when it has fallen below the least rate the next group is set
free, and optimiser and rate begin anew; after the last group training ends. After every epoch the best weights so far
are loaded again. Ours: a rate equal to the least one still trains, and a stopped run goes on with the same result.

What is frozen is so for the optimiser: batch normalisation within it still follows its statistics in training.
"""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau


class GradualRelease(lightning.Callback):
    """The schedule; the learner's `configure_optimizers` returns `optimiser()`.

    The parameters of a learner that are in no group stay frozen. The learner validates after every epoch, and no other
    callback may change its weights, as averaging does.

    Attributes:
        released: how many groups are free.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[nn.Parameter]],
        *,
        monitor: str,
        learning_rate: float,
        least_rate: float,
        weight_decay: float,
        patience: int = 5,
        factor: float = 0.1,
    ) -> None:
        """Freeze nothing yet.

        Args:
            groups: in the order in which they are set free.
            monitor: name of a logged figure that is better when larger.
            learning_rate: with which every group begins.
            least_rate: below it, the next group's turn has come.
            weight_decay: of Adam, added to the gradient.
            patience: epochs without a higher score before the rate falls.
            factor: of the rate when it falls.
        """
        self.groups = [list(group) for group in groups]
        self.monitor = monitor
        self.learning_rate = learning_rate
        self.least_rate = least_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.factor = factor
        self.released = 1
        self._best = -torch.inf
        self._weights: dict[str, Tensor] = {}
        self._restored: dict[str, Any] | None = None

    def optimiser(self) -> torch.optim.Adam:
        """Return Adam for all groups; it leaves alone what is frozen, as that has no gradient."""
        every = [parameter for group in self.groups for parameter in group]
        return torch.optim.Adam(every, lr=self.learning_rate, weight_decay=self.weight_decay)

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Freeze what is not free yet."""
        self._freeze(pl_module)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to watch the score, or go on; a run that had ended does not train any more."""
        self._plateau = self._watch(trainer)
        if self._restored is not None:
            self._plateau.load_state_dict(self._restored)
        # A checkpoint is written after the best weights were loaded, and so it holds them.
        self._keep_weights(pl_module)
        trainer.should_stop = trainer.should_stop or self.released > len(self.groups)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Load the best weights, lower the rate, set a group free or end, as the score says."""
        if trainer.sanity_checking:
            return
        score = float(trainer.callback_metrics[self.monitor])
        if score > self._best:
            self._best = score
            self._keep_weights(pl_module)
        else:
            pl_module.load_state_dict(self._weights)
        self._plateau.step(score)
        # A little below, as 1e-5 * 0.1 is no exact 1e-6.
        if self._plateau.optimizer.param_groups[0]["lr"] < self.least_rate * (1 - 1e-6):
            self._release(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule stands, for a checkpoint."""
        return {"released": self.released, "best": self._best, "plateau": self._plateau.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.released, self._best = state_dict["released"], state_dict["best"]
        self._restored = state_dict["plateau"]

    def _watch(self, trainer: lightning.Trainer) -> ReduceLROnPlateau:
        # Without eps = 0 torch would not lower a rate by less than 1e-8, and the last group would never have its turn.
        return ReduceLROnPlateau(trainer.optimizers[0], mode="max", factor=self.factor, patience=self.patience, eps=0)

    def _release(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        self.released += 1
        if self.released > len(self.groups):
            trainer.should_stop = True
            return
        self._freeze(learner)
        adam = trainer.optimizers[0]
        adam.state.clear()
        adam.param_groups[0]["lr"] = self.learning_rate
        self._plateau = self._watch(trainer)

    def _freeze(self, learner: lightning.LightningModule) -> None:
        free = {id(parameter) for group in self.groups[: self.released] for parameter in group}
        for parameter in learner.parameters():
            parameter.requires_grad_(id(parameter) in free)

    def _keep_weights(self, learner: lightning.LightningModule) -> None:
        self._weights = {name: value.detach().clone() for name, value in learner.state_dict().items()}

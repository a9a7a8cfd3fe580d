"""Settings and sizes -> a system that can be trained, compared, written to disk and read again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn

from emotrace.encoders.descriptor_mlp import standard_scores
from emotrace.errors import EmotraceError
from emotrace.layers.steps import Sizes, Steps, System, SystemOutput
from emotrace.models import COMPARATORS
from emotrace.models.decision_fusion import DecisionFusion, DecisionFusionConfig
from emotrace.training.arrays import read_tensors, write_arrays
from emotrace.training.fusion_system import FusionSystem, FusionSystemConfig
from emotrace.training.settings import SystemSettings
from emotrace.training.tracks import Reading, Track
from emotrace.writing import write_text

WEIGHTS = "weights.safetensors"
SYSTEM = "system.json"


class StandardisedSystem(nn.Module):
    """A system whose voice inputs are standardised with the statistics of the training recordings (eq. 9)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, system: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.system = system
        shape = sizes.voice_shape if len(sizes.voice_shape) == 1 else (1,)  # the cells of a spectrum share theirs
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    @property
    def inner(self) -> System:
        """The system itself, as what it is beside a module."""
        return cast(System, self.system)

    def standardise(self, steps: Steps) -> Steps:
        """Return the steps with standardised voice inputs, zero where no voice is valid."""
        if not steps.voice.shape[-1]:
            return steps
        scores = self.scores(steps.voice)
        known = steps.audio_valid.reshape(*steps.audio_valid.shape, *(1,) * (scores.ndim - 2))
        return steps._replace(voice=torch.where(known, scores, 0.0))

    def scores(self, voice: Tensor) -> Tensor:
        """Return voice inputs [..., *shape] in standard deviations from their mean."""
        return standard_scores(voice, self.mean, self.deviation)

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the system's answer."""
        return self.inner(self.standardise(steps))

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return every output of the system that has a loss of its own."""
        return self.inner.outputs_to_train(self.standardise(steps))

    def fit_standardiser(self, tracks: Sequence[Track]) -> None:
        """Take mean and standard deviation of the voice inputs that the training recordings use."""
        used = [track.voice[torch.unique(track.voice_index[track.audio_valid])].double() for track in tracks]
        rows = torch.cat([part for part in used if len(part)]) if any(map(len, used)) else None
        if rows is None:
            return
        over = (0,) if rows.ndim == 2 else tuple(range(rows.ndim))
        self.mean.copy_(rows.mean(dim=over).reshape(self.mean.shape))
        self.deviation.copy_(rows.std(dim=over, correction=0).clamp(min=1e-6).reshape(self.mean.shape))


def build(settings: SystemSettings, sizes: Sizes) -> StandardisedSystem:
    """Return the untrained system, its weights drawn by the seed."""
    torch.manual_seed(settings.seed)
    if settings.system in ("bimodal-attention", "concatenation"):
        config = FusionSystemConfig(
            sizes=sizes,
            network=settings.system,
            missing=settings.missing,
            beta_form=settings.beta_form,
            residual=settings.residual,
        )
        return StandardisedSystem(FusionSystem(config), sizes)
    if settings.system == "decision-fusion":
        rule = DecisionFusionConfig(sizes=sizes, rule=settings.decision_rule)
        return StandardisedSystem(DecisionFusion(rule), sizes)
    model: Any = COMPARATORS[settings.system]  # its own Config, which no type can say
    return StandardisedSystem(model(model.Config(sizes=sizes)), sizes)


def reading_of(settings: SystemSettings, ticks_per_second: float) -> Reading:
    """Return how the system of these settings reads recordings on a label clock."""
    model = COMPARATORS.get(settings.system, FusionSystem)
    return Reading(model.needs, model.pictures, max(1, round(settings.step_seconds * ticks_per_second)))


@dataclass(frozen=True, eq=False)
class SavedSystem:
    """A trained system as it was written.

    Attributes:
        system: ready to predict.
        settings: of the system and its training.
        label_delay_ticks: by which the labels that it learnt had been moved forward.
        learnt: names of the recordings that it learnt from and was stopped by.
    """

    system: StandardisedSystem
    settings: SystemSettings
    label_delay_ticks: int
    learnt: tuple[str, ...]


def save_system(
    folder: Path,
    system: StandardisedSystem,
    settings: SystemSettings,
    sizes: Sizes,
    label_delay_ticks: int,
    learnt: Sequence[str],
) -> None:
    """Write a trained system: `weights.safetensors`, and `system.json` at last, which makes it complete."""
    state = {name: value.cpu().numpy() for name, value in system.state_dict().items()}
    write_arrays(folder / WEIGHTS, state, settings.system)
    told = {
        "settings": settings.model_dump(mode="json"),
        "sizes": asdict(sizes),
        "label_delay_ticks": label_delay_ticks,
        "learnt": list(learnt),
    }
    write_text(folder / SYSTEM, json.dumps(told, indent=2) + "\n")


def load_system(folder: Path) -> SavedSystem:
    """Return a system that `save_system` wrote, ready to predict.

    Raises:
        EmotraceError: the folder holds none, or one that is damaged.
    """
    try:
        told = json.loads((folder / SYSTEM).read_text(encoding="utf-8"))
        settings = SystemSettings.model_validate(told["settings"])
        sizes = Sizes(**told["sizes"] | {"voice_shape": tuple(told["sizes"]["voice_shape"])})
        system = build(settings, sizes)
        system.load_state_dict(read_tensors(folder / WEIGHTS))
        return SavedSystem(system.eval(), settings, int(told["label_delay_ticks"]), tuple(told["learnt"]))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EmotraceError) as error:
        raise EmotraceError(
            f"{folder} holds no trained system that can be read: {' '.join(str(error).split())[:300]}. "
            "Expected a folder that `emotrace train` or `emotrace compare` wrote."
        ) from error


PAPERS: Mapping[str, str] = MappingProxyType(
    {"bimodal-attention": FusionSystem.paper, "concatenation": "none: comparator"}
    | {name: model.paper for name, model in COMPARATORS.items()}
)
"""The source of each system."""

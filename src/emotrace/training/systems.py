"""Settings and sizes -> a system that can be trained, compared, written to disk and read again."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from emotrace.encoders.descriptor_mlp import standard_scores
from emotrace.errors import EmotraceError, SettingsError
from emotrace.layers.clips import ClipAnswer, Clips, ClipSizes
from emotrace.layers.steps import Sizes, Steps, System, SystemOutput
from emotrace.models import CLIP_SYSTEMS, COMPARATORS
from emotrace.models.decision_fusion import DecisionFusion, DecisionFusionConfig
from emotrace.models.dialogue_attention import DialogueAttention
from emotrace.models.leader_follower import LeaderFollower, LeaderFollowerConfig
from emotrace.training.arrays import read_tensors, write_arrays
from emotrace.training.clip_batches import ClipReading, picture_ticks
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.default import RECIPE
from emotrace.training.fusion_system import FusionSystem, FusionSystemConfig
from emotrace.training.pretrained import load_pretrained
from emotrace.training.settings import ABLATED, EncoderSettings, SystemSettings, UtteranceSettings
from emotrace.training.tracks import Reading, Track, voice_moments
from emotrace.writing import write_text

WEIGHTS = "weights.safetensors"
SYSTEM = "system.json"


@runtime_checkable
class HasEncoders(Protocol):
    """A system with encoders of its own, whose weights can be trained elsewhere."""

    def encoders(self) -> dict[str, nn.Module]:
        """Return them: "visual", "audio" or "utterance"."""


class StandardisedSystem(nn.Module):
    """A system whose voice inputs are standardised with the statistics of the training recordings (eq. 9)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, system: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.system = system
        self.sizes = sizes
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
        found = voice_moments(tracks, pooled=len(self.sizes.voice_shape) > 1)
        if found is not None:
            self.mean.copy_(found[0].reshape(self.mean.shape))
            self.deviation.copy_(found[1].clamp(min=1e-6).reshape(self.mean.shape))


AnySystem = StandardisedSystem | StandardisedClipSystem
"""A system as it is trained and kept: frame-level, or clip-level."""


def build(settings: SystemSettings, sizes: Sizes | ClipSizes) -> AnySystem:
    """Return the untrained system, its weights drawn by the seed, or loaded where the settings name a file.

    Raises:
        SettingsError: a file of weights does not fit, or the system has no such encoder.
    """
    torch.manual_seed(settings.seed)
    built: AnySystem
    if isinstance(sizes, ClipSizes):
        built = StandardisedClipSystem(_clip_system(settings, sizes), sizes)
    else:
        built = _frame_system(settings, sizes)
    for name, told in startable(settings).items():
        if told.weights is not None:
            _start_from(built.system, name, told.weights, settings)
    return built


def startable(settings: SystemSettings) -> dict[str, EncoderSettings | UtteranceSettings]:
    """Return what is told of the encoders that can start from weights that were trained before."""
    return {"visual": settings.visual, "audio": settings.audio, "utterance": settings.utterance}


def _start_from(system: nn.Module, name: str, weights: Path, settings: SystemSettings) -> None:
    """Load weights into an encoder of a system, and say on stderr what matched."""
    found: dict[str, nn.Module] = system.encoders() if isinstance(system, HasEncoders) else {}
    if name not in found:
        known = ", ".join(f"{each}.weights" for each in found) or "none"
        raise SettingsError(
            f"{name}.weights={weights}: {settings.system} has no such encoder of its own with these settings; "
            f"weights that it takes: {known} (visual.backbone=own may be needed)."
        )
    matched = load_pretrained(found[name], weights, name)
    print(matched.summary(), file=sys.stderr, flush=True)
    if name == "utterance" and matched.missing:
        raise SettingsError(
            f"{name}.weights={weights}: {len(matched.missing)} values of {settings.utterance.system} were not in the "
            "file or not in this shape, and would stay as they were drawn: give weights of a training with the same "
            f"classes, scale={settings.scale} and the other settings at their defaults."
        )
    if matched.missing and settings.schedule == "gradual-release":
        raise SettingsError(
            f"{name}.weights={weights}: {len(matched.missing)} values were not in the file, and with "
            "schedule=gradual-release they would stay as they were drawn: use schedule=cosine, or weights that fit."
        )
    if name != "utterance" and getattr(settings, name).frozen:
        found[name].requires_grad_(requires_grad=False)


def _clip_system(settings: SystemSettings, sizes: ClipSizes) -> nn.Module:
    model: Any = CLIP_SYSTEMS[settings.system]  # its own Config, which no type can say
    chosen: dict[str, object] = {"visual": settings.visual.backbone} if "face" in model.modalities else {}
    if "audio" in {each.name for each in fields(model.Config)}:
        chosen["audio"] = settings.audio.backbone
    chosen |= {name: getattr(settings, name) for name in ABLATED.get(settings.system, ())}
    system: nn.Module = model(model.Config(sizes=sizes, scale=settings.scale, **chosen))
    if isinstance(system, DialogueAttention) and settings.utterance.system != "own":
        # Who speaks is not asked of it: a head that learnt that is left in its file.
        encoder = EmbeddingOf(_clip_system(turn_settings(settings), replace(sizes, num_persons=0)))
        system.hear_with(encoder, encoder.width(clip_reading_of(settings, RECIPE.label_rate_hz), sizes))
    return system


def turn_settings(settings: SystemSettings) -> SystemSettings:
    """Return the settings of what looks at each turn: the system itself but for dialogue-attention."""
    if settings.system != "dialogue-attention" or settings.utterance.system == "own":
        return settings
    return settings.model_copy(update={"system": settings.utterance.system})


class EmbeddingOf(nn.Module):
    """A clip-level system -> its embedding."""

    def __init__(self, system: nn.Module) -> None:
        super().__init__()
        self.system = system

    def forward(self, clips: Clips) -> Tensor:
        """Return [B, E]."""
        answer: ClipAnswer = self.system(clips)
        return answer.embedding

    @torch.no_grad()
    def width(self, how: ClipReading, sizes: ClipSizes) -> int:
        """Return E for clips that are read like this."""
        was_training = self.training
        width: int = self.eval()(how.blank(sizes)).shape[1]
        self.train(was_training)
        return width


def frozen_encoders(system: nn.Module, settings: SystemSettings) -> list[nn.Module]:
    """Return the encoders that stay as their weights were loaded: no gradient, no new statistics."""
    told = {"visual": settings.visual, "audio": settings.audio}
    return [system.encoders()[name] for name, each in told.items() if each.frozen and isinstance(system, HasEncoders)]


def _frame_system(settings: SystemSettings, sizes: Sizes) -> StandardisedSystem:
    if settings.system == "leader-follower":
        own = LeaderFollowerConfig(
            sizes=sizes,
            scale=settings.scale,
            visual=settings.visual.backbone,
            audio=settings.audio.backbone,
            form=settings.form,
        )
        return StandardisedSystem(LeaderFollower(own), sizes)
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
    step_ticks = max(1, round(settings.step_seconds * ticks_per_second))
    if settings.system == "leader-follower":
        needs = LeaderFollower.needs_of[settings.visual.backbone]
        heard = LeaderFollower.heard if settings.audio.backbone == "own" else 1
        return Reading(needs, LeaderFollower.pictures, step_ticks, heard)
    model = COMPARATORS.get(settings.system, FusionSystem)
    return Reading(model.needs, model.pictures, step_ticks)


def clip_reading_of(settings: SystemSettings, ticks_per_second: float) -> ClipReading:
    """Return how the clip-level system of these settings reads recordings on a label clock."""
    model = CLIP_SYSTEMS[turn_settings(settings).system]
    sampling, ticks = model.samplings[settings.scale], picture_ticks(RECIPE.video, ticks_per_second)
    return ClipReading(sampling, model.modalities, settings.visual.backbone, ticks)


def is_clip_level(settings: SystemSettings) -> bool:
    """Tell whether the system says one thing of a clip, and not of every step."""
    return settings.system in CLIP_SYSTEMS


def can_read_rows(settings: SystemSettings) -> bool:
    """Tell whether the voice network of a system can be left out for rows of features (`audio.backbone=frozen`)."""
    if settings.system == "leader-follower":
        return True
    model: Any = CLIP_SYSTEMS.get(turn_settings(settings).system)
    return model is not None and "audio" in {each.name for each in fields(model.Config)}


def hears_dialogues(settings: SystemSettings) -> bool:
    """Tell whether the system hears a clip in the context of those before it."""
    return settings.system == "dialogue-attention"


def sizes_of(settings: SystemSettings, track: Track) -> Sizes | ClipSizes:
    """Return the shapes that a system of these settings meets in recordings like this one."""
    how = clip_reading_of if is_clip_level(settings) else reading_of
    return how(settings, track.ticks_per_second).sizes(track)


@dataclass(frozen=True, eq=False)
class SavedSystem:
    """A trained system as it was written.

    Attributes:
        system: ready to predict.
        settings: of the system and its training.
        label_delay_ticks: by which the labels that it learnt had been moved forward.
        learnt: names of the recordings that it learnt from and was stopped by.
    """

    system: AnySystem
    settings: SystemSettings
    label_delay_ticks: int
    learnt: tuple[str, ...]


def save_system(
    folder: Path,
    system: AnySystem,
    settings: SystemSettings,
    label_delay_ticks: int,
    learnt: Sequence[str],
) -> None:
    """Write a trained system: `weights.safetensors`, and `system.json` at last, which makes it complete."""
    state = {name: value.cpu().numpy() for name, value in system.state_dict().items()}
    write_arrays(folder / WEIGHTS, state, settings.system)
    told = {
        "settings": settings.model_dump(mode="json"),
        "sizes": asdict(system.sizes),
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
        bare, sizes, weights = _without_files(settings), _sizes(settings, told["sizes"]), read_tensors(folder / WEIGHTS)
        _refuse_larger(bare, sizes, weights)
        system = build(bare, sizes)
        system.load_state_dict(weights)
        return SavedSystem(system.eval(), settings, int(told["label_delay_ticks"]), tuple(told["learnt"]))
    # Sizes that make no sense end in errors of nearly any type, each system's own.
    except Exception as error:
        raise EmotraceError(
            f"{folder} holds no trained system that can be read: {' '.join(str(error).split())[:300]}. "
            "Expected a folder that `emotrace train` or `emotrace compare` wrote."
        ) from error


def _refuse_larger(settings: SystemSettings, sizes: Sizes | ClipSizes, weights: Mapping[str, Tensor]) -> None:
    """Refuse sizes that ask for more numbers than the file of weights holds, before room is made for them."""
    with torch.device("meta"):
        asked = sum(each.numel() for each in build(settings, sizes).state_dict().values())
    held = sum(each.numel() for each in weights.values())
    if asked > held:
        raise ValueError(f"{SYSTEM} asks for {asked} numbers, but {WEIGHTS} holds {held}")


def _sizes(settings: SystemSettings, told: dict[str, Any]) -> Sizes | ClipSizes:
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    return ClipSizes(**told | lists) if is_clip_level(settings) else Sizes(**told | lists)


def _without_files(settings: SystemSettings) -> SystemSettings:
    """Return the same without files of weights to start from: what was trained does not need them again."""
    bare = {name: told.model_copy(update={"weights": None}) for name, told in startable(settings).items()}
    return settings.model_copy(update=bare)


PAPERS: Mapping[str, str] = MappingProxyType(
    {"bimodal-attention": FusionSystem.paper, "concatenation": "none: comparator"}
    | {name: model.paper for name, model in [*COMPARATORS.items(), *CLIP_SYSTEMS.items()]}
)
"""The source of each system."""

"""The settings of a training run: named presets, or a YAML file of the same shape, with single values overridden."""

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotrace.errors import SettingsError

MAX_BYTES = 65_536
"""Of a file of settings, which has a few hundred: YAML of a megabyte takes a minute to read."""


class Settings(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=Settings)


class RunSettings(Settings):
    """What every training run needs."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    patience: int = Field(gt=0, description="epochs without a better validation score before training stops")
    average_decay: float = Field(ge=0, lt=1, description="of the moving average of the weights; 0 keeps none")
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    seed: int = Field(0, ge=0)


class FaceSettings(RunSettings):
    """How the face branch is trained on labelled images."""

    network: Literal["face-cnn", "improved-alexnet"]
    polish_epochs: int = Field(0, ge=0, description="further epochs, half of their crops hardly disturbed")


class VoiceSettings(RunSettings):
    """How the voice branch is trained on labelled utterances."""

    network: Literal["descriptor-mlp"]
    members: int = Field(1, ge=1, le=16, description="networks from consecutive seeds, their logits averaged")


class FusionSettings(RunSettings):
    """How a fusion system is trained on composed recordings, its branches frozen (stage two of the paper)."""

    system: Literal["bimodal-attention", "concatenation"] = "bimodal-attention"
    only: Literal["voice", "face"] | None = None
    missing: Literal["mask", "zeros"] = "mask"
    beta_form: Literal["sentinel", "gate"] = "gate"
    residual: bool = False
    output: Literal["linear", "tanh", "circumplex"] = "circumplex"
    main_loss: Literal["rmse", "ccc"] = "ccc"
    modal_scaling: Literal["literal", "gated", "none"] = "gated"
    modal_scaling_weight: float = Field(0.1, ge=0)
    emotion_weight: float = Field(1.0, ge=0)
    ticks: int = Field(200, gt=1, description="length of the stretches drawn from the recordings")


SystemName = Literal[
    "bimodal-attention",
    "concatenation",
    "kalman-fusion",
    "end-to-end-lstm",
    "lstm-ensemble",
    "deep-belief",
    "modular-hierarchy",
    "decision-fusion",
    "leader-follower",
    "fcn-attention",
    "g-fbp",
    "ag-fbp",
    "am-fbp",
    "vaanet",
    "cross-modal-metric",
    "perception-attention",
    "disentangled",
    "dialogue-attention",
    "positive-sample-propagation",
]


class EncoderSettings(Settings):
    """One encoder of a system that brings its own."""

    backbone: Literal["frozen", "own"] = Field(
        "frozen", description="of pictures: the default bundle's frozen face encoder, or the paper's own network"
    )
    weights: Path | None = Field(None, description="a file with weights that were trained before, to start from")
    frozen: bool = Field(False, description="keep the weights of the file as they are")


class UtteranceSettings(Settings):
    """What makes a vector of each turn for dialogue-attention."""

    system: Literal[
        "own",
        "fcn-attention",
        "g-fbp",
        "ag-fbp",
        "am-fbp",
        "vaanet",
        "cross-modal-metric",
        "perception-attention",
        "disentangled",
        "positive-sample-propagation",
    ] = Field("own", description="its own encoder, or the embedding of a clip-level system, which stays as it is")
    weights: Path | None = Field(None, description="weights.safetensors of that system, trained before")


class SystemSettings(RunSettings):
    """How a system is trained on recordings with labels over time, its face encoder frozen; see `presets.PRESETS`.

    The fields from `missing` to `residual` are readings of Liu & Tang 2021 and of use to its network alone; those from
    `scale` to `window_seconds` are of use to the systems with encoders of their own.
    """

    system: SystemName
    front_end: Literal["descriptors", "descriptors-cut", "spectrum", "egemaps", "log-mel", "log-spectrogram"] = (
        "descriptors"
    )
    faces: Literal["bundle", "improved-alexnet"] = Field(
        "bundle", description="frozen encoder of face regions: the default bundle's, or one that stage 1 trains"
    )
    only: Literal["voice", "face"] | None = None
    missing: Literal["mask", "zeros"] = "zeros"
    beta_form: Literal["sentinel", "gate"] = "sentinel"
    residual: bool = True
    modal_scaling: Literal["literal", "gated", "none"] = "none"
    modal_scaling_weight: float = Field(0.1, ge=0)
    decision_rule: Literal["product", "weights", "rules"] = Field("weights", description="of decision-fusion alone")
    scale: Literal["small", "published"] = Field(
        "small", description="sizes for a machine without a GPU, or the paper's"
    )
    visual: EncoderSettings = EncoderSettings()
    audio: EncoderSettings = EncoderSettings(backbone="own")
    form: Literal["abaw2", "abaw3"] = Field("abaw2", description="of leader-follower alone: the paper's, or the later")
    schedule: Literal["cosine", "gradual-release"] = Field(
        "cosine", description="gradual-release: lower the rate on plateaus, then release more of the encoder (ABAW2)"
    )
    polarity_weight: float = Field(0.5, ge=0, description="of vaanet alone: what a mistake in polarity costs more")
    metric_weight: float = Field(0.5, ge=0, description="of cross-modal-metric alone: of its triplet loss")
    cross: Literal["reweight", "attend"] = Field("reweight", description="of cross-modal-metric alone")
    literal: bool = Field(False, description="of cross-modal-metric alone: attention with no way around it")
    temperature: float = Field(
        0.3, ge=0, le=1, description="lambda of fcn-attention and the bilinear family; 0 is the plain mean"
    )
    alignment: Literal["attention", "linear"] = Field(
        "attention", description="of perception-attention alone: of the sound to every picture; linear resamples it"
    )
    perception: bool = Field(True, description="of perception-attention alone: attention over time for each class")
    disentangling: Literal["single", "multitask", "gradient-reversal", "confusion", "alternating"] = Field(
        "gradient-reversal", description="of disentangled alone: how the person is taken out of the embedding"
    )
    identity_weight: float = Field(0.5, ge=0, description="of disentangled alone: of the person in multitask")
    score: Literal["dot", "general", "concat"] = Field("dot", description="of dialogue-attention alone")
    context_turns: int | None = Field(
        None, ge=0, description="of dialogue-attention alone: earlier turns that it looks back at; None for all"
    )
    utterance: UtteranceSettings = UtteranceSettings()
    supervision: Literal["full", "weak"] = Field(
        "full", description="of positive-sample-propagation alone: labels of every part of a clip, or of the clip"
    )
    threshold: float | None = Field(
        None, ge=0, description="tau of positive-sample-propagation; None for the published share"
    )
    pair_weight: float = Field(100.0, ge=0, description="of positive-sample-propagation alone: of its pair loss")
    prediction: Literal["whole", "windows"] = Field(
        "whole", description="windows: 300 steps every 200, averaged where they overlap (ABAW2); frame-level systems"
    )
    window_seconds: float = Field(3.0, gt=0.2, le=60, description="what a clip-level system sees of a longer recording")
    main_loss: Literal["rmse", "ccc", "windowed-ccc"] = "ccc"
    emotion_weight: float = Field(0.3, ge=0, description="of the cross-entropy, where the corpus has emotions")
    step_seconds: float = Field(0.2, ge=0.04, le=2)
    stretch_seconds: float = Field(
        16.0, gt=1, le=120, description="length of what is drawn, at most the shortest recording"
    )
    stretches_per_epoch: int = Field(400, gt=0)
    processes: int = Field(1, ge=1, le=256, description="of a machine that share every batch of a training")
    nodes: int = Field(1, ge=1, le=256, description="machines that share every batch; each runs the same command")


ABLATED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "vaanet": ("polarity_weight",),
        "cross-modal-metric": ("metric_weight", "cross", "literal"),
        "leader-follower": ("form",),
        **dict.fromkeys(("fcn-attention", "g-fbp", "ag-fbp", "am-fbp"), ("temperature",)),
        "perception-attention": ("alignment", "perception"),
        "disentangled": ("disentangling", "identity_weight"),
        "dialogue-attention": ("score", "context_turns"),
        "positive-sample-propagation": ("supervision", "threshold", "pair_weight"),
    }
)
"""System -> the settings that it alone reads."""


def override(settings: Kind, assignments: list[str]) -> Kind:
    """Return the settings with `a.b=value` assignments applied; the value is read as YAML.

    Raises:
        SettingsError: an unknown key or a bad value, named with what was found and what is allowed.
    """
    tree = settings.model_dump()
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise SettingsError(f"--set {assignment}: expected KEY=VALUE, for example seed=1.")
        *parents, key = path.split(".")
        node = tree
        for parent in parents:
            node = _entry(node, parent, path)
        _entry(node, key, path)
        try:
            node[key] = yaml.safe_load(text)
        except Exception as error:  # see `read`
            raise SettingsError(f"--set {path}: {text!r} is no YAML value: {error}.") from error
    return _validated(type(settings), tree, "--set")


def _entry(node: Any, name: str, path: str) -> Any:
    if not isinstance(node, dict) or name not in node:
        known = ", ".join(node) if isinstance(node, dict) else "none"
        raise SettingsError(f"--set {path}: unknown key {name!r}; known here: {known}.")
    return node[name]


def read(kind: type[Kind], path: Path) -> Kind:
    """Read settings of one kind from a YAML file.

    Raises:
        SettingsError: the file is no YAML mapping, or a key or value is refused.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SettingsError(f"{path} has more than {MAX_BYTES:,} bytes: expected a file of settings.")
        tree = yaml.safe_load(content.decode("utf-8-sig"))
    except SettingsError:
        raise
    # A tag that does not fit its value, or lists within lists, make PyYAML raise errors of nearly any type.
    except Exception as error:
        raise SettingsError(f"{path} cannot be read as YAML settings: {error}. Correct it.") from error
    return _validated(kind, tree, str(path))


def _validated(kind: type[Kind], tree: object, source: str) -> Kind:
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        if first["type"] == "missing":
            raise SettingsError(f"{source}: {key} is missing.") from error
        # Shortened: an alias of YAML that stands for many makes a short file endless when it is written out.
        told = f"{source}: {key} = {reprlib.repr(first['input'])} is refused: {first['msg']}."
        if first["type"] == "extra_forbidden":
            told = f"{source}: unknown key {key!r}; known here: {', '.join(_known(kind, first['loc']))}."
        raise SettingsError(told) from error


def _known(kind: type[Settings], place: tuple[int | str, ...]) -> Iterable[str]:
    """Return the keys beside the one at this place."""
    for part in place[:-1]:
        inner = kind.model_fields[str(part)].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, Settings)
        kind = inner
    return kind.model_fields

"""Named settings of training runs. Each says what it gives; a variant is the same with a few fields replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import Field

from emotrace.training.settings import (
    FaceSettings,
    FusionSettings,
    Settings,
    SystemName,
    SystemSettings,
    VoiceSettings,
)


class DefaultSettings(Settings):
    """What `emotrace train default` does: two branches, then the fusion on composed recordings."""

    face: FaceSettings = FaceSettings(
        network="face-cnn",
        epochs=22,
        batch_size=128,
        learning_rate=2e-3,
        weight_decay=0.05,
        patience=30,
        average_decay=0.998,
        polish_epochs=6,
    )
    voice: VoiceSettings = VoiceSettings(
        network="descriptor-mlp",
        members=3,
        epochs=100,
        batch_size=128,
        learning_rate=3e-3,
        weight_decay=0.01,
        patience=100,
        average_decay=0.99,
        precision="32-true",
    )
    fusion: FusionSettings = FusionSettings(
        system="bimodal-attention",
        epochs=12,
        batch_size=16,
        learning_rate=2e-3,
        weight_decay=0.01,
        patience=20,
        average_decay=0.9,
        precision="32-true",
    )
    voice_parts: int = Field(4, ge=2, description="parts of the training speakers for cross-fitted voice features")
    training_recordings: int = Field(300, gt=0)
    validation_recordings: int = Field(60, gt=0)


@dataclass(frozen=True)
class Preset:
    """A system that can be trained and compared under its own name.

    Attributes:
        settings: of the system and its training.
        about: one line: what it is, or in what it differs from another preset.
    """

    settings: SystemSettings
    about: str


def _trained(system: SystemName, **changes: object) -> SystemSettings:
    base: dict[str, object] = {
        "system": system,
        "epochs": 16,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "patience": 16,
        "average_decay": 0.95,
        "precision": "32-true",
    }
    return SystemSettings.model_validate(base | changes)


def _clip_level(system: SystemName, **changes: object) -> SystemSettings:
    base: dict[str, object] = {"front_end": "log-mel", "epochs": 8, "stretches_per_epoch": 1600, "step_seconds": 0.8}
    return _trained(system, **base | changes)


def _bilinear(system: SystemName) -> SystemSettings:
    # Of 1e-3 and 3e-3 the better one on the validation recordings: vectors of length 1 move the logits slowly.
    return _clip_level(system, front_end="log-spectrogram", epochs=6, learning_rate=3e-3)


def _dialogue(**changes: object) -> SystemSettings:
    # Of 1e-3, 3e-3 and 5e-3 the best on the validation recordings: windows of one recording are much alike.
    alike = {"batch_size": 32, "stretches_per_epoch": 3200, "learning_rate": 3e-3, "epochs": 12}
    return _clip_level("dialogue-attention", **alike | changes)


_PROPOSED = _trained("bimodal-attention", modal_scaling="literal")


def _ablation(**changes: object) -> SystemSettings:
    return SystemSettings.model_validate(_PROPOSED.model_dump() | changes)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "bimodal-attention": Preset(_PROPOSED, "the paper: sentinel, literal modal-scaling loss, front end H"),
        "kalman-fusion": Preset(_trained("kalman-fusion"), "compared method [16]: Kalman filter, survives failures"),
        "end-to-end-lstm": Preset(
            _trained("end-to-end-lstm", epochs=12, stretches_per_epoch=160, batch_size=8),
            "compared method [17]: waveform CNN, ResNet-50, LSTM, nothing pre-trained",
        ),
        "lstm-ensemble": Preset(_trained("lstm-ensemble"), "compared method [18]: LSTMs, decisions combined"),
        "deep-belief": Preset(
            _trained("deep-belief", epochs=12, stretches_per_epoch=160, batch_size=8),
            "compared method [19]: CNN and 3D-CNN into deep belief network and support vectors",
        ),
        "modular-hierarchy": Preset(_trained("modular-hierarchy"), "compared method [20]: hierarchy of modules"),
        "decision-fusion": Preset(_trained("decision-fusion"), "[13]: support vectors, decisions weighted"),
        "decision-product": Preset(_trained("decision-fusion", decision_rule="product"), "[12]: product rule"),
        "decision-rules": Preset(_trained("decision-fusion", decision_rule="rules"), "[15]: decision rules"),
        "concatenation": Preset(_trained("concatenation"), "ablation: no attention, no audio weight"),
        "voice-only": Preset(_ablation(only="voice", modal_scaling="none"), "ablation: no face"),
        "face-only": Preset(_ablation(only="face", modal_scaling="none"), "ablation: no voice"),
        "attention-no-scaling": Preset(_ablation(modal_scaling="none"), "ablation: no modal-scaling loss"),
        "attention-gated-scaling": Preset(_ablation(modal_scaling="gated"), "ablation: that loss acts on extremes"),
        "attention-strong-scaling": Preset(
            _ablation(modal_scaling_weight=1.0), "ablation: modal-scaling loss ten times as strong (P-23)"
        ),
        "attention-gate": Preset(_ablation(beta_form="gate"), "ablation: audio weight by a gate, not the sentinel"),
        "attention-mask": Preset(
            _ablation(missing="mask", residual=False, beta_form="gate", modal_scaling="gated"),
            "ablation: a missing modality has no weight, as in the default bundle",
        ),
        "attention-rmse": Preset(_ablation(main_loss="rmse"), "ablation: RMSE (eq. 37) as loss, not 1 - CCC"),
        "attention-spectrum": Preset(
            _ablation(
                front_end="spectrum",
                epochs=8,
                patience=8,
                batch_size=8,
                stretches_per_epoch=96,
                stretch_seconds=8.0,
            ),
            "ablation: front end S, the paper's section 6.2; fewer and shorter stretches, as it costs much more",
        ),
        "attention-egemaps": Preset(_ablation(front_end="egemaps"), "ablation: front end O, openSMILE's eGeMAPS"),
        "attention-cut": Preset(_ablation(front_end="descriptors-cut"), "ablation: silence cut out instead of masked"),
        "attention-improved-alexnet": Preset(
            _ablation(faces="improved-alexnet"), "ablation: face regions of the improved AlexNet of stage 1"
        ),
        "leader-follower": Preset(
            _trained("leader-follower", front_end="log-mel", main_loss="windowed-ccc", stretches_per_epoch=160),
            "face leads, log-mel and MFCC follow, causal convolutions over time (ABAW2)",
        ),
        "fcn-attention": Preset(
            _bilinear("fcn-attention"),
            "voice alone: convolutions and attention to cells",
        ),
        "g-fbp": Preset(
            _bilinear("g-fbp"),
            "attention in voice and face, factorized bilinear pooling",
        ),
        "ag-fbp": Preset(_bilinear("ag-fbp"), "the same, voice and face weighed by their vectors"),
        "am-fbp": Preset(_bilinear("am-fbp"), "the same for the clip and for three trunks of it"),
        "vaanet": Preset(
            _clip_level("vaanet"), "spatial, channel and temporal attention, polarity-consistent cross-entropy"
        ),
        "cross-modal-metric": Preset(
            _clip_level("cross-modal-metric"), "self- and cross-attention of snippets, emotional metric loss"
        ),
        "perception-attention": Preset(
            _clip_level("perception-attention"), "sound aligned to every picture, attention over time for each class"
        ),
        "perception-aligned": Preset(
            _clip_level("perception-attention", perception=False), "the same without attention for each class"
        ),
        "perception-resampled": Preset(
            _clip_level("perception-attention", perception=False, alignment="linear"),
            "the same, the sound resampled instead of aligned",
        ),
        "disentangled": Preset(
            _clip_level("disentangled"), "emotion without the person: identity branch with gradient reversal"
        ),
        "disentangled-confusion": Preset(
            _clip_level("disentangled", disentangling="confusion"), "the same by a confusion loss"
        ),
        "disentangled-alternating": Preset(
            _clip_level("disentangled", disentangling="alternating"), "the same by alternating training"
        ),
        "disentangled-multitask": Preset(
            _clip_level("disentangled", disentangling="multitask"), "its baseline: emotion and person, both learnt"
        ),
        "disentangled-single": Preset(
            _clip_level("disentangled", disentangling="single"), "its baseline: emotion alone"
        ),
        "dialogue-attention": Preset(
            _dialogue(),
            "turns of a dialogue in the context of those before, by self-attention",
        ),
        "dialogue-gru": Preset(
            _dialogue(context_turns=0),
            "the same without attention: a GRU alone remembers",
        ),
        "positive-sample-propagation": Preset(
            _clip_level("positive-sample-propagation"), "pairs of sound and picture that fit strengthen each other"
        ),
        "psp-weak": Preset(
            _clip_level("positive-sample-propagation", supervision="weak"), "the same, told the class of the clip alone"
        ),
    }
)
"""What `emotrace compare` and `emotrace train` know by name; numbers in brackets are the paper's references."""

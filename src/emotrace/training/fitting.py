"""Settings and a corpus -> why they do not go together, told before anything is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from emotrace.recipe import SLICE_FRONT_ENDS
from emotrace.training.default import RECIPE
from emotrace.training.processes import Group, why_no_group
from emotrace.training.settings import ABLATED, SystemSettings, UtteranceSettings
from emotrace.training.sharing import can_share
from emotrace.training.study import CLASS_CORPORA, EMOTION_CORPORA, EVENT_CORPORA, TABLES, WITHOUT_PERSONS
from emotrace.training.systems import can_read_rows, is_clip_level, reading_of, startable, turn_settings

_HEARS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("leader-follower", "vaanet", "cross-modal-metric", "perception-attention", "disentangled"),
                *("dialogue-attention", "positive-sample-propagation"),
            ),
            "log-mel",
        ),
        **dict.fromkeys(("fcn-attention", "g-fbp", "ag-fbp", "am-fbp"), "log-spectrogram"),
    }
)
"""The front end of the systems that read slices of a spectrogram; the others read none."""
_READS_ROWS = "descriptors"
"""What a frame-level system of these reads whose voice is encoded already: a row of features at each step."""


@dataclass(frozen=True)
class Labels:
    """What the recordings of a corpus have beside arousal and valence.

    Attributes:
        emotions: labels of emotions, or of other classes.
        persons: who speaks.
    """

    emotions: bool
    persons: bool


def labels_of(corpus: str) -> Labels:
    """Return what a corpus has by its name; feature tables may have everything."""
    return Labels(corpus in EMOTION_CORPORA, corpus not in WITHOUT_PERSONS)


def why_not(name: str, settings: SystemSettings, corpus: str, labels: Labels | None = None) -> str | None:
    """Return why a system cannot be trained on a corpus, None where it can.

    Args:
        name: of the preset or the file with the settings.
        settings: of the system.
        corpus: its name.
        labels: that it has, once it is open; None for what its name tells.
    """
    reasons = (
        _of_corpus(settings, corpus, labels or labels_of(corpus)),
        _of_tables(settings) if corpus == TABLES else None,
        _of_front_end(settings),
        _of_encoders(settings),
        _of_utterance(settings),
        _of_rest(settings),
        _of_processes(settings),
    )
    for found in reasons:
        if found:
            return f"{name}: {found}"
    return None


def fitted(settings: SystemSettings, corpus: str) -> SystemSettings:
    """Return the settings of a preset as a corpus needs them: of feature tables the voice is encoded already."""
    if corpus != TABLES:
        return settings
    chosen: dict[str, object] = {}
    if can_read_rows(settings):
        chosen["audio"] = settings.audio.model_copy(update={"backbone": "frozen"})
    if settings.front_end in SLICE_FRONT_ENDS and not is_clip_level(settings):
        chosen["front_end"] = _READS_ROWS
    return settings.model_copy(update=chosen)


def _of_tables(settings: SystemSettings) -> str | None:
    if settings.front_end not in ("descriptors", *SLICE_FRONT_ENDS):
        return f"front_end={settings.front_end} hears sound, and feature tables have none: leave it out."
    if settings.faces != "bundle" or settings.visual.backbone == "own":
        return "its face network sees pictures, and feature tables have none: choose another system."
    if not is_clip_level(settings):
        wanted = reading_of(settings, RECIPE.label_rate_hz).needs & {"crops", "waveform"}
        if wanted:
            return f"it reads {' and '.join(sorted(wanted))}, and feature tables have none: choose another system."
    return None


def _of_corpus(settings: SystemSettings, corpus: str, labels: Labels) -> str | None:
    if corpus in CLASS_CORPORA and settings.faces != "bundle":
        return f"face networks of stage one learn arousal or valence over time, and {corpus} has classes of clips."
    if is_clip_level(settings) and not labels.emotions:
        return (
            f"it learns classes of emotion, and {corpus} has no labels of them: choose one of "
            f"{', '.join(each for each in EMOTION_CORPORA if each != corpus)}, or another system."
        )
    if corpus in EVENT_CORPORA and not is_clip_level(settings):
        return f"a frame-level system follows a person, and {corpus} has events of any kind: choose a clip-level one."
    if settings.system == "disentangled" and settings.disentangling != "single" and not labels.persons:
        return f"it learns who speaks, and {corpus} does not tell: choose another corpus, or disentangled-single."
    return None


def _of_front_end(settings: SystemSettings) -> str | None:
    wanted = _HEARS.get(turn_settings(settings).system)
    if wanted is not None and settings.audio.backbone == "frozen" and not is_clip_level(settings):
        wanted = _READS_ROWS
    if wanted is not None and settings.front_end != wanted:
        return f"front_end={settings.front_end} does not fit {settings.system}, which reads {wanted}."
    if wanted is None and settings.front_end in SLICE_FRONT_ENDS:
        return f"front_end={settings.front_end} is for {', '.join(_HEARS)}; {settings.system} reads the others."
    if settings.front_end == "egemaps" and find_spec("opensmile") is None:
        return "it needs openSMILE: run pip install 'emotrace[opensmile]', or leave it out."
    return None


def _of_encoders(settings: SystemSettings) -> str | None:
    for name, each in startable(settings).items():
        if each.weights is not None and not each.weights.is_file():
            return f"{name}.weights={each.weights} is no file: give the file with the weights."
    for name, told in (("visual", settings.visual), ("audio", settings.audio)):
        if told.weights is not None and told.backbone != "own":
            return f"{name}.weights needs {name}.backbone=own: the frozen encoder has its weights."
        if told.frozen and told.weights is None:
            return f"{name}.frozen keeps weights that were loaded: give {name}.weights too."
    return None


def _of_utterance(settings: SystemSettings) -> str | None:
    if settings.utterance != UtteranceSettings() and settings.system != "dialogue-attention":
        return f"utterance is read by dialogue-attention alone, and the system is {settings.system}."
    if settings.utterance.system == "own" and settings.utterance.weights is not None:
        return "utterance.weights are of a system that was trained before: set utterance.system to its key."
    if settings.utterance.system != "own" and settings.utterance.weights is None:
        return (
            f"utterance.system={settings.utterance.system} stays as it was trained before: "
            "set utterance.weights to its weights.safetensors."
        )
    if settings.utterance.weights is not None and settings.utterance.weights.suffix != ".safetensors":
        return f"utterance.weights={settings.utterance.weights}: expected the weights.safetensors of a trained system."
    return None


def _of_processes(settings: SystemSettings) -> str | None:
    group = Group(settings.processes, settings.nodes)
    if group.world == 1:
        return None
    if not can_share(settings.system):
        return f"{settings.system} is fitted at once, not in batches that processes could share: use processes=1."
    if settings.batch_size < 2 * group.world:
        return (
            f"batch_size={settings.batch_size} is shared by {group.world} processes, two items at least for each: "
            "set a larger one, or fewer processes."
        )
    return why_no_group(group)


def _of_rest(settings: SystemSettings) -> str | None:
    if settings.schedule == "gradual-release" and not (
        settings.system == "leader-follower" and settings.visual.backbone == "own" and settings.visual.weights
    ):
        return (
            "schedule=gradual-release sets a trained encoder free group by group: it needs the system leader-follower, "
            "visual.backbone=own and visual.weights=FILE."
        )
    if settings.audio.backbone == "frozen" and not can_read_rows(settings):
        return f"audio.backbone=frozen is for systems whose voice network reads a spectrogram, not {settings.system}."
    if settings.prediction == "windows" and is_clip_level(settings):
        return "prediction=windows is for frame-level systems: a clip-level one has window_seconds."
    if settings.modal_scaling != "none" and settings.system != "bimodal-attention":
        return f"modal_scaling acts on the weight of bimodal-attention, and the system is {settings.system}."
    own = set(ABLATED.get(settings.system, ()))
    for name in sorted({each for names in ABLATED.values() for each in names} - own):
        if getattr(settings, name) != SystemSettings.model_fields[name].default:
            readers = [system for system, names in ABLATED.items() if name in names]
            return f"{name} is read by {', '.join(readers)} alone, and the system is {settings.system}."
    return None

"""Settings and a corpus -> why they do not go together, told before anything is made."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from emotrace.recipe import SLICE_FRONT_ENDS
from emotrace.training.settings import ABLATED, SystemSettings
from emotrace.training.study import CLASS_CORPORA, EMOTION_CORPORA
from emotrace.training.systems import is_clip_level

_HEARS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("leader-follower", "vaanet", "cross-modal-metric"), "log-mel"),
        **dict.fromkeys(("fcn-attention", "g-fbp", "ag-fbp", "am-fbp"), "log-spectrogram"),
    }
)
"""The front end of the systems that read slices of a spectrogram; the others read none."""


def why_not(name: str, settings: SystemSettings, corpus: str) -> str | None:
    """Return why a system cannot be trained on a corpus, None where it can.

    Args:
        name: of the preset or the file with the settings.
        settings: of the system.
        corpus: its name.
    """
    for found in (_of_corpus(settings, corpus), _of_front_end(settings), _of_encoders(settings), _of_rest(settings)):
        if found:
            return f"{name}: {found}"
    return None


def _of_corpus(settings: SystemSettings, corpus: str) -> str | None:
    if corpus in CLASS_CORPORA and settings.faces != "bundle":
        return f"face networks of stage one learn arousal or valence over time, and {corpus} has classes of clips."
    if is_clip_level(settings) and corpus not in EMOTION_CORPORA:
        return (
            f"it learns classes of emotion, and {corpus} has no labels of them: choose one of "
            f"{', '.join(EMOTION_CORPORA)}, or another system."
        )
    return None


def _of_front_end(settings: SystemSettings) -> str | None:
    wanted = _HEARS.get(settings.system)
    if wanted is not None and settings.front_end != wanted:
        return f"front_end={settings.front_end} does not fit {settings.system}, which reads {wanted}."
    if wanted is None and settings.front_end in SLICE_FRONT_ENDS:
        return f"front_end={settings.front_end} is for {', '.join(_HEARS)}; {settings.system} reads the others."
    if settings.front_end == "egemaps" and find_spec("opensmile") is None:
        return "it needs openSMILE: run pip install 'emotrace[opensmile]', or leave it out."
    return None


def _of_encoders(settings: SystemSettings) -> str | None:
    for name, told in (("visual", settings.visual), ("audio", settings.audio)):
        if told.weights is not None and not told.weights.is_file():
            return f"{name}.weights={told.weights} is no file: give the file with the weights."
        if told.weights is not None and told.backbone != "own":
            return f"{name}.weights needs {name}.backbone=own: the frozen encoder has its weights."
        if told.frozen and told.weights is None:
            return f"{name}.frozen keeps weights that were loaded: give {name}.weights too."
    return None


def _of_rest(settings: SystemSettings) -> str | None:
    if settings.schedule == "gradual-release" and not (
        settings.system == "leader-follower" and settings.visual.backbone == "own" and settings.visual.weights
    ):
        return (
            "schedule=gradual-release sets a trained encoder free group by group: it needs the system leader-follower, "
            "visual.backbone=own and visual.weights=FILE."
        )
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

"""What does not go together is told in one sentence, before anything is made."""

from pathlib import Path

import pytest

from emotrace.errors import SettingsError
from emotrace.training import starting
from emotrace.training.fitting import why_not
from emotrace.training.presets import PRESETS
from emotrace.training.settings import override
from emotrace.training.study import CLASS_CORPORA, TRACE_CORPORA

LEARN_PERSONS = ("disentangled", "disentangled-confusion", "disentangled-alternating", "disentangled-multitask")


@pytest.mark.parametrize("key", PRESETS)
def test_every_preset_goes_with_composed_recordings_but_those_that_learn_who_speaks(key: str) -> None:
    reason = why_not(key, PRESETS[key].settings, "composed")
    assert reason is None if key not in LEARN_PERSONS else "who speaks, and composed does not tell" in (reason or "")


@pytest.mark.parametrize("key", [key for key in PRESETS if key != "attention-improved-alexnet"])
def test_every_other_preset_goes_with_actors(key: str) -> None:
    assert why_not(key, PRESETS[key].settings, "ravdess") is None


@pytest.mark.parametrize(
    ("key", "assignments", "corpus", "told"),
    [
        ("vaanet", [], "recola", "has no labels of them"),
        ("attention-improved-alexnet", [], "ravdess", "classes of clips"),
        ("vaanet", ["front_end=spectrum"], "composed", "reads log-mel"),
        ("g-fbp", ["front_end=log-mel"], "composed", "reads log-spectrogram"),
        ("bimodal-attention", ["front_end=log-mel"], "composed", "reads the others"),
        ("vaanet", ["visual.weights=nowhere.safetensors"], "composed", "is no file"),
        ("vaanet", ["visual.frozen=true"], "composed", "give visual.weights"),
        ("leader-follower", ["schedule=gradual-release"], "affwild2", "visual.weights=FILE"),
        ("vaanet", ["prediction=windows"], "composed", "window_seconds"),
        ("vaanet", ["modal_scaling=literal"], "composed", "weight of bimodal-attention"),
        ("vaanet", ["metric_weight=1.0"], "composed", "cross-modal-metric alone"),
        ("modular-hierarchy", ["form=abaw3"], "recola", "leader-follower alone"),
        ("disentangled", ["score=concat"], "ravdess", "dialogue-attention alone"),
        ("vaanet", ["supervision=weak"], "ravdess", "positive-sample-propagation alone"),
        ("vaanet", ["utterance.system=disentangled"], "ravdess", "utterance is read by dialogue-attention"),
        ("dialogue-attention", ["utterance.system=disentangled"], "iemocap", "set utterance.weights"),
        ("dialogue-attention", ["utterance.weights=nowhere.safetensors"], "iemocap", "is no file"),
        ("bimodal-attention", [], "ave", "choose a clip-level one"),
        ("end-to-end-lstm", [], "features", "crops and waveform"),
        ("attention-egemaps", [], "features", "hears sound"),
        ("vaanet", ["visual.backbone=own"], "features", "sees pictures"),
    ],
)
def test_what_does_not_fit_is_told(key: str, assignments: list[str], corpus: str, told: str) -> None:
    reason = why_not(key, override(PRESETS[key].settings, assignments), corpus)
    assert reason is not None
    assert reason.startswith(f"{key}: ")
    assert told in reason
    assert "\n" not in reason


def test_weights_of_a_frozen_backbone_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "ir50.safetensors"
    weights.write_bytes(b"x")
    chosen = override(PRESETS["leader-follower"].settings, [f"visual.weights={weights}"])
    assert "visual.backbone=own" in (why_not("leader-follower", chosen, "affwild2") or "")


def test_nothing_is_made_where_it_does_not_fit(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(SettingsError, match="no labels of them"):
        starting.train("vaanet", "synthetic", None, output, [], small=True, protocol="avec2016")
    assert not output.exists()


def test_every_corpus_is_of_traces_or_of_classes() -> None:
    assert not set(TRACE_CORPORA) & set(CLASS_CORPORA)

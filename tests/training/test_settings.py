"""Settings: named, overridden, read from a file; a mistake is told with what was found and what is allowed."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from emotrace.errors import SettingsError
from emotrace.training import settings
from emotrace.training.presets import DefaultSettings


def test_single_values_are_overridden_and_the_rest_stays() -> None:
    preset = DefaultSettings()
    changed = settings.override(preset, ["face.epochs=3", "fusion.only=voice", "voice.learning_rate=5e-4"])
    assert (changed.face.epochs, changed.fusion.only, changed.voice.learning_rate) == (3, "voice", 5e-4)
    back = settings.override(
        changed,
        [f"face.epochs={preset.face.epochs}", "fusion.only=null", f"voice.learning_rate={preset.voice.learning_rate}"],
    )
    assert back == preset


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("face.epochs", ["face.epochs", "KEY=VALUE"]),
        ("face.epoch=3", ["face.epoch", "'epoch'", "epochs", "batch_size"]),
        ("nose.epochs=3", ["'nose'", "face", "voice", "fusion"]),
        ("face.epochs.more=3", ["'more'", "none"]),
        ("face.epochs=-1", ["face.epochs", "-1", "greater than 0"]),
        ("face.epochs=soon", ["face.epochs", "'soon'", "integer"]),
        ("fusion.only=nose", ["fusion.only", "'nose'", "'voice' or 'face'"]),
        ("face.average_decay=1", ["face.average_decay", "1", "less than 1"]),
        ("face=3", ["face", "3"]),
        ("voice_parts=1", ["voice_parts", "1", "greater than or equal to 2"]),
        ("face.seed=[1", ["face.seed", "'[1'", "YAML"]),
    ],
)
def test_a_wrong_assignment_names_key_found_and_allowed(assignment: str, told: list[str]) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings.override(DefaultSettings(), [assignment])
    assert [each for each in told if each not in str(refusal.value)] == []


def test_the_preset_survives_yaml(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(DefaultSettings().model_dump(mode="json")))
    assert settings.read(DefaultSettings, path) == DefaultSettings()


def test_a_file_may_leave_out_whole_parts(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("training_recordings: 7\n")
    assert settings.read(DefaultSettings, path) == DefaultSettings(training_recordings=7)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"face: {epochs: 3}", ["face.", "is missing"]),
        (b"recordings: 3", ["'recordings'", "training_recordings", "voice_parts"]),
        (b"voice_parts: few", ["voice_parts", "'few'"]),
        (b"- a\n- b", ["(whole file)"]),
        (b"a: [", ["YAML"]),
        (b"\xff\xfe\x00", ["YAML"]),
    ],
)
def test_a_wrong_file_is_named_with_key_found_and_allowed(text: bytes, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text)
    with pytest.raises(SettingsError) as refusal:
        settings.read(DefaultSettings, path)
    assert [each for each in [str(path), *told] if each not in str(refusal.value)] == []


def test_an_unknown_key_of_a_part_is_told_with_the_keys_of_that_part(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    face = DefaultSettings().face.model_dump() | {"layers": 3}
    path.write_text(yaml.safe_dump({"face": face}))
    with pytest.raises(SettingsError, match=r"unknown key 'face\.layers'; known here: epochs, batch_size"):
        settings.read(DefaultSettings, path)


def test_a_missing_file_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        settings.read(DefaultSettings, tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 8)}]\n" for a, b in pairwise("abcdefghij")),
        "epochs: &a [*a]",
        "epochs: 2001-99-99",
        "epochs: !!int ''",
        "epochs: !!bool perhaps",
        "epochs: !!timestamp today",
        "[" * 5000,
        "#" * settings.MAX_BYTES + "\nepochs: 1",
    ],
    ids=range(8),
)
def test_yaml_made_to_be_endless_or_odd_is_refused_in_few_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "face.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        settings.read(settings.FaceSettings, path)
    assert len(str(refused.value)) < 1000 + len(str(path))
    if len(text) < 30:
        with pytest.raises(SettingsError):
            settings.override(DefaultSettings(), [f"face.epochs={text.removeprefix('epochs: ')}"])


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DefaultSettings().voice_parts = 3  # type: ignore[misc]


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples" / "published").glob("*.yaml")))
def test_an_example_of_a_published_training_is_read_whole(path: Path) -> None:
    chosen = settings.read(settings.SystemSettings, path)
    assert (chosen.system, chosen.scale, chosen.visual.backbone) == (path.stem, "published", "own")

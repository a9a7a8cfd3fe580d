"""The recipe: what is refused, and what its digest tells apart."""

import json
import math
import subprocess
import sys
from importlib.resources import files
from typing import Any

import pytest
from pydantic import ValidationError

from emotrace.recipe import SLICE_FRONT_ENDS, AudioRecipe, Recipe, VideoRecipe

CHANGES: list[dict[str, Any]] = [
    {"label_rate_hz": 10.0},
    {"audio": {"front_end": "spectrum"}},
    {"audio": {"window_seconds": 2.0}},
    {"audio": {"hop_seconds": 0.2}},
    {"audio": {"pre_emphasis": 0.0}},
    {"audio": {"speech_hold_seconds": 0.5}},
    {"video": {"detector": "haar"}},
    {"video": {"rate_hz": 5.0}},
    {"video": {"crop_size": 64}},
    {"video": {"haar_geometry": {"scale": 1.2, "shift_y": 0.0}}},
    {"video": {"yunet_geometry": {"scale": 0.99, "shift_y": 0.1}}},
    {"video": {"search_rate_hz": 2.0}},
    {"video": {"face_hold_seconds": 0.5}},
    {"video": {"switch_seconds": 2.0}},
]
SLICES: dict[str, Any] = {"front_end": "log-mel", "window_seconds": 0.04, "hop_seconds": 0.04, "pre_emphasis": 0.0}


def test_every_choice_changes_the_digest() -> None:
    digests = [Recipe().digest(), *(Recipe.model_validate(change).digest() for change in CHANGES)]
    assert len(set(digests)) == len(digests)
    named = {key for change in CHANGES for part in change.values() if isinstance(part, dict) for key in part}
    assert named == {*AudioRecipe.model_fields, *VideoRecipe.model_fields}


def test_the_digest_is_the_same_in_another_process_and_after_json() -> None:
    assert Recipe.model_validate_json(Recipe().model_dump_json()).digest() == Recipe().digest()
    script = "from emotrace.recipe import Recipe; print(Recipe().digest())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Recipe().digest()
    assert len(Recipe().digest()) == 16


def test_whole_numbers_and_fractions_of_one_value_have_one_digest() -> None:
    assert Recipe(label_rate_hz=25).digest() == Recipe(label_rate_hz=25.0).digest()


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": 1},
        {"version": 2},
        {"audio": {"shine": 1}},
        {"audio": {"front_end": "mfcc"}},
        {"label_rate_hz": 0},
        {"label_rate_hz": math.nan},
        {"label_rate_hz": math.inf},
        {"audio": {"window_seconds": 1e9}},
        {"audio": {"front_end": "spectrum", "window_seconds": 2.0}},
        {"audio": {"window_seconds": 0.1}},
        {"audio": {"window_seconds": 0.03, "hop_seconds": 0.03}},
        {"audio": SLICES | {"window_seconds": 0.08}},
        {"audio": SLICES | {"window_seconds": 0.045, "hop_seconds": 0.045}},
        {"audio": SLICES | {"pre_emphasis": 0.94}},
        {"audio": SLICES, "label_rate_hz": 24.0},
        {"audio": SLICES, "label_rate_hz": 1e-6},
        {"audio": {"hop_seconds": 0.0}},
        {"video": {"crop_size": 100_000}},
        {"video": {"rate_hz": math.nan}},
        {"video": {"haar_geometry": {"scale": 0, "shift_y": 0}}},
    ],
    ids=str,
)
def test_unknown_keys_and_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)
    with pytest.raises(ValidationError):
        Recipe.model_validate_json(json.dumps(wrong))


def test_slices_of_whole_frames_and_ticks_are_taken_and_differ_in_their_digest() -> None:
    recipes = [
        Recipe.model_validate({"audio": SLICES | {"front_end": front_end, "window_seconds": hop, "hop_seconds": hop}})
        for front_end in SLICE_FRONT_ENDS
        for hop in (0.04, 0.2, 0.28, 1.0)
    ]
    assert len({recipe.digest() for recipe in recipes}) == 8


def test_the_digest_of_the_default_recipe_is_that_of_the_shipped_bundle() -> None:
    manifest = json.loads((files("emotrace") / "bundles" / "default" / "bundle.json").read_text(encoding="utf-8"))
    assert Recipe.model_validate(manifest["recipe"]).digest() == manifest["recipe_digest"]


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().label_rate_hz = 1.0  # type: ignore[misc]  # what mypy says too

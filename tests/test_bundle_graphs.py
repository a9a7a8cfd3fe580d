"""What the manifest of one graph says is taken where the graph runs in bounded memory, or refused."""

from pathlib import Path
from typing import Any

import pytest

from emotrace.bundle import CARD, DIALOGUE, SYSTEM, load_bundle, save_bundle
from emotrace.bundle_graphs import ClipGraph, FrameGraph
from emotrace.errors import BundleError
from emotrace.inference.system_session import SystemSession
from emotrace.recipe import AudioRecipe, Recipe
from tests.app import tiny_bundle
from tests.bundle_changes import edit, replace_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle.write(tmp_path / "tiny")


SLICES = Recipe(audio=AudioRecipe(front_end="log-mel", window_seconds=0.04, hop_seconds=0.04, pre_emphasis=0.0))


FRAMES = FrameGraph(
    inputs=("voice", "crops", "audio_valid"),
    classes=("anger", "joy"),
    step_ticks=5,
    heard=24,
    pictures=8,
    context_steps=299,
)


CLIPS = ClipGraph(
    inputs=("pictures", "sound"),
    classes=("anger", "joy"),
    step_ticks=20,
    window_ticks=75,
    picture_ticks=2,
    sampling=(12, 16, 16, 256),
)


TURNS = CLIPS.model_copy(update={"turns": 64, "vector_dim": 128})


def with_system(folder: Path, graph: FrameGraph | ClipGraph) -> None:
    """Make the bundle one of a system; its graph is never opened here."""
    tiny = load_bundle(folder)
    changes = {"system": graph, "recipe": SLICES, "recipe_digest": SLICES.digest()}
    contents = dict.fromkeys((SYSTEM, DIALOGUE, "face.onnx"), b"no graph") | {CARD: b"# Tiny"}
    save_bundle(folder, tiny.manifest.model_copy(update=changes), contents)


def edit_system(folder: Path, changes: dict[str, Any], video: dict[str, Any], audio: dict[str, Any]) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["system"].update(changes)
        manifest["recipe"]["video"].update(video)
        manifest["recipe"]["audio"].update(audio)
        manifest["recipe_digest"] = Recipe.model_validate(manifest["recipe"]).digest()

    edit(folder, change)


@pytest.mark.parametrize("graph", [FRAMES, CLIPS, TURNS], ids=["frame", "clip", "turns"])
def test_a_system_of_usual_sizes_is_taken(folder: Path, graph: FrameGraph | ClipGraph) -> None:
    with_system(folder, graph)
    assert load_bundle(folder).manifest.system == graph


DESCRIPTORS = {"front_end": "descriptors", "window_seconds": 3.0}


@pytest.mark.parametrize(
    ("graph", "changes", "video", "audio", "message"),
    [
        (CLIPS, {"sampling": [4096, 4096, 1, 1]}, {}, {}, "16,777,216 pictures of a window, allowed are 20,000"),
        (CLIPS, {"sampling": [1, 1, 4096, 4096]}, {}, {}, "16,777,216 frames of sound of a window, allowed"),
        (CLIPS, {"window_ticks": 100_000}, {}, {}, "4,001 seconds of history, allowed are 600"),
        (CLIPS, {"window_ticks": 9_000, "step_ticks": 9_000}, {}, {}, "720 seconds of history"),
        (CLIPS, {}, {"crop_size": 512}, {}, "pixels at once at a crop_size of 512"),
        (CLIPS, {"sampling": [1, 1, 1, 1]}, {"crop_size": 512, "rate_hz": 120}, {}, "pixels of history at a crop_size"),
        (FRAMES, {"context_steps": 10_000, "step_ticks": 1000}, {}, {}, "400,041 seconds of history"),
        (FRAMES, {"context_steps": 2_000, "pictures": 100, "step_ticks": 1}, {}, {}, "pixels at once"),
        (
            FRAMES,
            {"context_steps": 0, "pictures": 1, "step_ticks": 1000, "heard": 1000},
            {"crop_size": 512},
            {},
            "history",
        ),
        (FRAMES, {"context_steps": 3_000, "heard": 1000, "step_ticks": 1, "pictures": 1}, {}, {}, "frames of sound at"),
        (
            TURNS,
            {"turns": 1000, "vector_dim": 2_501},
            {},
            {},
            "20,008,000 numbers of turns at once, allowed",
        ),
        (TURNS, {"vector_dim": 0}, {}, {}, "hears 64 turns by vectors of 0 numbers; expected both above 0, or both 0"),
        (TURNS, {"turns": 0}, {}, {}, "hears 0 turns by vectors of 128 numbers"),
        (CLIPS, {"explains": ["segments", "segments"]}, {}, {}, "explains segments, segments; expected each once"),
        (CLIPS, {"inputs": []}, {}, {}, "inputs are none; expected each once, one at least"),
        (FRAMES, {"inputs": []}, {}, {}, "inputs are none"),
        (CLIPS, {"inputs": ["sound", "sound"]}, {}, {}, "inputs are sound, sound"),
        (CLIPS, {"inputs": ["pictures", "regions"]}, {}, {}, "regions or pictures, not both"),
        (FRAMES, {"inputs": ["crops", "regions"]}, {}, {}, "regions or pictures, not both"),
        (CLIPS, {"classes": ["joy", "joy"]}, {}, {}, "a class of the system is told twice"),
        (CLIPS, {"classes": ["joy", "a" * 41]}, {}, {}, "expected plain text of 1 to 40 letters"),
        (FRAMES, {"classes": ["joy", "red\x1b[31m"]}, {}, {}, r"named 'red\\x1b\[31m'; expected plain text"),
        (FRAMES, {"classes": ["joy", " "]}, {}, {}, "expected plain text"),
        (CLIPS, {}, {}, DESCRIPTORS, "front end is descriptors; expected one of log-mel, log-spectrogram"),
        (FRAMES, {}, {}, DESCRIPTORS, "front end is descriptors; expected"),
        (
            CLIPS,
            {},
            {},
            {"window_seconds": 0.4, "hop_seconds": 0.4},
            r"slices of 0\.4 s, expected one per tick, 0\.04 s",
        ),
    ],
)
def test_a_system_that_cannot_be_run_in_bounded_memory_is_refused(
    folder: Path,
    graph: FrameGraph | ClipGraph,
    changes: dict[str, Any],
    video: dict[str, Any],
    audio: dict[str, Any],
    message: str,
) -> None:
    with_system(folder, graph)
    edit_system(folder, changes, video, audio)
    with pytest.raises(BundleError, match=f"{message}.*export"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [{"explains": ["turns"]}, {"explains": ["secret"]}, {"turns": -1}, {"turns": 1001}, {"vector_dim": 100_001}],
)
def test_what_no_system_shows_or_hears_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    with_system(folder, TURNS)
    edit_system(folder, changes, {}, {})
    with pytest.raises(BundleError, match=rf"system\.clip\.{next(iter(changes))}\S* is refused"):
        load_bundle(folder)


def test_a_system_that_hears_turns_needs_the_graph_that_does(folder: Path) -> None:
    with_system(folder, TURNS)
    edit(folder, lambda manifest: manifest["files"].pop(DIALOGUE))
    with pytest.raises(BundleError, match=r"lists no file 'dialogue\.onnx'"):
        load_bundle(folder)
    edit_system(folder, {"turns": 0, "vector_dim": 0}, {}, {})
    assert load_bundle(folder).manifest.networks == (SYSTEM,)


def test_a_missing_graph_of_turns_is_named(folder: Path) -> None:
    tiny_bundle.write_for_turns(folder)
    (folder / DIALOGUE).unlink()
    with pytest.raises(BundleError, match=r"dialogue\.onnx is missing"):
        SystemSession(load_bundle(folder))


@pytest.mark.parametrize("name", [SYSTEM, DIALOGUE])
def test_a_damaged_graph_of_a_system_is_refused(folder: Path, name: str) -> None:
    tiny_bundle.write_for_turns(folder)
    replace_network(folder, name, b"\x08\x09no graph")
    with pytest.raises(BundleError, match=f"{name} is no usable network"):
        SystemSession(load_bundle(folder))


def test_a_voice_of_any_front_end_is_taken_one_at_a_time(folder: Path) -> None:
    with_system(folder, FRAMES)
    edit_system(folder, {"heard": 1}, {}, DESCRIPTORS)
    assert load_bundle(folder).manifest.system == FRAMES.model_copy(update={"heard": 1})

"""How the one graph of a trained system is run, as `bundle.json` says it; what a hostile one asks for is refused."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from emotrace.errors import BundleError
from emotrace.recipe import FRAMES_PER_SECOND, SLICE_FRONT_ENDS, Recipe

WINDOWS_AT_ONCE = 8
"""That the graph of a clip-level system is given in one run."""
WHOLE_SECONDS = 60.0
"""A recording up to this length a clip-level system also looks at as a whole; of a longer one windows are averaged."""
_MAX_NAME_LETTERS = 40
_MAX_ITEMS = 20_000
"""Pictures, or frames of sound, that a clip-level graph looks at in a window."""
_MAX_HISTORY_SECONDS = 600.0
_MAX_PIXELS_KEPT = 250_000_000
"""Of crops in the history, one byte each."""
_MAX_PIXELS_AT_ONCE = 50_000_000
"""Of pictures that the graph is given in one run, four bytes each."""
_MAX_FRAMES_AT_ONCE = 200_000
"""Of sound, joined at the steps of one run, up to 200 numbers each."""
_MAX_TURN_NUMBERS = 20_000_000
"""That a graph of dialogues is given in one run, four bytes each."""

_Count = Annotated[int, Field(gt=0, le=4096)]
_Need = tuple[str, float, float]
"""What is needed, how much of it, and how much is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FrameGraph(_Part):
    """How the graph of a frame-level system is run: again and again on stretches of steps, the newest of them new.

    Attributes:
        inputs: what it reads, in this order; names as in `layers.steps.Steps`.
        classes: order of its logits.
        step_ticks: ticks of the label clock per step.
        heard: how many of the newest voice inputs are joined along their first axis at each step.
        pictures: the newest crops at each step.
        context_steps: earlier steps that stand before the new ones.
    """

    level: Literal["frame"] = "frame"
    inputs: tuple[Literal["voice", "regions", "crops", "audio_valid", "video_valid", "speech_energy"], ...]
    classes: tuple[str, ...] = Field(min_length=2, max_length=100)
    step_ticks: int = Field(gt=0, le=1000)
    heard: int = Field(1, gt=0, le=1000)
    pictures: int = Field(1, gt=0, le=100)
    context_steps: int = Field(ge=0, le=10_000)


class ClipGraph(_Part):
    """How the graph of a clip-level system is run: on a window that slides over the recording, and on short ones whole.

    Attributes:
        inputs: what it reads, in this order: "pictures" or "regions" with their "pictures_valid", "sound" with its
            "sound_valid".
        classes: order of its logits.
        step_ticks: ticks of the label clock from one window's end to the next.
        window_ticks: length of a window.
        picture_ticks: ticks from one picture to the next.
        sampling: numbers of snippets, pictures, segments and frames; see `windows.Sampling`.
        loops: likewise.
        explains: further answers that show how the graph came to them; see `emotrace.explanation`.
        turns: how many windows, the newest among them, a second graph, `dialogue.onnx`, hears in each other's context;
            0 where there is none. The first one then answers with vectors.
        vector_dim: width of such a vector.
    """

    level: Literal["clip"] = "clip"
    inputs: tuple[Literal["pictures", "regions", "sound"], ...]
    classes: tuple[str, ...] = Field(min_length=2, max_length=100)
    step_ticks: int = Field(gt=0, le=10_000)
    window_ticks: int = Field(gt=0, le=100_000)
    picture_ticks: int = Field(gt=0, le=1000)
    sampling: tuple[_Count, _Count, _Count, _Count]
    loops: Literal["part", "clip"] = "part"
    explains: tuple[Literal["alignment", "perception", "segments", "propagation"], ...] = ()
    turns: int = Field(0, ge=0, le=1000)
    vector_dim: int = Field(0, ge=0, le=100_000)


def check_graph(graph: FrameGraph | ClipGraph, recipe: Recipe, path: Path) -> None:
    """Refuse a graph that cannot be run, or not in bounded memory: each number may be allowed, but not their product.

    Raises:
        BundleError: it is such.
    """
    _check_inputs(graph, recipe, path)
    _check_classes(graph.classes, path)
    if isinstance(graph, ClipGraph):
        _check_outputs(graph, path)
    needs = _frame_needs(graph, recipe) if isinstance(graph, FrameGraph) else _clip_needs(graph, recipe)
    for what, found, allowed in needs:
        if found > allowed:
            raise BundleError(
                f"{path}: the system asks for {found:,.0f} {what}, allowed are {allowed:,.0f} at most: "
                "export the bundle again with smaller sizes."
            )


def _check_inputs(graph: FrameGraph | ClipGraph, recipe: Recipe, path: Path) -> None:
    told = ", ".join(graph.inputs) or "none"
    if not graph.inputs or len(set(graph.inputs)) < len(graph.inputs):
        raise BundleError(f"{path}: the system's inputs are {told}; expected each once, one at least: export it again.")
    if "regions" in graph.inputs and {"crops", "pictures"} & set(graph.inputs):
        raise BundleError(
            f"{path}: the system's inputs are {told}; expected regions or pictures, not both: export it again."
        )
    audio = recipe.audio
    joins = graph.heard > 1 if isinstance(graph, FrameGraph) else "sound" in graph.inputs
    if joins and audio.front_end not in SLICE_FRONT_ENDS:
        raise BundleError(
            f"{path}: the system joins slices of a spectrogram, but the front end is {audio.front_end}; "
            f"expected one of {', '.join(SLICE_FRONT_ENDS)}: export the bundle again."
        )
    if joins and round(audio.hop_seconds * recipe.label_rate_hz) != 1:
        raise BundleError(
            f"{path}: the system joins slices of {audio.hop_seconds:g} s, expected one per tick, "
            f"{1 / recipe.label_rate_hz:g} s: export the bundle again."
        )


def _check_outputs(graph: ClipGraph, path: Path) -> None:
    if len(set(graph.explains)) < len(graph.explains):
        raise BundleError(
            f"{path}: the system explains {', '.join(graph.explains)}; expected each once: export the bundle again."
        )
    if bool(graph.turns) != bool(graph.vector_dim):
        raise BundleError(
            f"{path}: the system hears {graph.turns} turns by vectors of {graph.vector_dim} numbers; "
            "expected both above 0, or both 0: export the bundle again."
        )


def _check_classes(classes: tuple[str, ...], path: Path) -> None:
    if len(set(classes)) < len(classes):
        raise BundleError(f"{path}: a class of the system is told twice, expected each once: export the bundle again.")
    for name in classes:
        if not name.strip() or not name.isprintable() or len(name) > _MAX_NAME_LETTERS:
            raise BundleError(
                f"{path}: a class of the system is named {name[: 2 * _MAX_NAME_LETTERS]!a}; expected plain text "
                f"of 1 to {_MAX_NAME_LETTERS} letters: export the bundle again."
            )


def _frame_needs(graph: FrameGraph, recipe: Recipe) -> list[_Need]:
    steps, pixels = graph.context_steps + 1, recipe.video.crop_size**2
    kept = (steps * graph.step_ticks + graph.heard) / recipe.label_rate_hz
    needs: list[_Need] = [("seconds of history", kept, _MAX_HISTORY_SECONDS)]
    if "crops" in graph.inputs:
        needs += _pixel_needs(kept, steps * graph.pictures * pixels, recipe)
    if "voice" in graph.inputs and recipe.audio.front_end in SLICE_FRONT_ENDS:
        frames = recipe.audio.hop_seconds * FRAMES_PER_SECOND
        needs.append(("frames of sound at once", steps * graph.heard * frames, _MAX_FRAMES_AT_ONCE))
    return needs


def _clip_needs(graph: ClipGraph, recipe: Recipe) -> list[_Need]:
    snippets, pictures, segments, frames = graph.sampling
    kept = (graph.window_ticks + graph.step_ticks) / recipe.label_rate_hz
    needs: list[_Need] = [
        ("pictures of a window", snippets * pictures, _MAX_ITEMS),
        ("frames of sound of a window", segments * frames, _MAX_ITEMS),
        ("seconds of history", kept, _MAX_HISTORY_SECONDS),
    ]
    if graph.turns:
        needs.append(("numbers of turns at once", WINDOWS_AT_ONCE * graph.turns * graph.vector_dim, _MAX_TURN_NUMBERS))
    if "pictures" in graph.inputs:
        at_once = WINDOWS_AT_ONCE * snippets * pictures * recipe.video.crop_size**2
        needs += _pixel_needs(max(kept, WHOLE_SECONDS), at_once, recipe)
    return needs


def _pixel_needs(kept_seconds: float, at_once: float, recipe: Recipe) -> list[_Need]:
    video = recipe.video
    kept = kept_seconds * min(video.rate_hz, recipe.label_rate_hz) * video.crop_size**2
    return [
        (f"pixels of history at a crop_size of {video.crop_size}", kept, _MAX_PIXELS_KEPT),
        (f"pixels at once at a crop_size of {video.crop_size}", at_once, _MAX_PIXELS_AT_ONCE),
    ]

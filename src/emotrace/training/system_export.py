"""A trained system -> one ONNX graph, `system.onnx`, and how it is run; see `inference/system_session.py`."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import Tensor, nn

from emotrace.bundle_graphs import ClipGraph, FrameGraph
from emotrace.inference.clip_runner import TURN_INPUTS, TURN_OUTPUTS, clip_inputs, clip_outputs
from emotrace.inference.frame_runner import FRAME_OUTPUTS
from emotrace.layers.clips import Clips, ClipSizes, Explains
from emotrace.layers.steps import Sizes, Steps
from emotrace.models.dialogue_attention import DialogueAttention, TurnContext
from emotrace.training.clip_batches import ClipReading
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import StandardisedSystem, clip_reading_of, reading_of

_OPSET = 18
_LONGEST_CONTEXT_SECONDS = 60.0
"""What a system with a memory without end is given of the past: the graph has none between two runs."""


class FlatSteps(nn.Module):
    """A frame-level system whose inputs and answers are separate tensors, [1, S, ...] each."""

    def __init__(self, system: StandardisedSystem, names: tuple[str, ...]) -> None:
        super().__init__()
        self.system = system
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return arousal and valence, emotion logits, and the audio weight of the inputs in the order of the names."""
        given = dict(zip(self.names, inputs, strict=True))
        energy = given["speech_energy"]
        nothing = energy[..., None][..., :0]
        blank = {"voice": nothing, "regions": nothing, "crops": nothing, "waveform": nothing}
        labels = {"emotion": energy.long(), "arousal_valence": torch.stack([energy, energy], dim=-1)}
        said = self.system(Steps(**blank | labels | given))
        return said.arousal_valence, said.emotion_logits, said.audio_weight


class FlatClips(nn.Module):
    """A clip-level system whose inputs and answers are separate tensors, [N, ...] each.

    What it says of a clip: logits, or the vector of a turn where it hears turns in context; the audio weight; and what
    it shows of how it came to its answer.
    """

    def __init__(self, system: StandardisedClipSystem, names: tuple[str, ...]) -> None:
        super().__init__()
        self.system = system
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the answers to the inputs in the order of the names."""
        given = dict(zip(self.names, inputs, strict=True))
        known = given.get("pictures_valid", given.get("sound_valid"))
        assert known is not None
        nothing = known[..., None].float()[..., :0]
        blank = {
            **{"pictures": nothing[..., None], "regions": nothing[..., None], "sound": nothing},
            **{"pictures_valid": known, "sound_valid": known},
            **dict.fromkeys(("label", "person", "dialogue", "speaker"), known.flatten(1).any(dim=1).long()),
            "part_label": known.flatten(1).long(),
        }
        clips = Clips(**blank | given)
        answer = self.system(clips)
        if isinstance(self.system.system, DialogueAttention):
            return answer.embedding, answer.audio_weight
        shown = self.system.explain(clips) if isinstance(self.system.system, Explains) else ()
        return answer.logits, answer.audio_weight, *shown


def frame_graph(settings: SystemSettings, sizes: Sizes, context_steps: int | None, rate_hz: float) -> FrameGraph:
    """Return how the graph of a frame-level system is run.

    Args:
        settings: of the system.
        sizes: that it was built with.
        context_steps: earlier steps that its answer depends on; None for a memory without end.
        rate_hz: of the label clock.
    """
    how = reading_of(settings, rate_hz)
    longest = round(_LONGEST_CONTEXT_SECONDS * sizes.steps_per_second)
    return FrameGraph(
        inputs=(
            *(name for name in ("voice", "regions", "crops") if name in how.needs),
            *("audio_valid", "video_valid", "speech_energy"),
        ),
        classes=sizes.classes,
        step_ticks=how.step_ticks,
        heard=how.heard,
        pictures=how.pictures,
        context_steps=longest if context_steps is None else context_steps,
    )


def clip_graph(settings: SystemSettings, sizes: ClipSizes, rate_hz: float) -> ClipGraph:
    """Return how the graph of a clip-level system is run; see `frame_graph`."""
    how: ClipReading = clip_reading_of(settings, rate_hz)
    face = ("pictures" if how.backbone == "own" else "regions",) if "face" in how.modalities else ()
    chosen = how.sampling
    return ClipGraph(
        inputs=(*face, *(("sound",) if "voice" in how.modalities else ())),
        classes=sizes.classes,
        step_ticks=max(1, round(settings.step_seconds * rate_hz)),
        window_ticks=round(settings.window_seconds * rate_hz),
        picture_ticks=how.picture_ticks,
        sampling=(chosen.snippets, chosen.pictures, chosen.segments, chosen.frames),
        loops=chosen.loops,
    )


def with_extras(graph: ClipGraph, system: StandardisedClipSystem) -> ClipGraph:
    """Return the same with what a trained system shows beside its answers, and how it hears turns."""
    inner = system.system
    if isinstance(inner, DialogueAttention):
        return graph.model_copy(update={"turns": inner.memory_turns, "vector_dim": inner.vector_dim})
    shown = inner.explanations if isinstance(inner, Explains) else ()
    return graph.model_copy(update={"explains": shown})


def export_turns(system: DialogueAttention, graph: ClipGraph) -> bytes:
    """Return the graph that hears turns in context; the numbers of dialogues and of turns are free."""
    vectors, known = torch.rand(2, 3, graph.vector_dim), torch.tensor([[True, True, True], [True, True, False]])
    example = [vectors, torch.tensor([[0, 1, 0], [0, 0, 0]]), known]
    free = {0: "dialogues", 1: "turns"}
    axes = dict.fromkeys((*TURN_INPUTS, *TURN_OUTPUTS), free) | {"logits": {0: "dialogues"}}
    return _export(TurnContext(system), example, TURN_INPUTS, TURN_OUTPUTS, axes)


def export_frames(system: StandardisedSystem, sizes: Sizes, graph: FrameGraph) -> tuple[bytes, FrameGraph]:
    """Return the graph of a frame-level system and how it is run: it takes no input that the system does not use.

    The number of steps is free, one recording at a time.
    """
    steps, side = 3, sizes.crop_side
    shapes = {
        "voice": sizes.voice_shape,
        "regions": (sizes.num_regions, sizes.region_dim),
        "crops": (graph.pictures, side, side),
    }
    names = graph.inputs
    example: dict[str, Tensor] = {name: torch.rand(1, steps, *shapes[name]) for name in names if name in shapes}
    example |= {name: torch.ones(1, steps, dtype=torch.bool) for name in ("audio_valid", "video_valid")}
    example["speech_energy"] = torch.rand(1, steps)
    axes = {name: {1: "steps"} for name in (*names, *FRAME_OUTPUTS)}
    content = _export(FlatSteps(system, names), [example[name] for name in names], names, FRAME_OUTPUTS, axes)
    used = {each.name for each in onnx.load_from_string(content).graph.input}
    return content, graph.model_copy(update={"inputs": tuple(name for name in names if name in used)})


def export_clips(system: StandardisedClipSystem, graph: ClipGraph) -> bytes:
    """Return the graph of a clip-level system; the number of windows is free."""
    sizes = system.sizes
    snippets, pictures, segments, frames = graph.sampling
    shapes = {
        "pictures": (snippets, pictures, sizes.crop_side, sizes.crop_side),
        "regions": (snippets, pictures, sizes.num_regions, sizes.region_dim),
        "sound": (segments, frames, sizes.bands),
    }
    names = clip_inputs(graph)
    example: dict[str, Tensor] = {name: torch.rand(2, *shapes[name]) for name in graph.inputs}
    example |= {
        "pictures_valid": torch.ones(2, snippets, pictures, dtype=torch.bool),
        "sound_valid": torch.ones(2, segments, frames, dtype=torch.bool),
    }
    outputs = clip_outputs(graph)
    axes = {name: {0: "windows"} for name in (*names, *outputs)}
    return _export(FlatClips(system, names), [example[name] for name in names], names, outputs, axes)


def _export(
    network: nn.Module,
    example: list[Tensor],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    free: dict[str, dict[int, str]],
) -> bytes:
    with TemporaryDirectory() as scratch, torch.inference_mode(), warnings.catch_warnings():
        # Sizes that Python looks at are constants of the graph: they are the system's.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not in its stubs
        path = Path(scratch) / "system.onnx"
        torch.onnx.export(
            network.float().eval(),
            tuple(example),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=_OPSET,
            dynamo=False,
        )
        return path.read_bytes()

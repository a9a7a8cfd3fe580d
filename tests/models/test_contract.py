"""What every fusion network must keep: a line in MODELS adds all of these tests for it.

Axes as in `layers/fusion.py`: B recordings, T ticks, A voice features, K regions, D of a region, H hidden.
"""

from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import Tensor

from emotrace.layers.fusion import FusionOutput, Missing, State
from emotrace.models import MODELS, FusionModel

AUDIO_DIM, REGION_DIM, NUM_REGIONS, HIDDEN_DIM, NUM_EMOTIONS = 6, 5, 9, 8, 8
INPUTS = ["audio", "regions", "audio_valid", "video_valid", "hidden", "cell"]
OUTPUTS = ["arousal_valence", "emotion_logits", "audio_weight", "next_hidden", "next_cell"]
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, State]

pytestmark = [
    pytest.mark.parametrize("key", list(MODELS)),
    pytest.mark.parametrize("missing", ["mask", "zeros"]),
]


def _network(key: str, missing: Missing) -> FusionModel:
    torch.manual_seed(0)
    model = MODELS[key]
    sizes = {"audio_dim": AUDIO_DIM, "region_dim": REGION_DIM, "hidden_dim": HIDDEN_DIM}
    network = model(model.Config(missing=missing, **sizes))  # type: ignore[arg-type]
    return network.eval()


def _inputs(batch: int = 2, ticks: int = 7) -> Inputs:
    """Random features with ticks of every kind: both modalities, voice alone, face alone, neither."""
    kind = torch.arange(batch * ticks).reshape(batch, ticks) % 4
    return (
        torch.randn(batch, ticks, AUDIO_DIM),
        torch.randn(batch, ticks, NUM_REGIONS, REGION_DIM),
        kind < 2,
        kind % 2 == 0,
        (torch.randn(batch, HIDDEN_DIM).tanh(), torch.randn(batch, HIDDEN_DIM)),
    )


def _flat(output: FusionOutput) -> list[Tensor]:
    return [output.arousal_valence, output.emotion_logits, output.audio_weight, *output.state]


def _assert_same(found: FusionOutput, expected: FusionOutput) -> None:
    for ours, theirs in zip(_flat(found), _flat(expected), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_there_is_one_answer_per_tick(key: str, missing: Missing) -> None:
    output = _network(key, missing)(*_inputs(2, 7))
    shapes = [tuple(values.shape) for values in _flat(output)]
    assert shapes == [(2, 7, 2), (2, 7, NUM_EMOTIONS), (2, 7), (2, HIDDEN_DIM), (2, HIDDEN_DIM)]
    assert ((output.audio_weight >= 0) & (output.audio_weight <= 1)).all()


def test_every_parameter_gets_a_gradient(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    output = network(*_inputs())
    total = output.arousal_valence.square().sum() + output.emotion_logits.square().sum()
    torch.autograd.backward(total + output.audio_weight.square().sum())
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, 1e9])
def test_garbage_in_a_missing_modality_changes_nothing(key: str, missing: Missing, garbage: float) -> None:
    network = _network(key, missing)
    audio, regions, audio_valid, video_valid, state = _inputs()
    clean = network(audio, regions, audio_valid, video_valid, state)
    soiled_audio = audio.masked_fill(~audio_valid[..., None], garbage)
    soiled_regions = regions.masked_fill(~video_valid[..., None, None], garbage)
    soiled = network(soiled_audio, soiled_regions, audio_valid, video_valid, state)
    for ours, theirs in zip(_flat(soiled), _flat(clean), strict=True):
        assert torch.equal(ours, theirs)


def test_garbage_in_a_missing_modality_changes_no_gradient(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    audio, regions, audio_valid, video_valid, state = _inputs()
    audio = audio.masked_fill(~audio_valid[..., None], torch.nan).requires_grad_()
    regions = regions.masked_fill(~video_valid[..., None, None], torch.nan).requires_grad_()
    torch.autograd.backward(network(audio, regions, audio_valid, video_valid, state).arousal_valence.sum())
    reached = [values.grad for values in (*network.parameters(), audio, regions) if values.grad is not None]
    assert all(gradient.isfinite().all() for gradient in reached)


def test_both_modalities_change_the_answer(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    audio, regions, audio_valid, video_valid, state = _inputs()
    base = network(audio, regions, audio_valid, video_valid, state).arousal_valence
    louder = network(audio + 1, regions, audio_valid, video_valid, state).arousal_valence
    other_face = network(audio, regions + 1, audio_valid, video_valid, state).arousal_valence
    assert not torch.allclose(base, louder)
    assert not torch.allclose(base, other_face)


def test_a_recording_alone_is_the_recording_in_a_batch(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    audio, regions, audio_valid, video_valid, (hidden, cell) = _inputs(3)
    together = network(audio, regions, audio_valid, video_valid, (hidden, cell))
    one = slice(1, 2)
    alone = network(audio[one], regions[one], audio_valid[one], video_valid[one], (hidden[one], cell[one]))
    for ours, theirs in zip(_flat(alone), _flat(together), strict=True):
        torch.testing.assert_close(ours, theirs[one])


def test_no_answer_depends_on_a_later_tick(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    audio, regions, _, _, state = _inputs(2, 7)
    everything = torch.ones(2, 7, dtype=torch.bool)
    audio.requires_grad_()
    regions.requires_grad_()
    output = network(audio, regions, everything, everything, state)
    now = torch.cat([output.arousal_valence[:, 3], output.emotion_logits[:, 3], output.audio_weight[:, 3:4]], dim=1)
    to_audio, to_regions = torch.autograd.grad(now.sum(), [audio, regions])
    assert not to_audio[:, 4:].any()
    assert not to_regions[:, 4:].any()
    assert to_audio[:, :4].any(dim=-1).all()
    assert to_regions[:, 3].any()


def test_the_order_of_regions_changes_nothing(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    audio, regions, audio_valid, video_valid, state = _inputs()
    shuffled = regions[:, :, torch.randperm(NUM_REGIONS)]
    _assert_same(
        network(audio, shuffled, audio_valid, video_valid, state),
        network(audio, regions, audio_valid, video_valid, state),
    )


@pytest.mark.parametrize("cut", [1, 4])
def test_two_halves_with_carry_equal_the_whole(key: str, missing: Missing, cut: int) -> None:
    network = _network(key, missing)
    *streams, state = _inputs(2, 9)
    whole = network(*streams, state)
    first = network(*(stream[:, :cut] for stream in streams), state)
    second = network(*(stream[:, cut:] for stream in streams), first.state)
    joined = [torch.cat(pair, dim=1) for pair in zip(first[:3], second[:3], strict=True)]
    _assert_same(FusionOutput(joined[0], joined[1], joined[2], second.state), whole)


def test_it_starts_from_zeros(key: str, missing: Missing) -> None:
    hidden, cell = _network(key, missing).initial_state(3)
    assert torch.equal(hidden, torch.zeros(3, HIDDEN_DIM))
    assert torch.equal(cell, torch.zeros(3, HIDDEN_DIM))


def test_saved_weights_give_the_same_answer(key: str, missing: Missing, tmp_path: Path) -> None:
    network = _network(key, missing)
    inputs = _inputs()
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = type(network)(network.config)  # type: ignore[arg-type]
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    _assert_same(other.eval()(*inputs), network(*inputs))


def test_the_configuration_is_frozen_and_names_its_paper(key: str, missing: Missing) -> None:
    network = _network(key, missing)
    assert {"audio_dim", "region_dim", "hidden_dim", "missing"} <= {field.name for field in fields(network.config)}
    assert network.paper
    with pytest.raises(AttributeError):
        network.config.missing = "zeros"  # type: ignore[misc]


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
    "ignore:Exporting a model to ONNX with a batch_size other than 1:UserWarning",
)
def test_the_exported_network_gives_the_same_numbers(key: str, missing: Missing, tmp_path: Path) -> None:
    network = _network(key, missing)
    path = tmp_path / "fusion.onnx"
    per_tick = {name: {0: "B", 1: "T"} for name in (*INPUTS[:4], *OUTPUTS[:3])}
    per_recording = {name: {0: "B"} for name in (*INPUTS[4:], *OUTPUTS[3:])}
    # The exporter by torch.export unrolls the LSTM and fixes T to the example's (seen with torch 2.13).
    torch.onnx.export(
        network,
        _inputs(2, 7),
        path,
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_axes=per_tick | per_recording,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(path)
    state = network.initial_state(2)
    for ticks in (1, 7, 250):
        *streams, _ = _inputs(2, ticks)
        with torch.no_grad():
            expected = network(*streams, state)
        feed = {name: values.numpy() for name, values in zip(INPUTS, [*streams, *state], strict=True)}
        found = session.run(None, feed)
        for ours, theirs in zip(found, _flat(expected), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
        state = (torch.from_numpy(found[3]), torch.from_numpy(found[4]))

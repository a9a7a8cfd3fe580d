"""Alignment of sound to pictures against loops that follow the equations, and what masks must keep."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.alignment import AlignedLstm, SoftAlignment, linear_shares, linear_weights
from tests.models.graphs import run_graph

BATCH, STEPS, GROUPS, WIDTH, ATTENTION_DIM = 4, 5, 12, 6, 3
both_forms = pytest.mark.parametrize("soft", [True, False])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _layer(*, soft: bool) -> AlignedLstm:
    return AlignedLstm(WIDTH, ATTENTION_DIM, steps=STEPS, groups=GROUPS, soft=soft)


def _inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Of the sound all is known, some, one, none."""
    spoken = torch.rand(BATCH, GROUPS) < 0.5
    spoken[0], spoken[2], spoken[3] = True, torch.arange(GROUPS) == 4, False
    return torch.randn(BATCH, STEPS, WIDTH), torch.randn(BATCH, GROUPS, WIDTH), spoken


@pytest.mark.parametrize(("steps", "groups"), [(16, 64), (32, 192), (5, 12), (4, 4), (12, 5), (3, 1)])
def test_a_linear_ramp_of_sound_is_resampled_to_the_ramp(steps: int, groups: int) -> None:
    time_of_groups = (torch.arange(groups) + 0.5) / groups
    time_of_steps = (torch.arange(steps) + 0.5) / steps
    weights = linear_weights(steps, groups)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(steps))
    within = time_of_steps.clamp(time_of_groups[0], time_of_groups[-1])
    torch.testing.assert_close(weights @ time_of_groups, within)


def test_groups_that_are_not_known_leave_their_weight_to_the_others() -> None:
    weights = torch.tensor([0.0, 0.25, 0.75, 0.0])
    spoken = torch.tensor([[True, True, True, True], [True, True, False, True], [True, False, False, True]])
    expected = torch.tensor([[0.0, 0.25, 0.75, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert torch.equal(linear_shares(weights, spoken), expected)


@torch.no_grad()
def test_sound_is_aligned_by_the_equation() -> None:
    layer = SoftAlignment(WIDTH, ATTENTION_DIM)
    seen, heard, spoken = _inputs()
    state = torch.randn(BATCH, WIDTH)
    found = layer(layer.keys(heard), seen[:, 0], state, spoken)
    w_a, w_v, w_s, w = (part.weight for part in (layer.keys, layer.seen, layer.state, layer.weigh))
    for clip in range(3):
        scores = [
            w[0] @ torch.tanh(w_a @ sound + w_v @ seen[clip, 0] + w_s @ state[clip] + layer.state.bias)
            for sound in heard[clip, spoken[clip]]
        ]
        torch.testing.assert_close(found[clip, spoken[clip]], torch.stack(scores).softmax(dim=0))
    assert not found[~spoken].any()


@both_forms
@torch.no_grad()
def test_states_are_those_of_a_loop_over_the_steps(soft: bool) -> None:
    layer = _layer(soft=soft)
    seen, heard, spoken = _inputs()
    states, shares = layer(seen, heard, spoken)
    hidden = cell = torch.zeros(BATCH, WIDTH)
    for step in range(STEPS):
        context = torch.einsum("bt,bth->bh", shares[:, step], heard)
        if layer.soft is not None:
            expected = layer.soft(layer.soft.keys(heard), seen[:, step], hidden, spoken)
            torch.testing.assert_close(shares[:, step], expected)
        hidden, cell = layer.recur(torch.cat([seen[:, step], context], dim=1), (hidden, cell))
        torch.testing.assert_close(states[:, step], hidden)


@both_forms
@torch.no_grad()
def test_shares_sum_to_one_over_what_is_known_and_silence_joins_as_zeros(soft: bool) -> None:
    layer = _layer(soft=soft)
    seen, heard, spoken = _inputs()
    states, shares = layer(seen, heard, spoken)
    assert not shares.masked_select(~spoken[:, None].expand_as(shares)).any()
    total = shares.sum(dim=2)
    torch.testing.assert_close(total, (shares > 0).any(dim=2).float())
    assert (total[0] > 0).all()
    assert not total[3].any()
    if soft:
        assert (total[1:3] > 0).all()
    in_silence, _ = layer(seen[3:], torch.zeros_like(heard[3:]), spoken[3:])
    torch.testing.assert_close(states[3:], in_silence)


@both_forms
@torch.no_grad()
def test_a_state_knows_no_later_step(soft: bool) -> None:
    layer = _layer(soft=soft)
    seen, heard, spoken = _inputs()
    later = seen.clone()
    later[:, 3:] = torch.randn(BATCH, STEPS - 3, WIDTH)
    found, expected = layer(later, heard, spoken)[0], layer(seen, heard, spoken)[0]
    assert torch.equal(found[:, :3], expected[:, :3])
    assert not torch.allclose(found[:, 3:], expected[:, 3:])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@both_forms
@torch.no_grad()
def test_the_exported_graph_gives_the_same_numbers_for_any_number_of_clips(soft: bool, tmp_path: Path) -> None:
    layer, graph = _layer(soft=soft), tmp_path / "graph.onnx"
    inputs, names = _inputs(), ["seen", "heard", "spoken"]
    torch.onnx.export(
        layer,
        inputs,
        str(graph),
        input_names=names,
        dynamic_axes={name: {0: "clips"} for name in names},
        opset_version=18,
        dynamo=False,
    )
    for chosen in (slice(0, 1), slice(None)):
        some = [each[chosen] for each in inputs]
        found = run_graph(graph.read_bytes(), dict(zip(names, some, strict=True)))
        for ours, theirs in zip(found, layer(*some), strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, atol=1e-5, rtol=1e-5)


def test_every_weight_learns() -> None:
    for soft in (True, False):
        layer: nn.Module = _layer(soft=soft)
        torch.autograd.backward(layer(*_inputs())[0].sum())
        assert [name for name, each in layer.named_parameters() if each.grad is None or not each.grad.any()] == []
        assert all(each.grad.isfinite().all() for each in layer.parameters() if each.grad is not None)

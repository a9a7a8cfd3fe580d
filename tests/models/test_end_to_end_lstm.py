"""What the end-to-end comparator must keep; see `steps_b.py` for the recordings."""

import pytest
import torch

from emotrace.models.end_to_end_lstm import EndToEndLstm, EndToEndLstmConfig
from tests.models.steps_b import SIZES, assert_causal, assert_one_answer_per_step, assert_same, soiled, toy, train

STEPS = toy(SIZES, pictures=1)


def _network() -> EndToEndLstm:
    torch.manual_seed(0)
    return EndToEndLstm(EndToEndLstmConfig(sizes=SIZES, hidden_dim=32, dropout=0.0)).eval()


@torch.no_grad()
def test_there_is_one_answer_per_step() -> None:
    assert_one_answer_per_step(_network()(STEPS), STEPS)


@torch.no_grad()
def test_no_answer_depends_on_a_later_step() -> None:
    assert_causal(_network(), STEPS, 12)


@pytest.mark.parametrize("training", [True, False])
def test_what_is_not_known_is_never_read(training: bool) -> None:
    network = _network().train(training)
    assert_same(network(soiled(STEPS)), network(STEPS))


def test_what_is_not_known_changes_no_gradient() -> None:
    network = _network().train()
    torch.autograd.backward(network(soiled(STEPS)).arousal_valence.square().sum())
    gradients = [value.grad for value in network.parameters() if value.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("modality", ["audio_valid", "video_valid"])
@torch.no_grad()
def test_both_modalities_change_the_answer(modality: str) -> None:
    network = _network()
    nothing = torch.zeros_like(STEPS.audio_valid)
    less = network(STEPS._replace(**{modality: nothing}))
    assert not torch.allclose(less.arousal_valence, network(STEPS).arousal_valence)


@torch.no_grad()
def test_it_answers_where_nothing_was_ever_known() -> None:
    nothing = torch.zeros_like(STEPS.audio_valid)
    empty = STEPS._replace(audio_valid=nothing, video_valid=nothing)
    assert_one_answer_per_step(_network()(empty), empty)


def test_it_learns() -> None:
    network = _network()
    first, last = train(network, network, STEPS, 15)
    assert last < 0.7 * first


@torch.no_grad()
def test_saved_weights_give_the_same_answer() -> None:
    network = _network()
    torch.manual_seed(1)
    other = EndToEndLstm(network.config).eval()
    other.load_state_dict(network.state_dict())
    assert_same(other(STEPS), network(STEPS))


@torch.no_grad()
def test_light_and_contrast_of_the_face_change_nothing() -> None:
    network = _network()
    darker = STEPS._replace(crops=STEPS.crops * 0.6 + 0.2)
    torch.testing.assert_close(network(darker).arousal_valence, network(STEPS).arousal_valence, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(network(darker).emotion_logits, network(STEPS).emotion_logits, atol=1e-2, rtol=1e-2)


def test_the_face_network_has_the_names_of_saved_checkpoints() -> None:
    names = [name.removeprefix("face.") for name in _network().state_dict() if name.startswith("face.")]
    assert len(names) == 6 * 53  # a convolution and five values of its normalisation
    assert {"body.0.weight", "body.4.path.0.weight", "body.19.path.7.running_var", "body.4.shortcut.1.bias"} <= set(
        names
    )

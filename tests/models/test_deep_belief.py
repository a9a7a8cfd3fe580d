"""What the deep belief comparator must keep; see `steps.py` for the recordings."""

from dataclasses import replace

import pytest
import torch

from emotrace.layers.steps import Sizes
from emotrace.metrics import ccc
from emotrace.models.deep_belief import DeepBelief, DeepBeliefConfig
from tests.models.steps import SIZES, SPECTRA, each, toy, train

CONFIG = DeepBeliefConfig(
    sizes=SIZES,
    voice_dim=16,
    face_width=1 / 8,
    face_side=12,
    hidden_dims=(24, 16),
    dropout=0.0,
    learn_every=1,
    mean_seconds=0.4,
    updates=300,
)
STEPS = toy(SIZES, pictures=DeepBelief.pictures)


def _network(config: DeepBeliefConfig = CONFIG) -> DeepBelief:
    torch.manual_seed(0)
    return DeepBelief(config).eval()


@pytest.fixture(scope="module")
def trained() -> DeepBelief:
    network = _network()
    train(network, network, STEPS, 15)
    network.finish(each(STEPS))
    return network


@pytest.mark.parametrize("sizes", [SIZES, SPECTRA])
@torch.no_grad()
def test_untrained_it_answers_zeros(sizes: Sizes) -> None:
    steps = toy(sizes, pictures=DeepBelief.pictures)
    output = _network(replace(CONFIG, sizes=sizes))(steps)
    assert not output.arousal_valence.any()
    assert not output.emotion_logits.any()


@pytest.mark.parametrize("sizes", [SIZES, SPECTRA])
def test_both_networks_learn(sizes: Sizes) -> None:
    network = _network(replace(CONFIG, sizes=sizes))
    first, last = train(network, network, toy(sizes, pictures=DeepBelief.pictures), 12)
    assert last < 0.8 * first


def test_they_learn_on_every_few_steps() -> None:
    voice, face = _network(replace(CONFIG, learn_every=4)).outputs_to_train(STEPS)
    assert torch.equal(voice.valid[:, ::4], STEPS.audio_valid[:, ::4])
    assert torch.equal(face.valid[:, ::4], STEPS.video_valid[:, ::4])
    assert voice.valid.sum() == STEPS.audio_valid[:, ::4].sum()


@torch.no_grad()
def test_fitted_it_follows_its_training_labels(trained: DeepBelief) -> None:
    output = trained(STEPS)
    said, truth = output.arousal_valence[output.valid].numpy(), STEPS.arousal_valence[output.valid].numpy()
    assert min(ccc(truth[:, place], said[:, place]) for place in range(2)) > 0.5
    named = output.valid & (STEPS.emotion >= 0)
    right = output.emotion_logits.argmax(dim=-1)[named] == STEPS.emotion[named]
    assert right.float().mean() > 0.5


@torch.no_grad()
def test_a_step_alone_is_answered_by_the_mean_of_the_known_stepsefore_it(trained: DeepBelief) -> None:
    """With 0.4 s of 5 steps a second the window is two steps: the third step from here has forgotten this one."""
    steps = each(STEPS)[0]
    valid = torch.zeros_like(steps.audio_valid)
    valid[:, 3:5] = True
    output = trained(steps._replace(audio_valid=valid, video_valid=valid)).arousal_valence[0]
    single = trained(steps._replace(audio_valid=valid.index_fill(1, torch.tensor(3), False), video_valid=valid & False))
    torch.testing.assert_close(output[0], trained.biases[:2])
    torch.testing.assert_close(output[6], trained.biases[:2])
    assert not torch.allclose(output[4], output[3])
    assert torch.equal(single.arousal_valence[0, 4], single.arousal_valence[0, 5])


def test_without_emotions_the_rest_is_fitted() -> None:
    network = _network()
    network.finish(each(STEPS._replace(emotion=torch.full_like(STEPS.emotion, -1))))
    assert network.weights[:2].any()
    assert not network.weights[2:].any()


def test_without_a_known_step_nothing_is_fitted() -> None:
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    nothing = torch.zeros_like(STEPS.audio_valid)
    network.finish(each(STEPS._replace(audio_valid=nothing, video_valid=nothing)))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

"""What the ensemble must keep; see `steps.py` for the recordings."""

import pytest
import torch

from emotrace.models.lstm_ensemble import MEMBERS, LstmEnsemble, LstmEnsembleConfig, combination_weights
from tests.models.steps import SIZES, each, toy, train

STEPS = toy(SIZES, pictures=1)


def _network() -> LstmEnsemble:
    torch.manual_seed(0)
    return LstmEnsemble(LstmEnsembleConfig(sizes=SIZES, hidden_dim=16, dropout=0.0)).eval()


@pytest.fixture(scope="module")
def trained() -> LstmEnsemble:
    network = _network()
    train(network, network, STEPS, 30)
    network.finish(each(STEPS))
    return network


def test_every_member_learns_by_itself_where_its_input_is_known() -> None:
    members = _network().outputs_to_train(STEPS)
    both = STEPS.audio_valid & STEPS.video_valid
    for member, valid in zip(members, (STEPS.audio_valid, STEPS.video_valid, both), strict=True):
        assert torch.equal(member.valid, valid)
    network = _network()
    torch.autograd.backward(network.outputs_to_train(STEPS)[0].arousal_valence.sum())
    learning = {name.split(".")[1] for name, value in network.named_parameters() if value.grad is not None}
    assert learning == {"0"}


def test_it_learns() -> None:
    network = _network()
    first, last = train(network, network, STEPS, 30)
    assert last < 0.7 * first


def test_the_shares_sum_to_one_over_the_members_that_speak(trained: LstmEnsemble) -> None:
    share = trained.shares(STEPS)
    torch.testing.assert_close(share.sum(dim=-1), torch.ones(share.shape[:-1]))
    assert (share >= 0).all()
    voice_alone = STEPS.audio_valid & ~STEPS.video_valid
    face_alone = STEPS.video_valid & ~STEPS.audio_valid
    assert voice_alone.any()
    assert face_alone.any()
    assert (share[voice_alone] == torch.tensor([1.0, 0.0, 0.0])).all()
    assert (share[face_alone] == torch.tensor([0.0, 1.0, 0.0])).all()


def test_the_audio_weight_is_one_for_a_voice_alone_and_zero_for_a_face_alone(trained: LstmEnsemble) -> None:
    weight = trained(STEPS).audio_weight
    assert (weight[STEPS.audio_valid & ~STEPS.video_valid] == 1).all()
    assert (weight[STEPS.video_valid & ~STEPS.audio_valid] == 0).all()
    assert ((weight >= 0) & (weight <= 1)).all()


@torch.no_grad()
def test_on_its_training_data_the_combination_errs_no_more_than_its_best_member(trained: LstmEnsemble) -> None:
    known = STEPS.audio_valid & STEPS.video_valid
    wanted = STEPS.arousal_valence[known]
    members = [(said.arousal_valence[known] - wanted).square().mean(0) for said in trained.outputs_to_train(STEPS)]
    combined = (trained(STEPS).arousal_valence[known] - wanted).square().mean(0)
    assert (combined <= torch.stack(members).amin(0) * 1.01).all()


@torch.no_grad()
def test_the_fit_is_the_same_twice_and_leaves_the_members_alone(trained: LstmEnsemble) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.finish(each(STEPS))
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_without_steps_on_which_all_speak_the_weights_stay_equal() -> None:
    network = _network()
    deaf = STEPS._replace(audio_valid=torch.zeros_like(STEPS.audio_valid))
    network.finish(each(deaf))
    assert torch.equal(network.weights, torch.full((3, len(MEMBERS)), 1 / 3))


def test_without_emotions_only_their_weights_stay_equal() -> None:
    network = _network()
    network.finish(each(STEPS._replace(emotion=torch.full_like(STEPS.emotion, -1))))
    assert torch.equal(network.weights[2], torch.full((len(MEMBERS),), 1 / 3))
    assert not torch.allclose(network.weights[0], network.weights[2])


def test_independent_members_weigh_by_the_inverse_of_their_error() -> None:
    weights = combination_weights(torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)))
    expected = torch.tensor([4 / 7, 2 / 7, 1 / 7], dtype=torch.float64)
    torch.testing.assert_close(weights, expected, atol=2e-3, rtol=0)


def test_no_weights_on_a_grid_err_less_than_those_found() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        errors = torch.randn(30, 3, generator=generator, dtype=torch.float64)
        errors[:, 1] += errors[:, 0]  # without this bound its weight would be negative now and then
        products = errors.T @ errors
        found = combination_weights(products)
        assert (found >= 0).all()
        grid = torch.cartesian_prod(*(torch.linspace(0, 1, 21, dtype=torch.float64),) * 3)
        grid = grid[(grid.sum(dim=1) - 1).abs() < 1e-9]
        least = torch.einsum("gi,ij,gj->g", grid, products, grid).min()
        assert found @ products @ found <= least * 1.01

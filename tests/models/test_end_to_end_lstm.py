"""What the end-to-end comparator must keep; see `steps.py` for the recordings."""

import torch

from emotrace.models.end_to_end_lstm import EndToEndLstm, EndToEndLstmConfig
from tests.models.steps import SIZES, toy, train

STEPS = toy(SIZES, pictures=1)


def _network() -> EndToEndLstm:
    torch.manual_seed(0)
    return EndToEndLstm(EndToEndLstmConfig(sizes=SIZES, hidden_dim=32, dropout=0.0)).eval()


def test_it_learns() -> None:
    network = _network()
    first, last = train(network, network, STEPS, 15)
    assert last < 0.7 * first


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

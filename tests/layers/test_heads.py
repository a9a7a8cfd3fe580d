"""The heads: bounded where they say so, and on the circumplex the mean of the emotions' places."""

import pytest
import torch

from emotrace.labels import CIRCUMPLEX, EMOTIONS
from emotrace.layers.heads import AffectHeads, Output

WIDTH = 6


@pytest.mark.parametrize("output", ["linear", "tanh", "circumplex"])
def test_shapes_follow_the_leading_axes(output: Output) -> None:
    arousal_valence, logits = AffectHeads(WIDTH, output)(torch.randn(2, 3, WIDTH))
    assert arousal_valence.shape == (2, 3, 2)
    assert logits.shape == (2, 3, len(EMOTIONS))


@torch.no_grad()
def test_tanh_is_the_linear_answer_bounded() -> None:
    torch.manual_seed(0)
    linear, bounded = AffectHeads(WIDTH, "linear"), AffectHeads(WIDTH, "tanh")
    bounded.load_state_dict(linear.state_dict())
    fused = 10 * torch.randn(5, WIDTH)
    torch.testing.assert_close(bounded(fused)[0], linear(fused)[0].tanh())


@torch.no_grad()
def test_on_the_circumplex_the_answer_is_the_mean_of_the_emotions_places() -> None:
    torch.manual_seed(0)
    arousal_valence, logits = AffectHeads(WIDTH, "circumplex")(torch.randn(7, WIDTH))
    for place, axis in enumerate(("arousal", "valence")):
        coordinates = torch.tensor([getattr(CIRCUMPLEX[emotion], axis) for emotion in EMOTIONS])
        torch.testing.assert_close(arousal_valence[:, place], (logits.softmax(dim=1) * coordinates).sum(dim=1))


@torch.no_grad()
def test_a_certain_emotion_stands_at_its_own_place() -> None:
    heads = AffectHeads(WIDTH, "circumplex")
    heads.emotions.weight.zero_()
    heads.emotions.bias.fill_(-50)
    heads.emotions.bias[EMOTIONS.index("anger")] = 50
    told = heads(torch.randn(1, WIDTH))[0][0]
    assert told.tolist() == pytest.approx([CIRCUMPLEX["anger"].arousal, CIRCUMPLEX["anger"].valence])

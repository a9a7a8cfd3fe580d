"""Attention over the turns of a dialogue against loops, what it must not see, and what it can learn."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from emotrace.errors import SettingsError
from emotrace.layers.turns import CausalTurnAttention, DialogueEncoder, Score, turn_table

DIALOGUES, TURNS, DIM, CLASSES = 4, 6, 8, 3
SCORES: tuple[Score, ...] = ("dot", "general", "concat")
every_score = pytest.mark.parametrize("score", SCORES)
every_window = pytest.mark.parametrize("window", [None, 0, 2])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _states_and_known() -> tuple[Tensor, Tensor]:
    """Dialogues of six turns, of four, of one, and none at all."""
    known = torch.arange(TURNS) < torch.tensor([TURNS, 4, 1, 0])[:, None]
    return torch.randn(DIALOGUES, TURNS, DIM), known


def _fit(attention: CausalTurnAttention, score: Score, past: Tensor, now: Tensor) -> Tensor:
    if score == "dot":
        return past @ now
    assert attention.project is not None
    projected = torch.tanh(attention.project.weight @ past + (0 if score == "general" else attention.project.bias))
    if score == "general":
        return projected @ now
    assert attention.weigh is not None
    return attention.weigh.weight[0] @ projected


@every_score
@every_window
@torch.no_grad()
def test_turns_are_weighed_by_the_equations(score: Score, window: int | None) -> None:
    attention = CausalTurnAttention(DIM, score, window)
    states, known = _states_and_known()
    contexts, alpha = attention(states, known)
    for row in range(DIALOGUES):
        for now in range(int(known[row].sum())):
            first = 0 if window is None else max(0, now - window)
            past = states[row, first : now + 1]
            powers = torch.stack([_fit(attention, score, each, states[row, now]) for each in past]).exp()
            torch.testing.assert_close(alpha[row, now, first : now + 1], powers / powers.sum())
            torch.testing.assert_close(contexts[row, now], (powers / powers.sum()) @ past)


@every_score
@every_window
@torch.no_grad()
def test_shares_are_lower_triangular_and_sum_to_one_where_a_turn_is_known(score: Score, window: int | None) -> None:
    states, known = _states_and_known()
    contexts, alpha = CausalTurnAttention(DIM, score, window)(10 * states, known)
    torch.testing.assert_close(alpha.sum(dim=-1), known.float())
    assert not alpha.triu(1).any()
    assert not alpha.transpose(1, 2)[~known].any()
    assert not contexts[~known].any()


@every_score
@torch.no_grad()
def test_a_window_of_none_before_gives_the_state_itself(score: Score) -> None:
    states, known = _states_and_known()
    contexts, _ = CausalTurnAttention(DIM, score, 0)(states, known)
    assert torch.equal(contexts[known], states[known])


def test_a_negative_window_is_refused() -> None:
    with pytest.raises(SettingsError, match="-1 turns"):
        CausalTurnAttention(DIM, "dot", -1)


@every_score
def test_a_turn_does_not_depend_on_those_after_it(score: Score) -> None:
    encoder = DialogueEncoder(DIM, CLASSES, score, None).eval()
    vectors, everything = torch.randn(2, TURNS, DIM, requires_grad=True), torch.ones(2, TURNS, dtype=torch.bool)
    speaker = torch.randint(2, (2, TURNS))
    logits, _ = encoder(vectors, speaker, everything)
    torch.autograd.backward(logits[:, 2].square().sum())
    assert vectors.grad is not None
    assert not vectors.grad[:, 3:].any()
    assert vectors.grad[:, :3].abs().sum(dim=-1).all()
    later = torch.arange(TURNS) > 2
    with torch.no_grad():
        changed = torch.where(later[:, None], 100 * torch.randn_like(vectors), vectors)
        others = torch.where(later, 1 - speaker, speaker)
        torch.testing.assert_close(encoder(changed, others, everything)[0][:, :3], logits[:, :3])
        assert not torch.allclose(encoder(changed, others, everything)[0][:, 3:], logits[:, 3:])


@every_score
def test_padding_changes_neither_answers_nor_gradients(score: Score) -> None:
    encoder = DialogueEncoder(DIM, CLASSES, score, None).eval()

    def answers(longer: int, garbage: float) -> tuple[Tensor, list[Tensor | None]]:
        vectors = torch.full((2, TURNS + longer, DIM), garbage)
        vectors[:, :TURNS] = torch.randn(2, TURNS, DIM, generator=torch.Generator().manual_seed(1))
        known = (torch.arange(TURNS + longer) < TURNS).expand(2, -1)
        logits, _ = encoder(vectors, known.long() - 1, known)
        encoder.zero_grad()
        torch.autograd.backward(logits[known].square().sum())
        return logits[known].detach(), [each.grad for each in encoder.parameters()]

    expected, slopes = answers(0, 0.0)
    for longer, garbage in ((3, torch.nan), (7, torch.inf)):
        found, others = answers(longer, garbage)
        torch.testing.assert_close(found, expected)
        for ours, theirs in zip(others, slopes, strict=True):
            assert ours is not None
            torch.testing.assert_close(ours, theirs)


def test_the_beginning_of_a_dialogue_is_learnt() -> None:
    encoder = DialogueEncoder(DIM, CLASSES, "dot", None)
    logits, _ = encoder(torch.randn(3, 1, DIM), torch.zeros(3, 1), torch.ones(3, 1, dtype=torch.bool))
    torch.autograd.backward(logits.square().sum())
    assert all(each.grad is not None and each.grad.any() for each in encoder.parameters())


@torch.no_grad()
def test_only_the_first_two_speakers_are_told_apart() -> None:
    encoder = DialogueEncoder(DIM, CLASSES, "dot", None).eval()
    vectors = torch.randn(1, 1, DIM).expand(5, -1, -1)
    logits, _ = encoder(vectors, torch.tensor([[0], [1], [-1], [2], [7]]), torch.ones(5, 1, dtype=torch.bool))
    torch.testing.assert_close(logits[3:], logits[2:3].expand(2, -1, -1))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(logits[one], logits[other], atol=1e-4)


def _accuracy(score: Score, draw: Callable[[], tuple[Tensor, Tensor, Tensor]], *, apart: bool = False) -> float:
    """Return the accuracy on new turns but the first of each dialogue, after training with every turn's class.

    Args:
        score: of the attention.
        draw: vectors, speakers and classes of dialogues.
        apart: every turn is a dialogue of its own.
    """
    torch.manual_seed(0)
    encoder = DialogueEncoder(DIM, CLASSES, score, None)
    optimiser = torch.optim.Adam(encoder.parameters(), 0.01)

    def answer(vectors: Tensor, speaker: Tensor) -> Tensor:
        given = (vectors.flatten(0, 1)[:, None], speaker.flatten()[:, None]) if apart else (vectors, speaker)
        logits: Tensor = encoder(*given, torch.ones(given[1].shape, dtype=torch.bool))[0]
        return logits.reshape(*speaker.shape, CLASSES)

    for _ in range(120):
        vectors, speaker, label = draw()
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(answer(vectors, speaker).flatten(0, 1), label.flatten()))
        optimiser.step()
    encoder.eval()
    vectors, speaker, label = draw()
    with torch.no_grad():
        right = answer(vectors, speaker).argmax(dim=-1) == label
    return float(right[:, 1:].float().mean())


def _told_at_first() -> tuple[Tensor, Tensor, Tensor]:
    """Return dialogues of one class throughout, which only the first turn shows."""
    label = torch.randint(CLASSES, (64, 1))
    vectors = torch.randn(64, TURNS, DIM)
    vectors[:, 0] += 3 * torch.eye(CLASSES, DIM)[label[:, 0]]
    return vectors, torch.full((64, TURNS), -1), label.expand(-1, TURNS)


@every_score
def test_it_learns_what_only_an_earlier_turn_told(score: Score) -> None:
    assert _accuracy(score, _told_at_first) > 0.75


def test_without_the_earlier_turns_it_stays_at_chance() -> None:
    assert _accuracy("dot", _told_at_first, apart=True) < 1 / CLASSES + 0.12


def _told_by_the_speaker() -> tuple[Tensor, Tensor, Tensor]:
    """Return dialogues of noise in which the first speaker keeps one class and the second another."""
    speaker = torch.randint(2, (64, TURNS))
    speaker[:, 0] = 0
    return torch.randn(64, TURNS, DIM), speaker, speaker


def test_who_speaks_matters() -> None:
    def unsaid() -> tuple[Tensor, Tensor, Tensor]:
        vectors, speaker, label = _told_by_the_speaker()
        return vectors, torch.full_like(speaker, -1), label

    assert _accuracy("dot", _told_by_the_speaker) > 0.9
    assert _accuracy("dot", unsaid) < 0.65


def test_the_table_keeps_dialogues_apart_and_clips_without_one_alone() -> None:
    table = turn_table(torch.tensor([3, 3, -1, -1, 0, 0, 0, 3]), 64)
    assert table.turns.tolist() == [[0, 1, -1], [2, -1, -1], [3, -1, -1], [4, 5, 6], [7, -1, -1]]
    assert table.row.tolist() == [0, 0, 1, 2, 3, 3, 3, 4]
    assert table.step.tolist() == [0, 1, 0, 0, 0, 1, 2, 0]


def test_a_turn_after_the_memory_has_a_row_of_its_own() -> None:
    table = turn_table(torch.tensor([5, 5, 5, 5, 6]), 2)
    assert table.turns.tolist() == [[0, 1], [1, 2], [2, 3], [4, -1]]
    assert table.row.tolist() == [0, 0, 1, 2, 3]
    assert table.step.tolist() == [0, 1, 1, 1, 0]

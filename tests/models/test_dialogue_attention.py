"""What attention over the turns of a dialogue must keep; see `clips.py` for the toy clips."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.clips import Clips
from emotrace.layers.turns import Score
from emotrace.models.dialogue_attention import DialogueAttention, DialogueAttentionConfig, TurnContext
from tests.models.clips import assert_answers, assert_same, filled, rows, toy_clips, toy_sizes
from tests.models.graphs import run_graph

SIZES = toy_sizes(3, bands=10, region_dim=8, crop_side=48)
SAMPLING = DialogueAttention.samplings["small"]
MEMORY = DialogueAttention.memory_turns


class RegionMean(nn.Module):
    """Reads the mean region, so that a test says what the vector of a turn is; with what a trained system also has."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(SIZES.region_dim))
        self.dropout = nn.Dropout(0.5)

    def forward(self, clips: Clips) -> Tensor:
        mean: Tensor = self.dropout(clips.regions.mean(dim=(1, 2, 3)) * self.scale)
        return mean


def _system(score: Score = "dot", context_turns: int | None = None, *, lent: bool = False) -> DialogueAttention:
    torch.manual_seed(0)
    system = DialogueAttention(DialogueAttentionConfig(sizes=SIZES, score=score, context_turns=context_turns))
    if lent:
        system.hear_with(RegionMean(), SIZES.region_dim)
    return system.eval()


def _dialogues(*lengths: int, seed: int = 0) -> Clips:
    """Return toy clips in dialogues of some lengths; 0 is a clip by itself."""
    numbers = [-1 if length == 0 else number for number, length in enumerate(lengths) for _ in range(max(1, length))]
    clips = toy_clips(SIZES, SAMPLING, len(numbers), seed)
    speaker = torch.arange(len(numbers)) % 2
    return clips._replace(dialogue=torch.tensor(numbers), speaker=speaker)


def _spoken(vectors: Tensor, dialogue: Tensor, label: Tensor) -> Clips:
    """Return clips for `RegionMean` with these vectors [B, D]."""
    batch = len(vectors)
    return Clips(
        pictures=torch.zeros(batch, 1, 1, 0, 0),
        regions=vectors[:, None, None, None],
        pictures_valid=torch.ones(batch, 1, 1, dtype=torch.bool),
        sound=torch.zeros(batch, 1, 1, 0),
        sound_valid=torch.zeros(batch, 1, 1, dtype=torch.bool),
        label=label,
        part_label=label[:, None],
        person=torch.full_like(label, -1),
        dialogue=dialogue,
        speaker=torch.arange(batch) % 2,
    )


@torch.no_grad()
def test_dialogues_of_a_batch_do_not_meet() -> None:
    system, clips = _system(), _dialogues(5, 0, 3, 0, 0, 1)
    together = system(clips)
    assert_answers(together, clips, SIZES, weighs=False)
    for chosen in (slice(0, 5), slice(5, 6), slice(6, 9), slice(11, 12)):
        alone = system(rows(clips, chosen))
        assert_same(alone, type(together)(*(values[chosen] for values in together)))


@torch.no_grad()
def test_earlier_turns_count_and_later_ones_do_not() -> None:
    system, clips = _system(), _dialogues(6)
    expected = system(clips).logits
    other = _dialogues(6, seed=1)
    later = Clips(*(torch.cat([ours[:3], theirs[3:]]) for ours, theirs in zip(clips, other, strict=True)))
    torch.testing.assert_close(system(later).logits[:3], expected[:3])
    assert not torch.allclose(system(later).logits[3:], expected[3:], atol=1e-4)
    earlier = Clips(*(torch.cat([theirs[:1], ours[1:]]) for ours, theirs in zip(clips, other, strict=True)))
    assert ((system(earlier).logits - expected).abs().amax(dim=1) > 1e-6).all()


def test_no_gradient_of_a_turn_reaches_those_after_it() -> None:
    system, clips = _system(), _dialogues(6)
    sound = clips.sound.clone().requires_grad_()
    torch.autograd.backward(system(clips._replace(sound=sound)).logits[2].sum())
    assert sound.grad is not None
    assert sound.grad[:3].any()
    assert not sound.grad[3:].any()


@torch.no_grad()
def test_garbage_in_what_is_not_valid_changes_nothing() -> None:
    system, clips = _system(), _dialogues(5, 0, 3)
    assert_same(system(filled(clips, torch.nan)), system(clips), tolerance=0)


@torch.no_grad()
def test_the_answer_is_the_conversation_about_the_vectors_of_the_turns() -> None:
    system, clips = _system(), _dialogues(2, 4)
    answer, vectors = system(clips), system.utterances(clips)
    assert torch.equal(answer.embedding, vectors)
    places, known = torch.tensor([[0, 1, 0, 0, 0], [2, 3, 4, 5, 0]]), torch.arange(5) < torch.tensor([[2], [4]])
    logits = system.converse(vectors[places], clips.speaker[places], known)
    torch.testing.assert_close(logits[known], answer.logits)


@pytest.mark.parametrize("context_turns", [None, 2])
@torch.no_grad()
def test_a_long_dialogue_is_answered_as_the_turns_that_are_remembered_would_be(context_turns: int | None) -> None:
    system = _system(context_turns=context_turns, lent=True)
    count = MEMORY + 6
    clips = _spoken(torch.randn(count, SIZES.region_dim), torch.zeros(count).long(), torch.zeros(count).long())
    logits = system(clips).logits
    for turn in (0, MEMORY - 1, MEMORY, count - 1):
        seen = rows(clips, slice(max(0, turn + 1 - MEMORY), turn + 1))
        torch.testing.assert_close(system(seen).logits[-1], logits[turn])
    forgotten = clips._replace(regions=torch.cat([clips.regions[:1] + 5, clips.regions[1:]]))
    changed = (system(forgotten).logits - logits).abs().amax(dim=1) > 0
    assert not changed[MEMORY:].any()
    assert changed[0]


@torch.no_grad()
def test_a_clip_by_itself_has_no_speaker() -> None:
    system, clips = _system(), _dialogues(0, 0)
    expected = system(clips._replace(speaker=torch.full((2,), -1)))
    assert_same(system(clips), expected, tolerance=0)
    assert not torch.allclose(system(clips._replace(dialogue=torch.tensor([0, 1]))).logits, expected.logits)


def test_the_loss_counts_the_clips_whose_label_is_known() -> None:
    system, clips = _system(), _dialogues(4, 0)
    masked = clips._replace(label=torch.where(torch.arange(5) % 2 == 0, clips.label, -1))
    logits = system(clips).logits
    expected = nn.functional.cross_entropy(logits[::2], clips.label[::2])
    torch.testing.assert_close(system.loss(masked), expected)
    nothing = system.loss(clips._replace(label=torch.full((5,), -1)))
    torch.autograd.backward(nothing)
    assert nothing.item() == 0
    assert not any(value.grad is None or value.grad.any() for value in system.parameters())


@torch.no_grad()
def test_it_shows_which_turns_were_looked_at() -> None:
    system = _system(lent=True)
    dialogue = torch.tensor([0] * 3 + [-1] + [7] * (MEMORY + 2))
    clips = _spoken(torch.randn(len(dialogue), SIZES.region_dim), dialogue, torch.zeros_like(dialogue))
    (shares,) = system.explain(clips)
    assert shares.shape == (len(dialogue), len(dialogue))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(dialogue)))
    assert not shares.triu(1).any()
    first = torch.tensor([0] * 3 + [3] + [4] * MEMORY + [5, 6])
    places = torch.arange(len(dialogue))
    expected = (places >= first[:, None]) & (places <= places[:, None])
    assert torch.equal(shares > 0, expected)


def _told_at_first(count: int = 24, turns: int = 5) -> tuple[Clips, Tensor]:
    """Return dialogues of one class throughout, which only the first turn shows; and which turns are not the first."""
    label = torch.randint(len(SIZES.classes), (count,)).repeat_interleave(turns)
    is_first = torch.arange(count * turns) % turns == 0
    vectors = torch.randn(count * turns, SIZES.region_dim)
    vectors += 3 * is_first[:, None] * torch.eye(len(SIZES.classes), SIZES.region_dim)[label]
    return _spoken(vectors, torch.arange(count).repeat_interleave(turns), label), ~is_first


def _by_themselves(clips: Clips) -> Clips:
    return clips._replace(dialogue=torch.full_like(clips.dialogue, -1))


def _accuracy(score: Score, arranged: Callable[[Clips], Clips] = lambda clips: clips) -> float:
    """Return the accuracy on new turns but the first of each dialogue, after training."""
    system = _system(score, lent=True).train()
    optimiser = torch.optim.Adam([value for value in system.parameters() if value.requires_grad], 0.01)
    for _ in range(100):
        optimiser.zero_grad()
        torch.autograd.backward(system.loss(arranged(_told_at_first()[0])))
        optimiser.step()
    clips, later = _told_at_first(80)
    with torch.no_grad():
        right = system.eval()(arranged(clips)).logits.argmax(dim=1) == clips.label
    return float(right[later].float().mean())


@pytest.mark.parametrize("score", ["dot", "general", "concat"])
def test_it_learns_what_only_an_earlier_turn_told(score: Score) -> None:
    assert _accuracy(score) > 0.75


def test_clips_by_themselves_stay_at_chance_where_an_earlier_turn_told() -> None:
    assert _accuracy("dot", _by_themselves) < 1 / len(SIZES.classes) + 0.12


def test_it_learns_a_toy_task_from_voice_and_face() -> None:
    system = _system().train()
    optimiser = torch.optim.Adam(system.parameters(), 5e-3)
    for step in range(25):
        optimiser.zero_grad()
        torch.autograd.backward(system.loss(toy_clips(SIZES, SAMPLING, 16, step, complete=True)))
        optimiser.step()
    fresh = toy_clips(SIZES, SAMPLING, 24, 1000, complete=True)
    with torch.no_grad():
        right = system.eval()(fresh).logits.argmax(dim=1) == fresh.label
    assert right.float().mean() > 0.8


def test_a_lent_encoder_stays_as_it_is() -> None:
    system = _system(lent=True)
    nn.Sequential(system).train()
    clips = _dialogues(3)
    assert torch.equal(system.utterances(clips), system.utterances(clips))  # its dropout is off
    assert system.dialogue.dropout.training
    torch.autograd.backward(system.loss(clips))
    still = [name for name, value in system.named_parameters() if value.grad is None]
    assert still == ["utterance.scale"]


def test_weights_are_taken_by_its_own_face_network_or_by_the_whole_of_a_lent_encoder() -> None:
    config = DialogueAttentionConfig(sizes=SIZES, visual="own")
    system = DialogueAttention(config)
    assert list(system.encoders()) == ["visual"]
    assert _system().encoders() == {}
    lent = DialogueAttention(config).utterance
    system.hear_with(lent, system.vector_dim)
    assert system.encoders() == {"utterance": lent}


@torch.no_grad()
def test_it_says_how_wide_the_vector_of_a_turn_is() -> None:
    for lent in (False, True):
        system, clips = _system(lent=lent), _dialogues(2)
        assert system.utterances(clips).shape == (2, system.vector_dim)


@torch.no_grad()
def test_weights_with_a_lent_encoder_are_saved_and_loaded_as_any_others() -> None:
    system, clips = _system(lent=True), _dialogues(4)
    encoder = system.utterance
    assert isinstance(encoder, RegionMean)
    encoder.scale.copy_(torch.linspace(1, 2, SIZES.region_dim))
    torch.manual_seed(1)
    fresh = DialogueAttention(DialogueAttentionConfig(sizes=SIZES))
    fresh.hear_with(RegionMean(), SIZES.region_dim)
    fresh.load_state_dict(system.state_dict())
    assert_same(fresh.eval()(clips), system(clips), tolerance=0)
    with pytest.raises(RuntimeError, match="utterance"):
        DialogueAttention(DialogueAttentionConfig(sizes=SIZES)).load_state_dict(system.state_dict())


def _running(count: int, turns: int) -> dict[str, Tensor]:
    """Return dialogues of several lengths, one of them full."""
    known = torch.arange(turns) < torch.tensor([max(1, turns - 2 * number) for number in range(count)])[:, None]
    vectors = torch.where(known[..., None], torch.randn(count, turns, SIZES.region_dim), torch.nan)
    return {"vectors": vectors, "speaker": torch.randint(-1, 3, (count, turns)), "known": known}


@pytest.mark.parametrize("score", ["dot", "general", "concat"])
@torch.no_grad()
def test_the_exported_conversation_gives_the_same_numbers_for_any_number_of_dialogues_and_turns(
    score: Score, tmp_path: Path
) -> None:
    network = TurnContext(_system(score, 3 if score == "general" else None, lent=True)).eval()
    example = _running(2, 4)
    axes: dict[str, Any] = {name: {0: "dialogues", 1: "turns"} for name in (*example, "alpha")}
    torch.onnx.export(
        network,
        tuple(example.values()),
        str(tmp_path / "context.onnx"),
        input_names=list(example),
        output_names=["logits", "alpha"],
        dynamic_axes=axes | {"logits": {0: "dialogues"}},
        opset_version=18,
        dynamo=False,
    )
    content = (tmp_path / "context.onnx").read_bytes()
    for count in (1, 3):
        for turns in (1, 5, MEMORY):
            given = _running(count, turns)
            logits, alpha = network(**given)
            found = run_graph(content, given)
            np.testing.assert_allclose(found[0], logits.numpy(), atol=1e-5)
            np.testing.assert_allclose(found[1], alpha.numpy(), atol=1e-5)


@torch.no_grad()
def test_a_running_dialogue_is_answered_as_the_whole_of_it_is() -> None:
    system, clips = _system(), _dialogues(5)
    logits, vectors, (shares,) = system(clips).logits, system.utterances(clips), system.explain(clips)
    context = TurnContext(system).eval()
    for turn in range(5):
        known = torch.arange(5)[None] <= turn
        said, alpha = context(vectors[None], clips.speaker[None], known)
        torch.testing.assert_close(said[0], logits[turn])
        torch.testing.assert_close(alpha[0], shares[turn])

from functools import cache
from typing import get_args

import pytest
import torch

from emotrace.errors import SettingsError
from emotrace.layers.steps import Steps, SystemOutput
from emotrace.models.decision_fusion import DecisionFusion, DecisionFusionConfig, Rule
from tests.models.steps import (
    accuracy,
    assert_finite,
    assert_same,
    spread,
    squared_error,
    toy_sizes,
    toy_steps,
    with_known,
    without_emotions,
)

SIZES = toy_sizes()
TRAINING = toy_steps(SIZES)
TEST = toy_steps(SIZES, seed=1)
RULES: tuple[Rule, ...] = get_args(Rule)
each_rule = pytest.mark.parametrize("rule", RULES)


def fitted(rule: Rule, training: list[Steps]) -> DecisionFusion:
    system = DecisionFusion(DecisionFusionConfig(sizes=SIZES, rule=rule))
    system.begin(training)
    return system


@cache
def usual(rule: Rule) -> DecisionFusion:
    return fitted(rule, TRAINING)


def machines_that_say(voice: list[float], face: list[float], rule: Rule) -> DecisionFusion:
    """Return a system whose machines say the same at every step: arousal, valence and the first emotions' scores."""
    system = DecisionFusion(DecisionFusionConfig(sizes=SIZES, rule=rule))
    for machine, said in ((system.voice, voice), (system.face, face)):
        machine.weight.zero_()
        machine.bias.copy_(torch.tensor([*said, *[-3.0] * (len(machine.bias) - len(said))]))
    return system


@each_rule
def test_it_has_no_memory(rule: Rule) -> None:
    whole, cut = usual(rule)(TEST[0]), usual(rule)(Steps(*(values[:, 40:] for values in TEST[0])))
    assert_same(cut, SystemOutput(*(values[:, 40:] for values in whole)), tolerance=1e-5)


@each_rule
def test_without_voice_the_face_decides_alone(rule: Rule) -> None:
    silent = with_known(TEST[0], voice=False, face=True)
    output = usual(rule)(silent._replace(voice=torch.randn_like(silent.voice)))
    assert_same(output, usual(rule)(silent))
    said = usual(rule).face(silent.regions.mean(dim=2))
    torch.testing.assert_close(output.arousal_valence, said[..., :2])
    torch.testing.assert_close(output.emotion_logits.softmax(dim=-1), said[..., 2:].softmax(dim=-1))
    assert (output.audio_weight == 0).all()


@each_rule
def test_without_both_it_says_what_is_most_common(rule: Rule) -> None:
    output = usual(rule)(with_known(TEST[0], voice=False, face=False))
    labels = torch.cat([each.arousal_valence for each in TRAINING], dim=1)[0]
    emotions = torch.cat([each.emotion for each in TRAINING], dim=1)[0]
    torch.testing.assert_close(output.arousal_valence[0, 0], labels.mean(dim=0))
    shares = torch.bincount(emotions, minlength=SIZES.num_emotions) / len(emotions)
    torch.testing.assert_close(output.emotion_logits[0, 0].softmax(dim=-1), shares, atol=1e-5, rtol=0)
    assert (output.audio_weight == 0.5).all()
    assert not output.valid.any()


@each_rule
def test_it_is_better_than_a_constant_on_new_recordings(rule: Rule) -> None:
    assert (squared_error(usual(rule), TEST) < 0.5 * spread(TEST)).all()
    assert accuracy(usual(rule), TEST) > 0.5


@pytest.mark.parametrize("rule", ["product", "weights"])
def test_the_noisier_modality_has_less_weight(rule: Rule) -> None:
    known = with_known(TEST[0], voice=True, face=True)
    assert fitted(rule, toy_steps(SIZES, voice_noise=2.0))(known).audio_weight.max() < 0.4
    assert fitted(rule, toy_steps(SIZES, face_noise=2.0))(known).audio_weight.min() > 0.6


def test_the_product_rule_multiplies_probabilities_and_gaussians() -> None:
    system = machines_that_say([0.4, 0.0, 1.0, 0.0], [-0.2, 0.6, 0.5, 2.0], "product")
    system.error.copy_(torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
    output = system(with_known(TEST[0], voice=True, face=True))
    torch.testing.assert_close(output.arousal_valence[0, 0], torch.tensor([0.0, 0.2]), atol=1e-5, rtol=0)
    voice, face = (machine.bias[2:].softmax(dim=0) for machine in (system.voice, system.face))
    expected = voice * face / (voice * face).sum()
    torch.testing.assert_close(output.emotion_logits[0, 0].softmax(dim=0), expected)
    torch.testing.assert_close(output.audio_weight[0, 0], torch.tensor(0.5))


def test_weights_are_by_merit_and_none_is_negative() -> None:
    system = machines_that_say([0.4, 0.0, 1.0, 0.0], [-0.2, 0.6, 0.5, 2.0], "weights")
    system.merit.copy_(torch.tensor([[0.6, 0.0, 0.75], [0.2, 0.5, 0.25]]))
    output = system(with_known(TEST[0], voice=True, face=True))
    torch.testing.assert_close(output.arousal_valence[0, 0], torch.tensor([0.25, 0.6]), atol=1e-5, rtol=0)
    voice, face = (machine.bias[2:].softmax(dim=0) for machine in (system.voice, system.face))
    mixed = 0.75 * voice + 0.25 * face
    torch.testing.assert_close(output.emotion_logits[0, 0].softmax(dim=0), mixed, atol=1e-5, rtol=0)


def test_rules_average_where_both_agree_and_else_take_the_larger_margin() -> None:
    # Arousal: both positive. Valence: the face is further from 0. Emotion: the voice is surer of its first.
    system = machines_that_say([0.4, 0.1, 2.0, 0.0], [0.2, -0.6, 0.5, 1.0], "rules")
    output = system(with_known(TEST[0], voice=True, face=True))
    torch.testing.assert_close(output.arousal_valence[0, 0], torch.tensor([0.3, -0.6]), atol=1e-5, rtol=0)
    voice = system.voice.bias[2:].softmax(dim=0)
    torch.testing.assert_close(output.emotion_logits[0, 0].softmax(dim=0), voice, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.audio_weight[0, 0], torch.tensor(0.25), atol=1e-5, rtol=0)


def test_merit_is_that_of_recordings_not_fitted_on() -> None:
    # Labels of the second half are turned round, so that what one half teaches is wrong in the other.
    turned = [
        each._replace(arousal_valence=-each.arousal_valence, emotion=3 - each.emotion) if number >= 3 else each
        for number, each in enumerate(TRAINING)
    ]
    system = fitted("weights", turned)
    assert (usual("weights").merit > 0.5).all()
    assert (system.merit[:, :2] < 0.1).all()
    assert (system.merit[:, 2] < 0.3).all()


@each_rule
def test_without_any_emotion_label_the_logits_are_zero(rule: Rule) -> None:
    output = fitted(rule, [without_emotions(each) for each in TRAINING])(TEST[0])
    torch.testing.assert_close(output.emotion_logits, torch.zeros_like(output.emotion_logits), atol=1e-5, rtol=0)


@each_rule
def test_a_modality_that_was_never_known_in_training_says_the_mean(rule: Rule) -> None:
    system = fitted(rule, [with_known(each, voice=False) for each in TRAINING])
    output = system(with_known(TEST[0], voice=True, face=False))
    torch.testing.assert_close(output.arousal_valence, system.mean.expand_as(output.arousal_valence))
    assert_finite(system(TEST[0]))


def test_few_training_steps_are_spread_over_all_recordings() -> None:
    last_tells = [*TRAINING[:-1], TRAINING[-1]._replace(arousal_valence=TRAINING[-1].arousal_valence + 50)]
    system = DecisionFusion(DecisionFusionConfig(sizes=SIZES, max_steps=60))
    system.begin(last_tells)
    said = system(with_known(TEST[0], voice=True, face=False)).arousal_valence
    assert said.mean() > 2


def test_labels_and_inputs_that_never_move_give_finite_answers() -> None:
    still = [
        each._replace(arousal_valence=torch.zeros_like(each.arousal_valence), voice=torch.zeros_like(each.voice))
        for each in TRAINING
    ]
    assert_finite(fitted("product", still)(TEST[0]))


def test_one_recording_cannot_judge_itself() -> None:
    with pytest.raises(SettingsError, match="1 training recording"):
        fitted("weights", TRAINING[:1])

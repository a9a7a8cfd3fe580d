from functools import cache

import pytest
import torch

from emotrace.layers.steps import Steps, SystemOutput
from emotrace.models.kalman_fusion import KalmanFusion, KalmanFusionConfig, kalman_filter
from tests.models.steps import (
    accuracy,
    assert_finite,
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


def fitted(training: list[Steps]) -> KalmanFusion:
    system = KalmanFusion(KalmanFusionConfig(sizes=SIZES))
    system.begin(training)
    return system


@cache
def usual() -> KalmanFusion:
    return fitted(TRAINING)


def test_it_is_far_better_than_a_constant_on_new_recordings() -> None:
    assert (squared_error(usual(), TEST) < 0.3 * spread(TEST)).all()
    assert accuracy(usual(), TEST) > 0.6


def test_it_is_better_than_its_own_voice_or_face_alone() -> None:
    alone = [
        squared_error(usual(), [with_known(each, **{other: False}) for each in TEST]) for other in ("voice", "face")
    ]
    assert (squared_error(usual(), TEST) < torch.stack(alone).amin(dim=0)).all()


def test_the_weight_goes_to_the_modality_that_is_there() -> None:
    def weight(voice: bool, face: bool) -> torch.Tensor:
        output: SystemOutput = usual()(with_known(TEST[0], voice=voice, face=face))
        return output.audio_weight

    assert (weight(True, False) == 1).all()
    assert (weight(False, True) == 0).all()
    assert (weight(False, False) == 0.5).all()
    assert ((weight(True, True) > 0) & (weight(True, True) < 1)).all()


def test_the_noisier_modality_has_less_weight() -> None:
    known = with_known(TEST[0], voice=True, face=True)
    assert fitted(toy_steps(SIZES, voice_noise=2.0))(known).audio_weight.max() < 0.4
    assert fitted(toy_steps(SIZES, face_noise=2.0))(known).audio_weight.min() > 0.6


def voice_error(system: KalmanFusion, recordings: list[Steps]) -> torch.Tensor:
    said = system.voice(torch.cat([each.voice[each.audio_valid] for each in recordings]))[:, :2]
    labels = torch.cat([each.arousal_valence[each.audio_valid] for each in recordings])
    error: torch.Tensor = (said - labels).square().mean()
    return error


def test_the_noise_is_that_of_new_recordings_and_not_that_of_the_fit() -> None:
    sizes = toy_sizes((60,))
    training, new = (toy_steps(sizes, num_steps=40, voice_noise=6.0, seed=seed) for seed in (0, 1))
    system = KalmanFusion(KalmanFusionConfig(sizes=sizes))
    system.begin(training)
    noise = system.noise[0, :2].mean()
    assert noise > 1.3 * voice_error(system, training)
    assert noise > 0.9 * voice_error(system, new)


def test_the_regression_is_the_one_with_least_squares_and_a_ridge() -> None:
    inputs = torch.cat([each.voice[each.audio_valid] for each in TRAINING]).double()
    labels = torch.cat([each.arousal_valence[each.audio_valid] for each in TRAINING]).double()
    centre, scale = inputs.mean(dim=0), inputs.std(dim=0, correction=0)
    standard = (inputs - centre) / scale
    found = []
    for ridge in (0.01, 0.1, 1.0, 10.0):
        rows = torch.cat([standard, (len(inputs) * ridge) ** 0.5 * torch.eye(6, dtype=torch.float64)])
        targets = torch.cat([labels - labels.mean(dim=0), torch.zeros(6, 2, dtype=torch.float64)])
        found.append((torch.linalg.lstsq(rows, targets).solution / scale.unsqueeze(1)).T.float())
    assert any(torch.allclose(usual().voice.weight[:2], each, atol=1e-5) for each in found)


def test_one_step_is_the_mean_weighted_by_variances() -> None:
    # prior 0.2 +- 4, measurements 1 +- 1 and -0.5 +- 0.5: precisions 0.25, 1, 2
    mean, variance = kalman_filter(
        measured=torch.tensor([[[[1.0], [-0.5]]]]),
        precision=torch.tensor([[[[1.0], [2.0]]]]),
        drift=torch.tensor([9.0]),
        mean=torch.tensor([0.2]),
        variance=torch.tensor([4.0]),
    )
    assert mean.item() == pytest.approx((0.25 * 0.2 + 1 * 1 - 2 * 0.5) / 3.25, rel=1e-5)
    assert variance.item() == pytest.approx(1 / 3.25)


def test_without_measurements_it_keeps_its_answer_and_loses_confidence_a_drift_at_a_time() -> None:
    precision = torch.tensor([4.0, 0.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
    measured = torch.tensor([0.7, 9.0, 9.0, 9.0]).reshape(1, 4, 1, 1)
    start = {"mean": torch.tensor([0.0]), "variance": torch.tensor([1.0])}
    means, variances = kalman_filter(measured, precision, torch.tensor([0.1]), **start)
    assert means.flatten().tolist() == pytest.approx([0.56] * 4)
    assert variances.flatten().tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_after_a_failure_it_believes_a_measurement_more() -> None:
    def last_move(measured_steps: list[float]) -> float:
        precision = torch.tensor([*measured_steps, 1.0]).reshape(1, -1, 1, 1)
        measured = torch.cat([torch.zeros(1, len(measured_steps), 1, 1), torch.ones(1, 1, 1, 1)], dim=1)
        start = {"mean": torch.zeros(1), "variance": torch.ones(1)}
        return float(kalman_filter(measured, precision, torch.tensor([0.1]), **start)[0][0, -1])

    assert last_move([1.0] * 6 + [0.0] * 20) > last_move([1.0] * 26)


def test_without_any_emotion_label_the_logits_are_zero() -> None:
    output = fitted([without_emotions(each) for each in TRAINING])(TEST[0])
    torch.testing.assert_close(output.emotion_logits, torch.zeros_like(output.emotion_logits), atol=1e-4, rtol=0)
    torch.testing.assert_close(output.arousal_valence, usual()(TEST[0]).arousal_valence)


def test_a_modality_that_was_never_known_in_training_says_the_mean() -> None:
    output = fitted([with_known(each, voice=False) for each in TRAINING])(with_known(TEST[0], voice=True, face=False))
    mean = torch.cat([each.arousal_valence for each in TRAINING], dim=1).mean(dim=(0, 1))
    torch.testing.assert_close(output.arousal_valence, mean.expand_as(output.arousal_valence))


def test_labels_and_inputs_that_never_move_give_finite_answers() -> None:
    still = [
        each._replace(arousal_valence=torch.zeros_like(each.arousal_valence), voice=torch.zeros_like(each.voice))
        for each in TRAINING
    ]
    assert_finite(fitted(still)(TEST[0]))

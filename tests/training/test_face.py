"""FER+ -> what the face branch is trained and measured on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from emotrace.encoders.face_cnn import FaceCnn
from emotrace.encoders.improved_alexnet import ImprovedAlexNet
from emotrace.errors import CorpusError
from emotrace.labels import EMOTIONS, FERPLUS_COLUMNS
from emotrace.training.face import FaceSource, build, held_out_source, training_source
from emotrace.training.presets import DefaultSettings
from emotrace.training.settings import FaceSettings
from tests.training.trees import Votes, write_faces

HAPPY, DISGUST = EMOTIONS.index("happiness"), EMOTIONS.index("disgust")
MANY = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve happy faces, one of every other emotion; beside them what no one can learn from."""
    training: list[Votes] = [{"happiness": 10}] * (MANY - 1) + [{emotion: 10} for emotion in FERPLUS_COLUMNS]
    unsure: Votes = {"anger": 4, "fear": 3, "sadness": 3}
    held_out: list[Votes] = [{"anger": 6, "fear": 4}, unsure, {"sadness": 1}, {"sadness": 8, "fear": 2}]
    return write_faces(
        tmp_path_factory.mktemp("ferplus"),
        {"FER2013Train": [*training, unsure, {}], "FER2013Valid": held_out, "FER2013Test": [{"fear": 10}]},
    )


@pytest.fixture(scope="module")
def source(root: Path) -> FaceSource:
    return training_source(root)


def test_training_keeps_unsure_faces_as_distributions_and_drops_those_without_an_emotion(source: FaceSource) -> None:
    assert len(source.targets) == MANY + 7 + 1
    torch.testing.assert_close(source.targets.sum(dim=1), torch.ones(len(source.targets)))
    unsure = source.targets[-1]
    assert [float(unsure[EMOTIONS.index(each)]) for each in ("anger", "fear", "sadness")] == pytest.approx(
        [0.4, 0.3, 0.3]
    )


def test_rare_emotions_are_drawn_more_often_and_the_prior_says_how_often(source: FaceSource) -> None:
    happy, disgusted = (source.draw_weight[source.targets[:, each] == 1][0] for each in (HAPPY, DISGUST))
    assert float(disgusted / happy) == pytest.approx(MANY**0.35, rel=1e-5)
    prior = source.prior()
    assert sum(prior) == pytest.approx(1)
    share = source.targets.mean(dim=0)
    assert prior[DISGUST] > share[DISGUST]
    assert prior[HAPPY] < share[HAPPY]
    drawn = torch.multinomial(source.draw_weight, 20_000, True, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(source.targets[drawn].mean(dim=0), prior, atol=0.01)


def test_held_out_images_are_those_with_a_majority_that_counts_alone(root: Path) -> None:
    held_out = held_out_source(root, "validation")
    told = [EMOTIONS[int(place)] for place in held_out.targets.argmax(dim=1)]
    assert told == ["anger", "sadness"]
    assert torch.equal(held_out.targets.sum(dim=1), torch.ones(2))
    assert set(held_out.targets.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(held_out.draw_weight, torch.ones(2))


def test_crops_are_in_0_to_1_and_disturbed_only_for_training(source: FaceSource) -> None:
    chosen = torch.tensor([3, 0])
    crops = source.draw(chosen, None)
    assert torch.equal((crops * 255).round().to(torch.uint8)[:, 0], source.pixels[chosen])
    assert not torch.equal(source.draw(chosen, torch.Generator().manual_seed(0)), crops)


def test_a_corpus_without_an_emotion_is_refused_by_name(tmp_path: Path) -> None:
    pictures: list[Votes] = [{emotion: 10} for emotion in FERPLUS_COLUMNS if emotion not in ("disgust", "contempt")]
    folders = {"FER2013Train": pictures, "FER2013Valid": pictures[:1], "FER2013Test": pictures[:1]}
    with pytest.raises(CorpusError, match="no training image shows disgust, contempt"):
        training_source(write_faces(tmp_path, folders))


def test_a_seed_draws_the_weights_and_the_name_the_network() -> None:
    settings = DefaultSettings().face
    one, same, other = (build(settings.model_copy(update={"seed": seed})) for seed in (0, 0, 1))
    assert isinstance(one, FaceCnn)
    first, again, third = (torch.cat([each.flatten() for each in net.parameters()]) for net in (one, same, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, third)
    alexnet = build(settings.model_copy(update={"network": "improved-alexnet"}))
    assert isinstance(alexnet, ImprovedAlexNet)
    with torch.inference_mode():
        regions, logits = alexnet.eval()(torch.rand(1, 1, 48, 48))
    assert regions.ndim == 3
    assert logits.shape == (1, 8)
    with pytest.raises(ValidationError, match=r"'face-cnn' or 'improved-alexnet'"):
        FaceSettings.model_validate(settings.model_dump() | {"network": "descriptor-mlp"})

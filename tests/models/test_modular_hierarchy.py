from dataclasses import replace

import pytest
import torch

from emotrace.errors import SettingsError
from emotrace.layers.steps import Steps
from emotrace.losses import rmse_loss
from emotrace.models.modular_hierarchy import ModularHierarchy, ModularHierarchyConfig
from tests.models.steps import assert_same, spread, squared_error, toy_sizes, toy_steps, with_known

SIZES = toy_sizes()
TEST = toy_steps(SIZES, seed=1)


def fresh(voice_shape: tuple[int, ...] = (6,)) -> ModularHierarchy:
    torch.manual_seed(0)
    return ModularHierarchy(ModularHierarchyConfig(sizes=toy_sizes(voice_shape), dropout=0.0)).eval()


def trained() -> ModularHierarchy:
    system = fresh()
    batch = Steps(*(torch.cat(parts) for parts in zip(*toy_steps(SIZES, recordings=8), strict=True)))
    optimiser = torch.optim.Adam(system.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        outputs = system.outputs_to_train(batch)
        losses = [rmse_loss(each.arousal_valence, batch.arousal_valence, each.valid) for each in outputs]
        torch.autograd.backward(torch.stack(losses).sum())
        optimiser.step()
    return system


def test_it_remembers_earlier_steps() -> None:
    system = fresh()
    cut = Steps(*(values[:, 40:] for values in TEST[0]))
    assert not torch.allclose(system(cut).arousal_valence[:, 0], system(TEST[0]).arousal_valence[:, 40])


def test_it_can_tell_a_missing_voice_from_one_that_is_all_average() -> None:
    system = fresh()
    average = TEST[0]._replace(voice=torch.zeros_like(TEST[0].voice))
    heard, silent = (system(with_known(average, voice=known)).arousal_valence for known in (True, False))
    assert not torch.allclose(heard, silent)


def test_each_module_answers_by_itself_where_its_modality_is_known() -> None:
    system = fresh()
    whole, voice, face = system.outputs_to_train(TEST[0])
    assert torch.equal(whole.valid, TEST[0].audio_valid | TEST[0].video_valid)
    assert torch.equal(voice.valid, TEST[0].audio_valid)
    assert torch.equal(face.valid, TEST[0].video_valid)

    other_face = TEST[0]._replace(regions=TEST[0].regions + 1)
    whole_after, voice_after, face_after = system.outputs_to_train(other_face)
    assert_same(voice_after, voice)
    assert not torch.allclose(face_after.arousal_valence, face.arousal_valence)
    assert not torch.allclose(whole_after.arousal_valence, whole.arousal_valence)


def test_upper_middle_and_lower_regions_have_sub_modules_of_their_own() -> None:
    system = fresh()
    steps = with_known(TEST[0], face=True)
    raised = torch.zeros(9, 1)
    raised[3:6] = 1  # the middle row of three
    bands = [system._bands(each) for each in (steps, steps._replace(regions=steps.regions + raised))]
    moved = [float((after - before).mean()) for before, after in zip(*bands, strict=True)]
    assert moved == pytest.approx([0, 1, 0], abs=1e-5)


def test_consecutive_descriptors_share_a_sub_module() -> None:
    system = fresh((10,))
    assert [part[0].in_features for part in system.voice.parts] == [3, 3, 2, 2]  # type: ignore[index]


def test_trained_it_is_far_better_than_a_constant_on_new_recordings() -> None:
    assert (squared_error(trained(), TEST) < 0.3 * spread(TEST)).all()


def test_regions_that_are_no_square_grid_are_refused() -> None:
    with pytest.raises(SettingsError, match="8 face regions"):
        ModularHierarchy(ModularHierarchyConfig(sizes=replace(SIZES, num_regions=8)))

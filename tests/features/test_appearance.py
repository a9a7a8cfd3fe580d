"""Looks of drawn people: alike for one person, unlike for two, whatever the exposure, size and picture's edge."""

import numpy as np
import pytest

from emotrace.features.appearance import NUM_NUMBERS, looks
from emotrace.types import Face, FloatArray
from tests.features.drawn_people import DrawnPerson, View, draw_scene

PEOPLE = [DrawnPerson.of(seed) for seed in (3, 5, 8, 11)]


def look(person: DrawnPerson, *, scale: float = 40.0, exposure: float = 1.0, expression: int = 0) -> FloatArray:
    view = View([(person, (320, 140), scale)], (70, 90, 140), exposure)
    picture, faces = draw_scene(view, np.random.default_rng(expression), expression)
    return np.asarray(looks(picture, 1.0, faces)[0])


def test_a_look_has_length_one_and_is_not_negative() -> None:
    row = look(PEOPLE[0])
    assert row.shape == (NUM_NUMBERS,)
    assert row.dtype == np.float32
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    assert row.min() >= 0


def test_a_person_stays_alike_in_other_expression_size_and_exposure() -> None:
    for person in PEOPLE:
        usual = look(person)
        assert usual @ look(person, expression=3) > 0.9
        assert usual @ look(person, scale=52.0) > 0.85
        assert usual @ look(person, exposure=0.6) > 0.85


def test_two_people_are_unlike() -> None:
    rows = np.stack([look(person) for person in PEOPLE])
    between = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    assert between.max() < 0.75


def test_the_picture_may_be_smaller_than_the_frame() -> None:
    picture, faces = draw_scene(View([(PEOPLE[0], (320, 140), 40.0)], (70, 90, 140)), np.random.default_rng(0))
    half = picture.reshape(180, 2, 320, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    assert looks(picture, 1.0, faces)[0] @ looks(half, 0.5, faces)[0] > 0.95


def test_rows_do_not_depend_on_the_other_faces() -> None:
    view = View([(person, (80 + 160 * place, 150), 30.0) for place, person in enumerate(PEOPLE)], (90, 90, 90))
    picture, faces = draw_scene(view, np.random.default_rng(0))
    together = looks(picture, 1.0, faces)
    for index, face in enumerate(faces):
        np.testing.assert_allclose(looks(picture, 1.0, [face])[0], together[index], atol=1e-6)


def test_faces_at_and_beyond_the_edge_and_black_pictures_give_finite_looks() -> None:
    faces = [Face(-60, -60, 100, 100, 1.0), Face(600, 300, 200, 200, 1.0), Face(5000, 5000, 50, 50, 1.0)]
    for picture in (np.zeros((360, 640, 3), np.uint8), np.full((360, 640, 3), 255, np.uint8)):
        rows = looks(picture, 1.0, faces)
        assert np.isfinite(rows).all()
        assert rows.shape == (3, NUM_NUMBERS)
    assert looks(picture, 1.0, []).shape == (0, NUM_NUMBERS)

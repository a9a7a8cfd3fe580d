"""Made-up boxes and looks, drawn people filmed from two sides, and real pictures."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.features.appearance import looks
from emotrace.features.faces import Detector, HaarDetector, YuNetDetector
from emotrace.features.people import MAX_FACES, MAX_PERSONS, People, Presence, meet
from emotrace.media import VideoFrame, open_clip
from emotrace.recipe import VideoRecipe
from emotrace.types import Face, FloatArray, Image
from tests.features.drawn_people import DrawnPerson, View, draw_scene

RECIPE = VideoRecipe(switch_seconds=1.0)
STEP = 0.08
SIZE = 64
"""Of a made-up look."""

Place = tuple[float, float]
Track = Callable[[float], Place | None]
"""Where a person is at a time; None: not to be seen."""


@dataclass(frozen=True)
class Shot:
    """One picture: what was detected, and who it really is (None: a false detection)."""

    time_seconds: float
    faces: list[Face]
    looks: FloatArray
    truth: list[str | None]


def look_of(rng: np.random.Generator) -> FloatArray:
    """A look that has little in common with others: a few colours of many."""
    shares = rng.dirichlet(np.full(SIZE, 0.15))
    return np.sqrt(shares).astype(np.float32)


def seen_again(look: FloatArray, rng: np.random.Generator, noise: float = 0.03) -> FloatArray:
    return np.maximum(0, look + rng.normal(0, noise, SIZE)).astype(np.float32)


def film(
    tracks: dict[str, Track],
    seconds: float,
    seed: int = 0,
    *,
    jitter: float = 0.0,
    missed: float = 0.0,
    false: float = 0.0,
) -> list[Shot]:
    """Film people for a while.

    Args:
        tracks: name -> where.
        seconds: how long.
        seed: of looks and noise.
        jitter: deviation of the boxes in sides.
        missed: chance that a face is not detected.
        false: chance of a false detection somewhere, in each picture.
    """
    rng = np.random.default_rng(seed)
    styles = {name: look_of(rng) for name in tracks}
    shots = []
    for index in range(round(seconds / STEP)):
        found: list[tuple[Face, FloatArray, str | None]] = []
        for name, track in tracks.items():
            place = track(index * STEP)
            if place is not None and rng.random() >= missed:
                off = rng.normal(0, 1, 3) * jitter * 100
                found.append(
                    (square(place[0] + off[0], place[1] + off[1], 100 + off[2]), seen_again(styles[name], rng), name)
                )
        if rng.random() < false:
            found.append((square(rng.uniform(0, 1900), rng.uniform(0, 1900), rng.uniform(40, 150)), look_of(rng), None))
        faces = [face for face, _, _ in found]
        rows = np.array([look for _, look, _ in found], np.float32).reshape(len(found), SIZE)
        shots.append(Shot(index * STEP, faces, rows, [name for _, _, name in found]))
    return shots


def square(x: float, y: float, side: float = 100.0, confidence: float = 0.9) -> Face:
    return Face(x - side / 2, y - side / 2, side, side, confidence)


def numbers(shots: list[Shot]) -> list[dict[int, str | None]]:
    """For each picture: number -> who it really is, by the nearest detected face."""
    state, answers = People(), []
    for shot in shots:
        state, sightings = meet(state, shot.faces, shot.looks, shot.time_seconds, RECIPE)
        answers.append({each.person: shot.truth[nearest(each.face, shot.faces)] for each in sightings})
        assert len(answers[-1]) == len(sightings)
    return answers


def nearest(face: Face, faces: list[Face]) -> int:
    return min(range(len(faces)), key=lambda index: math.hypot(faces[index].x - face.x, faces[index].y - face.y))


def meanings(answers: list[dict[int, str | None]]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for answer in answers:
        for number, name in answer.items():
            found.setdefault(number, set()).add(name or "false")
    return found


def identity_f1(shots: list[Shot], answers: list[dict[int, str | None]]) -> float:
    """IDF1 with each number standing for whom it was seen on most: 1 where every sighting has its one right number."""
    pairs = Counter((number, name) for answer in answers for number, name in answer.items() if name is not None)
    best: dict[str, tuple[int, int]] = {}
    for (number, name), count in pairs.items():
        if count > best.get(name, (0, -1))[0]:
            best[name] = (count, number)
    right = sum(count for count, _ in best.values())
    real = sum(name is not None for shot in shots for name in shot.truth)
    return 2 * right / (real + sum(len(answer) for answer in answers))


def still(x: float, y: float = 300.0) -> Track:
    return lambda time: (x, y)


# Clean scenes: nobody is confused


def test_two_people_who_sit_still_are_numbered_after_three_pictures() -> None:
    answers = numbers(film({"a": still(300), "b": still(700)}, 2.0))
    assert answers[0] == answers[1] == {}
    assert all(set(answer.values()) == {"a", "b"} and set(answer) == {0, 1} for answer in answers[2:])


def test_people_who_pass_each_other_keep_their_numbers() -> None:
    walk: dict[str, Track] = {"a": lambda time: (200 + 200 * time, 300), "b": lambda time: (1000 - 200 * time, 320)}
    found = meanings(numbers(film(walk, 4.0)))
    assert sorted(map(sorted, found.values())) == [["a"], ["b"]]


def test_people_of_the_same_look_keep_their_numbers_when_they_pass_each_other() -> None:
    walk: dict[str, Track] = {"a": lambda time: (200 + 300 * time, 300), "b": lambda time: (1400 - 300 * time, 340)}
    shots = film(walk, 4.0)
    alike = np.ones(SIZE, np.float32)
    same = [Shot(shot.time_seconds, shot.faces, np.tile(alike, (len(shot.faces), 1)), shot.truth) for shot in shots]
    assert sorted(map(sorted, meanings(numbers(same)).values())) == [["a"], ["b"]]


def test_who_was_hidden_for_three_seconds_returns_under_the_old_number_wherever_that_is() -> None:
    def hidden(time: float) -> Place | None:
        return (600, 300) if time < 2 else None if time < 5 else (1500, 500)

    answers = numbers(film({"a": still(200), "b": hidden, "c": still(1000)}, 8.0))
    assert sorted(map(sorted, meanings(answers).values())) == [["a"], ["b"], ["c"]]
    assert len(answers[-1]) == 3


def test_a_cut_that_changes_all_places_changes_no_number() -> None:
    places = {"a": (300.0, 900.0), "b": (600.0, 300.0), "c": (900.0, 600.0)}

    def seated(near: float, far: float) -> Track:
        return lambda time: (near if int(time / 1.5) % 2 == 0 else far, 300)

    shots = film({name: seated(*two) for name, two in places.items()}, 9.0)
    answers = numbers(shots)
    assert sorted(map(sorted, meanings(answers).values())) == [["a"], ["b"], ["c"]]
    assert identity_f1(shots, answers) > 0.93  # each of six shots begins with two pictures without numbers


def test_another_person_at_the_same_place_after_a_cut_is_another_person() -> None:
    def in_turns(first: bool) -> Track:
        return lambda time: (500, 300) if (int(time / 1.2) % 2 == 0) is first else None

    answers = numbers(film({"a": in_turns(True), "b": in_turns(False)}, 7.2))
    assert meanings(answers) == {0: {"a"}, 1: {"b"}}


def test_who_enters_gets_a_new_number_and_whose_visit_ends_takes_none_from_others() -> None:
    def visit(start: float, stop: float, x: float) -> Track:
        return lambda time: (x, 300) if start <= time < stop else None

    tracks = {str(index): visit(index * 1.0, index * 1.0 + 3.0, 200 + 300 * (index % 4)) for index in range(8)}
    found = meanings(numbers(film(tracks, 11.0)))
    assert found == {index: {str(index)} for index in range(8)}


def test_thirty_people_are_told_apart() -> None:
    def in_row(index: int) -> Track:
        return lambda time: (100 + 170 * (index % 10) + 30 * math.sin(time + index), 200 + 250 * (index // 10))

    tracks = {str(index): in_row(index) for index in range(30)}
    found = meanings(numbers(film(tracks, 4.0, jitter=0.02)))
    assert len(found) == 30
    assert all(len(names) == 1 for names in found.values())


def test_pictures_seconds_apart_still_make_persons() -> None:
    state, counted = People(), []
    look = np.ones((1, SIZE), np.float32)
    for index in range(6):
        state, sightings = meet(state, [square(300, 300)], look, 3.0 * index, RECIPE)
        counted.append([each.person for each in sightings])
    assert counted == [[], [], [0], [0], [0], [0]]


def test_two_boxes_on_one_face_are_one_person() -> None:
    state, look = People(), np.ones((2, SIZE), np.float32)
    for index in range(10):
        faces = [square(300, 300), square(312, 296, 90)] if index > 4 else [square(300, 300)]
        state, sightings = meet(state, faces, look[: len(faces)], index * STEP, RECIPE)
    assert [each.person for each in sightings] == [0]
    assert state.num_persons == 1


def test_a_gradual_change_of_look_is_followed_and_both_looks_are_known_later() -> None:
    rng = np.random.default_rng(3)
    first, last = look_of(rng), look_of(rng)
    state = People()
    for index in range(100):
        share = index / 99
        look = np.sqrt((1 - share) * first**2 + share * last**2)[None]
        state, sightings = meet(state, [square(300, 300)], look, index * STEP, RECIPE)
    for pause, look in ((20.0, first), (30.0, last)):
        for index in range(3):
            state, sightings = meet(state, [square(900, 300)], look[None], pause + index * STEP, RECIPE)
        assert [each.person for each in sightings] == [0], pause


# Noisy scenes: few are confused


def test_false_detections_that_come_and_go_are_no_persons() -> None:
    shots = film({"a": still(300), "b": still(700)}, 20.0, seed=1, false=0.5)
    found = meanings(numbers(shots))
    assert sum(None in shot.truth for shot in shots) > 80
    assert sorted(map(sorted, found.values())) == [["a"], ["b"]]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_jitter_and_missed_faces_cost_few_identities(seed: int) -> None:
    def wander(index: int) -> Track:
        return lambda time: (
            900 + 700 * math.sin(0.5 * time + 1.3 * index),
            500 + 300 * math.cos(0.37 * time + 2.1 * index),
        )

    tracks = {str(index): wander(index) for index in range(6)}
    shots = film(tracks, 30.0, seed, jitter=0.04, missed=0.1, false=0.2)
    answers = numbers(shots)
    assert identity_f1(shots, answers) > 0.93
    assert len(meanings(answers)) <= 8


# What always holds


@st.composite
def crowds(draw: st.DrawFn) -> list[tuple[list[Face], FloatArray]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = [look_of(rng) for _ in range(4)]
    crowd = []
    for _ in range(draw(st.integers(1, 20))):
        count = draw(st.integers(0, 5))
        faces = [
            square(60.0 * rng.integers(8), 60.0 * rng.integers(8), rng.uniform(80, 120), rng.uniform(0.5, 1))
            for _ in range(count)
        ]
        rows = np.array([seen_again(kinds[rng.integers(4)], rng) for _ in range(count)], np.float32)
        crowd.append((faces, rows.reshape(count, SIZE)))
    return crowd


@settings(max_examples=40)
@given(crowd=crowds(), step=st.floats(0.02, 2.0))
def test_one_number_for_one_face_new_numbers_in_order_and_any_order_of_faces(
    crowd: list[tuple[list[Face], FloatArray]], step: float
) -> None:
    state, mirrored, highest = People(), People(), -1
    for index, (faces, rows) in enumerate(crowd):
        state, sightings = meet(state, faces, rows, index * step, RECIPE)
        mirrored, same = meet(mirrored, faces[::-1], rows[::-1], index * step, RECIPE)
        assert flat(sightings) == flat(same)
        persons = [each.person for each in sightings]
        assert persons == sorted(set(persons))
        assert len(persons) <= len(faces)
        fresh = [person for person in persons if person > highest]
        assert fresh == list(range(highest + 1, highest + 1 + len(fresh)))
        highest += len(fresh)
    assert state.num_persons == highest + 1


def flat(sightings: tuple[Presence, ...]) -> list[tuple[float, ...]]:
    return [(each.person, each.face.x, each.face.y, each.face.width, each.face.confidence) for each in sightings]


def test_memory_is_bounded_and_a_forgotten_number_is_not_given_again() -> None:
    rng = np.random.default_rng(0)
    state, seen = People(), []
    for visitor in range(90):
        look = look_of(rng)[None]
        for index in range(4):
            state, sightings = meet(state, [square(300, 300)], look, visitor * 3.0 + index * STEP, RECIPE)
            seen += [each.person for each in sightings]
    assert len(state.tracks) == MAX_PERSONS
    assert seen == sorted(seen)
    assert max(seen) == state.num_persons - 1 > MAX_PERSONS
    hundred = [square(rng.uniform(0, 10_000), rng.uniform(0, 10_000)) for _ in range(100)]
    for index in range(20):
        faces = hundred if index % 2 else [square(rng.uniform(0, 10_000), rng.uniform(0, 10_000)) for _ in range(100)]
        state, sightings = meet(state, faces, np.ones((100, SIZE), np.float32), 400 + index * 0.01, RECIPE)
        assert len(sightings) <= MAX_FACES
        assert len(state.tracks) <= MAX_PERSONS + MAX_FACES


def test_no_faces_at_all_is_nobody() -> None:
    state, sightings = meet(People(), [], np.zeros((0, SIZE), np.float32), 0.0, RECIPE)
    assert sightings == ()
    assert state.num_persons == 0


# Drawn people


@pytest.mark.parametrize("rounds", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_drawn_people_keep_their_numbers_between_two_cameras(rounds: int) -> None:
    people = [DrawnPerson.of(seed) for seed in (3, 5, 8)]
    views = [
        View(
            [(people[0], (130, 150), 34.0), (people[1], (320, 150), 34.0), (people[2], (510, 150), 34.0)], (70, 90, 140)
        ),
        View([(people[1], (200, 140), 44.0), (people[0], (450, 140), 44.0)], (150, 140, 120), 1.1),
        View([(people[2], (320, 130), 56.0)], (40, 40, 45), 0.8),
    ]
    rng = np.random.default_rng(0)
    state, answers = People(), []
    for index in range(rounds * 24):
        view = views[index // 8 % 3]
        picture, faces = draw_scene(view, rng, expression=index // 4)
        rows = looks(picture, 1.0, faces)
        state, sightings = meet(state, faces, rows, index * STEP, RECIPE)
        answers.append({each.person: people.index(view.seated[nearest(each.face, faces)][0]) for each in sightings})
    found: dict[int, set[int]] = {}
    for answer in answers:
        for number, person in answer.items():
            found.setdefault(number, set()).add(person)
    assert sorted(map(sorted, found.values())) == [[0], [1], [2]]
    assert all(
        len(answer) == len(views[index // 8 % 3].seated) for index, answer in enumerate(answers) if index % 8 >= 2
    )


# Real pictures


def pictures_of(path: Path) -> list[VideoFrame]:
    with open_clip(path) as clip:
        frames = [item for item in clip.read(video_rate_hz=12.5) if isinstance(item, VideoFrame)]
        return [VideoFrame.from_rgb(frame.time_seconds, frame.rgb(max_side=640)) for frame in frames]


def run_on(pictures: list[Image], detector: Detector) -> list[list[Presence]]:
    state, answers = People(), []
    for index, picture in enumerate(pictures):
        frame = VideoFrame.from_rgb(index * STEP, picture)
        small = frame.rgb(max_side=320)
        faces = detector.detect(frame)
        rows = looks(small, small.shape[1] / frame.width, faces)
        state, sightings = meet(state, faces, rows, index * STEP, RECIPE)
        answers.append(list(sightings))
    return answers


@pytest.fixture(params=["yunet", "haar"])
def detector(request: pytest.FixtureRequest, data_root: Path) -> Detector:
    if request.param == "haar":
        return HaarDetector()
    return YuNetDetector(data_root / "models" / "face_detection_yunet_n_320.onnx")


def test_the_debate_shows_one_face_near_enough_and_it_has_one_number(data_root: Path, detector: Detector) -> None:
    pictures = [frame.rgb() for frame in pictures_of(data_root / "clips" / "debate_640x360.mp4")]
    persons = [[each.person for each in sightings] for sightings in run_on(pictures, detector)]
    assert persons[:49] == [[]] * 49  # walking figures, titles, a white flash
    assert persons[50:] == [[0]] * len(persons[50:])
    assert len(persons) > 60


def test_two_real_people_keep_their_numbers_through_cuts_and_side_by_side(data_root: Path, detector: Detector) -> None:
    clips = data_root / "clips"
    woman = [frame.rgb() for frame in pictures_of(clips / "debate_640x360.mp4")[48:62]]
    man = [frame.rgb() for frame in pictures_of(clips / "selfie_1920x1080.mp4")[:14]]
    both = [np.concatenate([a[:, 60:], b], axis=1) for a, b in zip(woman, man, strict=True)]
    other_way = [np.concatenate([b, a], axis=1) for a, b in zip(woman, man, strict=True)]
    answers = run_on([*woman, *man, *both, *man, *woman, *other_way], detector)
    persons = [[each.person for each in sightings] for sightings in answers]
    assert {tuple(shot) for shot in (persons[13], persons[69])} == {(0,)}
    assert {tuple(shot) for shot in (persons[27], persons[55])} == {(1,)}
    assert persons[41] == persons[83] == [0, 1]
    (left, right), (right_later, left_later) = answers[41], answers[83]
    assert left.face.x < right.face.x
    assert left_later.face.x < right_later.face.x
    assert {number for shot in persons for number in shot} == {0, 1}

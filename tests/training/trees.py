"""Few numbers -> FER+ with every emotion, in its official layout; the voices are those of `tests.corpora.trees`."""

from pathlib import Path

import cv2

from emotrace.labels import FERPLUS_COLUMNS
from tests.corpora.trees import face, write_nemo, write_sound

Votes = dict[str, int]
"""How many of the ten raters chose what; the rest chose "unknown"."""


def write_faces(root: Path, votes: dict[str, list[Votes]]) -> Path:
    """Write one picture per set of votes into FER2013Train, FER2013Valid and FER2013Test, all different."""
    seed = 0
    for folder, pictures in votes.items():
        (root / folder).mkdir(parents=True)
        rows = []
        for cast in pictures:
            seed += 1
            cv2.imwrite(str(root / folder / f"fer{seed:07d}.png"), face(seed))
            counts = [cast.get(emotion, 0) for emotion in FERPLUS_COLUMNS]
            rows.append(f'fer{seed:07d}.png,"(0, 0, 48, 48)",{",".join(map(str, counts))},{10 - sum(counts)},0')
        (root / folder / "label.csv").write_text("\n".join(rows) + "\n")
    return root


def write_corpora(root: Path) -> Path:
    """Write FER+, RAVDESS and nEMO, a few files of every split."""
    twice: list[Votes] = [{emotion: 9} for emotion in FERPLUS_COLUMNS for _ in range(2)]
    write_faces(root / "ferplus", dict.fromkeys(("FER2013Train", "FER2013Valid", "FER2013Test"), twice))
    for actor in (1, 17, 21):
        for code in range(1, 5):
            name = f"03-01-{code:02d}-01-01-01-{actor:02d}.wav"
            write_sound(root / "ravdess" / f"Actor_{actor:02d}" / name, seed=100 * actor + code)
    write_nemo(root / "nemo", ("ANA", "BEA", "CYD", "DOR"))
    return root

"""AFEW, the clips of films of the EmotiW challenges, on disk -> clips with seven emotions.

Read in public code and tables: the folders below, and in the edition of 2016 773 clips to train on, 383 to validate on
and 593 to test on. The labels of the official test clips were never published, so what papers compare is the official
validation set: it is the split "test" here, and a fifth of the training clips of every class, drawn by their names, is
the validation split. Who is seen is not said in the file names: actors and films may stand in both of the splits that
are drawn from the training clips, which makes the validation split easier than the test split. The challenge itself
kept people apart (remembered, not read).

A. Dhall, R. Goecke, S. Lucey, T. Gedeon, "Collecting large, richly annotated facial-expression databases from movies",
IEEE MultiMedia 19(3), 2012; A. Dhall et al., "EmotiW 2016: video and group-level emotion recognition challenges",
ICMI 2016. The licence forbids to pass on the clips.
"""

from pathlib import Path

from emotrace.corpora.class_folders import ClassFile, class_files, drawn
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError

LICENCE = "end user licence agreement: research only, not to be passed on"
CITATION = "Dhall et al., IEEE MultiMedia 19(3), 2012; Dhall et al., ICMI 2016"
HOMEPAGE = "https://cs.anu.edu.au/few/"
LAYOUT = """\
AFEW/
  Train_AFEW/Angry/000046280.avi ...
  Train_AFEW/Disgust/ Fear/ Happy/ Neutral/ Sad/ Surprise/
  Val_AFEW/Angry/005150814.avi ...
  Val_AFEW/Disgust/ Fear/ Happy/ Neutral/ Sad/ Surprise/
Other folders, such as AlignedFaces_LBPTOP_Points and the test clips without labels, are not read."""
CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")

_FOLDERS = dict(zip(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), CLASSES, strict=True))
_HINT = "--root must name the folder that holds Train_AFEW and Val_AFEW, each with Angry .. Surprise in it."


def read(root: Path) -> list[LabelledClip]:
    """List the labelled clips; the official validation set is the split "test".

    Raises:
        CorpusError: a folder is missing or empty, or a class has a single clip to train on.
    """
    train, tested = (_part(root, name) for name in ("train", "val"))
    validation = drawn(train, 1 / 5, "afew")
    return [
        *(file.clip(split="validation" if file in validation else "train", prefix="train-") for file in train),
        *(file.clip(split="test", prefix="val-") for file in tested),
    ]


def _part(root: Path, name: str) -> list[ClassFile]:
    """List one part, whose folder is Train_AFEW or, unpacked into a folder of one's own, Train."""
    folders = {each.name.lower(): each for each in sorted(root.iterdir()) if each.is_dir()} if root.is_dir() else {}
    folder = folders.get(f"{name}_afew") or folders.get(name)
    if folder is None:
        raise CorpusError(f"{root} holds no folder {name.title()}_AFEW: {_HINT}")
    return class_files(folder, _FOLDERS, _HINT)

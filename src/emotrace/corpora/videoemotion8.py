"""VideoEmotion-8 on disk -> clips of strangers' videos with eight emotions, in ten draws of train and test.

Published results are the mean of ten splits of two thirds to train on and one third to test on (remembered, not read).
Where the lists `trainlistNN.txt` and `testlistNN.txt` of a draw are there, as the public code of VAANet (Zhao et al.,
AAAI 2020) has the first, they are followed; what they leave out is left out. Otherwise a split is drawn here by the
names of the clips, class by class: not the published ten, which come as a spreadsheet. Either way a sixth of the
training clips of every class becomes the validation split.

Read in that code: 1,098 clips, of which one stands under two classes (3527012618_7ceb8fb27b_700, disgust and fear). A
clip under two classes has no class that could be learned or judged: it is left out of all splits. Eighteen clips have
no sound: they stay, and their sound is missing when they are opened. Nothing says who is seen; names that differ by an
ending such as -1 may be the same video twice, and are not kept together.

Y.-G. Jiang, B. Xu, X. Xue, "Predicting emotions in user-generated videos", AAAI 2014.
"""

from collections import Counter
from pathlib import Path

from emotrace.corpora.class_folders import class_files, drawn, listed_splits
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import SettingsError

LICENCE = "none given: for research; the videos belong to those who uploaded them to YouTube and Flickr"
CITATION = "Jiang, Xu & Xue, AAAI 2014"
HOMEPAGE = "https://www.yugangjiang.info/research/VideoEmotions/index.html"
LAYOUT = """\
VideoEmotion-8/
  Anger/OfficeRage3.mp4 ...
  Anticipation/ Disgust/ Fear/ Joy/ Sadness/ Surprise/ Trust/
  trainlist01.txt, testlist01.txt   optional, here or in annotations/: lines such as Anger/OfficeRage3; 01 is draw 0"""
CLASSES = ("anger", "anticipation", "disgust", "fear", "joy", "sadness", "surprise", "trust")
DRAWS = 10

_HINT = "--root must name the folder that holds Anger, Anticipation .. Trust."


def read(root: Path, draw: int = 0) -> list[LabelledClip]:
    """List the clips in one of ten splits.

    Args:
        root: the folder that holds the folders of the classes.
        draw: which split, from 0 to 9.

    Raises:
        CorpusError: a folder is missing or empty, a list does not fit, or a class has too few clips to draw from.
        SettingsError: there is no such draw.
    """
    if draw not in range(DRAWS):
        raise SettingsError(f"draw is {draw}: expected 0 to {DRAWS - 1}.")
    files = class_files(root, {label: label for label in CLASSES}, _HINT)
    listed = listed_splits(files, root, draw + 1)
    places = Counter(file.stem for file in files)
    kept = [file for file in files if places[file.stem] == 1 and (listed is None or file in listed)]
    if listed is None:
        tested = drawn(kept, 1 / 3, f"videoemotion8 {draw}")
    else:
        tested = {file for file in kept if listed[file] == "test"}
    validation = drawn((file for file in kept if file not in tested), 1 / 6, f"videoemotion8 validation {draw}")
    return [
        file.clip(split="test" if file in tested else "validation" if file in validation else "train") for file in kept
    ]

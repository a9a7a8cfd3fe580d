"""Ekman-6 on disk -> clips of strangers' videos with six emotions, half to train on and half to test on.

About 1,637 clips; published results train on 819 of them and test on 818 (remembered, not read). Where the lists
`trainlist01.txt` and `testlist01.txt` are there, as public code for this corpus has them (CTEN, CVPR 2023: every other
clip in order of the names), they are followed; what they leave out is left out. Otherwise half of every class is drawn
by the names. Either way a sixth of the training clips of every class becomes the validation split. Nothing says who is
seen.

B. Xu, Y. Fu, Y.-G. Jiang, B. Li, L. Sigal, "Heterogeneous knowledge transfer in video emotion recognition, attribution
and summarization", IEEE Transactions on Affective Computing 9(2), 2018.
"""

from pathlib import Path

from emotrace.corpora.class_folders import class_files, drawn, listed_splits
from emotrace.corpora.labelled import LabelledClip

LICENCE = "none given: for research; the videos belong to those who uploaded them to YouTube and Flickr"
CITATION = "Xu et al., IEEE Transactions on Affective Computing 9(2), 2018"
HOMEPAGE = "https://github.com/kittenish/Frame-Transformer-Network"
LAYOUT = """\
Ekman-6/
  anger/888.mp4 ...
  disgust/ fear/ joy/ sadness/ surprise/
  trainlist01.txt, testlist01.txt   optional, here or in annotations/: lines such as anger/888 1"""
CLASSES = ("anger", "disgust", "fear", "joy", "sadness", "surprise")

_HINT = "--root must name the folder that holds anger, disgust .. surprise."


def read(root: Path) -> list[LabelledClip]:
    """List the clips.

    Raises:
        CorpusError: a folder is missing or empty, a list does not fit, or a class has too few clips to draw from.
    """
    files = class_files(root, {label: label for label in CLASSES}, _HINT)
    listed = listed_splits(files, root, 1)
    if listed is None:
        tested = drawn(files, 1 / 2, "ekman6")
    else:
        files = [file for file in files if file in listed]
        tested = {file for file in files if listed[file] == "test"}
    validation = drawn((file for file in files if file not in tested), 1 / 6, "ekman6 validation")
    return [
        file.clip(split="test" if file in tested else "validation" if file in validation else "train") for file in files
    ]

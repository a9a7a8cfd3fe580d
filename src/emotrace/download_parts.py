"""Where the corpora that may be downloaded are published, in parts: addresses, sizes, digests.

None of the addresses could be reached where this was written; all numbers come from public text about the same files:

* RAVDESS: Zenodo publishes an md5 of every file. That of the sound, its size and its sha256 are told alike by more than
  three people who fetched and hashed it. Those of the videos were read in one project that verifies its copies with
  them, their sizes in another; only one of these md5 (actor 06) was found a second time. Where one should be wrong, the
  file is refused and nothing worse happens.
* CREMA-D: its repository keeps recordings in Git LFS. In the place of each stands a short text with the sha256 and the
  size of the content, which is fetched first. The size of all the sound was told by one person who summed these; that
  of the videos is an estimate from three of them. The texts are at raw.githubusercontent.com, the contents at
  media.githubusercontent.com, where others fetch them too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """A zip archive that unpacks into the corpus's own layout.

    Attributes:
        name: what the user calls it by; the file on disk has the suffix .zip beside it.
        url: where it is published.
        size: bytes, for information.
        sha256: 64 lower-case hex digits; None where nobody has published it.
        md5: 32 lower-case hex digits, as Zenodo publishes it; None likewise, but not both.
    """

    name: str
    url: str
    size: int
    sha256: str | None
    md5: str | None


@dataclass(frozen=True)
class Table:
    """A small file without a published digest. The first that is fetched is remembered, and no other taken later.

    Attributes:
        name: the file in the corpus's folder, with /.
        url: where it is published.
        size: bytes, about, for information.
    """

    name: str
    url: str
    size: int


@dataclass(frozen=True)
class PointerFolder:
    """A folder of recordings in Git LFS, fetched one by one, each verified against the pointer in its place.

    Attributes:
        name: of the folder, in the repository and in the corpus's folder.
        suffix: of its files, with the dot.
        names: a table with a column `Filename` that lists them without suffix.
        pointers_url: what a name in the folder is put behind to fetch its pointer.
        contents_url: the same to fetch its content.
        size: bytes, about, for information.
    """

    name: str
    suffix: str
    names: Table
    pointers_url: str
    contents_url: str
    size: int


DownloadPart = Archive | Table | PointerFolder

_ZENODO = "https://zenodo.org/records/1188976/files"
_VIDEOS = (
    (552_968_353, "3c8ececaf392b4a9b11b32271f4f6d01"),
    (570_673_024, "a6f40d413b2e6ef25b3a595099e59abb"),
    (567_824_665, "68fa240ddd8a3cc410c64efe5fb2b0e4"),
    (546_560_009, "013eed832af1f7e97082aae398a00dbe"),
    (562_966_425, "b00e17d61374ef6ba86fef35d50a20fb"),
    (568_517_859, "3c42877921cc08cfb5c841a0f2cb94a7"),
    (565_652_404, "bdd29bfe082f80361ec6b589845c283d"),
    (562_573_079, "bed5f43d9c18e177e34d4bc1ed9b6d77"),
    (523_489_249, "775da349c50bf915a1bbcb37379bd092"),
    (565_580_163, "70199d1c6902f76e17df308d5c41fa01"),
    (518_634_370, "824504aa41a8fd575e5459d5701dd378"),
    (557_928_718, "2a1f0ddc0ca207beedee6ce2ea863ad7"),
    (501_877_549, "c5f2fd4fd77941636947620368c612b5"),
    (552_484_059, "466d31f4cce92a14b1f4ee884bbdf7d7"),
    (525_205_576, "4b3b9bc8473e86f884630f2506684887"),
    (562_416_513, "a63c54570ebbe6bd616d0dced5630f7e"),
    (551_688_845, "8b7ae3e5a85d2874ac8e1195e722e047"),
    (565_655_520, "fef2131ac361da182c0cb85f3d8e8a6c"),
    (581_121_687, "abb97d97d8c4e88c866cee1cea9d06d6"),
    (561_349_264, "5ddfb22770093bafebdefe8faa449f48"),
    (590_292_896, "d810cf2ff6863ef91306fc7a16d74fbb"),
    (560_907_466, "fee55f72c9871401f23d4b167de3217d"),
    (545_177_865, "b31e8c8904e66102e7a951694db752d6"),
    (595_799_165, "eef90e806c9179bc5b4b098d03647ae3"),
)
"""Size and md5 of the archives of actors 01 .. 24."""

RAVDESS: tuple[DownloadPart, ...] = (
    Archive(
        name="Audio_Speech_Actors_01-24",
        url=f"{_ZENODO}/Audio_Speech_Actors_01-24.zip",
        size=208_468_073,
        sha256="5d208e01632cc3e5242106fa2af3273e6dc5239fb8143131979ac74c4aa40657",
        md5="bc696df654c87fed845eb13823edef8a",
    ),
    *(
        Archive(
            name=f"Video_Speech_Actor_{actor:02d}",
            url=f"{_ZENODO}/Video_Speech_Actor_{actor:02d}.zip",
            size=size,
            sha256=None,
            md5=md5,
        )
        for actor, (size, md5) in enumerate(_VIDEOS, start=1)
    ),
)

_POINTERS = "https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master"
_CONTENTS = "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master"
_NAMES = Table("SentenceFilenames.csv", f"{_POINTERS}/SentenceFilenames.csv", 170_087)

CREMAD: tuple[DownloadPart, ...] = (
    Table("processedResults/tabulatedVotes.csv", f"{_POINTERS}/processedResults/tabulatedVotes.csv", 5_000_000),
    PointerFolder("AudioWAV", ".wav", _NAMES, f"{_POINTERS}/AudioWAV/", f"{_CONTENTS}/AudioWAV/", 605_899_936),
    PointerFolder("VideoFlash", ".flv", _NAMES, f"{_POINTERS}/VideoFlash/", f"{_CONTENTS}/VideoFlash/", 2_200_000_000),
)

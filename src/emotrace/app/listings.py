"""What emotrace knows -> plain rows for `models`, `systems` and `corpora`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A name and what there is to say about it."""

    name: str
    text: str


def bundles() -> list[Row]:
    """Return the bundles inside the package."""
    from emotrace.bundle import load_bundle, names

    loaded = [load_bundle(name) for name in names()]
    return [Row(b.manifest.name, f"{b.manifest.model}, {b.manifest.licence}, digest {b.digest}") for b in loaded]


def systems() -> list[Row]:
    """Return the systems that can be trained, each with its paper. Needs the lab."""
    from emotrace.models import MODELS

    return [Row(name, model.paper) for name, model in MODELS.items()]


def corpora() -> list[Row]:
    """Return the corpora that can be read, each with its citation and licence."""
    from emotrace.corpora import emogator, ferplus, nemo, ravdess

    known = {"ferplus": ferplus, "ravdess": ravdess, "nemo": nemo, "emogator": emogator}
    return [Row(name, f"{corpus.CITATION}; {corpus.LICENCE}") for name, corpus in known.items()]

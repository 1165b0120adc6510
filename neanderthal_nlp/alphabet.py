"""Which letters are DNA's, and what those that are not look like."""

from __future__ import annotations

from neanderthal_nlp.errors import InputError

AMBIGUOUS = "NRYKMSWBDHV"
"""IUPAC codes of several letters; words that hold one are not counted."""
_FEW, _SHARE = 3, 0.01  # odd letters that a genome may have: RNA has a quarter of U, protein a third of EFILPQ
_KNOWN = ("ACGT" + AMBIGUOUS + ("ACGT" + AMBIGUOUS).lower()).encode()


def check_alphabet(sequence: str, *, source: str, first: int = 1) -> None:
    """Refuse letters that are not DNA's, with an `InputError` that names source, letter and place.

    Parameters
    ----------
    sequence : str
    source : str
        What the letters belong to.
    first : int
        Place of the first letter of `sequence` in it, 1-based.
    """
    foreign = _foreign(sequence)
    if foreign:
        expected = "T" if _is_rna(foreign) else "DNA: A, C, G, T, or IUPAC codes such as N"
        place = first + sequence.index(foreign[0])
        raise InputError(f"{source}: letter {place:,}: found {foreign[0]!r}, expected {expected}{_guess(foreign)}")


def check_kind(sequence: str, *, source: str) -> None:
    """Refuse what looks like RNA or protein, as `check_alphabet` does; up to 1 % of odd letters, or two, pass."""
    foreign = _foreign(sequence)
    if len(foreign) >= _FEW and len(foreign) > _SHARE * len(sequence) and _guess(foreign):
        check_alphabet(sequence, source=source)


def _foreign(sequence: str) -> str:
    return sequence.encode("utf-8", "surrogatepass").translate(None, _KNOWN).decode("utf-8", "surrogatepass")


def _is_rna(foreign: str) -> bool:
    return bool(foreign) and set(foreign) <= set("Uu")


def _guess(foreign: str) -> str:
    if _is_rna(foreign):
        return " (this looks like RNA: write its U as T)"
    letters = set(foreign.upper())
    return " (this looks like protein)" if letters & set("EFILPQ") and letters <= set("EFILPQ*XZ") else ""

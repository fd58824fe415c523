"""Labels as other tools name them: which is the blank, which parts words, which begin one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from karussell.ctc.search import Writing
from karussell.errors import InputError

MARKER = "▁"
UNKNOWN, UNKNOWN_PIECE = "⁇", "▁⁇▁"
_BLANK = re.compile(r"[<\[]pad[>\]]", re.IGNORECASE)
_UNKNOWN = re.compile(r"[<\[]unk[>\]]", re.IGNORECASE)
_SPECIAL = re.compile(r"[<\[].+[>\]]")


@dataclass(frozen=True)
class Alphabet:
    """The labels of a model by number, "" the blank, as pyctcdecode has them."""

    labels: list[str]
    is_bpe: bool

    @classmethod
    def build(cls, labels: Sequence[str]) -> "Alphabet":
        """Read the conventions off the labels, as pyctcdecode does.

        The blank is "", `<pad>` or `[PAD]`, or "_" where nothing else is; without any of them one is appended. A "|"
        is the space where there is no " ". Labels that begin with "▁" begin words; where some begin with "##",
        all others do. `<unk>` is written ⁇.
        """
        labels = list(labels)
        if len(set(labels)) != len(labels):
            twice = next(label for k, label in enumerate(labels) if label in labels[:k])
            raise InputError(f"build_ctcdecoder: the label {twice!r} is there twice; each must be a label of its own.")
        is_bpe = any(label.startswith(("##", MARKER)) for label in labels)
        if is_bpe:
            if any(" " in label for label in labels):
                raise InputError("build_ctcdecoder: there are pieces with ▁ or ## and a label with a space; take one.")
            if any(label.startswith("##") for label in labels):
                labels = [_piece(label) for label in labels]
        elif "|" in labels and " " not in labels:
            labels[labels.index("|")] = " "
        labels = ["" if _BLANK.fullmatch(label) else label for label in labels]
        if labels.count("") > 1:
            raise InputError("build_ctcdecoder: there is more than one blank among the labels; leave one.")
        if not is_bpe and "_" in labels and "" not in labels:
            labels[labels.index("_")] = ""
        if "" not in labels:
            labels.append("")
        unknown = UNKNOWN_PIECE if is_bpe else UNKNOWN
        return cls([unknown if _UNKNOWN.fullmatch(label) else label for label in labels], is_bpe)

    def writing(self) -> Writing:
        """How these labels become text."""
        if "" not in self.labels:
            raise InputError("alphabet: no label is '', the blank; the file is of another kind, or broken.")
        blank = self.labels.index("")
        return Writing(tuple(self.labels), blank, {" ": " "}, MARKER if self.is_bpe else "")


def _piece(label: str) -> str:
    if label.startswith("##"):
        return label[2:]
    return label if label in ("", MARKER, UNKNOWN_PIECE) or _SPECIAL.fullmatch(label) else MARKER + label

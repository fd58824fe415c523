"""`karussell train digits`: what it prints."""

from pathlib import Path
from typing import TYPE_CHECKING

from karussell.cli.words import opening, percent

if TYPE_CHECKING:
    from karussell.tasks import TranscriberConfig


def train_digits(out: Path, config: "TranscriberConfig", speaker: str, *, overwrite: bool) -> None:
    """Train the two models of the demonstration, print what they reached, and what to try next."""
    from karussell.tasks import digits

    result = digits.train_digits(out, config, speaker, overwrite=overwrite)
    official, unseen = result["official"], result["unseen_speaker"]
    print()
    print("label error rate on strings of 1 to 7 spoken digits, beside the floor (1-nearest neighbour):")
    rows = (("speakers it knows", official), (f"a speaker it never heard ({speaker})", unseen))
    for name, found in rows:
        print(
            f"  {name:<36} {percent(found['ler']):>8}   95 % interval {percent(found['low'])} to "
            f"{percent(found['high'])}   floor {percent(found['floor'])}"
        )
    print(f"done in {int(result['seconds']) // 60} min {int(result['seconds']) % 60} s; everything is in {out}. Next:")
    print(f"  karussell predict {out} {out}/example.wav --times      # it says {result['example']}")
    print(f"  karussell evaluate {out} digits                        # the official test strings once more")
    print(f"  karussell evaluate {out}/without-{speaker} digits:{speaker}")
    print(f"  {opening(out / 'report.html')}")


def leave_one_out(out: Path, config: "TranscriberConfig", *, overwrite: bool) -> None:
    """Train a model without each speaker in turn, and print what each reached on the one it never heard."""
    from karussell.tasks import digits

    print("label error rate on the speaker left out, beside the floor (1-nearest neighbour):")
    result = digits.leave_one_out(out, config, overwrite=overwrite, say=lambda line: print(f"  {line}", flush=True))
    mean = result["mean"]
    print(f"  mean: {percent(mean['ler'])}, floor {percent(mean['floor'])}")
    print(f"all figures are in {out}/result.json")

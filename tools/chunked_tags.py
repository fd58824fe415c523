"""What a tagger loses in chunks: `python tools/chunked_tags.py MODEL DATA`, DATA with a token and its label a line.

The share of right labels of the whole and of chunks of several sizes, and of labels other than those of the whole.
"""

import sys

from karussell.data.columns import read_columns
from karussell.tasks.tagger import Tagger


def main(folder: str, file: str, most: int = 150) -> None:
    model, data = Tagger.load(folder), read_columns(file)[:most]
    truth = [label for example in data for label in example.tags or ()]
    whole = [label for found in model.predict(data) for label in found.labels]
    print(f"{len(data)} sequences, {len(truth)} steps; whole: {share(truth, whole):.2%} right")
    for chunk, right in ((1, 1), (1, 4), (4, 4), (16, 16)):
        found = []
        for example in data:
            stream = model.stream(chunk=chunk, right=right)
            tags = stream.push(list(zip(*example.columns, strict=True))) + stream.finish()
            found += [tag.label for tag in tags]
        told = f"chunk {chunk}, right {right}, at most {chunk + right} steps late"
        print(
            f"{told}: {share(truth, found):.2%} right, {1 - share(whole, found):.2%} other than the whole", flush=True
        )


def share(one: list[str], other: list[str]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

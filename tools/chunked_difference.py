"""What a model that needs the whole recording loses in chunks: `python tools/chunked_difference.py MODEL`.

The test strings of the digits, joined in the order of their speakers to recordings of about 15 s, so that there is
something to cut; label error rates of the whole and of chunks, and of chunks against the whole.
"""

import sys

import numpy as np

from karussell import runtime
from karussell.ctc import label_error_rate
from karussell.data.digits import RATE
from karussell.tasks.digits import held_out_strings


def main(folder: str) -> None:
    model, texts, sounds = runtime.load(folder), [""], [[]]
    for utterance in held_out_strings("official"):
        if sum(map(len, sounds[-1])) > 12 * RATE:
            texts.append("")
            sounds.append([])
        texts[-1] += utterance.text
        sounds[-1].append(utterance.samples(RATE))
    recordings = [np.concatenate(parts) for parts in sounds]
    whole = [model.predict(x, RATE).text for x in recordings]
    print(f"{len(recordings)} recordings; whole: {100 * label_error_rate(texts, whole).rate:.2f} %")
    for chunk, right in ((1.0, 1.0), (0.5, 0.5), (2.0, 1.0)):
        found = []
        for x in recordings:
            stream = model.stream(chunk=chunk, right=right)
            found.append("".join(label.text for label in [*stream.push(x), *stream.finish()]))
        rate, apart = label_error_rate(texts, found).rate, label_error_rate(whole, found).rate
        print(
            f"chunk {chunk:g} s, right {right:g} s: {100 * rate:.2f} %, {100 * apart:.2f} % of labels other than whole"
        )


if __name__ == "__main__":
    main(sys.argv[1])

"""Runs other people's decoders, in the environment they need: started by `ctc_search_peers`, imports nothing of ours.

Reads one JSON object a line: {"make": ...} makes a decoder, {"run": i} decodes utterance i with it. Answers one line
each: {"text": ...}, or {"error": ...}.
"""

import json
import math
import sys
from typing import Any

import numpy as np

LN10 = math.log(10.0)


def pyctcdecode(asked: dict[str, Any], labels: list[str], y: np.ndarray) -> Any:
    """Its usual door, all hypotheses of equal history merged."""
    import logging

    from pyctcdecode import build_ctcdecoder

    logging.disable(logging.WARNING)
    decoder = build_ctcdecoder(labels, asked["model"], alpha=asked["alpha"], beta=asked["beta"])
    settings = {
        "beam_width": asked["beam"],
        "token_min_logp": asked["floor"],
        "beam_prune_logp": -asked["drop"],
    }
    return lambda i: decoder.decode(y[i], **settings)


def fast_ctc_decode(asked: dict[str, Any], labels: list[str], y: np.ndarray) -> Any:
    """It takes probabilities with the blank first."""
    from fast_ctc_decode import beam_search

    blank = labels.index("")
    order = [blank, *(k for k in range(len(labels)) if k != blank)]
    probabilities = np.ascontiguousarray(np.exp(y[:, :, order]))
    alphabet = "N" + "".join(labels[k] for k in order[1:])
    cut = math.exp(asked["floor"])
    return lambda i: beam_search(probabilities[i], alphabet, beam_size=asked["beam"], beam_cut_threshold=cut)[0]


def flashlight(asked: dict[str, Any], labels: list[str], y: np.ndarray) -> Any:
    """Without a lexicon and a model, or with both; summing as we do."""
    import flashlight.lib.text.decoder as fl

    frames, classes = y.shape[1:]
    blank, silence = labels.index(""), labels.index(" ") if " " in labels else -1
    common = {
        "beam_size": asked["beam"],
        "beam_size_token": classes,
        "beam_threshold": asked["drop"],
        "sil_score": 0.0,
        "log_add": True,
        "criterion_type": fl.CriterionType.CTC,
    }
    if asked["lexicon"] is None:
        options = fl.LexiconFreeDecoderOptions(lm_weight=0.0, **common)
        decoder = fl.LexiconFreeDecoder(options, fl.ZeroLM(), silence, blank, [])
    else:
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        words = Dictionary([*asked["lexicon"], "<unk>"])
        model = KenLM(asked["model"], words)
        trie, start = fl.Trie(classes, silence), model.start(False)
        for number, word in enumerate(asked["lexicon"]):
            # flashlight ends a spelling with what parts words
            trie.insert([*(labels.index(c) for c in word), silence], number, model.score(start, number)[1])
        trie.smear(fl.SmearingMode.MAX)
        options = fl.LexiconDecoderOptions(
            lm_weight=asked["alpha"] * LN10,
            word_score=asked["beta"],
            unk_score=-math.inf,
            **common,
        )
        unknown = words.get_index("<unk>")
        decoder = fl.LexiconDecoder(options, trie, model, silence, blank, unknown, [], False)

    def text(i: int) -> str:
        found = decoder.decode(y[i].ctypes.data, frames, classes)[0].tokens
        path = [k for before, k in zip([-1, *found], found, strict=False) if k != before and k >= 0]
        return " ".join("".join(labels[k] for k in path).split())

    return text


PEERS = {"pyctcdecode": pyctcdecode, "fast-ctc-decode": fast_ctc_decode, "flashlight-text": flashlight}


def main() -> None:
    """Answer until there is nothing more to read."""
    run: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "make" in asked:
                asked = asked["make"]
                y = np.fromfile(asked["log_probs"], np.float32).reshape(asked["shape"])
                run = PEERS[asked["peer"]](asked, asked["labels"], y)
                answer: dict[str, Any] = {}
            elif "run" in asked:
                answer = {"text": run(asked["run"])}
            else:
                with open("/proc/self/status") as file:
                    peak = next(line for line in file if line.startswith("VmHWM"))
                answer = {"megabytes": int(peak.split()[1]) / 1024}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

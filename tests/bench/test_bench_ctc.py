"""The bench of CTC: what it refuses, and the shape of what it finds."""

import json
from itertools import pairwise

import pytest
import torch

from karussell.bench import ParityError, ctc, ctc_loss, run_ctc
from karussell.bench.ctc_case import Case, Peer, Sides
from karussell.errors import InputError


def test_a_small_bench(tmp_path, monkeypatch):
    small = [ctc_loss.LossProblem(12, 2, 3, 5, given) for given in ("log_probs", "logits")]
    groups = {p.given: lambda quick, p=p: ctc_loss._cases(p.given, [p]) for p in small}
    monkeypatch.setattr(ctc, "GROUPS", groups)
    path, said, before = tmp_path / "result.json", [], torch.get_num_threads()
    result = run_ctc(quick=True, json=path, threads=[1, 2], say=said.append, seconds=0.001)
    assert path.read_text() == result.to_json()
    rows = json.loads(path.read_text())["rows"]
    assert [(r["group"], r["threads"]) for r in rows] == [
        ("log_probs", 1),
        ("logits", 1),
        ("log_probs", 2),
        ("loss-threads", 2),
        ("logits", 2),
        ("loss-threads", 2),
    ]
    assert {r["engine"] for r in rows} == {"cpp"}
    assert all(r["ratio"] > 0 and r["ours_ms"] > 0 for r in rows)
    assert said[0] == "parity: 2 cases"
    assert torch.get_num_threads() == before


def test_nothing_is_timed_that_computes_something_else(monkeypatch):
    right = ctc_loss.ctc_loss

    def wrong(x, *rest, engine="cpp", **given):
        found = right(x, *rest, engine=engine, **given)
        return found * 1.01 - found.detach() * 0.01 if engine == "cpp" else found

    monkeypatch.setattr(ctc_loss, "ctc_loss", wrong)
    with pytest.raises(ParityError, match="the gradient is not the reference's"):
        run_ctc(["loss"], quick=True, threads=1, seconds=0.001)


def test_a_peer_that_is_not_installed_is_not_measured():
    peers = (Peer("absent", None), Peer("present", lambda: 2, "elsewhere"))
    case = Case("g", "c", lambda count: Sides(lambda: 1, peers), lambda: None)
    absent, present = ctc.measure(case, 1, 0.001)
    assert (absent.group, absent.peer_ms, absent.ratio, absent.spread) == ("g", None, None, None)
    assert (present.group, present.threads) == ("elsewhere", 1)
    assert present.ratio > 0


@pytest.mark.parametrize("quick", [True, False])
def test_every_group_has_cases_and_fewer_when_quick(quick):
    for group in ctc_loss.GROUPS:
        cases = ctc.chosen([group], quick)
        assert cases
        assert {c.group for c in cases} == {group}
        assert all(a.name != b.name for a, b in pairwise(cases))
    assert len(ctc.chosen(list(ctc_loss.GROUPS), True)) < len(ctc.chosen(list(ctc_loss.GROUPS), False))


def test_bad_words(tmp_path):
    with pytest.raises(InputError, match="nonsense is no group of the bench; there are loss, loss-large-vocabulary"):
        run_ctc(["nonsense"])
    with pytest.raises(InputError, match="it must be a number from 1"):
        run_ctc(["loss"], threads=0)
    with pytest.raises(InputError, match="folder does not exist"):
        run_ctc(["loss"], json=tmp_path / "none" / "result.json")

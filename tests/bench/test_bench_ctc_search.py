"""The bench of the searches: its data, its sides, and what it says without peers."""

import numpy as np
import pytest

from karussell.bench import ctc_search, ctc_search_data, ctc_search_peers
from karussell.bench.ctc import chosen
from karussell.bench.parity import ParityError


@pytest.fixture(autouse=True)
def no_peers(monkeypatch, tmp_path):
    monkeypatch.setenv(ctc_search_peers.VARIABLE, str(tmp_path))


@pytest.mark.parametrize("data", [ctc_search_data.digits, ctc_search_data.letters])
def test_the_data_are_log_probabilities_of_texts(data):
    found = data()
    assert found.log_probs.shape[1:] == (500, len(found.labels))
    assert len(found.texts) == len(found.log_probs)
    assert np.exp(found.log_probs.astype(np.float64)).sum(axis=-1) == pytest.approx(1.0, abs=0.02)
    assert set("".join(found.texts)) <= set(found.labels)


def test_a_model_helps_and_nothing_is_hopeless():
    plain, helped = (problem for problem in ctc_search.problems("search-vs-pyctcdecode", True))
    without, with_model = ctc_search.quality(plain), ctc_search.quality(helped)
    assert (without.theirs, without.same) == (None, None)
    assert with_model.ours < without.ours < 0.2
    [digits] = [p for p in ctc_search.problems("search-vs-pyctcdecode", False) if p.data is ctc_search_data.digits]
    assert ctc_search.quality(digits).ours < 0.06


def test_every_group_has_cases_and_rows_without_peers():
    cases = chosen(list(ctc_search.GROUPS), False)
    assert len(cases) == 10
    case = next(case for case in cases if "digits" in case.name)
    sides = case.sides(1)
    assert [peer.call for peer in sides.peers] == [None]
    assert isinstance(sides.ours(), str)


def test_a_worse_search_is_not_timed(monkeypatch):
    monkeypatch.setattr(ctc_search, "quality", lambda problem: ctc_search.Quality(0.2, 0.1, 0.0))
    with pytest.raises(ParityError, match="letters are wrong"):
        next(iter(ctc_search.cases("search-vs-flashlight", True))).verify()

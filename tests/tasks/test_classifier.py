"""The classifier learns, keeps its probabilities honest, looks at nothing it should not, and comes back from disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sequences import QUESTIONS, WAVES, questions, waves

from karussell.data.labelled import Example
from karussell.errors import InputError
from karussell.tasks.classifier import Classifier, label_weights
from karussell.tasks.classify.calibration import calibration_error, fit_temperature, reliability
from karussell.tasks.classify.config import ClassifierConfig, defaults, settled
from karussell.tasks.classify.evidence import log_mean
from karussell.tasks.classify.floor import Floor
from karussell.tasks.classify.parts import part_of
from karussell.tasks.classify.reporting import train_classifier
from karussell.tasks.classify.score import mean_recall, share_interval
from karussell.tasks.config import from_json, to_json
from karussell.tasks.sequences.inputs import Inputs
from karussell.tasks.sequences.words import UNKNOWN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "waves"
    train_classifier(waves(60, 1), None, out, WAVES, title="Waves")
    return out


@pytest.fixture
def model(folder: Path) -> Classifier:
    return Classifier.load(folder)


def test_series_are_learned_far_above_chance(model: Classifier) -> None:
    found = model.evaluate(waves(30, 2))
    accuracy, recall = found["scores"]
    assert accuracy["value"] > 0.8
    assert recall["value"] > 0.8
    assert accuracy["floor_name"] == "1-nearest neighbour"
    assert accuracy["low"] < accuracy["value"] <= accuracy["high"]


def test_the_folder_holds_a_report_and_a_result(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for heading in ("Calibration", "Confusions", "Where the evidence lies", "held out"):
        assert heading in page
    assert "result.json" in {path.name for path in folder.iterdir()}
    assert not (folder / "checkpoints").exists()


def test_questions_are_learned_from_words(tmp_path: Path) -> None:
    model = Classifier.fit(questions(40, 1), questions(20, 2), tmp_path / "out", QUESTIONS)
    found = model.evaluate(questions(20, 3))
    assert found["scores"][0]["value"] > 0.8
    assert found["scores"][0]["floor_name"] == "most frequent label"
    [answer] = model.predict([Example("one", columns=(("Who", "unseen", "?"),))])
    assert answer.label == "person"
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_every_sequence_is_judged_by_a_network_that_never_saw_it() -> None:
    train = waves(31, 1)
    part = part_of(train, 3)
    assert sorted(set(part.tolist())) == [0, 1, 2]
    sizes = torch.bincount(part)
    assert int(sizes.max() - sizes.min()) <= 3
    for label in ("sine", "square", "noise"):
        own = torch.tensor([int(part[k]) for k, e in enumerate(train) if e.label == label])
        assert int(torch.bincount(own, minlength=3).min()) >= 3
    # by what the sequences are called, not by how they are sorted
    assert {e.id: int(k) for e, k in zip(train, part, strict=True)} == {
        e.id: int(k) for e, k in zip(train[::-1], part_of(train[::-1], 3), strict=True)
    }


def test_no_gradient_comes_from_a_sequence_of_the_part_that_is_kept_away() -> None:
    train = waves(12, 1)
    config = settled(replace(WAVES, smoothing=0.0), train)
    model = Classifier(config, Inputs.fit(train, config.inputs), ["noise", "sine", "square"])
    part, weights = part_of(train, 2), torch.ones(3)
    model.network.train()
    losses = []
    for worth in (0.0, 100.0):
        changed = [
            Example(e.id, e.values + worth, label=e.label) if int(part[k]) == 0 else e for k, e in enumerate(train)
        ]
        [batch] = replace(model.loader(changed), batch_size=len(train)).in_order()
        model.network.zero_grad()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model.loss(model.network, batch, part, weights).backward()
        losses.append([p.grad.clone() for p in model.network.members[0].parameters()])
    for one, other in zip(*losses, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_test_series_never_enter_the_scaling(model: Classifier) -> None:
    before = model.inputs.to_json()
    far = [Example("far", 1e4 + 1e3 * np.random.default_rng(0).normal(size=(20, 1)), label="sine")]
    alone = model.probabilities(waves(3, 5))
    together = model.probabilities([*waves(3, 5), *far])[:3]
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)
    assert model.inputs.to_json() == before


def test_validation_series_never_enter_the_scaling(tmp_path: Path) -> None:
    short = replace(WAVES, train=replace(WAVES.train, epochs=1))
    wild = [Example(e.id, e.values * 1000, label=e.label) for e in waves(6, 2)]
    one = Classifier.fit(waves(12, 1), waves(6, 2), tmp_path / "a", short)
    other = Classifier.fit(waves(12, 1), wild, tmp_path / "b", short)
    assert one.inputs.to_json() == other.inputs.to_json()


def test_a_word_seen_only_in_the_test_set_stays_unknown(tmp_path: Path) -> None:
    short = replace(QUESTIONS, train=replace(QUESTIONS.train, epochs=1))
    valid = [Example("v", columns=(("Which", "village", "?"),), label="place")]
    model = Classifier.fit(questions(12, 1), valid, tmp_path, short)
    assert {"which", "village"}.isdisjoint(model.inputs.columns[0].known)
    before, floor = model.inputs.to_json(), model.floor.to_json()
    new = Example("new", columns=(("Where", "Zagreb", "?"),), label="village")
    model.evaluate([new])
    assert (model.inputs.to_json(), model.floor.to_json()) == (before, floor)
    assert model.inputs(new).numbers[1, 0] == UNKNOWN
    # two such words whose letters are as unknown are one word
    one, other = (Example("q", columns=(("Where", word, "?"),)) for word in ("ŽŽŽ", "ÅÅÅ"))
    torch.testing.assert_close(model.probabilities([one]), model.probabilities([other]), rtol=0, atol=0)


def test_what_was_saved_answers_the_same(model: Classifier, folder: Path, tmp_path: Path) -> None:
    data = waves(6, 3)
    model.save(tmp_path / "copy")
    again = Classifier.load(tmp_path / "copy")
    torch.testing.assert_close(again.probabilities(data), model.probabilities(data), rtol=0, atol=0)
    assert again.evaluate(data) == model.evaluate(data)
    assert again.validation == model.validation


def test_padding_and_order_change_nothing(model: Classifier) -> None:
    data = waves(9, 4)
    together = model.probabilities(data)
    alone = torch.cat([model.probabilities([example]) for example in data])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_evidence_sums_to_what_it_explains(model: Classifier) -> None:
    [example] = waves(1, 6)
    found = model.evidence(example, "noise")
    assert len(found) == example.steps
    [batch] = model.loader([example]).in_order()
    members = list(model.network.members)
    with torch.no_grad():
        x = [member.encoder.look(batch) for member in members]
        place = model.labels.index("noise")

        def value(scale: float) -> float:
            logits = torch.stack([m.read(scale * v, batch.lengths) for m, v in zip(members, x, strict=True)])
            return float(log_mean(logits, model.temperature)[0, place])

        assert sum(found) == pytest.approx(value(1.0) - value(0.0), rel=0.1, abs=0.1)


def test_series_with_gaps_are_learned_and_answered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gappy = []
    for example in waves(24, 1, channels=2):
        values = example.values.copy()
        values[rng.random(values.shape) < 0.2] = np.nan
        gappy.append(Example(example.id, values, label=example.label))
    short = replace(WAVES, train=replace(WAVES.train, epochs=2))
    model = Classifier.fit(gappy, None, tmp_path / "out", short)
    assert model.inputs.scaling.missing
    assert torch.isfinite(model.probabilities(gappy)).all()
    all_missing = [Example("gone", np.full((5, 2), np.nan))]
    assert torch.isfinite(model.probabilities(all_missing)).all()


def test_constant_and_one_point_series_are_answered(model: Classifier) -> None:
    odd = [Example("flat", np.full((9, 1), 3.0)), Example("point", np.ones((1, 1)))]
    assert torch.isfinite(model.probabilities(odd)).all()


def test_what_cannot_be_used_is_named_before_anything_is_written(tmp_path: Path) -> None:
    good, out = waves(6, 1), tmp_path / "out"
    for train, valid, words in (
        ([], None, "0 different labels"),
        (good[:1] * 3, None, "1 different labels"),
        ([*good, Example("bare", np.ones((3, 1)))], None, "'bare' has no label"),
        ([*good, Example("wide", np.ones((3, 2)), label="sine")], None, "'wide' has 2 channels"),
        (good, waves(3, 2, channels=2), "the model was trained with 1"),
        (good, [Example("bare", np.ones((3, 1)))], "'bare' has no label"),
    ):
        with pytest.raises(InputError, match=words):
            Classifier.fit(train, valid, out, WAVES)
    with pytest.raises(InputError, match="members is 1"):
        Classifier.fit(good, None, out, replace(WAVES, members=1))
    assert not out.exists()


def test_wrong_channels_and_columns_are_named_at_predict_time(model: Classifier) -> None:
    with pytest.raises(InputError, match="has 2 channels, and the model was trained with 1"):
        model.predict(waves(1, 1, channels=2))
    with pytest.raises(InputError, match="has 1 token columns, and the model was trained with 0"):
        model.predict([Example("both", np.ones((2, 1)), (("a", "b"),))])
    with pytest.raises(InputError, match="there is no label 'cat'"):
        model.evidence(waves(1, 1)[0], "cat")
    with pytest.raises(InputError, match="not one sequence"):
        model.evaluate([])
    assert model.predict([]) == []


def test_a_label_never_seen_counts_as_wrong(model: Classifier) -> None:
    known = waves(9, 2)
    other = [Example(e.id, e.values, label="triangle") for e in known]
    found = model.evaluate(known + other)
    assert found["unknown_labels"] == 9
    assert found["scores"][0]["value"] <= 0.5


def test_balanced_weights_make_labels_count_alike(tmp_path: Path) -> None:
    train = [*waves(9, 1), *[e for e in waves(60, 2) if e.label == "sine"]]
    weights = label_weights(train, ["noise", "sine", "square"], "balanced")
    counts = torch.tensor([3.0, 23.0, 3.0])
    torch.testing.assert_close(weights * counts, torch.full((3,), len(train) / 3))


def test_a_run_goes_on_only_with_the_same_data(tmp_path: Path) -> None:
    short = replace(WAVES, train=replace(WAVES.train, epochs=1))
    Classifier.fit(waves(12, 1), None, tmp_path, short)
    with pytest.raises(InputError, match="holds a run with data"):
        Classifier.fit(waves(12, 2), None, tmp_path, short)
    Classifier.fit(waves(12, 2), None, tmp_path, short, overwrite=True)


def test_the_temperature_is_the_best_one() -> None:
    logits = torch.randn(500, 4)
    labels = torch.distributions.Categorical(logits=logits / 2.5).sample()
    found = fit_temperature(logits, labels)
    losses = {
        t: float(torch.nn.functional.cross_entropy(logits / t, labels)) for t in (0.9 * found, found, 1.1 * found)
    }
    assert min(losses, key=losses.__getitem__) == found
    assert 1.8 < found < 3.5


def test_the_calibration_error_is_that_of_its_definition() -> None:
    rows = torch.tensor([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4], [0.35, 0.65]])
    labels = torch.tensor([0, 1, 0, 1])
    assert calibration_error(rows, labels) == pytest.approx((2 * abs(0.5 - 0.925) + 2 * abs(1 - 0.625)) / 4)
    assert sum(count for _, _, count in reliability(rows, labels)) == 4


def test_the_floor_is_the_nearest_neighbour() -> None:
    train = [Example(str(k), np.full((4, 1), float(k)), label=str(k // 2)) for k in range(6)]
    floor = Floor.fit(train)
    assert floor.predict([Example("x", np.full((4, 1), 2.8))]) == ["1"]
    # stretched to the same length
    assert floor.predict([Example("x", np.full((9, 1), 5.0))]) == ["2"]
    assert floor.predict(train) == [e.label for e in train]
    # among itself no series is its own neighbour
    lonely = Floor.fit([*train[:2], Example("far", np.full((4, 1), 90.0), label="far")])
    assert lonely.predict([Example("far", np.full((4, 1), 90.0))], among_itself=False) == ["far"]
    assert Floor.fit(train).predict(train, among_itself=True)[0] == "0"
    assert Floor.from_json(floor.to_json(), floor.tensors()).predict(train) == floor.predict(train)


def test_the_floor_compares_in_the_way_that_serves_best_in_training() -> None:
    rng = np.random.default_rng(0)
    shape = {"up": np.linspace(-1, 1, 8), "down": np.linspace(1, -1, 8)}
    # what a series is, is in its shape; where it lies says nothing
    raised = [
        Example(str(k), 50 * rng.normal() + shape[("up", "down")[k % 2]], label=("up", "down")[k % 2])
        for k in range(20)
    ]
    floor = Floor.fit(raised)
    assert floor.own
    assert floor.predict([Example("x", 900 + shape["down"])]) == ["down"]
    # what a series is, is in its length
    lengths = [Example(str(k), rng.normal(size=4 + 8 * (k % 2)) + 5, label=("short", "long")[k % 2]) for k in range(20)]
    floor = Floor.fit(lengths)
    assert not floor.stretched
    assert floor.predict([Example("x", np.full(12, 5.0)), Example("y", np.full(30, 5.0))]) == ["long", "long"]


def test_recall_and_interval_by_hand() -> None:
    assert mean_recall(["a", "a", "b"], ["a", "b", "b"]) == pytest.approx((1 + 0.5) / 2)
    low, high = share_interval(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-3)
    assert high == pytest.approx(0.9433, abs=1e-3)


def test_settings_go_to_json_and_back() -> None:
    for data in (waves(3, 1), questions(4, 1)):
        config = settled(defaults(data), data)
        assert from_json(ClassifierConfig, to_json(config)) == config
    assert settled(defaults(waves(3, 1)), waves(3, 1)).network.halvings == 0
    for changes in ({"members": 0}, {"batch_size": 0}, {"smoothing": 1.0}, {"word_dropout": -1.0}):
        with pytest.raises(InputError, match="must"):
            replace(WAVES, **changes)

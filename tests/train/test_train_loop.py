"""What `fit` promises besides the resume: best weights, stopping, refusals, untouched generators."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from karussell.errors import InputError
from karussell.train import History, Progress, TrainConfig, fit, read_metrics


def batches(_epoch: int) -> list[tuple[Tensor, Tensor]]:
    x = torch.linspace(-1, 1, 32)[:, None]
    return [(x, 3 * x + 1)] * 5


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    x, y = batch
    return (model(x) - y).square().mean()


def quiet(config: TrainConfig, out: Path, model: nn.Module, **more: object) -> History:
    return fit(model, loss_fn, batches, more.pop("validate", None), out, config, **more)


def line() -> nn.Linear:
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


CPU = TrainConfig(device="cpu", epochs=60, learning_rate=0.1, weight_decay=0, log_steps=5)


def test_learns_a_line(tmp_path: Path) -> None:
    model = line()
    history = quiet(CPU, tmp_path, model)
    assert model.weight.item() == pytest.approx(3, abs=0.05)
    assert model.bias.item() == pytest.approx(1, abs=0.05)
    assert history.steps == 300
    assert history.rows == read_metrics(tmp_path / "metrics.jsonl")
    assert {"step", "epoch", "loss", "gradient_norm", "learning_rate", "seconds"} == set(history.rows[0])


def test_keeps_the_best_weights_and_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    # the score has its best value when the weight passes 1 on its way to 3
    model = line()
    history = quiet(
        TrainConfig(device="cpu", epochs=60, learning_rate=0.05, patience=4),
        tmp_path,
        model,
        validate=lambda model: {"score": abs(model.weight.item() - 1)},
    )
    assert history.stopped == "no better score in 4 validations"
    assert history.steps < 300
    assert abs(model.weight.item() - 1) == history.best
    assert history.best < 0.2


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, second = line(), line()
    history = quiet(CPU, tmp_path, first)
    again = quiet(CPU, tmp_path, second)
    assert torch.equal(first.weight, second.weight)
    assert again.rows == history.rows
    assert again.seconds == history.seconds


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    quiet(CPU, tmp_path, line())
    with pytest.raises(InputError, match=r"train\.clip = 2\.0, and now it is 3"):
        quiet(TrainConfig(**{**vars(CPU), "clip": 3}), tmp_path, line())
    with pytest.raises(InputError, match="data"):
        quiet(CPU, tmp_path, line(), meta={"data": "another"})
    # where and how often it is saved does not belong to the run
    quiet(TrainConfig(**{**vars(CPU), "checkpoint_seconds": 1}), tmp_path, line())


def test_global_generators_are_left_alone(tmp_path: Path) -> None:
    model = nn.Sequential(line(), nn.Dropout(0.5))
    before = torch.get_rng_state()
    quiet(TrainConfig(device="cpu", epochs=1), tmp_path, model)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_differs_between_steps_and_seeds(tmp_path: Path) -> None:
    seen: list[float] = []

    def watch(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        seen.append(float(torch.rand(())))
        return loss_fn(model, batch)

    for seed in (0, 0, 1):
        config = TrainConfig(device="cpu", epochs=1, seed=seed)
        fit(line(), watch, batches, None, tmp_path / str(len(seen)), config)
    assert seen[:5] == seen[5:10]
    assert len(set(seen)) == 10


def test_plain_lines_when_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet(
        TrainConfig(device="cpu", epochs=2),
        tmp_path,
        line(),
        validate=lambda model: {"score": 0.25},
        progress=Progress("line"),
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[line] step 5/10  epoch 1 · valid 0.25 · best 0.25")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, r"train\.epochs is 0; it must be larger than 0"),
        ({"clip": -1}, r"train\.clip is -1; it must be 0 or larger"),
        ({"warmup": 2}, r"train\.warmup is 2; it is a share"),
        ({"ema": 1}, r"train\.ema is 1, which would never"),
        ({"precision": "bf8"}, r"train\.precision is 'bf8'; choose no, bf16 or fp16"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)


def test_an_unknown_device_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device 'abacus' cannot be used here"):
        quiet(TrainConfig(device="abacus"), tmp_path, line())


def test_no_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not one batch"):
        fit(line(), loss_fn, lambda epoch: [], None, tmp_path, CPU)


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "lo')
    assert read_metrics(path) == [{"step": 1}]

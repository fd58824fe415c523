"""The examples of the page on PyTorch run as they stand, and say what they print."""

import re
from pathlib import Path

import pytest
import torch

PAGE = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text(encoding="utf-8")


def test_examples_run(capsys):
    torch._dynamo.reset()
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) == 4
    space, ran = {"__name__": "pytorch_page"}, []
    for block in blocks:
        exec(compile(block, "pytorch.md", "exec"), space)
        ran.append([str(engine) for engine in space["ran"]])
    capsys.readouterr()
    assert ran[0] == ["cpp"] * 12
    assert space["y"].shape == (321, 2, 16)
    assert set(ran[2]) == {"reference"}
    assert space["ensemble"].shape == (8, 5, 2, 4)
    assert ran[3] == ["cpp", "scan", "scan"]


@pytest.mark.parametrize("name", ["MinLSTM", "MinGRU", "QRNN", "SRU", "scan", "noise=Noise(seed, step)"])
def test_what_the_page_must_name(name):
    assert f"`{name}`" in PAGE or f'"{name}"' in PAGE

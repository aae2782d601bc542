import importlib.util
from pathlib import Path

import torch
from safetensors.torch import load_file

from sketchgan.networks import OpenMojiClassifier

SCRIPT = Path(__file__).parents[2] / "examples" / "train_openmoji_classifier.py"


def test_the_script_trains_measures_and_saves(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("train_openmoji_classifier", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(["--epochs", "1", "--out", str(tmp_path / "net.safetensors")])
    said = capsys.readouterr().out
    assert "test: line art" in said
    state = load_file(str(tmp_path / "net.safetensors"))
    assert {value.dtype for value in state.values()} == {torch.float16}
    OpenMojiClassifier().load_state_dict(state)
    assert (tmp_path / "net.safetensors").stat().st_size < 250_000

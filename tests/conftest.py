import os

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers with a thread each: threads of both would wait for each other
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded(tmp_path, monkeypatch):
    """Every test starts from the same random numbers, in a folder of its own."""
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)

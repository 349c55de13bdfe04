"""What stands in for the challenge's machine: no package manager starts, weights come from a folder, no GPU is needed.

Every check runs in a process of its own, since it changes libraries: in our Python and, where ``CHALLENGE_PYTHON``
names one, in the challenge's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl_engine.models.challenge import interpreter

FOLDER = interpreter.PROGRAM.parent
OLD = os.environ.get(interpreter.VARIABLE, "")
PYTHONS = [sys.executable, *([OLD] if OLD else [])]
HEAD = f"import os, subprocess, sys\nsys.path.insert(0, {str(FOLDER)!r})\nimport hooks\nsys.path.pop(0)\n"


def printed(code: str, python: str, weights: Path | None = None) -> list[str]:
    variables = os.environ | {"AUTODL_WEIGHTS_DIR": str(weights or "")}
    command = [python, "-W", "ignore", "-c", HEAD + code]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


INSTALLERS = """
hooks.install("", print)
asked = ["pip install a", "pip3.6 install -U a && true", "python3 -m pip install a", "apt install -y wget"]
asked += ["cd /; apt-get -y install wget", "conda install a", "/usr/bin/pip install a"]
codes = [os.system(command) for command in asked]
codes += [subprocess.call([sys.executable, "-m", "pip", "install", "a"]), subprocess.call("pip install b", shell=True)]
assert all(codes), codes
assert subprocess.Popen(["apt-get", "install", "c"], stdout=subprocess.PIPE).communicate()[0] == b""
assert os.system("echo how to pip a card > /dev/null") == 0
assert subprocess.check_output([sys.executable, "-c", "print(4)"]) == b"4\\n"
try:
    __import__("urllib.request").request.urlretrieve("https://example.org/w.bin", "w.bin")
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_package_managers_are_refused_and_told(python: str) -> None:
    *told, download, error = printed(INSTALLERS, python)
    assert len(told) == 10
    assert told[0].startswith("Refused: pip install a. A run installs nothing")
    assert download.startswith("https://example.org/w.bin was not downloaded")
    assert "no network" in error


TORCH = """
hooks.install("import torch", print)
import torch
if torch.cuda.is_available():
    raise SystemExit(0)
network = torch.nn.Linear(3, 2).cuda().half().to(torch.device("cuda", 0))
found = network(torch.rand(4, 3).cuda().to("cuda:0"))
assert {found.device.type, torch.zeros(2, device="cuda").device.type, torch.device("cuda").type} == {"cpu"}
assert isinstance(found.device, torch.device) and found.to(torch.float64).dtype == torch.float64
with torch.cuda.stream(torch.cuda.Stream()):
    torch.cuda.current_stream().wait_stream(None)
torch.cuda.synchronize()
torch.save({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, os.path.join(os.environ[hooks.FOLDER], "there-1.pth"))
for name in ("absent", "there"):
    state = torch.utils.model_zoo.load_url("https://example.org/" + name + "-1.pth")
    del state["bias"]
    network.load_state_dict(state, strict=False)
    print(bool((network.weight == 1).all()))
network.load_state_dict(hooks.NoWeights())
"""


@pytest.mark.slow  # imports torch
@pytest.mark.parametrize("python", PYTHONS)
def test_without_a_gpu_and_without_a_network(python: str, tmp_path: Path) -> None:
    told = printed(TORCH, python, tmp_path)
    gpu = "This machine has no GPU; what the code puts on one is computed on the processor."
    missing = "absent-1.pth is not on this machine, so random weights stand in; put absent-1.pth into "
    assert told == [gpu, missing + "AUTODL_WEIGHTS_DIR to use it.", "False", "Weights: there-1.pth.", "True"]

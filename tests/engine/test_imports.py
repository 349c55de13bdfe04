"""What is imported before the clock starts: a second for a library that is not needed is a second that a user waits."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMAND = "from automl_engine.__main__ import _parser, resolve; _parser(['run', 'DIR', '--out', 'RUN'])"
SUPERVISOR = "from automl_engine.run import supervisor"
NETWORK = """
import torch
from automl_engine.models.shared import trainer
weights = torch.nn.Parameter(torch.ones(2))
optimiser = torch.optim.AdamW([weights])
weights.sum().backward()
trainer.take_step(optimiser)
assert not weights.equal(torch.ones(2))
"""


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [(COMMAND, ["torch", "sklearn", "scipy.stats"]), (SUPERVISOR, ["torch", "scipy"]), (NETWORK, ["torch._dynamo"])],
    ids=["command", "supervisor", "network"],
)
def test_what_is_not_imported(program: str, unwanted: list[str]) -> None:
    ask = f"{program}\nimport sys; print([name for name in {unwanted} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"

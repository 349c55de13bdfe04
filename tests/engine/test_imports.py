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
network, inputs, labels = torch.nn.Linear(2, 2), torch.ones(4, 2), torch.eye(2).repeat(2, 1)
before = network.weight.detach().clone()
steps = trainer.Trainer(
    network, network, trainer.classification_loss(False), torch.optim.AdamW(network.parameters()),
    trainer.Decay(0.1, 9, 0, 1e9), batch=lambda chosen: (inputs[chosen], labels[chosen]),
    operation="", amounts=lambda _: {},
)
trainer.half_precision_is_faster(network, inputs, "")
for _ in range(2):
    steps.step(torch.arange(4))
assert not network.weight.equal(before)
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

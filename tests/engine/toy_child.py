"""A child process with models that misbehave, for the tests of the supervisor; and the same models in process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from automl_engine.dataset.examples import Examples
from automl_engine.models import MODELS
from automl_engine.models.base import AnytimeModel
from automl_engine.run import ingestion


class Toy(AnytimeModel):
    """Predicts the test cells themselves (which are the classes), and does ``params["at"][step]`` before."""

    name = "toy"
    made_by, why = "toy rung", "the cells are the classes"
    step = -1

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.step += 1
        action = self.params.get("at", {}).get(str(self.step), "")
        match action:
            case "done" | "tells":
                self.done_training = True
                if action == "tells":
                    self.emit("stopped", reason="too little time was left for another step")
            case "raise":
                raise RuntimeError("toy failure")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "sleep":
                time.sleep(600)
            case "hog":
                self.block = b"x" * 500_000_000
                time.sleep(600)
            case "prints":
                line = "x" * 2**16
                while True:
                    print(line)
            case "deaf":  # neither returns nor listens
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray | None:
        action = self.params.get("at", {}).get(str(self.step), "")
        if action == "none":
            return None
        cells = np.stack([split.tensor(i).ravel()[:3] for i in range(len(split))]).astype(float)
        if action == "nan":
            cells[0] = np.nan
        return cells[:, :2] if action == "shape" else cells

    def save(self, dir: Path) -> None:
        if self.params.get("save") == "no":
            super().save(dir)
        if self.params.get("save") == "broken":
            raise OSError("disk full")
        (dir / "weights.txt").write_text(str(self.step))


class Spawner(Toy):
    """Starts a process of its own and sleeps."""

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        import subprocess

        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(self.params["pid_file"]).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)


HERE = "tests.engine.toy_child"
TOY_MODELS = {"toy": f"{HERE}:Toy", "spawner": f"{HERE}:Spawner"}

if __name__ == "__main__":
    MODELS.update(TOY_MODELS)
    sys.exit(ingestion.main(sys.argv[1:]))

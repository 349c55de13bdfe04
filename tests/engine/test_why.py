"""Which parts of an input an answer depends on: the toys' rules are known, and so is what must be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from automl_engine.dataset.examples import Examples, MemoryExamples, Steps
from automl_engine.dataset.spec import Spec
from automl_engine.package import why

RATE_HZ = 16_000


class Rule:
    """A predictor of two classes; ``score`` of the stored content is the probability of "yes"."""

    labels = ("no", "yes")

    def __init__(self, score: Callable[[Any], float]) -> None:
        self.score = score

    def __call__(self, examples: Examples) -> np.ndarray:
        yes = np.array([self.score(examples.steps(i)) for i in range(len(examples))])
        return np.stack([1 - yes, yes], 1)


def explain(
    spec: dict[str, Any], steps: Steps, score: Callable[[Any], float], recipe: Any = None, others: Any = None
) -> dict[str, Any]:
    examples = MemoryExamples(Spec("toy", 1, 2, **spec), [steps])
    rows = MemoryExamples(Spec("toy", len(others), 2, **spec), others) if others else None
    predictor: Any = Rule(score)
    found = why.explain(predictor, {"modality": "any", **(recipe or {})}, examples, rows)
    assert found["label"] == "yes"
    assert np.abs(found["weights"]).max() == 1
    return found


def decoded(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("frames", [1, 30])
def test_the_area_of_a_picture_or_clip(frames: int) -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[40:50, 5:15] = 255
    png = cv2.imencode(".png", picture)[1].tobytes()
    spec = {"row_count": -1, "col_count": -1, "num_channels": 3, "format": "COMPRESSED", "sequence_size": frames}
    found = explain(spec, [png] * frames, lambda steps: 0.1 + 0.8 * decoded(steps[0])[40:50, 5:15].mean() / 255)
    weights = np.array(found["weights"])
    row, column = np.unravel_index(weights.argmax(), weights.shape)
    assert abs((row + 0.5) / len(weights) - 45 / 60) < 0.15
    assert abs((column + 0.5) / len(weights) - 10 / 80) < 0.15
    assert (found["kind"], found["width"], found["height"]) == ("picture" if frames == 1 else "clip", 80, 60)
    assert found["picture"].startswith("data:image/png;base64,")


def test_the_word() -> None:
    words = ["win", "a", "free", "ticket"]
    spec = {"sequence_size": -1, "channel_to_index": {word: at for at, word in enumerate(words)}}
    text = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    found = explain(spec, text, lambda steps: 0.9 if 2 in steps else 0.2)
    assert found["parts"] == words
    assert found["weights"] == [0, 0, 1, 0]
    assert found["without"] == [0.9, 0.9, 0.2, 0.9]


def test_a_long_text_is_told_in_runs_of_words_and_an_empty_one_in_none() -> None:
    spec = {"sequence_size": -1, "channel_to_index": {str(at): at for at in range(500)}}
    text = np.arange(500, dtype=np.float32).reshape(500, 1, 1, 1)
    found = explain(spec, text, lambda steps: 0.9 if 300 in steps else 0.2)
    assert len(found["parts"]) == 240
    assert "300" in found["parts"][int(np.argmax(found["weights"]))].split()
    predictor: Any = Rule(lambda steps: 0.9)
    empty = why.explain(predictor, {"modality": "text"}, MemoryExamples(Spec("toy", 1, 2, **spec), [text[:0]]))
    assert (empty["weights"], empty["parts"]) == ([], [])


def test_the_stretch_of_a_series() -> None:
    series = np.zeros((100, 1, 1, 2), np.float32)
    series[52:55, 0, 0, 1] = 9
    series[3, 0, 0, 0] = np.nan
    found = explain(
        {"sequence_size": -1, "num_channels": 2}, series, lambda steps: 0.9 if np.nanmax(steps) > 8 else 0.3
    )
    told = {round(start, 2): weight for (start, _), weight in zip(found["spans"], found["weights"], strict=True)}
    assert told[0.52] == told[0.54] == 1
    assert max(weight for start, weight in told.items() if start < 0.49 or start > 0.63) < 0.1
    assert len(found["lines"]) == 2
    assert found["lines"][0][3] is None


@pytest.mark.parametrize("modality", ["audio", "timeseries"])
def test_nothing_to_hide_in_an_empty_series(modality: str) -> None:
    predictor: Any = Rule(lambda steps: 0.9)
    empty = MemoryExamples(Spec("toy", 1, 2, sequence_size=-1), [np.zeros((0, 1, 1, 1), np.float32)])
    assert why.explain(predictor, {"modality": modality}, empty)["weights"] == []


def test_the_time_and_band_of_a_sound() -> None:
    times = np.arange(RATE_HZ) / RATE_HZ
    tone = np.where(times > 0.5, np.sin(2 * np.pi * 6000 * times), 0) + np.sin(2 * np.pi * 200 * times)
    sound = (9000 * tone).astype(np.float32).reshape(-1, 1, 1, 1)

    def score(steps: np.ndarray) -> float:
        energy = np.abs(np.fft.rfft(steps.ravel()[RATE_HZ // 2 :]))
        return 0.02 + 0.96 * min(1.0, (energy[2990:3010] ** 2).sum() / 1.3e15)

    found = explain({"sequence_size": -1}, sound, score, {"modality": "audio"})
    weights = np.array(found["weights"])
    assert found["seconds"] == 1
    assert weights[0, weights.shape[1] // 2 :].min() > 0.3  # high and late
    assert np.abs(weights[-2:]).max() < 0.1
    assert np.abs(weights[:, : weights.shape[1] // 2 - 1]).max() < 0.1


def test_the_column_of_a_table_also_where_it_became_several_numbers() -> None:
    columns = [{"name": "a", "features": ["a"]}, {"name": "day", "features": ["day year", "day month"]}]
    rows = [np.array([[[[n], [2000 + n], [n % 12]]]], np.float32) for n in range(20)]
    row = np.array([[[[5], [2030], [12]]]], np.float32)
    found = explain(
        {"col_count": 3}, row, lambda steps: 0.9 if steps.ravel()[1] > 2025 else 0.2, {"columns": columns}, rows
    )
    assert found["parts"] == ["a", "day"]
    assert found["weights"] == [0, 1]
    assert found["without"] == [0.9, 0.2]


def test_a_table_of_pairs_without_other_rows() -> None:
    spec = {"col_count": 6, "format": "SPARSE", "feature_to_index": {"gene": 4}}
    row = np.array([[1, 2], [4, 7]], np.float32)[..., None]
    found = explain(spec, row, lambda steps: 0.9 if 7 in steps[:, 1] else 0.2)
    assert found["parts"][int(np.argmax(found["weights"]))] == "gene"


def test_a_slow_model_is_asked_for_large_parts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "LIMIT_S", 0)
    series = np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1)
    found = explain({"sequence_size": -1}, series, lambda steps: 0.9 if steps.max() > 98 else 0.2)
    assert len(found["weights"]) == 8

"""Networks on the tokens of a text (TextCNN, RCNN, GRU, GRU with attention, fastText), trained slice by slice.

Embeddings are trained from scratch, or begin as the vectors of a local file (param ``vectors``, the text format
``.vec`` of word2vec and fastText, found by its path or in ``AUTODL_WEIGHTS_DIR``).  Adam with a rate that falls to
zero; an average of the weights predicts at every moment.  Words at random are read as unknown ones (Iyyer et al.
2015, word dropout), so that the network is ready for texts with new words.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch._dynamo  # by the first optimiser: a second that belongs before the clock
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.features import text as tokens
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.network import Pace
from automl_engine.models.shared.network_files import read_network, write_graph, write_network
from automl_engine.models.shared.workload import workload
from automl_engine.models.text.bodies import BODIES

MAX_KNOWN = 30_000
"""Tokens with an embedding of their own, the most common ones; each must stand in two texts."""
SHORTEST, LONGEST = 16, 200
"""Tokens; a text is read up to the length that 95 % of the texts keep, within these bounds."""
BATCH, TEST_BATCH = 32, 256
FEWEST_STEPS = 400
"""On few texts more passes are made than asked for."""
UNKNOWN_SHARE = 0.1


class TokenNetwork(nn.Module):
    """(N, L) int64 token ids -> (N, K) probabilities."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.multi_label = config["multi_label"]
        self.embedding = nn.Embedding(config["ids"], config["dim"], padding_idx=tokens.PADDING)
        self.body = BODIES[config["body"]](config["dim"], config["width"])
        self.head = nn.Linear(self.body.outputs, config["classes"])
        self.dropout = nn.Dropout(config["dropout"])
        nn.init.normal_(self.embedding.weight, std=0.3)
        with torch.no_grad():
            self.embedding.weight[tokens.PADDING] = 0

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        mask = ids != tokens.PADDING
        return self.head(self.dropout(self.body(self.dropout(self.embedding(ids)), mask)))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits = self.logits(ids)
        return logits.sigmoid() if self.multi_label else logits.softmax(1)


class TextNetwork(AnytimeModel):
    """Params: ``body`` (key of BODIES), ``dim`` (of the embeddings), ``width`` (filters a window, units a direction),
    ``passes``, ``batch``, ``lr``, ``dropout``, ``vectors``, ``slice_s``, ``seed``, ``device``."""

    name = "text_network"
    quick = False

    known: np.ndarray  # (V,) int64 hashes, rising
    config: dict[str, Any]
    network: TokenNetwork

    @classmethod
    def available(cls, params: Mapping[str, Any]) -> bool:
        """A row that begins with word vectors needs their file."""
        return "vectors" not in params or vectors_path(params["vectors"]).is_file()

    @property
    def device(self) -> torch.device:
        name = self.params.get("device", "auto")
        return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else name.replace("auto", "cpu"))

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice of at most ``slice_s`` seconds, all of which lie within the remaining time."""
        now = clock.now_s()
        end = now + min(self.params.get("slice_s", 4.0), remaining_time_budget)
        if not hasattr(self, "network"):
            self._prepare(split)
            self.begun_s, self.stop_s = now, now + 0.9 * remaining_time_budget
        self.pace = Pace()
        while clock.now_s() < end and not self.done_training:
            self._step()
        done = self.steps / self.steps_a_pass
        self.emit("progress", by=self.name, text=f"text network ({self.config['body']}), pass {done:.1f}")

    def _prepare(self, split: Examples) -> None:
        torch.manual_seed(self.params.get("seed", 0))
        texts = tokens.plain_tokens(split)
        self.known = common_tokens(texts)
        characters = tokens.single_characters(split.spec)
        lengths = [len(text) for text in texts]
        vectors = word_vectors(self.params["vectors"], split.spec, self.known) if "vectors" in self.params else None
        self.config = {
            "body": self.params.get("body", "cnn"),
            "ids": len(self.known) + tokens.FIRST_KNOWN,
            "dim": vectors.shape[1] if vectors is not None else self.params.get("dim", 64),
            "width": self.params.get("width", 64),
            "dropout": self.params.get("dropout", 0.4),
            "length": int(np.clip(np.percentile(lengths, 95), SHORTEST, LONGEST if characters else LONGEST // 2)),
            "classes": split.spec.output_dim,
            "multi_label": is_multi_label(split.labels),
        }
        self.network = TokenNetwork(self.config)
        if vectors is not None:
            with torch.no_grad():
                self.network.embedding.weight[tokens.FIRST_KNOWN :] = torch.from_numpy(vectors)
        self.network.to(self.device)
        self.average = copy.deepcopy(self.network)
        self.ids = torch.from_numpy(self._read(split)).to(self.device)
        self.labels = torch.from_numpy(split.labels).to(self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), fused=True)
        self.batch = self.params.get("batch", BATCH)
        self.steps, self.steps_a_pass, self.queue = 0, -(-len(split) // self.batch), []

    def _step(self) -> None:
        """One batch of texts of about the same length."""
        if not self.queue:
            self.queue = _batches((self.ids != tokens.PADDING).sum(1), self.batch)
        wanted = max(FEWEST_STEPS, self.params.get("passes", 12) * self.steps_a_pass)
        done = max(
            self.steps / wanted,
            (clock.now_s() - self.begun_s) / max(self.stop_s - self.begun_s, 1e-3),
        )
        if done >= 1:
            self.done_training = True
            return
        for group in self.optimiser.param_groups:
            group["lr"] = self.params.get("lr", 2e-3) * (1 - done)
        chosen = self.queue.pop()
        ids = _cut(self.ids[chosen])
        with clock.work(f"text {self.config['body']} step", lambda: workload(self.network, ids, len(ids))):
            self.pace(lambda: self._learn(ids, self.labels[chosen]))
            self._update_average()

    def _learn(self, ids: torch.Tensor, labels: torch.Tensor) -> None:
        self.network.train()
        unknown = (torch.rand(ids.shape, device=ids.device) < UNKNOWN_SHARE) & (ids != tokens.PADDING)
        logits = self.network.logits(ids.masked_fill(unknown, tokens.UNKNOWN))
        if self.config["multi_label"]:
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        else:
            loss = F.cross_entropy(logits, labels, label_smoothing=0.05)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.steps += 1

    def _update_average(self) -> None:
        """Exponential average of the weights over about half a pass, faster at the beginning."""
        share = max(2 / (2 + self.steps_a_pass), 1 / (1 + self.steps / 4))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), share)

    def _read(self, split: Examples) -> np.ndarray:
        return tokens.text_tokens(split, self.known, self.config["length"])

    def predictor(self) -> TokenNetwork:
        """The network whose weights predict."""
        return self.average if hasattr(self, "average") else self.network

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        network, ids = self.predictor().eval(), torch.from_numpy(self._read(split))
        order = (ids != tokens.PADDING).sum(1).argsort()
        out = torch.empty(len(ids), self.config["classes"])
        device, pace, name = network.head.weight.device, Pace(), f"text {self.config['body']} forward"
        for chosen in order.split(TEST_BATCH):
            batch = _cut(ids[chosen]).to(device)
            with clock.work(name, lambda batch=batch: workload(network, batch, len(batch))), torch.inference_mode():
                out[chosen] = pace(lambda batch=batch: network(batch).cpu())
        return out.numpy()

    def frozen(self) -> Self:
        model = type(self)(self.spec, **self.params)
        model.config, model.known, model.network = self.config, self.known, copy.deepcopy(self.predictor())
        return model

    def save(self, dir: Path) -> None:
        write_network(dir, self.predictor(), self.params, self.config)
        np.savez(dir / "known.npz", known=self.known)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        params, config, network = read_network(dir, TokenNetwork)
        model = cls(spec, **params)
        model.config, model.network = config, network
        with np.load(dir / "known.npz", allow_pickle=False) as arrays:
            model.known = arrays["known"]
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        body, length = self.config["body"], self.config["length"]
        arrays, graph = f"{self.name}_{body}.npz", f"{self.name}_{body}.onnx"
        np.savez(dir / arrays, known=self.known)
        write_graph(dir / graph, self.predictor(), torch.zeros(2, length, dtype=torch.int64), "ids")
        return [
            {
                "name": f"{self.name} {body}",
                "weight": 1,
                "feature": "text_tokens",
                "params": {"length": length},
                "arrays": arrays,
                "graph": graph,
            }
        ]


def common_tokens(texts: list[np.ndarray]) -> np.ndarray:
    """(V,) int64, rising: the ``MAX_KNOWN`` most common hashes of those in two texts at least (or one, if none is)."""
    found, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *map(np.unique, texts)]), return_counts=True)
    enough = counts >= min(2, counts.max(initial=1))
    found, counts = found[enough], counts[enough]
    return np.sort(found[np.argsort(-counts, kind="stable")[:MAX_KNOWN]])


def _batches(lengths: torch.Tensor, size: int) -> list[torch.Tensor]:
    """All texts once, in batches of about the same length, in random order."""
    blurred = lengths.cpu() * (1 + 0.2 * torch.rand(len(lengths)))
    batches = list(blurred.argsort().split(size))
    return [batches[i] for i in torch.randperm(len(batches)).tolist()]


def _cut(ids: torch.Tensor) -> torch.Tensor:
    """(n, L) without the columns that hold padding only."""
    return ids[:, : max(1, int((ids != tokens.PADDING).sum(1).max()))]


def vectors_path(file: str) -> Path:
    return Path(os.environ.get("AUTODL_WEIGHTS_DIR", "")) / file


def word_vectors(file: str, spec: Spec, known: np.ndarray) -> np.ndarray:
    """(V, dim) float32 of the known tokens from a ``.vec`` file; small random vectors for words that it lacks.

    Raises:
        DataError: the file does not exist or is no table of vectors.
    """
    path = vectors_path(file)
    if not path.is_file():
        raise DataError(
            f"The word vectors {file} were not found; set AUTODL_WEIGHTS_DIR to the folder that holds them."
        )
    place = {token_hash: i for i, token_hash in enumerate(known.tolist())}
    rows: dict[int, np.ndarray] = {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            word, _, numbers = line.rstrip().partition(" ")
            at = place.get(tokens.token_hash(word))
            if at is not None and at not in rows and " " in numbers:
                rows[at] = np.array(numbers.split(), np.float32)
    widths = Counter(len(row) for row in rows.values())
    if len(widths) != 1:
        raise DataError(f"{file} holds vectors of {len(widths)} different lengths for this data; one was expected.")
    vectors = np.random.default_rng(0).normal(0, 0.1, (len(known), *widths)).astype(np.float32)
    for at, row in rows.items():
        vectors[at] = row
    return vectors

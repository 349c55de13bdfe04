"""Networks on the tokens of a text (TextCNN, RCNN, GRU, GRU with attention, fastText), trained slice by slice.

Embeddings are trained from scratch, or begin as the vectors of a local file (param ``vectors``, the text format
``.vec`` of word2vec and fastText, found by its path or in ``AUTODL_WEIGHTS_DIR``).  Adam with a rate that falls to
zero; an average of the weights predicts at every moment.  Words at random are read as unknown ones (Iyyer et al.
2015, word dropout), so that the network is ready for texts with new words.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.features import text as tokens
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.device import Pace, torch_device
from automl_engine.models.shared.network_files import read_network, write_graph, write_network
from automl_engine.models.shared.trainer import Decay, Trainer, classification_loss
from automl_engine.models.shared.workload import passing, workload
from automl_engine.models.text.bodies import BODIES
from automl_engine.weights import vectors_path

MAX_KNOWN = 30_000
"""Number of the most common tokens that have an embedding of their own; each must stand in two texts."""
SHORTEST, LONGEST = 16, 200
"""Bounds, in tokens, of the length up to which a text is read: the one that 95 % of the texts keep."""
BATCH, TEST_BATCH = 32, 256
FEWEST_STEPS = 400
"""Number of steps, at least: on few texts the network makes more passes than asked for."""
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


@dataclass
class Training:
    """A network in training, and its texts."""

    trainer: Trainer
    rate: Decay
    ids: torch.Tensor
    """(N, L) int64."""
    batch_size: int
    queue: list[torch.Tensor] = field(default_factory=list)
    """The batches that are left of this pass."""

    @property
    def passes(self) -> float:
        return self.trainer.steps / -(-len(self.ids) // self.batch_size)

    def step(self) -> bool:
        """One batch of texts of about the same length; False if the network has stopped improving."""
        if not self.queue:
            self.queue = _batches((self.ids != tokens.PADDING).sum(1), self.batch_size)
        if self.rate.progress(self.trainer.steps) >= 1:
            return False
        self.trainer.step(self.queue.pop())
        return True


class TextNetwork(AnytimeModel):
    """Params: ``body`` (key of BODIES), ``dim`` (of the embeddings), ``width`` (filters a window, units a direction),
    ``passes``, ``batch``, ``lr``, ``dropout``, ``vectors``, ``slice_s``, ``seed``, ``device``."""

    name = "text_network"
    refits = False

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.known = np.zeros(0, np.int64)
        """(V,) hashes of the tokens that have an embedding, rising."""
        self.config: dict[str, Any] = {}
        self.training: Training | None = None
        self._network: TokenNetwork | None = None

    @property
    def network(self) -> TokenNetwork:
        """The network that predicts."""
        assert self._network is not None, "train comes first"
        return self._network

    @property
    def device(self) -> torch.device:
        return torch_device(self.params)

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice of at most ``slice_s`` seconds, all of which lie within the remaining time."""
        now = clock.now_s()
        end = now + min(self.params.get("slice_s", 4.0), remaining_time_budget)
        if self.training is None:
            self.training = self._prepare(split, now, now + 0.9 * remaining_time_budget)
        training = self.training
        training.trainer.pace = Pace()
        while clock.now_s() < end and not self.done_training:
            self.done_training = not training.step()
        self.emit("progress", by=self.name, text=f"text network ({self.config['body']}), pass {training.passes:.1f}")

    def _prepare(self, split: Examples, start_s: float, end_s: float) -> Training:
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
        network = TokenNetwork(self.config)
        if vectors is not None:
            with torch.no_grad():
                network.embedding.weight[tokens.FIRST_KNOWN :] = torch.from_numpy(vectors)
        network.to(self.device)
        self._network = copy.deepcopy(network)
        ids = torch.from_numpy(self._read(split)).to(self.device)
        labels = torch.from_numpy(split.labels).to(self.device)
        batch_size = self.params.get("batch", BATCH)
        steps_a_pass = -(-len(split) // batch_size)
        wanted = max(FEWEST_STEPS, self.params.get("passes", 12) * steps_a_pass)
        rate = Decay(self.params.get("lr", 2e-3), wanted, start_s, end_s)
        trainer = Trainer(
            network,
            network.logits,
            classification_loss(self.config["multi_label"], smoothing=0.05),
            torch.optim.Adam(network.parameters(), fused=True),
            rate,
            batch=lambda chosen: (_with_unknown_words(_cut(ids[chosen])), labels[chosen]),
            operation=f"text {self.config['body']} step",
            amounts=lambda chosen: workload(network, _cut(ids[chosen]), len(chosen)),
            average=self._network,
            average_share=2 / (2 + steps_a_pass),  # over about half a pass
        )
        return Training(trainer, rate, ids, batch_size)

    def _read(self, split: Examples) -> np.ndarray:
        return tokens.text_tokens(split, self.known, self.config["length"])

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        network, ids = self.network.eval(), torch.from_numpy(self._read(split))
        order = (ids != tokens.PADDING).sum(1).argsort()
        out = torch.empty(len(ids), self.config["classes"])
        device, pace, name = network.head.weight.device, Pace(), f"text {self.config['body']} forward"

        def answer(batch: torch.Tensor) -> torch.Tensor:
            with passing(network, batch, name), torch.inference_mode():
                return pace(lambda: network(batch).cpu())

        for chosen in order.split(TEST_BATCH):
            out[chosen] = answer(_cut(ids[chosen]).to(device))
        return out.numpy()

    def frozen(self) -> Self:
        model = type(self)(self.spec, **self.params)
        model.config, model.known, model._network = self.config, self.known, copy.deepcopy(self.network)
        return model

    def save(self, dir: Path) -> None:
        write_network(dir, self.network, self.params, self.config)
        np.savez(dir / "known.npz", known=self.known)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        params, config, network = read_network(dir, TokenNetwork)
        model = cls(spec, **params)
        model.config, model._network = config, network
        with np.load(dir / "known.npz", allow_pickle=False) as arrays:
            model.known = arrays["known"]
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        body, length = self.config["body"], self.config["length"]
        arrays, graph = f"{self.name}_{body}.npz", f"{self.name}_{body}.onnx"
        np.savez(dir / arrays, known=self.known)
        write_graph(dir / graph, self.network, torch.zeros(2, length, dtype=torch.int64), "ids")
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


def _with_unknown_words(ids: torch.Tensor) -> torch.Tensor:
    """(n, L) with some words replaced, at random, by the unknown one."""
    unknown = (torch.rand(ids.shape, device=ids.device) < UNKNOWN_SHARE) & (ids != tokens.PADDING)
    return ids.masked_fill(unknown, tokens.UNKNOWN)


def _cut(ids: torch.Tensor) -> torch.Tensor:
    """(n, L) without the columns that hold padding only."""
    return ids[:, : max(1, int((ids != tokens.PADDING).sum(1).max()))]


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

"""Word vectors from free text that is on every machine: what people wrote about the programs that run here.

    python -m automl_engine pretrain --arch word_vectors --source documentation --out FOLDER [--probe DIR...]

Words within ``WINDOW`` of each other count 1 / distance; positive pointwise mutual information of these counts, a
truncated singular value decomposition, and its vectors times the root of the singular values (Levy, Goldberg & Dagan,
"Improving distributional similarity with lessons learned from word embeddings", TACL 2015).  Each vector is then as
long as its word is rare: a / (a + share of the text) (Arora et al., "A simple but tough-to-beat baseline for sentence
embeddings", ICLR 2017).
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.splits import stratified_sample
from automl_engine.errors import DataError
from automl_engine.features.text import token_hash
from automl_engine.metalearning.samples import data_dir_of

ARCH, SOURCE = "word_vectors", "documentation"
WORDS, DIMENSIONS, WINDOW = 30_000, 64, 5
FEWEST = 5
"""Number of times that a word must stand in the text, at least."""
SMOOTHING = 0.75
RARE = 1e-3
LARGEST_BYTES = 3_000_000
PROBE_EXAMPLES, PROBE_OTHERS = 100, 2000
FREE = re.compile(r"MIT\b|BSD|Apache|PSF|Python Software Foundation|ISC\b|Unlicense|Zlib|CC0|BSL-1", re.I)
COPYLEFT = re.compile(r"GPL|General Public|Mozilla|MPL", re.I)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+")
_COMMENTS = re.compile(r"(?:^[ \t]*#.*\n)+", re.M)
_LICENCE = "CC0-1.0 (statistics of texts under PSF, MIT, BSD, Apache and the like; no text is kept)"


def main(options: argparse.Namespace) -> int:
    from safetensors.numpy import save_file

    options.out.mkdir(parents=True, exist_ok=True)
    packages = [package for package in distributions() if is_free(package)]
    lines = [words for passage in passages(packages) if len(words := _WORD.findall(passage.lower())) >= WINDOW]
    counts = Counter(word for words in lines for word in words)
    print(f"{sum(counts.values())} words, {len(counts)} of them different.", flush=True)
    table = word_table(lines, counts, options.seed)
    file = options.out / f"{ARCH}_{SOURCE}.safetensors"
    save_file(table, file)
    about = f"docstrings, comments and READMEs of the standard library and {len(packages)} packages"
    probes = {f"nauc_{folder.name}": round(probe(folder, file), 4) for folder in options.probe}
    card = {
        "formula": f"{SOURCE}: {about}",
        "arch": ARCH,
        "source": SOURCE,
        "seed": options.seed,
        "examples": sum(counts.values()),  # words read
        **probes,
        "date": datetime.now(UTC).date().isoformat(),
        "licence": _LICENCE,
    }
    file.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"The vectors and their card are in {options.out}.")
    return 0


def is_free(package: Distribution) -> bool:
    """Whether its text may be used by anyone for anything, as its metadata say."""

    def values(key: str) -> list[str]:
        return package.metadata.get_all(key) or []

    said = [part for value in values("License-Expression") for part in re.split(r"\bAND\b", value)]
    said += [value.partition("\n")[0] for value in values("License")]
    said += [value for value in values("Classifier") if value.startswith("License :: OSI Approved ::")]
    said = [part for part in said if part.strip()]
    return bool(said) and all(FREE.search(part) and not COPYLEFT.search(part) for part in said)


def passages(packages: list[Distribution]) -> Iterator[str]:
    """Each once; of the standard library and these packages, in the order of their files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in root.rglob("*") if not {"site-packages", "dist-packages"} & set(path.parts)]
    files += [Path(str(file.locate())) for package in packages for file in package.files or []]
    seen: set[int] = set()
    for file in sorted(files):
        for passage in _passages_of(file):
            if (key := hash(passage)) not in seen:
                seen.add(key)
                yield passage


def _passages_of(file: Path) -> Iterator[str]:
    is_code = file.suffix in (".py", ".pyi")
    if not (is_code or file.name.upper().startswith("README") or file.suffix == ".rst"):
        return
    if not file.is_file() or file.stat().st_size > LARGEST_BYTES:
        return
    text = file.read_text("utf-8", "ignore")
    if not is_code:
        yield from text.split("\n\n")
        return
    for comment in _COMMENTS.findall(text):
        yield re.sub(r"^[ \t]*#+", "", comment, flags=re.M)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in others' code
            tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a test case of the library itself, or a template
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from (ast.get_docstring(node) or "").split("\n\n")


def word_table(lines: list[list[str]], counts: Counter[str], seed: int) -> dict[str, np.ndarray]:
    """``hashes`` (V,) int64, rising, and ``vectors`` (V, DIMENSIONS) int8, of the most common words.

    Raises:
        DataError: too few words.
    """
    from sklearn.utils.extmath import randomized_svd

    common = [word for word, count in counts.most_common(WORDS) if count >= FEWEST]
    if len(common) <= DIMENSIONS:
        raise DataError(f"Only {len(common)} words stand {FEWEST} times in the text; {DIMENSIONS + 1} are needed.")
    place = {word: i for i, word in enumerate(common)}
    gap = [-1] * WINDOW  # between passages nothing is near
    ids = np.concatenate([np.array([place.get(word, -1) for word in words] + gap, np.int32) for words in lines])
    left, values, _ = randomized_svd(_mutual_information(ids, len(common)), DIMENSIONS, n_iter=3, random_state=seed)
    vectors = left * np.sqrt(values)
    vectors -= vectors.mean(0)
    share = np.array([counts[word] for word in common]) / counts.total()
    vectors *= (RARE / (RARE + share) / np.maximum(np.linalg.norm(vectors, axis=1), 1e-9))[:, None]
    hashes, first = np.unique([token_hash(word) for word in common], return_index=True)
    return {"hashes": hashes, "vectors": np.round(vectors[first] * 127 / np.abs(vectors).max()).astype(np.int8)}


def _mutual_information(ids: np.ndarray, count: int) -> sp.csr_matrix:
    """(count, count): positive, of words in windows of ``ids`` (T,), where -1 is none."""
    near = sp.csr_matrix((count, count), dtype=np.float32)
    for distance in range(1, WINDOW + 1):
        one, other = ids[:-distance], ids[distance:]
        both = (one >= 0) & (other >= 0)
        pairs, times = np.unique(one[both].astype(np.int64) * count + other[both], return_counts=True)
        near += sp.csr_matrix((times.astype(np.float32) / distance, (pairs // count, pairs % count)), near.shape)
    both_ways = (near + near.T).tocoo()
    words = np.asarray(both_ways.sum(1)).ravel()
    contexts = words**SMOOTHING
    values = np.log(both_ways.data * contexts.sum() / (words[both_ways.row] * contexts[both_ways.col]))
    keep = values > 0
    return sp.csr_matrix((values[keep], (both_ways.row[keep], both_ways.col[keep])), near.shape)


def probe(folder: Path, file: Path) -> float:
    """NAUC of a ridge on ``PROBE_EXAMPLES`` training texts, of other training texts."""
    from automl_engine.models.text.words import TextWords

    split = open_split(data_dir_of(folder), "train")
    chosen = stratified_sample(split.labels, PROBE_EXAMPLES, seed=0)
    others = np.setdiff1d(np.arange(len(split)), chosen)[:PROBE_OTHERS]
    model = TextWords(split.spec, weights=str(file))
    model.train(split.subset(chosen), 60.0)
    return nauc(split.labels[others], model.test(split.subset(others), 60.0))

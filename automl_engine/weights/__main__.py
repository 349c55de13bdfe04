"""``python -m automl_engine.weights`` (``make weights``): fetch those of torchvision's weights that our rows can use.

They go where runs look for them: into ``AUTODL_WEIGHTS_DIR``, else into torchvision's cache.  torchvision knows their
addresses, and the name of each file holds the beginning of its SHA-256: a file gets its name when that is right.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import torch

from automl_engine.models.shared.vision import torchvision
from automl_engine.weights import find_weights, torch_cache

NAMES = ("mobilenet_v2", "resnet18", "efficientnet_b0", "mc3_18")
"""Whoever asks for these: image_pretrained, image_autoclint, video_frames and video_mc3."""
PATIENCE_S = 30.0
LICENCE = (
    "torchvision is under the BSD 3-clause licence; its weights may have terms of their own, after the data they were "
    "trained on: ImageNet (research and teaching, not for commercial use) and, for mc3_18, Kinetics-400. Whether you "
    "may use them is for you to check; the weights that ship with the engine are free of such terms."
)


def addresses() -> list[str]:
    return [torchvision().get_model_weights(name).DEFAULT.url for name in NAMES]


def fetch(url: str, folder: Path) -> Path:
    """The file behind ``url`` in ``folder``, or where this machine has it already.

    Raises:
        OSError: there is no network, or no room.
        RuntimeError: the file is not what its name promises.
    """
    target = folder / url.rpartition("/")[2]
    found = find_weights(target.stem)
    if found:
        return found
    prefix = torch.hub.HASH_REGEX.search(target.name)
    assert prefix, f"{target.name} tells no hash"
    torch.hub.download_url_to_file(url, str(target), prefix.group(1), progress=sys.stderr.isatty())
    return target


def main() -> int:
    """0: all weights are there; 1: one sentence on stderr says which is not, and what to do."""
    folder = Path(os.environ.get("AUTODL_WEIGHTS_DIR") or torch_cache())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no part of a file stays
    socket.setdefaulttimeout(PATIENCE_S)
    print(LICENCE)
    for url in addresses():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            print(fetch(url, folder), flush=True)
        except (OSError, RuntimeError) as error:
            print(
                f"{url.rpartition('/')[2]} could not be fetched ({getattr(error, 'reason', error)}): without a "
                f"network, copy it into {folder} from a machine that has one; runs use the weights that are there.",
                file=sys.stderr,
            )
            return 1
        except KeyboardInterrupt:
            print("Stopped; the same command goes on from here.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the challenge's machine had and ours may lack: a GPU, downloads of weights, package managers.

Code for the challenge is run as it is, so the answers are put into its libraries.  In the syntax of Python 3.6 and
without imports of ours: the challenge's interpreter loads this file, too (old_python.py).
"""

import os
import re
import shutil
import subprocess
import sys
from collections import OrderedDict
from importlib import import_module
from typing import Any, Callable, Dict, List, Set
from urllib.error import URLError
from urllib.parse import urlparse

FOLDER = "AUTODL_WEIGHTS_DIR"
"""The variable with the folder where weights are looked for instead of a download."""
INSTALLERS = re.compile(
    r"(?:^|[\s;&|(/'\"])(?:pip[\d.]*|apt|apt-get|aptitude|dpkg|conda|mamba|easy_install|yum|dnf|apk|brew)"
    r"(?:\.exe)?\s+(?:-\S+\s+)*(?:install|uninstall|download|update|upgrade|add|remove|-i|create|env)\b|easy_install\s"
)
REFUSED = 1  # the exit code of a package manager that was not started
FACTORIES = "arange as_tensor empty empty_like eye full full_like linspace ones ones_like rand rand_like randint randn"
FACTORIES += " randn_like randperm tensor zeros zeros_like"
Note = Callable[[str], None]


def install(source: str, note: Note) -> None:
    """Before the code is imported.

    Args:
        source: all of its text; only libraries that it names are loaded and changed.
        note: takes a sentence for the run's journal.
    """
    once = _Once(note)
    refuse_installers(once)
    _redirect_urls(once)
    if re.search(r"\btorch\b", source):
        import torch

        _redirect_torch(torch, once, "torchvision" in source)
        if not torch.cuda.is_available():
            compute_on_processor(torch, once)
    if "keras" in source:
        _redirect_keras(["keras"] if re.search(r"(?:import|from) keras", source) else [], once)


class _Once:
    """Says each sentence once: code asks for a GPU at every step."""

    def __init__(self, note: Note) -> None:
        self.note = note
        self.said: Set[str] = set()

    def __call__(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.note(text)


# Package managers


def refuse_installers(note: Note) -> None:
    """``pip``, ``apt``, ``conda`` and the like end at once with an exit code that says so."""
    system, start = os.system, subprocess.Popen.__init__

    def is_refused(command: Any) -> bool:
        words = [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command)
        text = " ".join(os.fsdecode(word) for word in words)
        found = bool(INSTALLERS.search(text))
        if found:
            note("Refused: {}. A run installs nothing; requirements-challenge.txt names what is there.".format(text))
        return found

    def refusing_system(command: Any) -> int:
        return REFUSED << 8 if is_refused(command) else system(command)

    def refusing_start(self: Any, args: Any, *others: Any, **options: Any) -> None:
        if is_refused(args):
            kept = {key: value for key, value in options.items() if key not in ("executable", "shell")}
            return start(self, [sys.executable, "-c", "raise SystemExit({})".format(REFUSED)], **kept)
        return start(self, args, *others, **options)

    os.system = refusing_system
    subprocess.Popen.__init__ = refusing_start  # type: ignore[method-assign]


# Downloads


def local_file(url: str, folders: List[str]) -> str:
    """The file of this name in one of the folders, or in that of ``AUTODL_WEIGHTS_DIR``; "" if there is none."""
    name = os.path.basename(urlparse(url).path)
    paths = [os.path.join(folder, name) for folder in [*folders, os.environ.get(FOLDER, "")] if folder]
    return next((path for path in paths if os.path.isfile(path)), "")


def _missing(url: str) -> str:
    """The sentence about weights that are neither here nor to be had."""
    name = os.path.basename(urlparse(url).path)
    return "{0} is not on this machine, so random weights stand in; put {0} into {1} to use it.".format(name, FOLDER)


def _redirect_urls(note: Note) -> None:
    requests: Any = import_module("urllib.request")

    def retrieve(url: str, filename: str = "", *others: Any, **options: Any) -> Any:
        path = local_file(url, [])
        if not path:
            note("{} was not downloaded: a run has no network; put the file into {}.".format(url, FOLDER))
            raise URLError("a run has no network")
        return (shutil.copyfile(path, filename) if filename else path), {}

    requests.urlretrieve = retrieve


class NoWeights(OrderedDict):
    """A state dict that holds nothing: whatever is taken out of it, a network that loads it stays as it is."""

    def __missing__(self, key: Any) -> "NoWeights":
        return NoWeights()

    def __delitem__(self, key: Any) -> None:
        self.pop(key, None)


def _redirect_torch(torch: Any, note: Note, has_torchvision: bool) -> None:
    load = torch.nn.Module.load_state_dict

    def state_of(url: str, model_dir: Any = None, *others: Any, **options: Any) -> Any:
        path = local_file(url, [str(model_dir)] if model_dir else [])
        if not path:
            note(_missing(url))
            return NoWeights()
        note("Weights: {}.".format(os.path.basename(path)))
        # torch of 2019 knows no weights_only: the file is the administrator's or the submission's own, run isolated
        return torch.load(path, map_location="cpu")

    def load_state_dict(self: Any, state: Any, strict: bool = True, **options: Any) -> Any:
        return load(self, state, strict=strict and not isinstance(state, NoWeights), **options)

    torch.nn.Module.load_state_dict = load_state_dict
    import_module("torch.utils.model_zoo").load_url = state_of  # type: ignore[attr-defined]
    if has_torchvision:
        import_module("torchvision.models")
    for name in [name for name in sys.modules if name.startswith(("torch.hub", "torchvision.models"))]:
        module: Any = sys.modules[name]
        if hasattr(module, "load_state_dict_from_url"):
            module.load_state_dict_from_url = state_of


def _redirect_keras(names: List[str], note: Note) -> None:
    """``get_file``, through which Keras downloads, and ``load_weights`` of what it did not find."""
    missing = set()  # of paths

    def get_file(fname: str, origin: str = "", *others: Any, **options: Any) -> str:
        path = local_file(fname, []) or local_file(origin, [])
        if not path:
            note(_missing(origin or fname))
            path = os.path.join(os.environ.get(FOLDER, ""), os.path.basename(fname))
            missing.add(path)
        return path

    def loading(load: Any) -> Any:
        def load_weights(self: Any, filepath: Any, *others: Any, **options: Any) -> Any:
            return None if filepath in missing else load(self, filepath, *others, **options)

        return load_weights

    for package in [import_module("tensorflow").keras, *map(import_module, names)]:
        package.utils.get_file = get_file
        package.Model.load_weights = loading(package.Model.load_weights)
    for name in ("tensorflow.python.keras.utils", "keras.src.utils.file_utils"):
        if name in sys.modules:
            sys.modules[name].get_file = get_file  # type: ignore[attr-defined]


# A GPU that is not there


def compute_on_processor(torch: Any, note: Note) -> None:
    """What code puts on a GPU stays on the processor, in single precision."""
    real = torch.device

    def is_gpu(place: Any) -> bool:
        if isinstance(place, real):
            return place.type == "cuda"
        return place.startswith("cuda") if isinstance(place, str) else type(place) is int

    def here(place: Any) -> Any:
        if not is_gpu(place):
            return place
        note("This machine has no GPU; what the code puts on one is computed on the processor.")
        return real("cpu")

    class IsDevice(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

    class Device(metaclass=IsDevice):
        def __new__(cls, *arguments: Any, **options: Any) -> Any:
            place = here(arguments[0] if arguments else options.get("type"))
            return place if isinstance(place, real) else real(*arguments, **options)

    def on_processor(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if "device" in options:
                options["device"] = here(options["device"])
            return function(*arguments, **options)

        return call

    def stay(self: Any, *arguments: Any, **options: Any) -> Any:
        here("cuda")
        return self

    move = on_processor(torch.Tensor.to)
    torch.device = Device
    torch.Tensor.to = lambda self, *places, **options: move(self, *map(here, places), **options)
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = stay
        kind.half = lambda self: self.float()  # the processor has no convolution in half precision
    for name in FACTORIES.split():
        setattr(torch, name, on_processor(getattr(torch, name)))
    _empty_gpu_module(torch)


def _empty_gpu_module(torch: Any) -> None:
    """The functions of ``torch.cuda`` that need a GPU do nothing; its tensors are those of the processor."""

    class Stream:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            pass

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *arguments: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Callable[..., Any]:  # wait_stream, record_event, synchronize ...
            return lambda *arguments, **options: None

    stand_ins: Dict[str, Any] = {"Stream": Stream, "stream": Stream, "device": Stream, "current_stream": Stream}
    for name in ("synchronize", "set_device", "empty_cache", "init"):
        stand_ins[name] = lambda *arguments, **options: None
    for name in ("Float", "Double", "Long", "Int", "Byte", "Bool"):
        stand_ins[name + "Tensor"] = getattr(torch, name + "Tensor")
    stand_ins["HalfTensor"] = torch.FloatTensor
    for name, stand_in in stand_ins.items():
        setattr(torch.cuda, name, stand_in)

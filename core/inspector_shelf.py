"""The shelf of the inspector's open models, bounded in number and memory."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from core import foreign_json
from core import inspector_protocol as protocol
from core.host import Host
from core.inspector_loading import load
from core.inspector_models import LoadedModel

MAX_MODELS = 4
"""How many models stay open at most."""

MEMORY_SHARE = 0.5
"""Share of the memory that is free, that of the open models counted as free, which models may take together."""


class ModelShelf:
    """The open models, the one used last at the end; those unused longest are put out for a new one.

    At most `max_models`, and together at most `max_bytes` of weights (None: MEMORY_SHARE of the memory there is). The
    model asked for is always loaded, even if it alone is larger: it is what the user wants to see.
    """

    def __init__(self, max_models: int = MAX_MODELS, max_bytes: int | None = None) -> None:
        self._max_models = max_models
        self._max_bytes = max_bytes
        self._models: OrderedDict[tuple[str, str | None], LoadedModel] = OrderedDict()

    @property
    def paths(self) -> list[str]:
        """The paths of the open models, the one used last at the end."""
        return [path for path, _device in self._models]

    @property
    def nbytes(self) -> int:
        """Memory of all weights in bytes."""
        return sum(loaded.nbytes for loaded in self._models.values())

    def get(self, path: str, device: str | None = None) -> LoadedModel:
        """The model from memory, or loaded; loaded anew when its files changed. Raises ModelError, UsageError."""
        key = (path, device)
        loaded = self._models.get(key)
        if loaded is not None and loaded.fingerprint == protocol.fingerprint(path):
            self._models.move_to_end(key)
            return loaded
        self._models.pop(key, None)
        loaded = None
        self._make_room(expected_bytes(path))
        loaded = self._models[key] = load(path, device)
        return loaded

    def clear(self) -> None:
        """Put all models out."""
        self._models.clear()

    def _make_room(self, size: int) -> None:
        while self._models and (len(self._models) >= self._max_models or self.nbytes + size > self._limit()):
            self._models.popitem(last=False)

    def _limit(self) -> int:
        if self._max_bytes is not None:
            return self._max_bytes
        return int(MEMORY_SHARE * (Host().sample().memory_free + self.nbytes))


def expected_bytes(path: str) -> int:
    """Memory that the weights in directory `path` will take as float32; 0 where there are none to look at."""
    directory = Path(path)
    files = [file for pattern in ("*.safetensors", "pytorch_model*.bin") for file in directory.glob(pattern)]
    size = sum(file.stat().st_size for file in files)
    try:
        config = foreign_json.parse((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return size
    dtype = config.get("dtype", config.get("torch_dtype")) if isinstance(config, dict) else None
    return 2 * size if dtype in {"float16", "bfloat16"} else size

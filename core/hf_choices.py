"""What some settings take, read from the source of transformers and accelerate. Light: imports neither."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

from core.hf_args import training_arguments_source

# The modes of torch.compile, which has no list of them that could be read without importing torch.
COMPILE_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
# What every schedule gets from Trainer itself.
_FROM_TRAINER = ("optimizer", "num_warmup_steps", "num_training_steps", "last_epoch")


def _body(path: Path | None) -> list[ast.stmt]:
    if path is None or not path.is_file():
        return []
    return ast.parse(path.read_text(encoding="utf-8")).body


@functools.cache
def compile_backends() -> tuple[str, ...]:
    """The names that `torch_compile_backend` takes, in small letters; empty where accelerate's source is not found."""
    spec = importlib.util.find_spec("accelerate")
    if spec is None or not spec.submodule_search_locations:
        return ()
    for node in _body(Path(next(iter(spec.submodule_search_locations))) / "utils" / "dataclasses.py"):
        if isinstance(node, ast.ClassDef) and node.name == "DynamoBackend":
            values = [item.value for item in node.body if isinstance(item, ast.Assign)]
            names = [str(value.value) for value in values if isinstance(value, ast.Constant)]
            return tuple(name.lower() for name in names if name != "NO")
    return ()


@functools.cache
def schedule_settings(name: str) -> tuple[str, ...] | None:
    """The settings that the schedule `name` takes in `lr_scheduler_kwargs`; None where any may be or nobody knows."""
    if name in ("constant", "constant_with_warmup"):
        # Whatever their functions take, they are called without.
        return ()
    source = training_arguments_source()
    body = _body(source.with_name("optimization.py") if source is not None else None)
    function = _function_of(name, body)
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function and node.args.kwarg is None:
            names = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]]
            return tuple(argument for argument in names if argument not in _FROM_TRAINER)
    return None


def _function_of(name: str, body: list[ast.stmt]) -> str:
    """The function that transformers' own table names for a schedule; empty when it is not there."""
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TYPE_TO_SCHEDULER_FUNCTION":
            table = node.value
            assert isinstance(table, ast.Dict)
            for key, value in zip(table.keys, table.values, strict=True):
                if key is not None and ast.unparse(key).rsplit(".", 1)[-1].lower() == name:
                    return ast.unparse(value)
    return ""

"""A stand-in for a CUDA graph on the CPU: work is recorded operation by operation, and a replay does it again on the same tensors.

As with a graph, what is no tensor keeps the value that it had when it was recorded, and a result is written where it was. Every
tensor that the work changed is put back after recording, which so does nothing, as a capture does.
"""

from contextlib import ExitStack
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

READS = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "unique", "_unique2", "item")
"""Operations that wait for a value on the device, or whose result's shape depends on one."""


WAYS = (
    *((torch.Tensor, name) for name in ("tolist", "numpy", "cpu", "__array__")),
    *((torch, name) for name in ("tensor", "as_tensor", "from_numpy")),
)
"""Ways between a tensor and what is none, which on the CPU are no operation that a recorder sees: on a device they wait for it."""


class ReadsAValueError(RuntimeError):
    """An operation that a graph cannot hold."""


def _refused(kind, name):
    plain = getattr(kind, name)

    def refuse(*args, **kwargs):
        if kind is torch and isinstance(args[0], torch.Tensor):
            return plain(*args, **kwargs)
        raise ReadsAValueError(f"{name} takes a value off the device, or brings it there")

    return refuse


class _Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls, self.before = [], {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in READS or (name in ("index", "index_put_") and any(_is_mask(i) for i in args[1] if i is not None)):
            raise ReadsAValueError(f"{name} reads a value back")
        named = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
        for argument in func._schema.arguments:
            # The schema of batch normalisation does not say that it changes its statistics.
            if argument.name.startswith("running_") or (argument.alias_info is not None and argument.alias_info.is_write):
                for tensor in tree_flatten(named.get(argument.name))[0]:
                    if isinstance(tensor, torch.Tensor) and tensor.numel():
                        self.before.setdefault((tensor.data_ptr(), tensor.shape, tensor.dtype), (tensor, tensor.clone()))
        result = func(*args, **kwargs)
        if "empty" not in name:  # the memory is there, and what writes into it comes later
            self.calls.append((func, args, kwargs, result))
        return result


def _is_mask(index):
    return index.dtype in (torch.bool, torch.uint8)


class Recorded:
    """Work that was recorded."""

    def __init__(self, calls):
        self.calls, self.replays = calls, 0

    @torch.no_grad()
    def replay(self):
        self.replays += 1
        for func, args, kwargs, result in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_flatten(result)[0], tree_flatten(again)[0], strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def recorded(work):
    """As ``step.captured`` on the CPU."""
    state = torch.get_rng_state()
    with ExitStack() as ways, _Recorder() as recorder:
        for kind, name in WAYS:
            ways.enter_context(patch.object(kind, name, _refused(kind, name)))
        work()
    with torch.no_grad():
        for tensor, value in reversed(recorder.before.values()):
            tensor.copy_(value)
    torch.set_rng_state(state)
    return Recorded(recorder.calls)

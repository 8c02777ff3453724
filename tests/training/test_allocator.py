"""Memory that is kept between the steps of a training, and given back after it; in a process of its own, which it changes."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, resource
import numpy as np
from evaluator.training.cpu.allocator import kept_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    before = faults()
    for _ in range(5):
        block = np.ones(48 << 20, np.uint8)
        del block
    return faults() - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

found = {"before": work()}
with kept_memory() as told:
    work()
    found |= {"told": told, "inside": work(), "held": resident()}
found |= {"left": resident(), "after": work()}
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator is not glibc's")
def test_freed_blocks_are_kept_inside_and_given_back_after():
    # Pages of ordinary size, so that faults can be counted.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))}
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["told"] is True
    assert found["inside"] < found["before"] / 10, "inside, a freed block is used again as it is"
    assert found["after"] > 10 * max(found["inside"], 1), "after, the system lends and takes back as ever"
    assert found["held"] - found["left"] > 40 << 20, "the last block is given back at the end"

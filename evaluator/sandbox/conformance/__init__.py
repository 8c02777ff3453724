"""What every isolation tier must do, as checks that are the same for all of them: ``CHECKS``, in the order they are shown.

``run_checks`` of ``check`` plays them on a tier. A tier that does not promise something is not held to it, and the list says so.
"""

from evaluator.sandbox.conformance import calls, ending, files, given, limits, messages, neighbours

CHECKS = (*messages.CHECKS, *ending.CHECKS, *given.CHECKS, *limits.CHECKS, *files.CHECKS, *neighbours.CHECKS, *calls.CHECKS)

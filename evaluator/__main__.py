"""``python -m evaluator VERB``, and ``dck VERB``."""

import sys

from evaluator.interrupts import end_quietly, handled


def main() -> int:
    """Run one verb of the command line; returns its exit status."""
    end_quietly()  # the imports take a moment, in which Ctrl-C may come
    from evaluator.cli.main import main as run

    return handled(run())


if __name__ == "__main__":
    sys.exit(main())

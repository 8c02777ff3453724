"""The worker's own package under a name that no submission has, so that a submission may have a package ``evaluator``."""

import os

__path__ = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]

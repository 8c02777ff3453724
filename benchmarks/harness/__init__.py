"""What everything around the training costs. Run as ``python -m benchmarks.harness <which>``.

``worker``      the worker process of the tier ``process``: start-up, purchases, the kill at the deadline
``isolation``   the same and memory, tier by tier
``sweep``       listing many finished cells, and the work around one cell
``strategies``  seconds and memory of every strategy on arrays

``docker_engine.py`` starts a Docker engine with the project's image; the tests use it, too.
"""

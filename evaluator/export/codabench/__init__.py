"""Codabench: bundles are made, checked, and tried in a stand-in of its compute worker. ``docs/codabench.md`` says what for."""

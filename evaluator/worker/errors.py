"""The errors that a participant's code can meet while it buys."""

from __future__ import annotations


class OutOfBudgetError(Exception):
    """The purchase would need more labels than the budget has left. Nothing was bought and nothing was charged."""


class MarketClosedError(RuntimeError):
    """Labels are sold during the purchase phase only, and only to the process that the phase was started in."""

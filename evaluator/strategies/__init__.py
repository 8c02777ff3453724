"""Which labels to buy, as pure functions on arrays, and the small models that feed them.

Every function takes what a strategy has at hand: probabilities ``(n, classes)``, a committee's ``(members, n, classes)``, or
embeddings ``(n, d)``. It returns utilities ``(n,)``, more is better, or indices ``(m,)`` into the pool that was given, in order of
choice. The rules that hold for all of them:

- Indices are int64, never repeated, and as many as the budget, or as the pool holds where the budget is larger.
- Equal utilities are decided by position: the lower index comes first.
- Chance comes from the ``numpy.random.Generator`` that is passed in; the same generator, the same answer.
- No array of n x n is ever made; the pool is walked in blocks.
- Probabilities outside 0 to 1, NaN, infinity and wrong shapes are a ``ValueError`` before any work is done.

A worker sees this package in every tier, so a submission of one file may import it. NumPy, SciPy and scikit-learn are all it needs;
``activeml`` alone, the adapter of scikit-activeml, needs that extra where it is used, and keeps to limits of its own.
"""

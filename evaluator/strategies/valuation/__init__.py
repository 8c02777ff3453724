"""How much each labelled row is worth, or how likely its label is right: the rows to check first have the lowest values.

Every function takes embeddings float (n, d) and labels int (n,), a class or 0 and 1, or (n, classes) of 0 and 1 where rows have
several labels. It returns values float64 (n,). ``worst_first`` makes a ranking of them. The rules of ``evaluator.strategies`` hold.
"""

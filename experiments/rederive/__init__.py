"""Derives every figure of ``docs/results.md`` again from the stored cells, without the kit.

Run as ``python -m experiments.rederive --help``. It imports nothing of the kit, so that a mistake in
``evaluator/scoring`` is not made twice.

``cells``                the stored cells: grids by condition and data set, series by seed
``differences``, ``corrections``, ``gap``, ``power``, ``data_sets``, ``rank_agreement``   formulas of its own
``conditions``           everything that these formulas give, by condition and data set
``forms``, ``found``     how a cell of a table reads; what was held against the page
``tables_*``, ``headline``   the page's tables, a module for each kind, and the paragraphs above them
``page``                 the whole page
"""

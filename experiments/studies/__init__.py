"""Questions that were asked once. Each study is a command of its own; ``docs/benchmarks.md`` shows what came out.

``recipes``     which recipe should ``quick`` be, and which choices of ``round2`` matter?
``learning``    does a profile measure what was bought?
``proxy``       how long does a cell of the pipeline ``proxy`` take, and what does it score?
``transfer``    what are starting weights worth?
``levels``      how often do the intervals over data sets cover?
``tuning.toml`` where strategies are tried: seeds that no page shows (``experiments/tuning.py``)
``panel.toml``  do pipelines agree on the order of strategies? (``python -m evaluator sweep --file experiments/studies/panel.toml``)

Their figures are in ``experiments/studies/results/``.
"""

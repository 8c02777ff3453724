"""Every strategy compared with a reference, condition by condition: ``python -m evaluator compare``.

``asked``           how conditions are to be compared
``figures``         the whole report, JSON-able; of each condition ``one_condition``, of each difference ``differences``
``headings``, ``blocks``, ``notes``   what is shown of a condition: above its tables, the tables, below them
``terminal``, ``markdown``   the report in a terminal and as Markdown; ``report/html/comparison.py`` is the HTML
"""

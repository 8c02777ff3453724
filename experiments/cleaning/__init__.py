"""Which baselines of the cleaning track find wrong labels, and what it is worth: ``docs/cleaning-results.md``.

``study``      what is run, and the running; a run that was interrupted goes on where it stopped
``cells``      the committed figures of its cells, in columns
``page``       the page, from these figures alone
``pictures``   its pictures
"""

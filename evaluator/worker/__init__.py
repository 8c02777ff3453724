"""The untrusted side: what runs beside a participant's code, in a process of its own.

Self-contained on purpose (standard library and numpy): it imports nothing else of the kit, so that a sandbox needs to show the
worker only this package and ``run.py``. Nothing in here protects anything: whoever controls this process can rewrite all of it.
The clock, the labels and the record of what was asked live on the other side of the channel.
"""

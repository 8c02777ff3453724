"""Our training against the plain loop of 2022: time per image pass, accuracy, memory. Run as ``python -m benchmarks.training``.

``races``, ``contest``        what is raced, and how a contestant is timed; ``tables`` prints it
``plain_loop``, ``plain_inputs``  the yardstick: a second, plain program for the same recipe
``phases``, ``operations``    where the time goes, and what the arithmetic amounts to
``accuracy``, ``memory``      whether both learn as well, and what a pipeline needs on a device
``pretraining``               throughput of pre-training; a command of its own
"""

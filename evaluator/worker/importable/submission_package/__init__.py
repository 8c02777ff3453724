from _dck_worker.standins import replace

replace(__name__)

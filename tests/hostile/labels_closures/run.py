"""Reads labels from the closures and defaults of every function."""

import gc
import types

from aim import look_into

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for function in gc.get_objects():
            if isinstance(function, types.FunctionType):
                for cell in function.__closure__ or ():
                    try:
                        look_into(cell.cell_contents)
                    except ValueError:
                        continue  # an empty cell
                for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
                    look_into(value)

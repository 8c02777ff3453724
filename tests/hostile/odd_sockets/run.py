"""Makes sockets of every family and protocol that the kernel has: virtual machines, Bluetooth, packets, key exchange."""

import socket

from aim import loot

from run import ZEWDPCBaseRun

UNIX, IP, IP6, NETLINK = 1, 2, 10, 16


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        wanted = [(family, kind, protocol) for family in range(1, 46) for kind in (1, 2, 3, 4, 5) for protocol in (0, 1, 3)]
        wanted += [(NETLINK, 3, protocol) for protocol in range(1, 23)]
        wanted += [(family, kind, protocol) for family in (IP, IP6) for kind in (1, 2, 3) for protocol in (132, 136, 255, 262)]
        for family, kind, protocol in wanted:
            usual = family == UNIX or (family == NETLINK and protocol == 0) or (family in (IP, IP6) and protocol in (0, 6, 17))
            if usual:
                continue
            try:
                socket.socket(family, kind, protocol).close()
            except OSError:
                continue
            loot(f"a socket of family {family}, kind {kind}, protocol {protocol}")

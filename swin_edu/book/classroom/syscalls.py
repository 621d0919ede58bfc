"""Which calls of the kernel fail in the sandbox: those that reach what its name spaces do not part.

Keys of the teacher's session, memory that no limit counts, sockets to the host of a virtual machine, and
interfaces of the kernel that no function of a student needs. bubblewrap hands the program to the kernel.
"""

import errno
import platform
import struct

NUMBERS = {  # of each machine: the kernel's name for it, and its numbers for the calls
    "x86_64": (
        0xC000003E,
        41,  # socket
        (29, 64, 68, 240),  # shmget, semget, msgget, mq_open
        (248, 249, 250),  # add_key, request_key, keyctl
        (298, 321, 323, 425),  # perf_event_open, bpf, userfaultfd, io_uring_setup
    ),
    "aarch64": (0xC00000B7, 198, (194, 190, 186, 180), (217, 218, 219), (241, 280, 282, 425)),
}
FAMILIES = (1, 2, 10)  # of sockets: within the sandbox, and the internet that it does not have
OTHER_TABLE = 0x40000000  # numbers from here on are another table of calls
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EPERM
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16  # places in what the kernel hands to the program


def program() -> bytes:
    """Return the program for this machine; raise OSError for a machine whose numbers are not known."""
    if platform.machine() not in NUMBERS:
        raise OSError(errno.ENOSYS, "no list of system calls", platform.machine())
    machine, socket, *groups = NUMBERS[platform.machine()]
    failing = [number for group in groups for number in group]
    # each line: operation, value, where to go if it holds, and if not
    lines: list[tuple[int, int, str, str]] = [
        (LOAD, MACHINE, "", ""),
        (EQUAL, machine, "", "fail"),
        (LOAD, NUMBER, "", ""),
        (AT_LEAST, OTHER_TABLE, "fail", ""),
        *((EQUAL, number, "fail", "") for number in failing),
        (EQUAL, socket, "", "allow"),
        (LOAD, FIRST_ARGUMENT, "", ""),
        *((EQUAL, family, "allow", "") for family in FAMILIES),
        (RETURN, FAIL, "", ""),
        (RETURN, ALLOW, "", ""),
    ]
    ends = {"fail": len(lines) - 2, "allow": len(lines) - 1}
    return b"".join(
        struct.pack("=HBBI", operation, *(ends[end] - place - 1 if end else 0 for end in (yes, no)), value)
        for place, (operation, value, yes, no) in enumerate(lines)
    )

"""The system calls that no build step needs and that namespaces do not cover, as a seccomp filter (classic BPF).

Namespaces confine most of what a step could reach. These remain: kernel keyrings, address families that no network
namespace separates (VSOCK reaches a virtual machine's host), io_uring (whose operations pass by a filter), memory that
no limit counts, the other ABIs of the machine, and the kernel's rarely needed and often attacked parts.
Reference: Linux Documentation/userspace-api/seccomp_filter.rst; numbers of arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import errno
import struct

__all__ = ["DENIED", "FAMILIES", "program"]

DENIED = {
    # processes of others, namespaces, mounts
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "unshare": 272, "setns": 308,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "name_to_handle_at": 303, "open_by_handle_at": 304,
    # kernel keyrings: they outlive a step and may hold the caller's secrets
    "add_key": 248, "request_key": 249, "keyctl": 250,
    # memory that belongs to no process, so that no limit counts it
    "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240,
    # the kernel itself
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "fanotify_init": 300, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
    "finit_module": 313, "delete_module": 176, "reboot": 169, "swapon": 167, "swapoff": 168, "syslog": 103,
    "acct": 163, "quotactl": 179, "iopl": 172, "ioperm": 173, "settimeofday": 164, "clock_settime": 227,
    "adjtimex": 159, "clock_adjtime": 305, "sethostname": 170, "setdomainname": 171, "vhangup": 153,
}  # fmt: skip
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}

_SOCKET, _IOCTL = 41, 16
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX put words into a terminal's mouth
_X86_64, _X32 = 0xC000003E, 0x40000000

_ARCHITECTURE, _NUMBER = 4, 0  # offsets in struct seccomp_data
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def program() -> bytes:
    """The filter as an array of ``struct sock_filter``: a denied call fails, a call of another ABI ends the process."""
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    code += _refuse(_AT_LEAST, _X32, errno.ENOSYS)
    for number in sorted(DENIED.values()):
        code += _refuse(_EQUAL, number, errno.EPERM)
    code += _when(_SOCKET, _only(0, tuple(FAMILIES.values()), errno.EAFNOSUPPORT))
    code += _when(_IOCTL, _none(1, _TERMINAL, errno.EPERM))
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


_Code = list[tuple[int, int, int, int]]


def _refuse(test: int, operand: int, error: int) -> _Code:
    return [(test, 0, 1, operand), (_RETURN, 0, 0, _ERRNO | error)]


def _when(number: int, body: _Code) -> _Code:
    # the body ends in a return of its own, so that what follows still finds the number loaded
    return [(_EQUAL, 0, len(body), number), *body]


def _only(argument: int, allowed: tuple[int, ...], error: int) -> _Code:
    tests = [(_EQUAL, len(allowed) - index, 0, value) for index, value in enumerate(allowed)]
    return [_low_half(argument), *tests, (_RETURN, 0, 0, _ERRNO | error), (_RETURN, 0, 0, _ALLOW)]


def _none(argument: int, denied: tuple[int, ...], error: int) -> _Code:
    tests = [(_EQUAL, len(denied) - index, 0, value) for index, value in enumerate(denied)]
    return [_low_half(argument), *tests, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | error)]


def _low_half(argument: int) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, 16 + 8 * argument)

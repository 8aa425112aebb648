"""The layouts of bpf/govern.h: compiled rules as the kernel reads them, hits as it writes them."""

from ctypes import Structure, c_char, c_int16, c_int32, c_uint8, c_uint16, c_uint32, c_uint64
from enum import IntEnum

RULES = 256
NET_ENTRIES = 1024
EXEC_ENTRIES = 256
CONDITIONS = 4
PATH_TEXT = 256
ARGUMENT_TEXT = 64
RULE_SCOPE = 0xFFFF
COUNTERS = 6
EXEC_PATH_ROOM = 320  # of a hit's data; the arguments follow


class Action(IntEnum):
    EXCEPT = 0
    AUDIT = 1
    DENY = 2
    KILL = 3


class Outcome(IntEnum):
    OBSERVED = 1
    PREVENTED = 2
    STOPPED_AFTER = 3
    MISSED = 4


class HitKind(IntEnum):
    CONNECT = 1
    SENDMSG = 2
    BIND = 3
    SOCKET = 4
    EXEC = 5
    LEAVE = 6


class Hook(IntEnum):
    CONNECT = 1
    BIND = 2


class PathMatch(IntEnum):
    ANY = 0
    IS = 1
    STARTS = 2
    ENDS = 3


class ArgumentMatch(IntEnum):
    IS = 1
    STARTS = 2
    ENDS = 3
    CONTAINS = 4
    LINE_STARTS = 5
    LINE_CONTAINS = 6


class Config(Structure):
    _fields_ = [
        ("scope_id", c_uint64),
        ("net_entries", c_uint32),
        ("exec_entries", c_uint32),
        ("plain_sockets", c_uint32),
        ("plain_rule", c_uint32),
        ("hold", c_uint32),
        ("strict", c_uint32),
        ("plain_groups", c_uint64),
    ]


class NetEntry(Structure):
    _fields_ = [
        ("address", c_uint8 * 16),
        ("groups", c_uint64),
        ("rule", c_uint32),
        ("port_low", c_uint16),
        ("port_high", c_uint16),
        ("prefix", c_uint8),
        ("protocol", c_uint8),
        ("action", c_uint8),
        ("hooks", c_uint8),
        ("pad", c_uint32),
    ]


class Condition(Structure):
    _fields_ = [
        ("index", c_int16),
        ("length", c_uint16),
        ("match", c_uint8),
        ("pad", c_uint8 * 3),
        ("text", c_char * ARGUMENT_TEXT),
    ]


class ExecEntry(Structure):
    _fields_ = [
        ("groups", c_uint64),
        ("rule", c_uint32),
        ("path_length", c_uint16),
        ("path_match", c_uint8),
        ("action", c_uint8),
        ("conditions", c_uint32),
        ("pad", c_uint32),
        ("path", c_char * PATH_TEXT),
        ("condition", Condition * CONDITIONS),
    ]


class Member(Structure):
    _fields_ = [("start_ns", c_uint64), ("groups", c_uint64), ("tgid", c_uint32), ("pad", c_uint32)]


class Hit(Structure):
    _fields_ = [
        ("ktime_ns", c_uint64),
        ("start_ns", c_uint64),
        ("tgid", c_uint32),
        ("tid", c_uint32),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("rule", c_uint32),
        ("result", c_int32),
        ("kind", c_uint8),
        ("action", c_uint8),
        ("outcome", c_uint8),
        ("flags", c_uint8),
        ("port", c_uint16),
        ("protocol", c_uint16),
        ("sock_kind", c_uint16),
        ("path_length", c_uint16),
        ("argv_length", c_uint16),
        ("pad", c_uint16),
        ("address", c_uint8 * 16),
        ("comm", c_char * 16),
    ]


# name in bpf/govern.h -> layout
STRUCTS: dict[str, type[Structure]] = {
    "govern_config": Config,
    "govern_net_entry": NetEntry,
    "govern_condition": Condition,
    "govern_exec_entry": ExecEntry,
    "govern_member": Member,
    "govern_hit": Hit,
}

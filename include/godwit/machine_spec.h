/*
 * What a machine is, and how a run of it goes: one description for the command line, the machine, a
 * snapshot's manifest, and whatever else names a machine. Its fields, their limits, names and texts
 * are rows of machine_spec.inc; the room spec/ reads that table, and is the one that fills in a
 * description, compares it, and frees it.
 *
 * A spec owns its strings: spec/ copies what it is given, and spec_clear() frees it. Everybody else
 * only reads, from any thread, as long as nobody changes the spec. NULL, 0 and a count of 0 mean
 * that nothing was said, except where a row says what is usual.
 */
#ifndef GODWIT_MACHINE_SPEC_H
#define GODWIT_MACHINE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SPEC_MAX_CPUS = 8,
    SPEC_MAX_DISKS = 8,
    SPEC_MAX_FILES = 16,
    SPEC_MAX_PUBLISH = 16,
    SPEC_MAX_CHANNELS = 7,
    SPEC_CHANNEL_NAME_BYTES = 64,
    SPEC_FLASH_BANKS = 2,
    SPEC_SERIAL_PORTS = 2,
    SPEC_MAC_BYTES = 6,
};

/* What a word of a row stands for: its place among the row's words, from 1; 0: nothing was said. */
enum spec_disk_mode { SPEC_DISK_TEMPORARY = 1, SPEC_DISK_OVERLAY, SPEC_DISK_RW };
enum spec_disk_format { SPEC_DISK_RAW = 1 };
enum spec_net_kind { SPEC_NET_USER = 1, SPEC_NET_TAP, SPEC_NET_SOCKET, SPEC_NET_NONE };
enum spec_port_kind {
    SPEC_PORT_STDIO = 1,
    SPEC_PORT_PTY,  /* a terminal of its own; its name is said on stderr */
    SPEC_PORT_FILE, /* output only */
    SPEC_PORT_UNIX, /* whoever connects to the socket, one at a time */
};
enum spec_switch { SPEC_OFF = 1, SPEC_ON };
enum spec_protocol { SPEC_TCP = 1, SPEC_UDP };
enum spec_engine { SPEC_ENGINE_JIT = 1, SPEC_ENGINE_INTERP };
enum spec_on_panic { SPEC_PANIC_EXIT = 1, SPEC_PANIC_PAUSE, SPEC_PANIC_SAVE };
enum spec_fp_traps { SPEC_FP_TRAPS_OFF = 1, SPEC_FP_TRAPS_AUTO, SPEC_FP_TRAPS_EAGER };

/* One of a few words, some of which say where to: "pty", "file:/tmp/log". */
struct spec_target {
    uint32_t kind;
    const char *to; /* NULL where the word takes nothing */
};

/* The address of a network card; all zero: none was said. */
struct spec_mac {
    uint8_t bytes[SPEC_MAC_BYTES];
};

/* How a field of each kind is held; see spec/spec.h for what the kinds mean. */
#define SPEC_HOLDS_TEXT     const char *
#define SPEC_HOLDS_PATH     const char *
#define SPEC_HOLDS_FLAG     bool
#define SPEC_HOLDS_COUNT    uint64_t
#define SPEC_HOLDS_NUMBER   uint64_t
#define SPEC_HOLDS_SIZE     uint64_t
#define SPEC_HOLDS_DURATION uint64_t
#define SPEC_HOLDS_CHOICE   uint32_t
#define SPEC_HOLDS_TARGET   struct spec_target
#define SPEC_HOLDS_MAC      struct spec_mac

/* struct disk_spec, struct file_spec, ... and at last struct machine_spec. */
#define SPEC_BEGIN(record)                           struct record##_spec {
#define SPEC_FIELD(record, kind, member, owner, ...) SPEC_HOLDS_##kind member;
#define SPEC_LIST(record, element, member, most, owner, ...)                                       \
    struct element##_spec member[most];                                                            \
    uint32_t member##_count;
#define SPEC_PLACES(record, element, member, most, owner, ...) struct element##_spec member[most];
#define SPEC_OPTION(record, ...)
#define SPEC_END(record, check)                                                                    \
    }                                                                                              \
    ;
#include "godwit/machine_spec.inc"
#undef SPEC_BEGIN
#undef SPEC_FIELD
#undef SPEC_LIST
#undef SPEC_PLACES
#undef SPEC_OPTION
#undef SPEC_END

#endif

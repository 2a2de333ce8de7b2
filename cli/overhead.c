/*
 * --overhead-max: what Godwit may use beside the guest's memory, shared out.
 *
 * The figures are measured ones, rounded up. A machine that has hardly begun has 8 MiB resident,
 * program and libraries included. A byte of translated code is resident twice, as it is written and
 * as it is executed, and what is known about a block (where it came from, links, a row for each
 * place that can be left) takes 2 bytes for each of its code's with usual code, and 4 where blocks
 * are of one instruction. For each page of guest memory there are 4 bytes of the reverse map and some
 * of flags.
 */
#include <inttypes.h>

#include "cli/cli.h"

#define MIB           (UINT64_C(1) << 20)
#define BASE          (10 * MIB)
#define MAPS_MIN      (1 * MIB)
#define CODE_MIN      (UINT64_C(512) << 10)
#define CODE_MAX      (128 * MIB) /* more is never made use of */
#define PER_CODE_BYTE 6
#define PER_RAM_SHIFT 9 /* a byte for each 512 of the guest's memory */

enum gw_status cli_share_overhead(struct cli_overhead *share, uint64_t most, uint64_t ram_bytes,
                                  struct gw_error *err)
{
    uint64_t fixed = BASE + (ram_bytes >> PER_RAM_SHIFT);
    uint64_t maps_min = ram_bytes ? MAPS_MIN : 0;
    uint64_t least = fixed + maps_min + PER_CODE_BYTE * CODE_MIN, free;
    *share = (struct cli_overhead){0};
    if (!most)
        return GW_OK;
    if (most < least) {
        least = (least + MIB - 1) / MIB;
        gw_fail(err, GW_ERR_ARG, "--overhead-max", "too small: the least%s is %" PRIu64 "M",
                ram_bytes ? " with this much memory" : "", least);
        if (err)
            snprintf(err->hint, sizeof err->hint, "--overhead-max %" PRIu64 "M", least);
        return GW_ERR_ARG;
    }
    free = most - fixed;
    share->map_bytes = ram_bytes ? free / 4 < MAPS_MIN ? MAPS_MIN : free / 4 : 0;
    share->code_cache_bytes = (free - share->map_bytes) / PER_CODE_BYTE;
    if (share->code_cache_bytes > CODE_MAX)
        share->code_cache_bytes = CODE_MAX;
    share->code_cache_bytes &= ~(uint64_t)0xffff;
    return GW_OK;
}

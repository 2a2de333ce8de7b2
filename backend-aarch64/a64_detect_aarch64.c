/* What this AArch64 host offers, as Linux says it. */
#include <sys/auxv.h>

#include "backend-aarch64/a64.h"
#include "backend-aarch64/a64_detect.h"

/* HWCAP_PMULL, HWCAP_ATOMICS of <asm/hwcap.h> */
enum { HWCAP_OF_PMULL = 1 << 4, HWCAP_OF_ATOMICS = 1 << 8 };

bool a64_native(void)
{
    return true;
}

uint32_t a64_detect(void)
{
    const unsigned long caps = getauxval(AT_HWCAP);
    return A64_F_BASE | (caps & HWCAP_OF_ATOMICS ? A64_F_LSE : 0u) |
           (caps & HWCAP_OF_PMULL ? A64_F_PMULL : 0u);
}

/* DC CVAU by the line, DSB, IC IVAU, DSB, ISB, as CTR_EL0 has the lines' sizes. Arm ARM, "Synchronization and
 * coherency issues between data and instruction accesses". Both views are of the same physical lines. */
void a64_flush(uint64_t rx, size_t size)
{
    char *at = (char *)(uintptr_t)rx; /* NOLINT(performance-no-int-to-ptr) */
    __builtin___clear_cache(at, at + size);
}

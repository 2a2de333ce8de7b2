/*
 * Executable memory under W^X: one memory object, mapped writable at one address and executable at
 * another. Touching new pages costs two faults each, so they are populated in growing steps.
 */
#include "translator/code/code_mem.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* One memory object: a file, so that a limit on files' sizes holds for it, and ends who tries. */
static bool map_object(void **rw, void **rx, size_t size)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_FSIZE, &files) || files.rlim_cur < size)
        return false;
    int fd = memfd_create("godwit-code", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)size) == 0) {
        *rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        *rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    close(fd);
    return true;
}

/* Shared memory, mapped once more (mremap(2) of no bytes). It takes no descriptor, as there may be none
 * left where a program forks that has opened all it may; strict accounting counts all of it. */
static void map_shared(void **rw, void **rx, size_t size)
{
    *rw =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (*rw != MAP_FAILED)
        *rx = mremap(*rw, 0, size, MREMAP_MAYMOVE);
    if (*rx != MAP_FAILED && mprotect(*rx, size, PROT_READ | PROT_EXEC)) {
        munmap(*rx, size);
        *rx = MAP_FAILED;
    }
}

enum gw_status code_mem_open(struct code_mem *m, size_t size, struct gw_error *err)
{
    void *rw = MAP_FAILED, *rx = MAP_FAILED;
    *m = (struct code_mem){.size = size};
    if (!map_object(&rw, &rx, size))
        map_shared(&rw, &rx, size);
    if (rw == MAP_FAILED || rx == MAP_FAILED) {
        if (rw != MAP_FAILED)
            munmap(rw, size);
        if (rx != MAP_FAILED)
            munmap(rx, size);
        return gw_fail(err, GW_ERR_NOMEM, NULL, "cannot map %zu KiB for the code cache",
                       size >> 10);
    }
    m->rw = rw;
    m->rx = (uint64_t)(uintptr_t)rx;
    return GW_OK;
}

void code_mem_close(struct code_mem *m)
{
    if (!m->rw)
        return;
    munmap(m->rw, m->size);
    munmap((void *)(uintptr_t)m->rx, m->size);
    m->rw = NULL;
}

bool code_mem_reserve(struct code_mem *m, size_t need)
{
    if (m->size - m->used < need)
        return false;
    if (m->used + need > m->populated) {
        size_t step = m->populated < 65536 ? 65536 : m->populated;
        if (step > 1u << 20)
            step = 1u << 20;
        if (m->populated + step > m->size)
            step = m->size - m->populated;
        /* advice: where the kernel doesn't know it, the pages fault in one by one */
        madvise(m->rw + m->populated, step, MADV_POPULATE_WRITE);
        madvise((void *)(uintptr_t)(m->rx + m->populated), step, MADV_POPULATE_READ);
        m->populated += step;
    }
    return true;
}

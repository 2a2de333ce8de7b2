/* What an engine could have on this host: tried in the way in which it would be taken. */
#include "translator/code/code_mem.h"
#include "translator/engine.h"
#include "translator/memory/page_map.h"

void engine_probe_host(struct engine_host *out)
{
    struct code_mem mem = {0};
    size_t size = 128u << 20;
    out->flat_maps = maps_possible(ENGINE_HOST_MAPS);
    while (size >= CODE_CACHE_FLOOR && code_mem_open(&mem, size, NULL) != GW_OK)
        size /= 2;
    out->code_cache_bytes = mem.rw ? size : 0;
    code_mem_close(&mem);
}

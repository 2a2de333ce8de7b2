/*
 * Address translation: Sv39 and Sv48 with Svade (Priv. 1.13, 10.3 to 10.5), and the views that it
 * depends on. The walk changes nothing: A and D bits are software's to set.
 */
#include "priv.h"

enum {
    PTE_V = 1 << 0,
    PTE_R = 1 << 1,
    PTE_W = 1 << 2,
    PTE_X = 1 << 3,
    PTE_U = 1 << 4,
    PTE_G = 1 << 5,
    PTE_A = 1 << 6,
    PTE_D = 1 << 7,
    PTE_PPN_SHIFT = 10,
    PTE_BYTES = 8,
    VPN_BITS = 9,
};

#define PTE_PPN_MASK ((UINT64_C(1) << 44) - 1)
/* N and PBMT belong to extensions that are not there: reserved, as the bits below them. */
#define PTE_RESERVED (UINT64_C(0x3ff) << 54)
#define SATP_ASID(v) ((v) >> 44 & 0xffff)

/* What a walk ends in. */
struct leaf {
    uint64_t pte;
    uint64_t paddr;
    uint8_t shift; /* of the leaf's size */
    bool global;
};

static unsigned satp_mode(const struct rv_cpu *cpu)
{
    return (unsigned)(cpu->c.satp >> RV_SATP_MODE_SHIFT);
}

unsigned rv_data_priv(const struct rv_cpu *cpu)
{
    if (cpu->c.priv == RV_PRIV_M && cpu->c.mstatus & RV_MSTATUS_MPRV)
        return (unsigned)((cpu->c.mstatus & RV_MSTATUS_MPP) >> RV_MSTATUS_MPP_SHIFT);
    return cpu->c.priv;
}

static bool access_fault(uint64_t vaddr, enum gw_access access, struct gw_fault *fault)
{
    static const uint8_t causes[] = {
        [GW_ACCESS_LOAD] = RV_CAUSE_LOAD_ACCESS,
        [GW_ACCESS_STORE] = RV_CAUSE_STORE_ACCESS,
        [GW_ACCESS_FETCH] = RV_CAUSE_FETCH_ACCESS,
    };
    *fault = (struct gw_fault){.vaddr = vaddr, .cause = causes[access], .access = (uint8_t)access};
    return false;
}

static bool page_fault(uint64_t vaddr, enum gw_access access, struct gw_fault *fault)
{
    static const uint8_t causes[] = {
        [GW_ACCESS_LOAD] = RV_CAUSE_LOAD_PAGE,
        [GW_ACCESS_STORE] = RV_CAUSE_STORE_PAGE,
        [GW_ACCESS_FETCH] = RV_CAUSE_FETCH_PAGE,
    };
    *fault = (struct gw_fault){.vaddr = vaddr, .cause = causes[access], .access = (uint8_t)access};
    return false;
}

void rv_bus_fault(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault)
{
    (void)cpu;
    access_fault(vaddr, access, fault);
}

void rv_misaligned(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault)
{
    static const uint8_t causes[] = {
        [GW_ACCESS_LOAD] = RV_CAUSE_LOAD_MISALIGNED,
        [GW_ACCESS_STORE] = RV_CAUSE_STORE_MISALIGNED,
        [GW_ACCESS_FETCH] = RV_CAUSE_FETCH_MISALIGNED,
    };
    (void)cpu;
    *fault = (struct gw_fault){.vaddr = vaddr, .cause = causes[access], .access = (uint8_t)access};
}

/* Page tables are read as S-mode reads, whoever asks (10.3.2, step 2). */
static bool read_pte(const struct rv_cpu *cpu, uint64_t paddr, uint64_t *pte)
{
    bool whole;
    if (!rv_pmp_allows(cpu, paddr, PTE_BYTES, GW_ACCESS_LOAD, RV_PRIV_S, &whole))
        return false;
    const struct gw_ram *ram = gw_bus_ram(cpu->cfg.bus, paddr, PTE_BYTES);
    if (!ram)
        return cpu->cfg.bus->read(cpu->cfg.bus, paddr, PTE_BYTES, pte) == GW_BUS_OK;
    const uint64_t *at = (const uint64_t *)(const void *)gw_ram_host(ram, paddr);
    *pte = __atomic_load_n(at, __ATOMIC_RELAXED);
    return true;
}

enum walk { WALK_OK, WALK_INVALID, WALK_UNREADABLE };

/* 10.3.2, steps 1 to 4 and 6: finds the leaf; who may use it is not looked at. */
static enum walk walk(const struct rv_cpu *cpu, uint64_t vaddr, struct leaf *leaf)
{
    int levels = satp_mode(cpu) == RV_SATP_SV48 ? 4 : 3;
    uint64_t table = (cpu->c.satp & PTE_PPN_MASK) << GW_PAGE_SHIFT;
    leaf->global = false;
    for (int level = levels - 1; level >= 0; level--) {
        unsigned shift = GW_PAGE_SHIFT + VPN_BITS * (unsigned)level;
        uint64_t index = vaddr >> shift & ((1u << VPN_BITS) - 1), pte;
        if (!read_pte(cpu, table + index * PTE_BYTES, &pte))
            return WALK_UNREADABLE;
        if (!(pte & PTE_V) || (pte & PTE_RESERVED) || (pte & (PTE_R | PTE_W)) == PTE_W)
            return WALK_INVALID;
        leaf->global |= (pte & PTE_G) != 0;
        table = (pte >> PTE_PPN_SHIFT & PTE_PPN_MASK) << GW_PAGE_SHIFT;
        if (pte & (PTE_R | PTE_X)) {
            uint64_t offset = (UINT64_C(1) << shift) - 1;
            if (table & offset) /* a misaligned superpage */
                return WALK_INVALID;
            leaf->pte = pte;
            leaf->paddr = table | (vaddr & offset);
            leaf->shift = (uint8_t)shift;
            return WALK_OK;
        }
        /* In pointers to the next level D, A and U are reserved (10.4.1). */
        if (pte & (PTE_D | PTE_A | PTE_U))
            return WALK_INVALID;
    }
    return WALK_INVALID;
}

/* What priv may do by the leaf's bits, 1 << enum gw_access; 10.3.2, steps 5 and 7 (Svade). */
static unsigned leaf_perms(const struct rv_cpu *cpu, uint64_t pte, unsigned priv)
{
    bool user_page = (pte & PTE_U) != 0, data = true, fetch = true;
    unsigned perms = 0;
    if (!(pte & PTE_A))
        return 0;
    if (priv == RV_PRIV_U) {
        data = fetch = user_page;
    } else if (user_page) {
        data = (cpu->c.mstatus & RV_MSTATUS_SUM) != 0;
        fetch = false;
    }
    if (data && (pte & PTE_R || (pte & PTE_X && cpu->c.mstatus & RV_MSTATUS_MXR)))
        perms |= 1u << GW_ACCESS_LOAD;
    if (data && pte & PTE_W && pte & PTE_D)
        perms |= 1u << GW_ACCESS_STORE;
    if (fetch && pte & PTE_X)
        perms |= 1u << GW_ACCESS_FETCH;
    return perms;
}

static bool canonical(uint64_t vaddr, unsigned bits)
{
    unsigned unused = 64 - bits;
    return (uint64_t)((int64_t)(vaddr << unused) >> unused) == vaddr;
}

bool rv_translate(void *opaque, uint64_t vaddr, unsigned size, enum gw_access access,
                  struct gw_xlate *out, struct gw_fault *fault)
{
    struct rv_cpu *cpu = opaque;
    unsigned priv = access == GW_ACCESS_FETCH ? cpu->c.priv : rv_data_priv(cpu);
    /* Loads and stores share a view; MPRV may give fetches another. */
    unsigned perms = access == GW_ACCESS_FETCH ? 1u << GW_ACCESS_FETCH
                                               : 1u << GW_ACCESS_LOAD | 1u << GW_ACCESS_STORE;
    out->paddr = vaddr;
    out->global = false;
    out->shift = GW_PAGE_SHIFT;
    if (priv == RV_PRIV_M || satp_mode(cpu) == RV_SATP_BARE) {
        if (vaddr >> RV_PADDR_BITS)
            return access_fault(vaddr, access, fault);
    } else {
        struct leaf leaf;
        if (!canonical(vaddr, satp_mode(cpu) == RV_SATP_SV48 ? 48 : 39))
            return page_fault(vaddr, access, fault);
        switch (walk(cpu, vaddr, &leaf)) {
        case WALK_OK: break;
        case WALK_UNREADABLE: return access_fault(vaddr, access, fault);
        default: return page_fault(vaddr, access, fault);
        }
        perms &= leaf_perms(cpu, leaf.pte, priv);
        if (!(perms >> access & 1))
            return page_fault(vaddr, access, fault);
        out->paddr = leaf.paddr;
        out->global = leaf.global;
        out->shift = leaf.shift;
    }
    perms &= rv_pmp_perms(cpu, out->paddr, size, priv, &out->whole_page);
    if (!(perms >> access & 1))
        return access_fault(vaddr, access, fault);
    out->perms = (uint8_t)perms;
    return true;
}

/*
 * Keys. Translated: view in bits 63:61, Sv48 in bit 60, then satp's ASID and PPN. The two bare views
 * use values of the first field that no translated view has. PMP needs no place here: a change of
 * it flushes everything.
 */
enum view { VIEW_S, VIEW_S_SUM, VIEW_U, VIEW_MXR /* added to these */, VIEW_BARE_M = 6, VIEW_BARE };

static uint64_t view_key(const struct rv_cpu *cpu, unsigned priv, bool data)
{
    uint64_t view = VIEW_S;
    if (priv == RV_PRIV_M)
        return (uint64_t)VIEW_BARE_M << 61;
    if (satp_mode(cpu) == RV_SATP_BARE)
        return (uint64_t)VIEW_BARE << 61;
    if (priv == RV_PRIV_U)
        view = VIEW_U;
    else if (data && cpu->c.mstatus & RV_MSTATUS_SUM)
        view = VIEW_S_SUM;
    if (data && cpu->c.mstatus & RV_MSTATUS_MXR)
        view += VIEW_MXR;
    return view << 61 | (uint64_t)(satp_mode(cpu) == RV_SATP_SV48) << 60 |
           (cpu->c.satp & ((UINT64_C(1) << 60) - 1));
}

void rv_view(const void *opaque, struct gw_view *out)
{
    const struct rv_cpu *cpu = opaque;
    unsigned priv = rv_data_priv(cpu);
    out->data_key = view_key(cpu, priv, true);
    out->fetch_key = view_key(cpu, cpu->c.priv, false);
    out->bare = priv == RV_PRIV_M || satp_mode(cpu) == RV_SATP_BARE;
    out->asid = out->bare ? 0 : SATP_ASID(cpu->c.satp);
    out->vaddr_bits = RV_PADDR_BITS;
    if (!out->bare)
        out->vaddr_bits = satp_mode(cpu) == RV_SATP_SV48 ? 48 : 39;
    unsigned view = (unsigned)(out->data_key >> 61);
    out->data_class = 0;
    if (!out->bare && priv == RV_PRIV_S) /* S, S+SUM, and both with MXR */
        out->data_class = (uint8_t)(1 + (view & 1) + (view >= VIEW_MXR ? 2 : 0));
    out->kernel = cpu->c.priv == RV_PRIV_S && satp_mode(cpu) != RV_SATP_BARE;
}

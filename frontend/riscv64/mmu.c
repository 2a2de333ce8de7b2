/*
 * Address translation: Sv39, Sv48 and Sv57 (Priv. 1.13, 10.3 to 10.6), Svnapot, Svpbmt, and the
 * views that they depend on. A and D bits are software's to set (Svade), but where menvcfg.ADUE says
 * that they are the walk's (Svadu): then it sets what the access at hand asks for, and a page may be
 * written by what is remembered of it only once its D bit is set.
 */
#include <endian.h>

#include "frontend/riscv64/priv.h"

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
#define PTE_N        (UINT64_C(1) << 63)
#define PTE_PBMT     (UINT64_C(3) << 61)
#define PTE_RESERVED (UINT64_C(0x7f) << 54)
enum { NAPOT_SHIFT = 16, NAPOT_PPN = 8, NAPOT_PPN_MASK = 15 };
#define SATP_ASID(v) ((v) >> 44 & 0xffff)

/* What a walk ends in. */
struct leaf {
    uint64_t pte;
    uint64_t pte_paddr;
    uint64_t paddr;
    uint8_t shift; /* of the leaf's size */
    bool global;
};

static unsigned satp_mode(const struct rv_cpu *cpu)
{
    return (unsigned)(cpu->c.satp >> RV_SATP_MODE_SHIFT);
}

static unsigned levels_of(unsigned mode)
{
    return mode == RV_SATP_SV57 ? 5 : mode == RV_SATP_SV48 ? 4 : 3;
}

static unsigned vaddr_bits(const struct rv_cpu *cpu)
{
    return GW_PAGE_SHIFT + VPN_BITS * levels_of(satp_mode(cpu));
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
/* quiet: of RAM alone, since a device may do something when it is read. */
static bool read_pte(const struct rv_cpu *cpu, uint64_t paddr, bool quiet, uint64_t *pte)
{
    bool whole;
    if (!rv_pmp_allows(cpu, paddr, PTE_BYTES, GW_ACCESS_LOAD, RV_PRIV_S, &whole))
        return false;
    const struct gw_ram *ram = gw_bus_ram(cpu->cfg.bus, paddr, PTE_BYTES);
    if (!ram)
        return !quiet && cpu->cfg.bus->read(cpu->cfg.bus, paddr, PTE_BYTES, pte) == GW_BUS_OK;
    const uint64_t *at = (const uint64_t *)(const void *)gw_ram_host(ram, paddr);
    *pte = le64toh(__atomic_load_n(at, __ATOMIC_RELAXED));
    return true;
}

enum walk { WALK_OK, WALK_INVALID, WALK_UNREADABLE };

/* Upper bits of the entry that nothing gives a meaning: 10.4.1, 11 (Svnapot), 12 (Svpbmt). */
static uint64_t reserved_bits(const struct rv_cpu *cpu)
{
    return PTE_RESERVED | (cpu->cfg.svnapot ? 0 : PTE_N) |
           (cpu->c.menvcfg & RV_MENVCFG_PBMTE ? 0 : PTE_PBMT);
}

/* The page or superpage that a leaf names; false where its bits name none. Memory types make no
 * difference here, but the last of them is reserved. */
static bool place_leaf(struct leaf *leaf, uint64_t vaddr, unsigned shift)
{
    uint64_t ppn = leaf->pte >> PTE_PPN_SHIFT & PTE_PPN_MASK;
    if ((leaf->pte & PTE_PBMT) == PTE_PBMT)
        return false;
    if (leaf->pte & PTE_N) { /* 64 KiB, the only size that there is */
        if (shift != GW_PAGE_SHIFT || (ppn & NAPOT_PPN_MASK) != NAPOT_PPN)
            return false;
        ppn &= ~(uint64_t)NAPOT_PPN_MASK;
        shift = NAPOT_SHIFT;
    }
    uint64_t base = ppn << GW_PAGE_SHIFT, offset = (UINT64_C(1) << shift) - 1;
    if (base & offset) /* a misaligned superpage */
        return false;
    leaf->paddr = base | (vaddr & offset);
    leaf->shift = (uint8_t)shift;
    return true;
}

/* 10.3.2, steps 1 to 4 and 6: finds the leaf; who may use it is not looked at. */
static enum walk walk(const struct rv_cpu *cpu, uint64_t vaddr, bool quiet, struct leaf *leaf)
{
    int levels = (int)levels_of(satp_mode(cpu));
    uint64_t reserved = reserved_bits(cpu);
    uint64_t table = (cpu->c.satp & PTE_PPN_MASK) << GW_PAGE_SHIFT;
    leaf->global = false;
    for (int level = levels - 1; level >= 0; level--) {
        unsigned shift = GW_PAGE_SHIFT + VPN_BITS * (unsigned)level;
        uint64_t index = vaddr >> shift & ((1u << VPN_BITS) - 1), pte;
        leaf->pte_paddr = table + index * PTE_BYTES;
        if (!read_pte(cpu, leaf->pte_paddr, quiet, &pte))
            return WALK_UNREADABLE;
        if (!(pte & PTE_V) || (pte & reserved) || (pte & (PTE_R | PTE_W)) == PTE_W)
            return WALK_INVALID;
        leaf->global |= (pte & PTE_G) != 0;
        table = (pte >> PTE_PPN_SHIFT & PTE_PPN_MASK) << GW_PAGE_SHIFT;
        leaf->pte = pte;
        if (pte & (PTE_R | PTE_X))
            return place_leaf(leaf, vaddr, shift) ? WALK_OK : WALK_INVALID;
        /* In pointers to the next level D, A and U are reserved (10.4.1), and so are these. */
        if (pte & (PTE_D | PTE_A | PTE_U | PTE_N | PTE_PBMT))
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

/* 10.3.2, step 9: sets A, and for a store D, unless the entry is another by now. */
enum update { UPDATE_DONE, UPDATE_LOST, UPDATE_DENIED };

static enum update update_leaf(const struct rv_cpu *cpu, struct leaf *leaf, uint64_t bits)
{
    struct gw_bus *bus = cpu->cfg.bus;
    uint64_t paddr = leaf->pte_paddr, old = htole64(leaf->pte);
    const struct gw_ram *ram = gw_bus_ram(bus, paddr, PTE_BYTES);
    bool whole;
    if (!ram || !rv_pmp_allows(cpu, paddr, PTE_BYTES, GW_ACCESS_STORE, RV_PRIV_S, &whole))
        return UPDATE_DENIED;
    uint64_t *at = (uint64_t *)(void *)gw_ram_host(ram, paddr);
    if (!__atomic_compare_exchange_n(at, &old, old | htole64(bits), false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return UPDATE_LOST;
    if (__atomic_load_n(&ram->page_flags[(paddr - ram->base) >> GW_PAGE_SHIFT], __ATOMIC_SEQ_CST) &
            GW_RAM_WATCHED &&
        bus->ram_written)
        bus->ram_written(bus->engine, paddr, PTE_BYTES);
    leaf->pte |= bits;
    return UPDATE_DONE;
}

/* Walks until a leaf is found that allows the access and has the bits that it needs; *perms is what
 * else priv may do there. */
static enum walk find_leaf(const struct rv_cpu *cpu, uint64_t vaddr, enum gw_access access,
                           unsigned priv, struct leaf *leaf, unsigned *perms)
{
    uint64_t need = cpu->c.menvcfg & RV_MENVCFG_ADUE ? PTE_A : 0;
    if (need && access == GW_ACCESS_STORE)
        need |= PTE_D;
    for (;;) {
        enum walk found = walk(cpu, vaddr, false, leaf);
        if (found != WALK_OK)
            return found;
        if (!(leaf_perms(cpu, leaf->pte | need, priv) >> access & 1))
            return WALK_INVALID;
        enum update update = UPDATE_DONE;
        if ((leaf->pte & need) != need)
            update = update_leaf(cpu, leaf, need);
        if (update == UPDATE_DENIED)
            return WALK_UNREADABLE;
        if (update == UPDATE_DONE) {
            *perms &= leaf_perms(cpu, leaf->pte, priv);
            return WALK_OK;
        }
    }
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
        if (!canonical(vaddr, vaddr_bits(cpu)))
            return page_fault(vaddr, access, fault);
        switch (find_leaf(cpu, vaddr, access, priv, &leaf, &perms)) {
        case WALK_OK: break;
        case WALK_UNREADABLE: return access_fault(vaddr, access, fault);
        default: return page_fault(vaddr, access, fault);
        }
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

/* By the privilege that code has, also where MPRV gives its data another. */
bool rv_probe(const void *opaque, uint64_t vaddr, uint64_t *paddr)
{
    const struct rv_cpu *cpu = opaque;
    struct leaf leaf;
    *paddr = vaddr;
    if (cpu->c.priv == RV_PRIV_M || satp_mode(cpu) == RV_SATP_BARE)
        return !(vaddr >> RV_PADDR_BITS);
    if (!canonical(vaddr, vaddr_bits(cpu)) || walk(cpu, vaddr, true, &leaf) != WALK_OK)
        return false;
    *paddr = leaf.paddr;
    return true;
}

/*
 * Keys. Translated: view in bits 63:61, Sv48 in bit 60, then satp's ASID and PPN. The two bare views
 * use values of the first field that no translated view has. What has no place here flushes
 * everything when it changes: PMP, menvcfg, and satp's mode to or from Sv57; gw_view.rights names these.
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

/* Keys of one satp differ in the view alone. */
bool rv_refetch(const void *opaque, uint64_t fetch_key, bool kernel, uint64_t vaddr,
                struct gw_xlate *out)
{
    const struct rv_cpu *cpu = opaque;
    const uint64_t view = UINT64_C(7) << 61;
    bool user = !kernel && fetch_key >> 61 == VIEW_U;
    unsigned priv = user ? RV_PRIV_U : RV_PRIV_S;
    struct leaf leaf;
    if (satp_mode(cpu) == RV_SATP_BARE ||
        (!kernel && fetch_key != (view_key(cpu, priv, false) & ~view) + (fetch_key & view)))
        return false;
    if (!kernel && !user && fetch_key >> 61 != VIEW_S)
        return false;
    if (!out)
        return true;
    if (!canonical(vaddr, vaddr_bits(cpu)) || walk(cpu, vaddr, true, &leaf) != WALK_OK ||
        !(leaf_perms(cpu, leaf.pte, priv) >> GW_ACCESS_FETCH & 1))
        return false;
    *out = (struct gw_xlate){.paddr = leaf.paddr, .global = leaf.global, .shift = leaf.shift};
    out->perms =
        (uint8_t)(1u << GW_ACCESS_FETCH & rv_pmp_perms(cpu, leaf.paddr, 2, priv, &out->whole_page));
    return out->perms != 0;
}

/* What view and tb_flags read. MPP matters where MPRV is set only, frm also while FS is off. */
void rv_context(const void *opaque, uint64_t name[2])
{
    const struct rv_cpu *cpu = opaque;
    const struct rv_csrs *c = &cpu->c;
    uint64_t status = c->mstatus & (RV_MSTATUS_FS | RV_MSTATUS_SUM | RV_MSTATUS_MXR);
    if (c->mstatus & RV_MSTATUS_MPRV)
        status |= c->mstatus & (RV_MSTATUS_MPRV | RV_MSTATUS_MPP);
    name[0] = c->satp;
    name[1] = status << 16 | (c->menvcfg & RV_ENVCFG_CBZE) << 8 | (c->senvcfg & RV_ENVCFG_CBZE) |
              (uint64_t)c->frm << 2 | c->priv;
}

void rv_view(const void *opaque, struct gw_view *out)
{
    const struct rv_cpu *cpu = opaque;
    unsigned priv = rv_data_priv(cpu);
    out->data_key = view_key(cpu, priv, true);
    out->fetch_key = view_key(cpu, cpu->c.priv, false);
    out->bare = priv == RV_PRIV_M || satp_mode(cpu) == RV_SATP_BARE;
    out->asid = out->bare ? 0 : SATP_ASID(cpu->c.satp);
    out->rights = (cpu->d.pmp_name | 1) ^
                  (uint64_t)((cpu->c.menvcfg & RV_MENVCFG_PBMTE) != 0) << 1 ^
                  (uint64_t)(satp_mode(cpu) == RV_SATP_SV57) << 2;
    out->vaddr_bits = RV_PADDR_BITS;
    if (!out->bare)
        out->vaddr_bits = (uint8_t)vaddr_bits(cpu);
    unsigned view = (unsigned)(out->data_key >> 61);
    out->data_class = 0;
    if (!out->bare && priv == RV_PRIV_S) /* S, S+SUM, and both with MXR */
        out->data_class = (uint8_t)(1 + (view & 1) + (view >= VIEW_MXR ? 2 : 0));
    out->kernel = cpu->c.priv == RV_PRIV_S && satp_mode(cpu) != RV_SATP_BARE;
}

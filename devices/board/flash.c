/*
 * Flash by Intel's command set. Sources: JEDEC JESD68.01 (common flash interface), its query table
 * of 4.3; JEP137 (command set 0001h); Intel 28F128J3 data sheet, tables 4 (commands) and 8 (status).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/board/flash.h"
#include "devices/host/image_kind.h"
#include "devices/memory_bus.h"
#include "godwit/little.h"
#include "godwit/word.h"

enum { MODE_ARRAY, MODE_STATUS, MODE_ID, MODE_QUERY };
enum { AWAIT_NONE, AWAIT_WORD, AWAIT_ERASE, AWAIT_LOCK, AWAIT_COUNT, AWAIT_DATA, AWAIT_CONFIRM };
enum { SR_READY = 0x80, SR_ERASE_FAILED = 0x20, SR_PROGRAM_FAILED = 0x10 };
enum {
    CMD_PROGRAM = 0x40,
    CMD_PROGRAM_ALT = 0x10,
    CMD_BUFFER = 0xe8,
    CMD_ERASE = 0x20,
    CMD_CONFIRM = 0xd0,
    CMD_LOCK = 0x60,
    CMD_CLEAR_STATUS = 0x50,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_SUSPEND = 0xb0,
    CMD_ARRAY = 0xff,
};
enum { CHIP_MANUFACTURER = 0x89, CHIP_DEVICE = 0x18, BUFFER_WORDS = DEV_FLASH_BUFFER / 4 };

/* One chip: 16 MiB, blocks of 128 KiB, a write buffer of 2 KiB, no erase of the whole chip. */
static const uint8_t query[] = {
    [0x10] = 'Q',  'R',  'Y',  0x01, 0x00, 0x31, 0x00, /* command set 1, its table at 31h */
    [0x1b] = 0x45, 0x55,                               /* Vcc 4.5 to 5.5 V */
    [0x1f] = 0x07, 0x07, 0x0a, 0x00, /* 2^n us a word, a buffer; 2^n ms an erase */
    [0x23] = 0x04, 0x04, 0x04, 0x00, /* at most 2^n times as long */
    [0x27] = 24,   0x01, 0x00,       /* 2^24 bytes, 16 bits wide */
    [0x2a] = 0x0b, 0x00, 1,          /* buffer of 2^11 bytes; one erase region: */
    [0x2d] = 0x7f, 0x00, 0x00, 0x02, /* 128 blocks of 512 * 256 bytes */
    [0x31] = 'P',  'R',  'I',  '1',  '0',
};

static struct dev_flash *flash(struct gw_device *d)
{
    return (struct dev_flash *)(void *)d;
}

/* ---- the bytes ------------------------------------------------------------------------------ */

static void show(struct dev_flash *f)
{
    bool hidden = f->mode != MODE_ARRAY || f->command != AWAIT_NONE || !f->rom.mem.host;
    dev_bus_hide_rom(f->d.dma.bus, &f->rom, hidden);
}

static bool make_bytes(struct dev_flash *f)
{
    void *host;
    if (f->rom.mem.host)
        return true;
    host = mmap(NULL, DEV_FLASH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED)
        return false;
    memset(host, 0xff, DEV_FLASH_BYTES);
    f->rom.mem.host = host;
    return true;
}

/* errno says why; once. */
static void fault(struct dev_flash *f, const char *what)
{
    if (!f->said)
        dev_fault_say(&f->fault, what, f->path, errno);
    f->said = true;
}

/* What the chip reports as done is in the file. */
static bool keep(struct dev_flash *f, uint64_t offset, uint64_t size)
{
    for (uint64_t b = offset / DEV_FLASH_BLOCK; b <= (offset + size - 1) / DEV_FLASH_BLOCK; b++)
        f->touched[b / 64] |= UINT64_C(1) << (b % 64);
    while (f->fd >= 0 && size) {
        ssize_t n = pwrite(f->fd, f->rom.mem.host + offset, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fault(f, "cannot write to the flash");
            return false;
        }
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return true;
}

/* Programming clears bits; only an erase sets them. */
static void program(struct dev_flash *f, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
    if (make_bytes(f)) {
        for (uint64_t i = 0; i < size; i++)
            f->rom.mem.host[offset + i] &= bytes[i];
        if (keep(f, offset, size))
            return;
    }
    f->status |= SR_PROGRAM_FAILED;
}

static void erase(struct dev_flash *f, uint64_t offset)
{
    offset &= ~(uint64_t)(DEV_FLASH_BLOCK - 1);
    if (!f->rom.mem.host)
        return;
    memset(f->rom.mem.host + offset, 0xff, DEV_FLASH_BLOCK);
    if (!keep(f, offset, DEV_FLASH_BLOCK))
        f->status |= SR_ERASE_FAILED;
}

/* ---- reads ---------------------------------------------------------------------------------- */

static uint8_t id_byte(uint64_t word)
{
    switch (word & 0xff) {
    case 0: return CHIP_MANUFACTURER;
    case 1: return CHIP_DEVICE;
    default: return 0; /* not locked */
    }
}

/* Both chips give the same: byte `lane` of a 16-bit word, which only the low byte is used of. */
static uint8_t mode_byte(const struct dev_flash *f, uint64_t offset)
{
    uint64_t word = offset / 4;
    if (offset & 1)
        return 0;
    switch (f->mode) {
    case MODE_STATUS: return (uint8_t)f->status;
    case MODE_ID: return id_byte(word);
    default: return word < sizeof query ? query[word] : 0;
    }
}

static enum gw_bus_result flash_read(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t *value)
{
    struct dev_flash *f = flash(d);
    uint64_t v = 0;
    for (unsigned i = size; i-- > 0;) {
        uint8_t byte;
        if (f->mode != MODE_ARRAY)
            byte = mode_byte(f, offset + i);
        else
            byte = f->rom.mem.host ? f->rom.mem.host[offset + i] : 0xff;
        v = v << 8 | byte;
    }
    *value = v;
    return GW_BUS_OK;
}

/* ---- commands ------------------------------------------------------------------------------- */

static void first_cycle(struct dev_flash *f, uint8_t command)
{
    f->command = AWAIT_NONE;
    switch (command) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT: f->command = AWAIT_WORD; break;
    case CMD_BUFFER: f->command = AWAIT_COUNT; break;
    case CMD_ERASE: f->command = AWAIT_ERASE; break;
    case CMD_LOCK: f->command = AWAIT_LOCK; break;
    case CMD_CLEAR_STATUS: f->status = SR_READY; return; /* the mode stays */
    case CMD_READ_STATUS: break;
    case CMD_READ_ID: f->mode = MODE_ID; return;
    case CMD_QUERY: f->mode = MODE_QUERY; return;
    case CMD_CONFIRM: /* resume and suspend: nothing is ever under way */
    case CMD_SUSPEND: break;
    default: f->mode = MODE_ARRAY; return; /* FFh, and what the chip does not know */
    }
    f->mode = MODE_STATUS;
}

static void start_buffer(struct dev_flash *f, uint64_t value)
{
    f->words = (uint32_t)(value & 0xffff) + 1; /* of 16 bits, in each chip */
    f->filled = 0;
    memset(f->buffer, 0xff, sizeof f->buffer);
    f->command = AWAIT_DATA;
    if (f->words > BUFFER_WORDS) {
        f->status |= SR_PROGRAM_FAILED | SR_ERASE_FAILED; /* a wrong sequence */
        f->command = AWAIT_NONE;
        f->words = 0;
    }
}

/* Byte i of a word, which is little-endian whatever the host is: the words are state. */
static void put_byte(uint64_t *word, unsigned i, uint8_t byte)
{
    *word = (*word & ~(UINT64_C(0xff) << 8 * i)) | (uint64_t)byte << 8 * i;
}

static void buffer_data(struct dev_flash *f, uint64_t offset, unsigned size, uint64_t value)
{
    if (!f->filled)
        f->buffer_at = offset & ~(uint64_t)(DEV_FLASH_BUFFER - 1);
    f->filled = 1;
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i - f->buffer_at;
        if (at < DEV_FLASH_BUFFER)
            put_byte(&f->buffer[at / 8], at % 8, (uint8_t)(value >> (8 * i)));
        else
            f->status |= SR_PROGRAM_FAILED; /* beyond the buffer: the program is refused */
    }
    if (--f->words == 0)
        f->command = AWAIT_CONFIRM;
}

static void program_buffer(struct dev_flash *f)
{
    uint8_t bytes[DEV_FLASH_BUFFER];
    for (unsigned i = 0; i < DEV_FLASH_BUFFER / 8; i++)
        gw_put_little(bytes + 8 * i, f->buffer[i], 8);
    program(f, f->buffer_at, bytes, sizeof bytes);
}

static void confirm_buffer(struct dev_flash *f, uint8_t command)
{
    f->command = AWAIT_NONE;
    if (command != CMD_CONFIRM)
        f->status |= SR_PROGRAM_FAILED | SR_ERASE_FAILED;
    else if (!(f->status & SR_PROGRAM_FAILED))
        program_buffer(f);
}

static enum gw_bus_result flash_write(struct gw_device *d, uint64_t offset, unsigned size,
                                      uint64_t value)
{
    struct dev_flash *f = flash(d);
    uint8_t command = (uint8_t)value, bytes[8];
    switch (f->command) {
    case AWAIT_WORD:
        for (unsigned i = 0; i < size; i++)
            bytes[i] = (uint8_t)(value >> (8 * i));
        program(f, offset, bytes, size);
        f->command = AWAIT_NONE;
        break;
    case AWAIT_ERASE:
        if (command == CMD_CONFIRM)
            erase(f, offset);
        else
            f->status |= SR_PROGRAM_FAILED | SR_ERASE_FAILED;
        f->command = AWAIT_NONE;
        break;
    case AWAIT_LOCK: /* blocks are never locked: lock, unlock and lock-down succeed alike */
        f->command = AWAIT_NONE;
        break;
    case AWAIT_COUNT: start_buffer(f, value); break;
    case AWAIT_DATA: buffer_data(f, offset, size, value); break;
    case AWAIT_CONFIRM: confirm_buffer(f, command); break;
    default: first_cycle(f, command); break;
    }
    show(f);
    return GW_BUS_OK;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void flash_reset(struct gw_device *d)
{
    struct dev_flash *f = flash(d);
    if (!f->status) { /* new */
        f->fd = -1;
        f->rom.hidden = true;
    }
    f->mode = MODE_ARRAY;
    f->command = AWAIT_NONE;
    f->status = SR_READY;
    f->words = f->filled = 0;
    f->buffer_at = 0;
    memset(f->buffer, 0, sizeof f->buffer);
    if (f->rom.mem.page_flags)
        show(f);
}

static void flash_quiesce(struct gw_device *d)
{
    if (flash(d)->fd >= 0 && fdatasync(flash(d)->fd) != 0)
        fault(flash(d), "cannot flush the flash");
}

static void flash_destroy(struct gw_device *d)
{
    struct dev_flash *f = flash(d);
    if (f->rom.mem.host)
        munmap(f->rom.mem.host, DEV_FLASH_BYTES);
    free(f->rom.mem.page_flags);
    if (f->fd >= 0)
        close(f->fd);
}

/* Zero pages of the file stay untouched memory: most of a firmware's file is padding. */
static enum gw_status fill(struct dev_flash *f, int fd, struct gw_error *err)
{
    static const uint8_t zeros[DEV_FLASH_BLOCK];
    enum gw_status st = GW_OK;
    uint8_t *block = malloc(DEV_FLASH_BLOCK);
    if (!block)
        return gw_fail(err, GW_ERR_NOMEM, f->path, "no memory for the flash");
    for (off_t at = 0; st == GW_OK && at < DEV_FLASH_BYTES; at += DEV_FLASH_BLOCK) {
        ssize_t n = pread(fd, block, DEV_FLASH_BLOCK, at);
        if (n != DEV_FLASH_BLOCK)
            st = gw_fail(err, GW_ERR_IO, f->path, "cannot read the flash: %s",
                         n < 0 ? strerror(errno) : "the file is cut short");
        else if (memcmp(block, zeros, DEV_FLASH_BLOCK) != 0)
            memcpy(f->rom.mem.host + at, block, DEV_FLASH_BLOCK);
    }
    free(block);
    return st;
}

/* As disks are: one that writes keeps all others off. */
static enum gw_status open_file(int *fd, const char *path, bool rw, struct gw_error *err)
{
    struct stat sb = {0};
    *fd = open(path, (rw ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot open the flash: %s", strerror(errno));
    if (fstat(*fd, &sb) < 0 || !S_ISREG(sb.st_mode) || sb.st_size != DEV_FLASH_BYTES) {
        enum gw_status st = dev_image_refuse(*fd, path, "cannot use the flash", false, err);
        close(*fd);
        if (st != GW_OK)
            return st;
        gw_fail(err, GW_ERR_FORMAT, path, "cannot use the flash: not a file of 32 MiB");
        /* One that is longer would lose its end. */
        if (S_ISREG(sb.st_mode) && sb.st_size < DEV_FLASH_BYTES)
            gw_hint_of(err, "truncate -s 32M @", path);
        return GW_ERR_FORMAT;
    }
    if (flock(*fd, (rw ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        close(*fd);
        return gw_fail(err, GW_ERR_STATE, path, "cannot open the flash: in use by another machine");
    }
    return GW_OK;
}

enum gw_status dev_flash_open(struct dev_flash *f, const char *path, bool rw, struct gw_error *err)
{
    void *host;
    int fd;
    enum gw_status st = open_file(&fd, path, rw, err);
    f->path = path;
    if (st != GW_OK)
        return st;
    host = mmap(NULL, DEV_FLASH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED) {
        close(fd);
        return gw_fail(err, GW_ERR_NOMEM, path, "no memory for the flash: %s", strerror(errno));
    }
    f->rom.mem.host = host;
    st = fill(f, fd, err);
    if (rw && st == GW_OK)
        f->fd = fd;
    else
        close(fd);
    if (f->rom.mem.page_flags)
        show(f);
    return st;
}

struct gw_rom *dev_flash_rom(struct dev_flash *f, uint64_t base)
{
    f->rom.mem.base = base;
    f->rom.mem.size = DEV_FLASH_BYTES;
    f->rom.mem.page_flags = calloc(DEV_FLASH_BYTES >> GW_PAGE_SHIFT, 1);
    if (!f->rom.mem.page_flags)
        return NULL;
    show(f);
    return &f->rom;
}

uint64_t dev_flash_discarded(const struct dev_flash *f)
{
    unsigned blocks = 0;
    if (f->fd >= 0 || !f->path)
        return 0;
    for (unsigned i = 0; i < sizeof f->touched / sizeof f->touched[0]; i++)
        blocks += (unsigned)__builtin_popcountll(f->touched[i]);
    return (uint64_t)blocks * DEV_FLASH_BLOCK;
}

const uint8_t *dev_flash_get_page(const struct dev_flash *f, uint64_t page)
{
    const uint8_t *p = f->rom.mem.host;
    if (!p)
        return NULL;
    p += page << GW_PAGE_SHIFT;
    return p[0] == 0xff && !memcmp(p, p + 1, GW_PAGE_SIZE - 1) ? NULL : p;
}

enum gw_status dev_flash_put_page(struct dev_flash *f, uint64_t page, const uint8_t *bytes,
                                  struct gw_error *err)
{
    if (!make_bytes(f))
        return gw_fail(err, GW_ERR_NOMEM, "flash", "no memory for the flash");
    memcpy(f->rom.mem.host + (page << GW_PAGE_SHIFT), bytes, GW_PAGE_SIZE);
    return GW_OK;
}

static enum gw_status flash_check(const void *object, struct gw_error *err)
{
    const struct dev_flash *f = object;
    bool data = f->command == AWAIT_DATA;
    if (f->mode > MODE_QUERY || f->command > AWAIT_CONFIRM || f->words > BUFFER_WORDS ||
        data != (f->words > 0) || f->filled > 1 || f->buffer_at % DEV_FLASH_BUFFER ||
        f->buffer_at >= DEV_FLASH_BYTES || !(f->status & SR_READY) ||
        (f->status & ~(uint32_t)(SR_READY | SR_PROGRAM_FAILED | SR_ERASE_FAILED)))
        return gw_fail(err, GW_ERR_FORMAT, "flash", "state that the device cannot hold");
    return GW_OK;
}

static void flash_post_load(void *object)
{
    struct dev_flash *f = object;
    if (f->rom.mem.page_flags)
        show(f);
}

static const struct state_field flash_fields[] = {
    STATE_SCALAR(struct dev_flash, mode, STATE_U32),
    STATE_SCALAR(struct dev_flash, command, STATE_U32),
    STATE_SCALAR(struct dev_flash, status, STATE_U32),
    STATE_SCALAR(struct dev_flash, words, STATE_U32),
    STATE_SCALAR(struct dev_flash, filled, STATE_U32),
    STATE_SCALAR(struct dev_flash, buffer_at, STATE_U64),
    STATE_ARRAY(struct dev_flash, buffer, STATE_U64),
};

static const struct state_desc flash_state = {
    .name = "flash",
    .version = 1,
    .fields = flash_fields,
    .field_count = STATE_COUNT_(flash_fields),
    .check = flash_check,
    .post_load = flash_post_load,
};

const struct gw_device_class dev_flash_class = {
    .name = "flash",
    .instance_size = sizeof(struct dev_flash),
    .state = &flash_state,
    .window_bytes = DEV_FLASH_BYTES,
    .read = flash_read,
    .write = flash_write,
    .reset = flash_reset,
    .quiesce = flash_quiesce,
    .destroy = flash_destroy,
};

/* Known formats of image files, see image_kind.h. */
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/host/image_kind.h"
#include "godwit/word.h"

enum { HEAD_BYTES = 512, MAGIC_MAX = 24 };
/* Where a magic stands: so far from the beginning, or at the start of the last 512 bytes. */
enum { IN_TAIL = -1 };

static const struct image_kind {
    int at;
    unsigned bytes;
    uint8_t magic[MAGIC_MAX];
    const char *name, *command; /* the one that helps; @: the file; NULL: none does */
} kinds[] = {
    {0, 8, "QFI\xfb\0\0\0\1", "a qcow image", "qemu-img convert -f qcow -O raw @ @.raw"},
    {0, 4, "QFI\xfb", "a qcow2 image", "qemu-img convert -f qcow2 -O raw @ @.raw"},
    {0, 4, "QED", "a QED image", "qemu-img convert -f qed -O raw @ @.raw"},
    {0, 4, "KDMV", "a VMDK image", NULL},
    {0, 4, "COWD", "a VMDK image", NULL},
    {0, 21, "# Disk DescriptorFile", "a VMDK image", NULL},
    {64, 4, "\x7f\x10\xda\xbe", "a VDI image", "qemu-img convert -f vdi -O raw @ @.raw"},
    {0, 8, "conectix", "a VHD image", "qemu-img convert -f vpc -O raw @ @.raw"},
    {IN_TAIL, 8, "conectix", "a VHD image", "qemu-img convert -f vpc -O raw @ @.raw"},
    {0, 8, "vhdxfile", "a VHDX image", "qemu-img convert -f vhdx -O raw @ @.raw"},
    {0, 16, "WithoutFreeSpace", "a Parallels image",
     "qemu-img convert -f parallels -O raw @ @.raw"},
    {0, 16, "WithouFreSpacExt", "a Parallels image",
     "qemu-img convert -f parallels -O raw @ @.raw"},
    {IN_TAIL, 4, "koly", "a DMG image", "qemu-img convert -f dmg -O raw @ @.raw"},
    {0, 3, "\x1f\x8b\x08", "compressed by gzip", "gzip -dc @ > @.raw"},
    {0, 6,
     "\xfd"
     "7zXZ",
     "compressed by xz", "xz -dc @ > @.raw"},
    {0, 4, "\x28\xb5\x2f\xfd", "compressed by zstd", "zstd -dc @ > @.raw"},
    {0, 3, "BZh", "compressed by bzip2", "bzip2 -dc @ > @.raw"},
    {0, 4, "\x04\x22\x4d\x18", "compressed by lz4", "lz4 -dc @ > @.raw"},
    {0, 8, "GWOVL\0\0\1", "an overlay of another disk", "-d DISK,overlay=@"},
    {0, 8, "\177GWSNAP\n", "a snapshot", "godwit restore @"},
};

/* bzip2: "BZh", a digit, and the first block's magic, or that of the end. */
static bool is_bzip2(const uint8_t *head)
{
    static const uint8_t block[] = {0x31, 0x41, 0x59, 0x26, 0x53, 0x59};
    static const uint8_t end[] = {0x17, 0x72, 0x45, 0x38, 0x50, 0x90};
    return head[3] >= '1' && head[3] <= '9' &&
           (!memcmp(head + 4, block, sizeof block) || !memcmp(head + 4, end, sizeof end));
}

static bool is_of_kind(const struct image_kind *k, const uint8_t *head, const uint8_t *tail)
{
    const uint8_t *at = k->at == IN_TAIL ? tail : head + k->at;
    if (memcmp(at, k->magic, k->bytes) != 0)
        return false;
    return k->magic[0] != 'B' || is_bzip2(head);
}

/* Does it say where else on the host data is, as far as its first sector tells? */
static bool may_name_others(const struct image_kind *k, const uint8_t *head)
{
    enum { QCOW_VERSION = 7, QCOW_BACKING = 8, QCOW_INCOMPATIBLE = 79, QCOW_DATA_FILE = 4 };
    enum { QED_FEATURES = 16, QED_BACKING = 1 };
    static const uint8_t none[8];
    if (!memcmp(k->magic, "QFI", 3))
        return memcmp(head + QCOW_BACKING, none, sizeof none) != 0 ||
               (head[QCOW_VERSION] > 2 && head[QCOW_INCOMPATIBLE] & QCOW_DATA_FILE);
    if (!memcmp(k->magic, "QED", 3))
        return head[QED_FEATURES] & QED_BACKING;
    return !k->command; /* VMDK: by a text that is somewhere in it */
}

enum gw_status dev_image_refuse(int fd, const char *path, const char *failed, bool disk,
                                struct gw_error *err)
{
    uint8_t head[HEAD_BYTES] = {0}, tail[HEAD_BYTES] = {0};
    off_t end = lseek(fd, 0, SEEK_END);
    /* What cannot be read is for whoever reads it next to say. */
    if (end <= 0 || pread(fd, head, sizeof head, 0) <= 0)
        return GW_OK;
    if (end >= HEAD_BYTES && pread(fd, tail, sizeof tail, end - HEAD_BYTES) != HEAD_BYTES)
        return GW_OK;
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct image_kind *k = &kinds[i];
        if (!is_of_kind(k, head, tail))
            continue;
        bool names = may_name_others(k, head);
        gw_fail(err, GW_ERR_UNSUPPORTED, path, "%s: it is %s%s%s", failed, k->name,
                names ? " that may name other files" : "",
                disk ? ", and not raw (if it is all the same: format=raw)" : "");
        if (err && !names)
            gw_hint_of(err, k->command, path);
        else if (err && disk)
            gw_hint_of(err, "-d @,format=raw if a machine wrote it into its disk", path);
        return GW_ERR_UNSUPPORTED;
    }
    return GW_OK;
}

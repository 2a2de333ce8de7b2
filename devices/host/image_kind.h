/*
 * Files that are no raw disk: images in a format of their own, and what is compressed. Taken for raw they
 * would show the guest their format's bytes instead of the disk's, and its first write would destroy
 * them. What is in a file is no proof, since a guest that has it as its disk may write anything there:
 * so nothing is ever chosen by it. A file is raw, or it is refused.
 */
#ifndef DEV_IMAGE_KIND_H
#define DEV_IMAGE_KIND_H

#include <stdbool.h>

#include "godwit/status.h"

/* GW_ERR_UNSUPPORTED: fd's file looks like such an image; *err names it, and the command that makes a raw
 * file of it, unless that would read what else it names: a guest may have written the name. failed: "cannot
 * open the disk". disk: it may be said to be raw all the same, by format=raw. */
enum gw_status dev_image_refuse(int fd, const char *path, const char *failed, bool disk,
                                struct gw_error *err);

#endif

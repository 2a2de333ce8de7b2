/*
 * A number by which a file's contents are known again. Of 32 MiB or less it is a hash over all of them. Of
 * more it is one over samples: both ends, the places where file systems keep what they change when
 * they are mounted or checked, on the disk and on each of its partitions, and pieces spread evenly. So it
 * tells a file that is another, or that somebody worked with; a few bytes in the middle of a large
 * one it may miss. Whoever wants to can make a file that has another's: it is no seal.
 *
 * Any thread.
 */
#ifndef DEV_SAMPLE_H
#define DEV_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEV_SAMPLE_WHOLE = 32 << 20 };

/* Of a file, or a block device, of so many bytes; never 0. False: errno says why. */
bool dev_sample_file(int fd, uint64_t bytes, uint64_t *sample);
/* Of all bytes; never 0. */
uint64_t dev_sample_bytes(const void *bytes, size_t size);

#endif

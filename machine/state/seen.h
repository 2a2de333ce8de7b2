/*
 * The files that a machine goes on to read or write: what is seen of them when it is saved, and whether they
 * are those when it is restored.
 */
#ifndef MACHINE_SEEN_H
#define MACHINE_SEEN_H

#include "machine/vm.h"

/* Into the machine's description; requests are finished. */
enum gw_status vm_see_files(struct vm *m, struct machine_spec *s, struct gw_error *err);
/* Before anything of the snapshot is put into the machine. saved: its description, of as many disks. */
enum gw_status vm_check_files(struct vm *m, const struct machine_spec *saved, struct gw_error *err);

#endif

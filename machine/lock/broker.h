/*
 * Files that a machine has to name while it runs or when it ends: snapshots of its own, and sockets
 * to remove. The sandbox lets no thread do that, so a small process beside it does, which was there
 * before the guest: it knows the names from the machine's options and is asked by kind, never by
 * name. It is locked in as the machine is, but for the directories of those names. It seals the snapshots
 * that it names, with the user's own key, which the machine's process never has, and grants what the
 * options name, whatever the machine wrote of itself. Without a sandbox, sockets are removed in the
 * machine's process.
 *
 * vCPU thread that ends the run (SANDBOX_MAIN); new() before any thread is started.
 */
#ifndef MACHINE_BROKER_H
#define MACHINE_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/status.h"
#include "machine/machine.h"

struct sandbox;

enum broker_save { BROKER_MENU, BROKER_PANIC, BROKER_AT_END };

enum { BROKER_PATH_BYTES = 4096 };

struct broker;

/* Starts a process if the machine may be saved; with a sandbox also if anything else needs one. Fails where
 * the process, as whoever the machine becomes, cannot make a file that the options name. s outlives it. */
enum gw_status broker_new(struct broker **out, const struct machine_options *o,
                          const struct sandbox *s, struct gw_error *err);
/* The machine may be saved, by this or by a client of the control socket. */
bool broker_saves(const struct broker *b);
/* The sockets that the options name are there now, and will be the machine's to remove. */
void broker_bound(struct broker *b);
/* Opens the file of a snapshot beside its name; number: part of the name of BROKER_MENU. Then keep
 * or drop it; *fd stays the broker's. name: BROKER_PATH_BYTES, for messages. */
enum gw_status broker_open(struct broker *b, enum broker_save which, uint64_t number, int *fd,
                           char *name, struct gw_error *err);
/* GW_OK with a message in *err: it has its name, but no seal, and why. */
enum gw_status broker_keep(struct broker *b, struct gw_error *err);
void broker_drop(struct broker *b);
/* Removes what has to go, and waits until it is gone. NULL is fine. */
void broker_free(struct broker *b);

#endif

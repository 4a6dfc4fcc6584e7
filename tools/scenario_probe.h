/*
 * The sampler of `kmsvol scenario`: is a volume served, ten times a second? A reader, a writer and a client
 * command each work in a process of their own, so that I/O that hangs is seen by its age and hangs nobody
 * else; the sampler itself touches no mount.
 */
#ifndef TOOLS_SCENARIO_PROBE_H
#define TOOLS_SCENARIO_PROBE_H

#include <stdint.h>

struct err;

#define SCENARIO_PROBE_BLOCK  4096
#define SCENARIO_PROBE_BLOCKS 16 /* what the writer writes in turn and the reader reads: 64 KiB */

struct scenario_probe {
	const char *volume; /* its directory: whose status is asked for */
	const char *
		target; /* a file of the volume, at least SCENARIO_PROBE_BLOCKS blocks behind offset */
	uint64_t offset;     /* in target, bytes, a multiple of SCENARIO_PROBE_BLOCK */
	const char *client;  /* run by /bin/sh -c again and again; NULL: none */
	const char *samples; /* a line of JSON each 100 ms is appended to this file */
};

/*
 * Sample until SIGTERM, SIGINT or SIGHUP; at most some 0.5 s later it has ended, whatever hangs: what is stuck in
 * the kernel then dies as soon as it is let go. Each operation of reader and writer opens and closes the file and
 * holds a shared flock on the samples file meanwhile, so whoever has an exclusive one can unmount.
 * The reader compares what it reads with what the writer was told is durable: "stale" counts what is older.
 */
int scenario_probe_run(const struct scenario_probe *probe, struct err *err);

#endif

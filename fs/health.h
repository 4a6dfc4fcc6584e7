/*
 * How EC2 would describe a volume: its status checks (DescribeVolumeStatus) and the CloudWatch metric
 * VolumeStalledIOCheck, as pure functions of what is known ("Amazon EBS User Guide, Amazon EBS volume
 * status checks; Pause I/O fault injection").
 */
#ifndef FS_HEALTH_H
#define FS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* In real time; both are divided by the time scale. */
#define HEALTH_CHECK_MS	   60000  /* I/O that stalls for longer fails VolumeStalledIOCheck, ... */
#define HEALTH_IMPAIRED_MS 120000 /* ... and by then the volume's status is impaired */

struct health_facts {
	uint64_t
		stalled_ms; /* monotonic: since then I/O waits, and none is let go; 0: it does not */
	bool refused;	    /* I/O fails */
	bool degraded;	    /* I/O is made slow or wrong on purpose, or writes are refused */
	uint32_t time_scale; /* 0: as 1 */
};

struct health {
	const char *volume_status;  /* "ok", "warning", "impaired" */
	const char *io_enabled;	    /* "passed", "failed" */
	const char *io_performance; /* "normal", "degraded", "stalled" */
	unsigned stalled_io_check;  /* VolumeStalledIOCheck: 1 it fails */
	uint64_t changes_ms; /* when this may become another by time alone; UINT64_MAX: never */
};

struct health health_at(const struct health_facts *facts, uint64_t now_ms);

#endif

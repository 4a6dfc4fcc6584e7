/* See snapshot_tell.h. */
#include "snapshot_tell.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "notification.h"
#include "snapshot.h"

void snapshot_tell(const char *dir, const struct snapshot_info *info, const char *cause)
{
	const struct notification_snapshot n = {.snapshot_id = info->id,
						.volume_id = info->volume_id,
						.source_id = info->source_id,
						.key_arn = info->key_arn,
						.cause = cause,
						.start = info->start_time,
						.end = (int64_t)time(NULL)};
	const struct event event = {.name = *info->source_id ? "snapshot-copy" : "snapshot",
				    .result = cause ? "failed" : "succeeded",
				    .reason = cause,
				    .snapshot = &n};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct events *events = fd >= 0 ? events_new(fd, info->volume_id) : NULL;

	if (events)
		events_add(events, &event);
	events_free(events);
	if (fd >= 0)
		(void)close(fd); /* only read */
}

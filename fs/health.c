/* A volume's status in EC2's words. See health.h. */
#include "health.h"

struct health health_at(const struct health_facts *facts, uint64_t now_ms)
{
	uint32_t scale = facts->time_scale ? facts->time_scale : 1;
	uint64_t check_at = facts->stalled_ms + HEALTH_CHECK_MS / scale;
	uint64_t impaired_at = facts->stalled_ms + HEALTH_IMPAIRED_MS / scale;
	struct health h = {.volume_status = "ok",
			   .io_enabled = "passed",
			   .io_performance = "normal",
			   .changes_ms = UINT64_MAX};

	if (facts->degraded) {
		h.volume_status = "warning";
		h.io_performance = "degraded";
	}
	if (facts->refused) {
		h.volume_status = "impaired";
		h.io_enabled = "failed";
	}
	if (!facts->stalled_ms)
		return h;
	if (now_ms >= check_at)
		h.stalled_io_check = 1;
	if (now_ms >= impaired_at) {
		h.volume_status = "impaired";
		h.io_performance = "stalled";
		return h;
	}
	h.changes_ms = now_ms < check_at ? check_at : impaired_at;
	return h;
}

/* The file of the audit trail: turned over by size, and synced every second. See audit.h. */
#include "audit.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "linefile.h"
#include "secret.h"

struct audit {
	struct linefile *file;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop; /* guarded by lock */
};

/* What a loss of power may take is what was appended since the last round. */
static void *keep_synced(void *arg)
{
	struct audit *audit = arg;
	bool stop = false, told = false;
	struct timespec until;

	while (!stop) {
		struct err err = {0};

		(void)clock_gettime(CLOCK_REALTIME, &until); /* this clock always is */
		until.tv_sec += AUDIT_SYNC_S;
		pthread_mutex_lock(&audit->lock);
		if (!audit->stop)
			(void)pthread_cond_timedwait(&audit->wake, &audit->lock, &until);
		stop = audit->stop;
		pthread_mutex_unlock(&audit->lock);
		if (linefile_sync(audit->file, &err) == 0)
			told = false;
		else if (!told)
			(void)fprintf(stderr, "kmsd: %s\n", err.msg); /* the last resort; once */
		told = err.num != 0;
	}
	return NULL;
}

int audit_open(int dir_fd, int64_t max_bytes, struct audit **ret_audit, struct err *err)
{
	const struct linefile_config config = {AUDIT_STEM, max_bytes ? max_bytes : AUDIT_FILE_MAX,
					       AUDIT_KEEP};
	struct audit *audit = calloc(1, sizeof(*audit));
	int r;

	if (!audit)
		return err_set(err, ENOMEM, "audit trail");
	(void)pthread_mutex_init(&audit->lock, NULL); /* cannot fail with these attributes */
	(void)pthread_cond_init(&audit->wake, NULL);  /* as above */
	r = linefile_open(dir_fd, &config, &audit->file, err);
	if (r == 0 && pthread_create(&audit->thread, NULL, keep_synced, audit) != 0)
		r = err_set(err, EAGAIN, "audit trail: no thread");
	audit->running = r == 0;
	if (r < 0) {
		audit_close(audit);
		return r;
	}
	*ret_audit = audit;
	return 0;
}

void audit_close(struct audit *audit)
{
	if (!audit)
		return;
	if (audit->running) {
		pthread_mutex_lock(&audit->lock);
		audit->stop = true;
		pthread_cond_signal(&audit->wake);
		pthread_mutex_unlock(&audit->lock);
		(void)pthread_join(audit->thread, NULL); /* ours; it has synced the rest */
	}
	(void)pthread_cond_destroy(&audit->wake);  /* nobody waits */
	(void)pthread_mutex_destroy(&audit->lock); /* nor holds it */
	linefile_close(audit->file);
	free(audit);
}

int audit_append(struct audit *audit, const struct kms_json *record, struct err *err)
{
	AUTO(freep) char *text = kms_json_text(record);
	size_t len;

	if (!text)
		return err_set(err, ENOMEM, "audit record");
	len = strlen(text);
	text[len++] = '\n'; /* in place of the NUL: it is a file's line from here on */
	return linefile_append(audit->file, text, len, err);
}

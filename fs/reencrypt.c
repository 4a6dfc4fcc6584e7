/* See reencrypt.h. */
#include "reencrypt.h"

#include <errno.h>
#include <string.h>

#include "copy.h"
#include "copy_ends.h"
#include "disk.h"
#include "err.h"
#include "store.h"

int reencrypt_store(struct store *from, struct disk *to, const struct store_geometry *geometry,
		    const struct secret *data_key, const struct reencrypt_job *job, struct err *err)
{
	struct copy_store old = {.store = from, .size_bytes = geometry->size_bytes};
	struct copy_store new = {.size_bytes = geometry->size_bytes};
	struct copy_source source = copy_from_store(&old);
	struct copy_target target = copy_to_store(&new);
	const struct copy_options options = {
		.stop = job->stop, .progress = job->progress, .arg = job->arg};
	struct copy_result result;
	struct err close_err;
	int closed, r = to->ops->rmdir(to, "segments"); /* store_create_on() makes it */

	if (r < 0)
		return err_set(err, -r, "segments: %s", strerror(-r));
	r = store_create_on(to, geometry, data_key, err);
	if (r == 0)
		r = store_open_on(to, geometry, data_key, false, &new.store, err);
	if (r < 0)
		return r;
	r = copy_run(&source, &target, &options, &result, err);
	closed = store_close(new.store, &close_err);
	if (r == 0 && closed < 0) {
		*err = close_err;
		r = closed;
	}
	return r;
}

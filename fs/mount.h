/* What `kmsvol mount` runs: the daemon behind a mounted volume, and asking it things. */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "keywatch.h"
#include "kms.h"
#include "transport.h"

struct err;
struct kms_json;

struct mount_options {
	const char *volume_dir;
	const char *mountpoint;
	bool foreground;
	bool read_only;
	bool allow_other;
	enum transport_wish transport;
	const char *profile; /* its name, for the status; NULL: none was asked for */
	struct keywatch_config watch;
	const char *hook; /* command at each change of state; NULL: none */
	uint64_t hook_timeout_ms;
	const char *const *
		keeper; /* with a file system above: the keeper's arguments, see above.h; or NULL */
	uint64_t write_down_ms; /* the time that it has to write down what is dirty */
	struct kms_config kms;
};

/*
 * Mount and serve. In the foreground: returns when unmounted. Else: returns in the calling process
 * when the mount is there (0) or has failed (-errno with the daemon's sentence), and the daemon
 * goes on in a session of its own, its messages to syslog.
 */
int mount_run(const struct mount_options *options, struct err *err);

/*
 * Ask the daemon of a mounted volume through its control socket: one JSON object there, one back,
 * which the caller owns. "op" is one of "status" (its reply is the status), "start" (check the key
 * now and return to service), "force" (end the waiting of requests with EIO), "unmount" (with
 * "force": true also when in use). -ENOTCONN: no daemon runs for it; a refusal of the daemon is an
 * error with its sentence.
 */
int mount_control(const char *volume_dir, const struct kms_json *request,
		  struct kms_json **ret_reply, struct err *err);

#endif

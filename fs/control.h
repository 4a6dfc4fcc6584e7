/*
 * The control socket VOLUME/control of a mounted volume: one JSON object on one line there, one
 * back. This is the server in the daemon; the client is mount_control() of mount.h.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

struct control;
struct err;
struct kms_json;

#define CONTROL_FILE	    "control"
#define CONTROL_REQUEST_MAX (64 * 1024) /* bytes */
#define CONTROL_REPLY_MAX   (256 * 1024)
#define CONTROL_CLIENTS_MAX 16
#define CONTROL_CLIENT_MS   10000 /* for asking and reading the answer, then it is cut off */

/*
 * Bind CONTROL_FILE (0600) in the directory @dir_fd, replacing one that a dead daemon left (the caller
 * holds the volume's lock), and serve it in a thread. @handle makes the reply to a request, which
 * stays the server's; NULL: out of memory. It is called one at a time.
 */
int control_start(int dir_fd, struct kms_json *(*handle)(const struct kms_json *request, void *arg),
		  void *arg, struct control **ret_control, struct err *err);

/* End the thread and remove the socket. NULL is allowed. */
void control_stop(struct control *control);

/* {"ok":false,"error":sentence,"errno":number}; NULL: out of memory. */
struct kms_json *control_error(const struct err *err);

#endif

/*
 * Control from outside: HTTP on a port of its own of the loopback interface, so that it answers also
 * when the KMS port is full, slow or under TLS. Who may is who can read the file "control" of the data
 * directory (0600): it has the address and a secret that is new at each start. The file is written as
 * curl reads it (curl -K).
 */
#ifndef KMSD_CONTROL_HTTP_H
#define KMSD_CONTROL_HTTP_H

#include <stdint.h>

struct control;
struct control_http;
struct err;

#define CONTROL_HTTP_FILE   "control"
#define CONTROL_HTTP_PATH   "/control"
#define CONTROL_HTTP_SECRET 64 /* hex digits */

/* Serve @control (borrowed) on @port (0: any free one) and write the file into @dir_fd (borrowed). */
int control_http_start(struct control *control, int dir_fd, uint16_t port,
		       struct control_http **ret_http, struct err *err);

/* Ends it and takes the file away. NULL is allowed. */
void control_http_stop(struct control_http *http);

#endif

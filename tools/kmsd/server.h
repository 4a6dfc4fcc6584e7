/* A whole server: the parts opened in their order and closed in the opposite one. */
#ifndef KMSD_SERVER_H
#define KMSD_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "http.h"

struct access_key;
struct err;
struct server;

struct server_config {
	const char *data_dir;
	const char *region;
	const char *const *accounts; /* the first is the one that is meant when none is named */
	size_t account_count;
	int64_t rotation_delay_ms; /* of a rotation on demand; negative: as in AWS */
	struct http_config http;
};

/* Open the data directory and serve. */
int server_start(const struct server_config *config, struct server **ret_server, struct err *err);

/* Finish what is under way and close. NULL and half-started ones are allowed. */
void server_stop(struct server *server);

uint16_t server_port(const struct server *server);
const struct access_key *server_root_key(const struct server *server); /* the server's */

/* Destroy and rotate keys whose time has come, save when keys were used; call it now and then. */
int server_tick(struct server *server, struct err *err);

#endif

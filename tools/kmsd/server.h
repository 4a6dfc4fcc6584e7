/* A whole server: the parts opened in their order and closed in the opposite one. */
#ifndef KMSD_SERVER_H
#define KMSD_SERVER_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "http.h"

struct access_key;
struct err;
struct kms_json;
struct server;

/* An option of the command line that control knows (control.h), and the request it stands for. */
struct server_setting {
	const char *option;
	struct kms_json *request;
};

struct server_config {
	const char *data_dir;
	const char *region;
	const char *const *accounts; /* the first is the one that is meant when none is named */
	size_t account_count;
	bool explain_allowed;	   /* keep chains of allowed requests too */
	int64_t audit_bytes;	   /* of a file of the audit trail; 0: AUDIT_FILE_MAX */
	int64_t rotation_delay_ms; /* of a rotation on demand; negative: as in AWS */
	struct http_config http;   /* its tls is made from these: */
	bool tls;		   /* by a certificate of our own making, in the data directory */
	const char *tls_cert, *tls_key; /* files; NULL: neither */
	int control_port;		/* 0: any free one; negative: no control from outside */
	const struct server_setting *settings;
	size_t setting_count;
};

/* Open the data directory and serve. -EINVAL: the configuration is wrong. */
int server_start(const struct server_config *config, struct server **ret_server, struct err *err);

/* Finish what is under way and close. NULL and half-started ones are allowed. */
void server_stop(struct server *server);

uint16_t server_port(const struct server *server);
const struct access_key *server_root_key(const struct server *server); /* the server's */

/* Destroy and rotate keys whose time has come, save when keys were used; call it now and then. */
int server_tick(struct server *server, struct err *err);

/* How often; more often while the clock goes fast. */
unsigned server_tick_seconds(const struct server *server);

#endif

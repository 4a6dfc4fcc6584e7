/* Putting the parts together. See server.h. */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "calendar.h"
#include "call.h"
#include "caller.h"
#include "control.h"
#include "control_http.h"
#include "datadir.h"
#include "decisions.h"
#include "err.h"
#include "events.h"
#include "flow.h"
#include "forward.h"
#include "key_events.h"
#include "http_tls.h"
#include "keyring.h"
#include "lag.h"
#include "secret.h"
#include "service_proof.h"
#include "throttle.h"
#include "tls_cert.h"
#include "usage.h"

struct server {
	int dir_fd;
	struct kmsd kmsd;
	struct access_key *root_key;
	char *service_file; /* owned */
	struct http_server *http;
	struct http_tls *tls; /* NULL: plain HTTP */
	uint16_t port;
	struct control *control;
	struct control_http *control_http;
};

static void answer(void *arg, const struct flow_request *request, int64_t real_ms,
		   struct flow_reply *ret)
{
	flow_handle(arg, request, real_ms, ret);
}

static int tick(void *arg, struct err *err)
{
	return server_tick(arg, err);
}

static int apply_settings(struct server *s, const struct server_config *config, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < config->setting_count && r == 0; i++) {
		r = control_apply(s->control, config->settings[i].request, err);
		if (r < 0)
			return err_prefix(err, "--%s", config->settings[i].option);
	}
	return r;
}

/* What is begun only when all settings count. */
static int begin(struct server *s, const struct server_config *config, struct err *err)
{
	int r = server_tick(s, err);

	if (r == 0 && config->control_port >= 0)
		r = control_http_start(s->control, s->dir_fd, (uint16_t)config->control_port,
				       &s->control_http, err);
	return r < 0 ? err_prefix(err, "data directory '%s'", config->data_dir) : 0;
}

struct credentials {
	struct store *store;
	int64_t now_ms;
	struct buf text;
	struct err *err;
};

/* Each account's root user under a profile that is called by the account's id. */
static int add_account(const char *account, void *arg)
{
	AUTO(cached_putp) struct access_key *key = NULL;
	struct credentials *c = arg;
	int r = store_root_access_key(c->store, account, c->now_ms, &key, c->err);

	if (r < 0)
		return r;
	r = datadir_add_credentials(&c->text, account, key);
	return r < 0 ? err_set(c->err, -r, "'" DATADIR_CREDENTIALS "'") : 0;
}

/* Make the accounts that are new, and write down the access keys of all that there are. */
static int open_accounts(struct server *s, const struct server_config *config, struct err *err)
{
	struct credentials c = {.store = s->kmsd.store,
				.now_ms = calendar_now_ms(s->kmsd.calendar),
				.text.max = 1 << 20,
				.err = err};
	int r = 0;

	for (size_t i = 0; i < config->account_count && r == 0; i++) {
		AUTO(cached_putp) struct access_key *key = NULL;

		r = store_root_access_key(c.store, config->accounts[i], c.now_ms, &key, err);
		if (r == 0 && i == 0) {
			s->root_key = cached_get(key);
			r = datadir_add_credentials(&c.text, "default", key);
		}
	}
	r = r ? r : store_each_account(c.store, add_account, &c, err);
	r = r ? r : datadir_write(s->dir_fd, DATADIR_CREDENTIALS, &c.text, err);
	buf_free(&c.text);
	return r;
}

/* The service credential is written, and clients are told where. */
static int open_services(struct server *s, const char *data_dir, struct err *err)
{
	AUTO(freep) char *dir = realpath(data_dir, NULL);

	if (!dir || asprintf(&s->service_file, "%s/" SERVICE_FILE, dir) < 0) {
		s->service_file = NULL;
		return err_set(err, errno, "'" SERVICE_FILE "': %s", strerror(errno));
	}
	s->kmsd.service_file = s->service_file;
	return forward_write_credentials(s->dir_fd, store_rootkey(s->kmsd.store), err);
}

static int open_parts(struct server *s, const struct server_config *config, struct err *err)
{
	struct kmsd *k = &s->kmsd;
	uint64_t seed = 0;
	int r;

	k->place = (struct keyref_place){config->accounts[0], config->region};
	r = datadir_open(config->data_dir, &s->dir_fd, err);
	r = r ? r : calendar_open(s->dir_fd, &k->calendar, err);
	r = r ? r : store_open(config->data_dir, s->dir_fd, &k->store, err);
	r = r ? r : audit_open(s->dir_fd, config->audit_bytes, &k->audit, err);
	r = r ? r : decisions_open(s->dir_fd, config->explain_allowed, &k->decisions, err);
	r = r ? r : events_open(config->data_dir, s->dir_fd, &k->events, err);
	r = r ? r : keyring_new(k->store, &k->ring, err);
	if (r == 0 && config->rotation_delay_ms >= 0)
		keyring_set_rotation_delay(k->ring, config->rotation_delay_ms);
	if (r == 0)
		key_events_watch(k->ring, k->audit);
	r = r ? r : callers_new(k->store, &k->callers, err);
	r = r ? r : lag_new(calendar_monotonic_ms, &k->lag, err);
	if (r == 0)
		keyring_set_lag(k->ring, k->lag);
	r = r ? r : throttle_new(&k->throttle, err);
	r = r ? r : ids_random(&seed, sizeof(seed), false, err);
	r = r ? r : inject_new(seed, &k->inject, err);
	r = r ? r : control_new(k, tick, s, &s->control, err);
	r = r ? r : open_accounts(s, config, err);
	r = r ? r : open_services(s, config->data_dir, err);
	return r < 0 ? err_prefix(err, "data directory '%s'", config->data_dir) : 0;
}

/* NULL in *@ret_tls: plain HTTP. */
static int open_tls(const struct server *s, const struct server_config *config,
		    struct http_tls **ret_tls, struct err *err)
{
	AUTO(freep) char *path = NULL;
	int r;

	if (config->tls_cert)
		return http_tls_new(config->tls_cert, config->tls_key, ret_tls, err);
	if (!config->tls)
		return 0;
	r = tls_cert_prepare(s->dir_fd, config->http.address, err);
	if (r < 0)
		return err_prefix(err, "data directory '%s'", config->data_dir);
	if (asprintf(&path, "%s/" TLS_CERT_FILE, config->data_dir) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "TLS");
	}
	return http_tls_new(path, path, ret_tls, err);
}

int server_start(const struct server_config *config, struct server **ret_server, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	struct http_config http = config->http;
	int r;

	if (!s)
		return err_set(err, ENOMEM, "server");
	s->dir_fd = -1;
	r = open_parts(s, config, err);
	r = r ? r : apply_settings(s, config, err);
	r = r ? r : begin(s, config, err);
	r = r ? r : open_tls(s, config, &s->tls, err);
	http.tls = s->tls;
	r = r ? r : http_start(answer, &s->kmsd, &http, &s->http, &s->port, err);
	if (r < 0) {
		server_stop(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

void server_stop(struct server *server)
{
	if (!server)
		return;
	control_http_stop(server->control_http);
	http_stop(server->http);
	http_tls_free(server->tls);
	control_free(server->control);
	cached_put(server->root_key);
	if (server->kmsd.ring)
		(void)usage_save(keyring_usage(server->kmsd.ring), NULL); /* as after a kill */
	callers_free(server->kmsd.callers);
	keyring_free(server->kmsd.ring);
	events_close(server->kmsd.events);
	decisions_close(server->kmsd.decisions);
	audit_close(server->kmsd.audit);
	store_close(server->kmsd.store);
	lag_free(server->kmsd.lag);
	inject_free(server->kmsd.inject);
	throttle_free(server->kmsd.throttle);
	calendar_close(server->kmsd.calendar);
	free(server->service_file);
	if (server->dir_fd >= 0)
		(void)close(server->dir_fd); /* only a directory */
	free(server);
}

uint16_t server_port(const struct server *server)
{
	return server->port;
}

const struct access_key *server_root_key(const struct server *server)
{
	return server->root_key;
}

int server_tick(struct server *server, struct err *err)
{
	struct kmsd *k = &server->kmsd;
	int64_t now_ms = calendar_now_ms(k->calendar);
	int r = keyring_expire(k->ring, now_ms, err);

	r = r ? r : keyring_rotate_due(k->ring, now_ms, err);
	return r ? r : usage_save(keyring_usage(k->ring), err);
}

unsigned server_tick_seconds(const struct server *server)
{
	return calendar_speed(server->kmsd.calendar) > 1 ? 1 : 30;
}

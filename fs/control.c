/*
 * The control socket, both ends. Non-blocking, a few clients with a time limit each, so that a slow or
 * silent one holds up nobody. A path of any length works: the socket is named through /proc/self/fd.
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "say.h"
#include "mount.h"
#include "secret.h"

#define DISCARD_READS_MAX 64

struct client {
	int fd; /* -1: free */
	uint64_t until_ms;
	struct buf in, out;
	size_t sent;
	bool answering;
};

struct control {
	int dir_fd;
	int listen_fd;
	int stop_fd; /* readable: end */
	struct kms_json *(*handle)(const struct kms_json *request, void *arg);
	void *arg;
	pthread_t thread;
	bool started;
	struct client clients[CONTROL_CLIENTS_MAX]; /* the thread's */
};

static struct sockaddr_un address(int dir_fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" CONTROL_FILE, dir_fd);
	return a;
}

struct kms_json *control_error(const struct err *err)
{
	struct kms_json *obj = kms_json_new_object();

	if (obj && (kms_json_set_bool(obj, "ok", false) | kms_json_set_str(obj, "error", err->msg) |
		    kms_json_set_i64(obj, "errno", err->num)) == 0)
		return obj;
	kms_json_free(obj);
	return NULL;
}

static void drop(struct client *c)
{
	(void)close(c->fd);
	c->fd = -1;
	buf_free(&c->in);
	buf_free(&c->out);
}

static void write_more(struct client *c)
{
	char bytes[4096];
	ssize_t n = send(c->fd, c->out.bytes + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		drop(c);
		return;
	}
	c->sent += (size_t)n;
	if (c->sent < c->out.len)
		return;
	/* What a client sent too much is read away: closing upon it would lose the answer on its way. */
	(void)shutdown(c->fd, SHUT_WR);
	for (size_t i = 0; i < DISCARD_READS_MAX; i++)
		if (recv(c->fd, bytes, sizeof(bytes), 0) <= 0)
			break;
	drop(c);
}

/* Send @reply, which is taken, or as much as goes at once: an unmount ends this thread soon after.
 * NULL: out of memory. */
static void answer(struct client *c, struct kms_json *reply)
{
	AUTO(freep) char *text = reply ? kms_json_text(reply) : NULL;

	kms_json_free(reply);
	if (!text || buf_printf(&c->out, "%s\n", text) < 0) {
		drop(c);
		return;
	}
	c->answering = true;
	write_more(c);
}

/* Answer the request in c->in, its first @len bytes. */
static void serve(struct control *control, struct client *c, size_t len)
{
	AUTO(kms_json_freep) struct kms_json *request = NULL;
	struct err err = {0};

	if (kms_json_parse((const char *)c->in.bytes, len, &request, &err) < 0)
		answer(c, control_error(&err));
	else
		answer(c, control->handle(request, control->arg));
}

static void read_more(struct control *control, struct client *c)
{
	char bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
	size_t before = c->in.len;
	struct err err = {0};
	const char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	if (buf_append(&c->in, bytes, (size_t)n) < 0) {
		(void)err_set(&err, EMSGSIZE, "request is longer than %d bytes",
			      CONTROL_REQUEST_MAX);
		answer(c, control_error(&err));
		return;
	}
	end = memchr(c->in.bytes + before, '\n', (size_t)n);
	if (end)
		serve(control, c, (size_t)(end - (const char *)c->in.bytes));
}

static void accept_one(struct control *control)
{
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *c = &control->clients[i];

		if (c->fd >= 0)
			continue;
		*c = (struct client){
			.fd = fd,
			.until_ms = clock_monotonic_ms() + CONTROL_CLIENT_MS,
			.in.max = CONTROL_REQUEST_MAX,
			.out.max = CONTROL_REPLY_MAX,
		};
		return;
	}
	(void)close(fd); /* not reached: not polled for when all are busy */
}

/* Fill @fds; the first two are the stop event and the listener. Returns the time to wait. */
static int prepare(struct control *control, struct pollfd *fds)
{
	uint64_t now = clock_monotonic_ms();
	int wait_ms = -1;
	bool room = false;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *c = &control->clients[i];
		int left_ms;

		if (c->fd >= 0 && now >= c->until_ms)
			drop(c);
		fds[2 + i] =
			(struct pollfd){.fd = c->fd, .events = c->answering ? POLLOUT : POLLIN};
		if (c->fd < 0) {
			room = true;
			continue;
		}
		left_ms = (int)(c->until_ms - now);
		if (wait_ms < 0 || left_ms < wait_ms)
			wait_ms = left_ms;
	}
	fds[0] = (struct pollfd){.fd = control->stop_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = room ? control->listen_fd : -1, .events = POLLIN};
	return wait_ms;
}

static void *control_main(void *arg)
{
	struct control *control = arg;
	struct pollfd fds[2 + CONTROL_CLIENTS_MAX];

	for (;;) {
		int wait_ms = prepare(control, fds);

		if (poll(fds, 2 + CONTROL_CLIENTS_MAX, wait_ms) < 0) {
			if (errno != EINTR)
				(void)usleep(100000); /* out of memory: do not spin */
			continue;
		}
		if (fds[0].revents)
			break;
		for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
			struct client *c = &control->clients[i];

			if (fds[2 + i].revents && c->answering)
				write_more(c);
			else if (fds[2 + i].revents)
				read_more(control, c);
		}
		if (fds[1].revents)
			accept_one(control);
	}
	return NULL;
}

/* A socket bound to CONTROL_FILE with mode 0600 from its first moment. */
static int bind_socket(int dir_fd, struct err *err)
{
	struct sockaddr_un a = address(dir_fd);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return err_set(err, errno, "control socket: %s", strerror(errno));
	(void)unlinkat(dir_fd, CONTROL_FILE, 0); /* what cannot be removed fails the bind */
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	(void)umask(mask);
	if (r == 0)
		r = listen(fd, CONTROL_CLIENTS_MAX);
	if (r < 0) {
		r = err_set(err, errno, "control socket: %s", strerror(errno));
		(void)close(fd);
		return r;
	}
	return fd;
}

int control_start(int dir_fd, struct kms_json *(*handle)(const struct kms_json *request, void *arg),
		  void *arg, struct control **ret_control, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, ENOMEM, "control socket: out of memory");
	c->dir_fd = dir_fd;
	c->handle = handle;
	c->arg = arg;
	c->stop_fd = -1;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	r = c->listen_fd = bind_socket(dir_fd, err);
	if (r < 0)
		goto fail;
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->stop_fd < 0) {
		r = err_set(err, errno, "control socket: %s", strerror(errno));
		goto fail;
	}
	r = pthread_create(&c->thread, NULL, control_main, c);
	if (r) {
		r = err_set(err, r, "control socket: cannot start a thread: %s", strerror(r));
		goto fail;
	}
	c->started = true;
	*ret_control = c;
	return 0;
fail:
	control_stop(c);
	return r;
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	if (control->started) {
		(void)eventfd_write(control->stop_fd, 1); /* cannot fail below its maximum */
		pthread_join(control->thread, NULL);
	}
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			drop(&control->clients[i]);
	if (control->listen_fd >= 0) {
		(void)unlinkat(control->dir_fd, CONTROL_FILE,
			       0); /* the next mount removes it else */
		(void)close(control->listen_fd);
	}
	if (control->stop_fd >= 0)
		(void)close(control->stop_fd);
	free(control);
}

#define CLIENT_TIMEOUT_S 30 /* an unmount may take a while */

/* A reply is a line; less is the work of a daemon that died. */
static bool is_whole(const struct buf *reply)
{
	return reply->len && reply->bytes[reply->len - 1] == '\n';
}

static int exchange(int fd, const char *line, size_t len, struct buf *ret_reply)
{
	char bytes[4096];

	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(fd, line + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sent += (size_t)n;
	}
	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return is_whole(ret_reply) ? 0 : -ECONNRESET;
		r = buf_append(ret_reply, bytes, (size_t)n);
		if (r < 0)
			return r;
	}
}

/* A socket connected to the daemon of @volume_dir. */
static int connect_to(const char *volume_dir, struct err *err)
{
	struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};
	int dir_fd = open(volume_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sockaddr_un a;
	int fd, num;

	if (dir_fd < 0)
		return err_set(err, errno, "volume '%s': %s", volume_dir, strerror(errno));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		num = errno;
		(void)close(dir_fd);
		return err_set(err, num, "volume '%s': socket: %s", volume_dir, strerror(num));
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)); /* cannot fail here */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	a = address(dir_fd);
	num = connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	(void)close(dir_fd);
	if (num == 0)
		return fd;
	(void)close(fd);
	if (num == ENOENT || num == ECONNREFUSED)
		return err_set(err, ENOTCONN, "volume '%s' is not mounted", volume_dir);
	return err_set(err, num, "volume '%s': control socket: %s", volume_dir, strerror(num));
}

/* {"ok":false} is an error of the call; everything else is the answer. */
static int refusal(const char *volume_dir, const struct kms_json *reply, struct err *err)
{
	const char *why = "no reason given";
	int64_t num = EIO;
	bool ok;

	if (kms_json_bool(reply, "ok", &ok, NULL) < 0 || ok)
		return 0;
	(void)kms_json_str(reply, "error", &why, NULL); /* the defaults stand for what is missing */
	(void)kms_json_i64(reply, "errno", &num, NULL);
	if (num <= 0 || num > 4095)
		num = EIO;
	return err_set(err, (int)num, "volume '%s': %s", volume_dir, why);
}

int mount_control(const char *volume_dir, const struct kms_json *request,
		  struct kms_json **ret_reply, struct err *err)
{
	AUTO(freep) char *text = kms_json_text(request);
	AUTO(freep) char *line = NULL;
	struct buf reply = {.max = CONTROL_REPLY_MAX};
	struct kms_json *obj = NULL;
	int fd, len, r;

	len = text ? asprintf(&line, "%s\n", text) : -1;
	if (len < 0)
		return err_set(err, ENOMEM, "volume '%s': out of memory", volume_dir);
	fd = connect_to(volume_dir, err);
	if (fd < 0)
		return fd;
	r = exchange(fd, line, (size_t)len, &reply);
	(void)close(fd);
	if (r < 0)
		r = err_set(err, -r, "volume '%s': no answer from its daemon: %s", volume_dir,
			    strerror(-r));
	else if (kms_json_parse((const char *)reply.bytes, reply.len, &obj, err) < 0)
		r = err_prefix(err, "volume '%s': answer of its daemon", volume_dir);
	buf_free(&reply);
	if (r == 0)
		r = refusal(volume_dir, obj, err);
	if (r < 0)
		kms_json_free(obj);
	else
		*ret_reply = obj;
	return r;
}

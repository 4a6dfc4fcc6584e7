/*
 * The server's threads and its list of connections. See http.h; what a connection does is
 * http_conn.c's.
 *
 * A connection belongs to the thread that took its event, from epoll_wait() until it is armed again or freed. The
 * watcher and the thread that accepts touch others' connections only through struct http_watch and shutdown(2), which makes
 * their event come; they hold the lock then, and a connection leaves the list, under the lock,
 * before its descriptor is closed.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "err.h"
#include "http_conn.h"

#define BACKLOG	    4096
#define ACCEPT_MAX  64	/* connections taken at once */
#define WATCH_MS    100 /* between looks at the deadlines */
#define NO_FILES_US 10000

struct http_server {
	struct http_site site; /* fixed at start, as all up to the lock */
	int listen_fd, epoll_fd;
	int stop_fd;	    /* an eventfd, readable when all is to end */
	int delay_fd;	    /* a timerfd, for the reply that is due next of those that wait */
	atomic_size_t held; /* bytes; by the connections */
	unsigned connections_max;
	pthread_t *threads;
	unsigned thread_count;
	pthread_t watcher;
	bool watching;

	pthread_mutex_t lock;
	struct http_watch *first; /* all connections; guarded by lock */
	unsigned count;		  /* of those that were not dropped; guarded by lock */
	int64_t next_ms;	  /* when delay_fd comes, monotonic; 0: never; guarded by lock */
};

/* --- the list --- */

static void add(struct http_server *s, struct http_watch *w)
{
	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	w->next = s->first;
	if (w->next)
		w->next->prev = w;
	s->first = w;
	s->count++;
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
}

static void end(struct http_server *s, struct http_conn *c)
{
	struct http_watch *w = http_conn_watch(c);

	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	if (w->prev)
		w->prev->next = w->next;
	else
		s->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	s->count -= !w->dropped;
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
	http_conn_free(c);
}

/* Make room for one more: the connection on which nothing has moved for longest ends. */
static void drop_idlest(struct http_server *s)
{
	struct http_watch *idlest = NULL;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	for (struct http_watch *w = s->first; w; w = w->next)
		if (!w->dropped && atomic_load(&w->deadline_ms) != INT64_MAX &&
		    (!idlest || atomic_load(&w->active_ms) < atomic_load(&idlest->active_ms)))
			idlest = w;
	if (idlest) {
		idlest->dropped = true;
		s->count--;
		(void)shutdown(idlest->fd, SHUT_RDWR); /* or the client was faster */
	}
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
}

/*
 * One whose time is over: its event comes when it can be read no more, and it can still be
 * written to, unless that is what it waited for.
 */
static void expire_late(struct http_server *s)
{
	int64_t now = http_now_ms();

	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	for (struct http_watch *w = s->first; w; w = w->next) {
		if (atomic_load(&w->deadline_ms) > now)
			continue;
		atomic_store(&w->expired, true);
		(void)shutdown(w->fd, atomic_load(&w->sends) ? SHUT_RDWR : SHUT_RD); /* as above */
	}
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
}

/* --- events --- */

static int arm(struct http_server *s, int op, int fd, void *what, enum http_want want)
{
	uint32_t events = want == HTTP_WRITE  ? EPOLLOUT
			  : want == HTTP_TURN ? EPOLLIN | EPOLLOUT /* what is ready queues last */
					      : EPOLLIN;
	struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = what};

	return epoll_ctl(s->epoll_fd, op, fd, &event);
}

/* --- replies that wait --- */

static void set_alarm_locked(struct http_server *s, int64_t at_ms)
{
	struct itimerspec at = {.it_value = {at_ms / 1000, at_ms % 1000 * 1000000}};

	s->next_ms = at_ms;
	(void)timerfd_settime(s->delay_fd, TFD_TIMER_ABSTIME, &at, NULL); /* cannot fail */
}

/* The thread that ran @w's connection is done with it until its event comes. */
static void wait_long(struct http_server *s, struct http_watch *w)
{
	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	w->resume_ms = http_now_ms() + w->delay_ms;
	if (!s->next_ms || w->resume_ms < s->next_ms)
		set_alarm_locked(s, w->resume_ms);
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
}

static void resume_due(struct http_server *s)
{
	int64_t now = http_now_ms(), next = 0;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	for (struct http_watch *w = s->first; w; w = w->next) {
		if (w->resume_ms > now && (!next || w->resume_ms < next))
			next = w->resume_ms;
		if (!w->resume_ms || w->resume_ms > now)
			continue;
		w->resume_ms = 0;
		(void)arm(s, EPOLL_CTL_MOD, w->fd, w->conn, HTTP_WRITE); /* is in the set */
	}
	set_alarm_locked(s, next);
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
}

static void *watch(void *arg)
{
	struct http_server *s = arg;
	struct pollfd fds[] = {{.fd = s->stop_fd, .events = POLLIN},
			       {.fd = s->delay_fd, .events = POLLIN}};
	uint64_t ignored;

	for (;;) {
		(void)poll(fds, 2, WATCH_MS); /* a failure is a look too early */
		if (fds[0].revents)
			return NULL;
		if (fds[1].revents && read(s->delay_fd, &ignored, sizeof(ignored)) > 0)
			resume_due(s);
		expire_late(s);
	}
}

static void take_connection(struct http_server *s, int fd, const struct sockaddr_storage *peer)
{
	char address[INET6_ADDRSTRLEN];
	const void *in = peer->ss_family == AF_INET
				 ? (const void *)&((const struct sockaddr_in *)peer)->sin_addr
				 : (const void *)&((const struct sockaddr_in6 *)peer)->sin6_addr;
	struct http_conn *c;
	unsigned count;
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* slower without */
	if (!inet_ntop(peer->ss_family, in, address, sizeof(address)))
		address[0] = '\0';
	c = http_conn_new(fd, address, &s->site);
	if (!c) {
		(void)close(fd); /* nothing was written */
		return;
	}
	(void)pthread_mutex_lock(&s->lock); /* cannot fail */
	count = s->count;
	(void)pthread_mutex_unlock(&s->lock); /* cannot fail */
	if (count >= s->connections_max)
		drop_idlest(s);
	add(s, http_conn_watch(c));
	if (arm(s, EPOLL_CTL_ADD, fd, c, HTTP_READ) < 0)
		end(s, c);
}

static void accept_some(struct http_server *s)
{
	for (int i = 0; i < ACCEPT_MAX; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t len = sizeof(peer);
		int fd = accept4(s->listen_fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take_connection(s, fd, &peer);
			continue;
		}
		if (errno == EAGAIN)
			break;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			drop_idlest(s);
			(void)usleep(NO_FILES_US); /* the client waits in the backlog; so may we */
			break;
		}
	}
	(void)arm(s, EPOLL_CTL_MOD, s->listen_fd, &s->listen_fd, HTTP_READ); /* is in the set */
}

static void *work(void *arg)
{
	struct http_server *s = arg;
	char scratch[HTTP_SCRATCH_LEN];
	struct epoll_event event;

	for (;;) {
		enum http_want want;

		/* One at a time: what waits behind a slow one must be free for others to take. */
		if (epoll_wait(s->epoll_fd, &event, 1, -1) < 1)
			continue;
		if (event.data.ptr == &s->stop_fd)
			return NULL;
		if (event.data.ptr == &s->listen_fd) {
			accept_some(s);
			continue;
		}
		want = http_conn_run(event.data.ptr, &s->site, scratch);
		if (want == HTTP_WAIT)
			wait_long(s, http_conn_watch(event.data.ptr));
		else if (want == HTTP_CLOSE ||
			 arm(s, EPOLL_CTL_MOD, http_conn_watch(event.data.ptr)->fd, event.data.ptr,
			     want) < 0)
			end(s, event.data.ptr);
	}
}

/* --- start and end --- */

static int open_socket(const struct http_config *config, int *ret_fd, uint16_t *ret_port,
		       struct err *err)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {0};
	socklen_t len = sizeof(a.in);
	int fd, one = 1, num;

	if (inet_pton(AF_INET, config->address, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(config->port);
	} else if (inet_pton(AF_INET6, config->address, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(config->port);
		len = sizeof(a.in6);
	} else {
		return err_set(err, EINVAL, "'%s' is not an IP address", config->address);
	}
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a.sa, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, &a.sa, &len) < 0) {
		num = errno;
		if (fd >= 0)
			(void)close(fd); /* nothing was written */
		return err_set(err, num, "cannot listen on %s port %u: %s", config->address,
			       config->port, strerror(num));
	}
	*ret_port = ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
	*ret_fd = fd;
	return 0;
}

static int open_events(struct http_server *s, struct err *err)
{
	struct epoll_event stop = {.events = EPOLLIN, .data.ptr = &s->stop_fd};

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->delay_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->stop_fd < 0 || s->delay_fd < 0 ||
	    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->stop_fd, &stop) < 0 ||
	    arm(s, EPOLL_CTL_ADD, s->listen_fd, &s->listen_fd, HTTP_READ) < 0)
		return err_set(err, errno, "HTTP server: %s", strerror(errno));
	return 0;
}

static int start_threads(struct http_server *s, unsigned count, struct err *err)
{
	int num = pthread_create(&s->watcher, NULL, watch, s);

	s->watching = num == 0;
	while (num == 0 && s->thread_count < count) {
		num = pthread_create(&s->threads[s->thread_count], NULL, work, s);
		s->thread_count += num == 0;
	}
	return num ? err_set(err, num, "HTTP server: a thread does not start: %s", strerror(num))
		   : 0;
}

int http_start(http_handler *handler, void *arg, const struct http_config *config,
	       struct http_server **ret_server, uint16_t *ret_port, struct err *err)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "HTTP server");
	s->site = (struct http_site){handler, arg, config->tls, (int64_t)config->timeout_s * 1000,
				     &s->held};
	s->listen_fd = s->epoll_fd = s->stop_fd = s->delay_fd = -1;
	s->connections_max = config->connections;
	(void)pthread_mutex_init(&s->lock, NULL); /* cannot fail */
	s->threads = calloc(config->threads, sizeof(*s->threads));
	r = s->threads ? 0 : err_set(err, ENOMEM, "HTTP server");
	r = r ? r : open_socket(config, &s->listen_fd, ret_port, err);
	r = r ? r : open_events(s, err);
	r = r ? r : start_threads(s, config->threads, err);
	if (r < 0) {
		http_stop(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

void http_stop(struct http_server *server)
{
	const int fds[] = {server ? server->listen_fd : -1, server ? server->epoll_fd : -1,
			   server ? server->stop_fd : -1, server ? server->delay_fd : -1};

	if (!server)
		return;
	if (server->stop_fd >= 0)
		(void)eventfd_write(server->stop_fd, 1); /* an empty one takes it */
	for (unsigned i = 0; i < server->thread_count; i++)
		(void)pthread_join(server->threads[i], NULL); /* it ends */
	if (server->watching)
		(void)pthread_join(server->watcher, NULL); /* it ends */
	while (server->first)
		end(server, server->first->conn);
	for (int i = 0; i < 4; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);	    /* nothing was written */
	(void)pthread_mutex_destroy(&server->lock); /* cannot fail */
	free(server->threads);
	free(server);
}

/* The scripted HTTP server: one thread, a poll loop, keep-alive. See fake_http.h. */
#include "fake_http.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32
#define REPLIES_MAX	64
#define REQUESTS_MAX	256
#define REQUEST_MAX	65536

struct connection {
	int fd; /* -1: free */
	unsigned number;
	size_t len;
	char bytes[REQUEST_MAX + 1];
};

struct record {
	char *head;
	char *body;
	size_t body_len;
	unsigned connection;
};

struct fake_http {
	int fd;
	int wake[2];
	char url[64];
	pthread_t thread;
	struct connection connections[CONNECTIONS_MAX]; /* the thread's */
	unsigned connections_seen;			/* the thread's */
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct fake_reply replies[REPLIES_MAX]; /* guarded by lock */
	unsigned reply_count;			/* guarded by lock */
	unsigned next;				/* guarded by lock */
	struct record requests[REQUESTS_MAX];	/* guarded by lock */
	unsigned request_count;			/* guarded by lock */
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the client went away, as it may */
		bytes += n;
		len -= (size_t)n;
	}
}

static void send_reply(struct connection *c, const struct fake_reply *reply)
{
	size_t len = reply->how == FAKE_FILL ? reply->body_len
		     : reply->body	     ? strlen(reply->body)
					     : 0;
	char *head, *fill = NULL;
	int n = asprintf(&head, "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\n%s\r\n",
			 reply->status, len, reply->headers ? reply->headers : "");

	need(n >= 0, "asprintf");
	send_all(c->fd, head, (size_t)n);
	free(head);
	if (reply->how == FAKE_FILL) {
		fill = malloc(len);
		need(fill, "malloc");
		memset(fill, 'x', len);
	}
	if (len)
		send_all(c->fd, fill ? fill : reply->body, reply->how == FAKE_CUT ? len / 2 : len);
	free(fill);
}

static void hang_up(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static void record(struct fake_http *s, struct connection *c, size_t head_len, size_t body_len,
		   struct fake_reply *ret_reply)
{
	static const struct fake_reply none = {.status = 599};

	pthread_mutex_lock(&s->lock);
	need(s->request_count < REQUESTS_MAX, "too many requests");
	s->requests[s->request_count++] = (struct record){
		.head = strndup(c->bytes, head_len),
		.body = strndup(c->bytes + head_len, body_len),
		.body_len = body_len,
		.connection = c->number,
	};
	*ret_reply = s->reply_count ? s->replies[s->next] : none;
	if (s->next + 1 < s->reply_count)
		s->next++;
	pthread_cond_broadcast(&s->came);
	pthread_mutex_unlock(&s->lock);
}

/* Bytes came; answer when the request is complete. */
static void on_bytes(struct fake_http *s, struct connection *c)
{
	ssize_t n = recv(c->fd, c->bytes + c->len, REQUEST_MAX - c->len, 0);
	struct fake_reply reply;
	size_t head_len, body_len = 0;
	char value[32];
	char *end;

	if (n <= 0) {
		hang_up(c);
		return;
	}
	c->len += (size_t)n;
	c->bytes[c->len] = '\0';
	end = strstr(c->bytes, "\r\n\r\n");
	if (!end)
		return;
	head_len = (size_t)(end + 4 - c->bytes);
	if (fake_http_header(c->bytes, "Content-Length", value, sizeof(value)))
		body_len = strtoul(value, NULL, 10);
	if (c->len < head_len + body_len)
		return;
	record(s, c, head_len, body_len, &reply);
	c->len = 0;
	if (reply.how == FAKE_STALL)
		return;
	if (reply.how != FAKE_DROP)
		send_reply(c, &reply);
	if (reply.how == FAKE_DROP || reply.how == FAKE_CUT || reply.how == FAKE_CLOSE)
		hang_up(c);
}

static void on_connect(struct fake_http *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC), one = 1;

	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (s->connections[i].fd < 0) {
			s->connections[i].fd = fd;
			s->connections[i].number = s->connections_seen++;
			return;
		}
	close(fd);
}

static void *serve(void *arg)
{
	struct fake_http *s = arg;
	struct pollfd p[CONNECTIONS_MAX + 2];

	for (;;) {
		p[0] = (struct pollfd){.fd = s->wake[0], .events = POLLIN};
		p[1] = (struct pollfd){.fd = s->fd, .events = POLLIN};
		for (int i = 0; i < CONNECTIONS_MAX; i++) /* poll() skips those of -1 */
			p[i + 2] = (struct pollfd){.fd = s->connections[i].fd, .events = POLLIN};
		if (poll(p, CONNECTIONS_MAX + 2, -1) < 0)
			continue;
		if (p[0].revents)
			return NULL;
		for (int i = 0; i < CONNECTIONS_MAX; i++)
			if (p[i + 2].revents)
				on_bytes(s, &s->connections[i]);
		if (p[1].revents)
			on_connect(s);
	}
}

struct fake_http *fake_http_start(void)
{
	struct fake_http *s = calloc(1, sizeof(*s));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	need(s, "calloc");
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		s->connections[i].fd = -1;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		     listen(s->fd, 16) == 0 && getsockname(s->fd, (struct sockaddr *)&a, &len) == 0,
	     "socket");
	need(pipe(s->wake) == 0, "pipe");
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->came, NULL);
	need(pthread_create(&s->thread, NULL, serve, s) == 0, "pthread_create");
	return s;
}

void fake_http_stop(struct fake_http *s)
{
	need(write(s->wake[1], "", 1) == 1, "write");
	pthread_join(s->thread, NULL);
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (s->connections[i].fd >= 0)
			close(s->connections[i].fd);
	fake_http_reset(s);
	close(s->fd);
	close(s->wake[0]);
	close(s->wake[1]);
	pthread_cond_destroy(&s->came);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const char *fake_http_url(const struct fake_http *s)
{
	return s->url;
}

void fake_http_add(struct fake_http *s, const struct fake_reply *reply)
{
	pthread_mutex_lock(&s->lock);
	need(s->reply_count < REPLIES_MAX, "too many replies");
	s->replies[s->reply_count++] = *reply;
	pthread_mutex_unlock(&s->lock);
}

void fake_http_reset(struct fake_http *s)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->request_count; i++) {
		free(s->requests[i].head);
		free(s->requests[i].body);
	}
	s->request_count = s->reply_count = s->next = 0;
	pthread_mutex_unlock(&s->lock);
}

unsigned fake_http_count(struct fake_http *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->request_count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

struct fake_request fake_http_request(struct fake_http *s, unsigned n)
{
	struct fake_request r = {.head = "", .body = ""};

	pthread_mutex_lock(&s->lock);
	if (n < s->request_count)
		r = (struct fake_request){s->requests[n].head, s->requests[n].body,
					  s->requests[n].body_len, s->requests[n].connection};
	pthread_mutex_unlock(&s->lock);
	return r;
}

bool fake_http_wait(struct fake_http *s, unsigned count)
{
	for (int i = 0; i < 1000 && fake_http_count(s) < count; i++)
		usleep(10000);
	return fake_http_count(s) >= count;
}

bool fake_http_header(const char *head, const char *name, char *ret, size_t room)
{
	size_t n = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p && p[2] != '\r'; p = strstr(p + 2, "\r\n")) {
		const char *line = p + 2, *value;
		size_t len;

		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		value = line + n + 1 + strspn(line + n + 1, " ");
		len = strcspn(value, "\r");
		if (len >= room)
			return false;
		memcpy(ret, value, len);
		ret[len] = '\0';
		return true;
	}
	return false;
}

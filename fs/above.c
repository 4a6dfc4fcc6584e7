/* The daemon's end of the keeper. See above.h. */
#include "above.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "say.h"

#define BURY_TRIES  100 /* of a millisecond */
#define KEEPERS_MAX 3	/* for one message; one that ends is followed by another */

struct above {
	struct above_setup setup; /* fixed at new */
	int cancel;		  /* eventfd: readable once cancelled */
	pthread_mutex_t lock;	  /* guards the rest; held while a call waits */
	pid_t pid;		  /* 0: no keeper runs */
	int socket;
	uint64_t number; /* of the last message */
	enum above_state state;
};

struct above *above_new(const struct above_setup *setup)
{
	struct above *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->setup = *setup;
	a->socket = -1;
	a->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->cancel < 0) {
		free(a);
		return NULL;
	}
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

/* The keeper has ended by itself; the next one is told where it left the file system. */
static void bury_locked(struct above *a)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	(void)close(a->socket);
	a->socket = -1;
	for (int i = 0; i < BURY_TRIES && waitpid(a->pid, NULL, WNOHANG) == 0; i++)
		(void)nanosleep(&pause, NULL); /* its files go shortly before it does */
	a->pid = 0;
}

/* A positive errno. The keeper ignores the signals that end us: it ends after us. */
static int spawn_locked(struct above *a)
{
	char *argv[ABOVE_ARGV_MAX + 2] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, ending;
	int ends[2], num;
	size_t n = 0;

	for (; a->setup.argv[n] && n < ABOVE_ARGV_MAX; n++)
		argv[n] = (char *)(uintptr_t)a->setup.argv[n]; /* not written to */
	argv[n] = (char *)(uintptr_t)above_state_name(a->state);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return errno;
	sigemptyset(&none);
	sigemptyset(&ending);
	sigaddset(&ending, SIGPIPE); /* ignored by us, as a shell has it there */
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_adddup2(&files, ends[1], STDIN_FILENO);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF); /* known flags */
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &ending);
	num = posix_spawn(&a->pid, "/proc/self/exe", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	(void)close(ends[1]);
	if (num) {
		(void)close(ends[0]);
		a->pid = 0;
		return num;
	}
	a->socket = ends[0];
	return 0;
}

/* "NUMBER ERRNO STATE SENTENCE": true when it is of the message @number; the sentence may be empty. */
static bool take_locked(struct above *a, const char *word, uint64_t number, int *ret_num,
			const char **ret_sentence)
{
	uint64_t of;
	char state[32];
	int at = 0;

	if (sscanf(word, "%" SCNu64 " %d %31s %n", &of, ret_num, state, &at) != 3 || !at)
		return false;
	*ret_sentence = word + at;
	if (of != number)
		return false;
	(void)above_state_by_name(state, &a->state); /* else it stays what was expected */
	return true;
}

/* Wait for the answer to the last message. 0 and the keeper's errno and sentence; -ETIMEDOUT,
 * -ECANCELED, -EPIPE: the keeper has ended. */
static int wait_locked(struct above *a, uint64_t until_ms, bool cancellable, int *ret_num,
		       char *ret_word, const char **ret_sentence)
{
	struct pollfd fds[2] = {{.fd = a->socket, .events = POLLIN},
				{.fd = cancellable ? a->cancel : -1, .events = POLLIN}};

	for (;;) {
		uint64_t now = clock_monotonic_ms();
		ssize_t n;

		if (now >= until_ms)
			return -ETIMEDOUT;
		(void)poll(fds, 2, (int)(until_ms - now)); /* whatever woke us: look */
		n = recv(a->socket, ret_word, ABOVE_WORD_MAX - 1, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (n > 0) {
			ret_word[n] = '\0';
			if (take_locked(a, ret_word, a->number, ret_num, ret_sentence))
				return 0;
			continue; /* late, of an earlier message */
		}
		if (fds[1].revents)
			return -ECANCELED;
	}
}

static bool told(struct above *a, enum above_event event, const char *result, const char *why)
{
	struct event e = {.name = "filesystem", .result = result, .reason = why};
	bool good = !why;

	if (!good)
		say_warning("the file system on the volume: %s: %s", above_event_name(event), why);
	events_add(a->setup.events, &e);
	return good;
}

/* Tell the keeper that runs. 1 done, 0 not; -EPIPE: it has ended, and the state is what it was. */
static int send_and_wait_locked(struct above *a, enum above_event event, uint64_t timeout_ms)
{
	char word[ABOVE_WORD_MAX];
	const char *sentence = "";
	enum above_state before = a->state;
	uint64_t until = clock_monotonic_ms() + timeout_ms;
	int n = snprintf(word, sizeof(word), "%" PRIu64 " %s", ++a->number,
			 above_event_name(event));
	int num = 0, r = 0;

	if (send(a->socket, word, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		r = -errno;
	a->state = above_plan(before, event)->next; /* the answer may know better */
	if (r == 0)
		r = wait_locked(a, until, event != ABOVE_END, &num, word, &sentence);
	if (r == -EPIPE || r == -ECONNRESET) {
		bury_locked(a);
		a->state = before;
		return -EPIPE;
	}
	if (r == -ECANCELED)
		return 0; /* the unmount has its own word for it */
	if (r < 0)
		return told(a, event, "late",
			    r == -ETIMEDOUT ? "it takes longer, and goes on" : strerror(-r));
	if (num == ENODEV)
		return 1; /* none is mounted: nothing to tell */
	return told(a, event, above_state_name(a->state), num ? sentence : NULL);
}

/* Is there anything to do without a keeper, which would have done something before? */
static bool begins(enum above_event event)
{
	return event == ABOVE_LOSE_READ_ONLY || event == ABOVE_LOSE_ERROR ||
	       event == ABOVE_LOSE_HANG || event == ABOVE_END;
}

bool above_tell(struct above *above, enum above_event event, uint64_t timeout_ms)
{
	int good = -EPIPE, num = 0;

	if (!above)
		return true;
	pthread_mutex_lock(&above->lock);
	for (int i = 0; good == -EPIPE && num == 0 && i < KEEPERS_MAX; i++) {
		if (!above->pid && !begins(event) && above->state == ABOVE_SERVED)
			good = 1;
		else if (above->pid || (num = spawn_locked(above)) == 0)
			good = send_and_wait_locked(above, event, timeout_ms);
	}
	if (good == -EPIPE)
		good = told(above, event, "failed", num ? strerror(num) : "its keeper has ended");
	pthread_mutex_unlock(&above->lock);
	return good;
}

enum above_state above_state(struct above *above)
{
	enum above_state state;

	if (!above)
		return ABOVE_SERVED;
	pthread_mutex_lock(&above->lock);
	state = above->state;
	pthread_mutex_unlock(&above->lock);
	return state;
}

void above_cancel(struct above *above)
{
	if (above)
		(void)eventfd_write(above->cancel, 1); /* cannot fail below its maximum */
}

void above_free(struct above *above)
{
	if (!above)
		return;
	if (above->socket >= 0)
		(void)close(above->socket); /* the keeper sees that, cleans up and ends; after us */
	(void)close(above->cancel);
	pthread_mutex_destroy(&above->lock);
	free(above);
}

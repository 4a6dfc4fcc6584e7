/* The command at each change of state. See hook.h. */
#include "hook.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "events.h"
#include "say.h"
#include "secret.h"

#define OWN_VARIABLES 7
#define LOOK_MS	      20   /* between two looks at the command */
#define TERM_MS	      1000 /* from TERM to KILL at the end */

struct change {
	struct change *next;
	char *variables[OWN_VARIABLES]; /* owned */
	bool awaited;			/* by hook_add_and_wait() */
};

struct hook {
	struct hook_setup setup; /* fixed at new */
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t work, done;
	struct change *first;
	unsigned count;
	bool ending, hurry;
	bool awaiting; /* a change that is awaited is not done yet */
};

static void change_free(struct change *c)
{
	for (size_t i = 0; c && i < OWN_VARIABLES; i++)
		free(c->variables[i]);
	free(c);
}

/* Our environment with the change's variables before it, so that they count. The caller frees. */
static char **environment(const struct change *c)
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + OWN_VARIABLES + 1, sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, c->variables, sizeof(c->variables));
	memcpy(env + OWN_VARIABLES, environ, n * sizeof(*env));
	return env;
}

/* In a group of its own, with the signals as a shell has them. A positive errno. */
static int spawn(const char *command, char **env, pid_t *ret_pid)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL}; /* not written to */
	posix_spawnattr_t attr;
	sigset_t none, all;
	int num;

	sigemptyset(&none);
	sigfillset(&all);
	num = posix_spawnattr_init(&attr);
	if (num)
		return num;
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF); /* known flags */
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	num = posix_spawn(ret_pid, "/bin/sh", NULL, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	return num;
}

static bool is_ending(struct hook *h)
{
	bool ending;

	pthread_mutex_lock(&h->lock);
	ending = h->ending;
	pthread_mutex_unlock(&h->lock);
	return ending;
}

/* Wait for the command, and end it when it takes too long or we end. Its wait status. */
static int wait_for(struct hook *h, pid_t pid, const char **ret_ended_for)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	uint64_t begin = clock_monotonic_ms(), term_ms = 0;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		uint64_t now = clock_monotonic_ms();

		if (!term_ms && (now - begin >= h->setup.timeout_ms || is_ending(h))) {
			*ret_ended_for = is_ending(h) ? "unmounting" : "it took too long";
			(void)kill(-pid, SIGTERM); /* it may have ended by itself */
			term_ms = now;
		} else if (term_ms && now - term_ms >= TERM_MS) {
			(void)kill(-pid, SIGKILL);
		}
		(void)nanosleep(&pause, NULL);
	}
	return status;
}

static void run(struct hook *h, const struct change *c)
{
	AUTO(freep) char **env = environment(c);
	const char *ended_for = NULL;
	char result[64];
	struct event event = {.name = "hook", .result = result};
	pid_t pid;
	int status, num = env ? spawn(h->setup.command, env, &pid) : ENOMEM;

	if (num) {
		say_warning("--on-state-change: cannot run the command: %s", strerror(num));
		return;
	}
	status = wait_for(h, pid, &ended_for);
	if (ended_for)
		(void)snprintf(result, sizeof(result), "killed: %s", ended_for);
	else if (WIFSIGNALED(status))
		(void)snprintf(result, sizeof(result), "died of signal %d", WTERMSIG(status));
	else
		(void)snprintf(result, sizeof(result), "exit code %d", WEXITSTATUS(status));
	if (ended_for || status)
		say_warning("--on-state-change: the command for %s: %s", c->variables[0], result);
	if (h->setup.events)
		events_add(h->setup.events, &event);
}

static void finish_locked(struct hook *h)
{
	h->awaiting = false;
	pthread_cond_broadcast(&h->done);
}

static void *hook_main(void *arg)
{
	struct hook *h = arg;

	pthread_mutex_lock(&h->lock);
	while (!h->ending) {
		struct change *c = h->first;

		if (!c) {
			pthread_cond_wait(&h->work, &h->lock);
			continue;
		}
		h->first = c->next;
		h->count--;
		pthread_mutex_unlock(&h->lock);
		run(h, c);
		pthread_mutex_lock(&h->lock);
		if (c->awaited)
			finish_locked(h);
		change_free(c);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int hook_new(const struct hook_setup *setup, struct hook **ret_hook, struct err *err)
{
	struct hook *h = calloc(1, sizeof(*h));
	pthread_condattr_t attr;
	int num;

	if (!h)
		return err_set(err, ENOMEM, "--on-state-change: out of memory");
	h->setup = *setup;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->done, &attr);
	pthread_condattr_destroy(&attr);
	num = pthread_create(&h->thread, NULL, hook_main, h);
	if (num) {
		pthread_cond_destroy(&h->work);
		pthread_cond_destroy(&h->done);
		pthread_mutex_destroy(&h->lock);
		free(h);
		return err_set(err, num, "--on-state-change: cannot start a thread: %s",
			       strerror(num));
	}
	*ret_hook = h;
	return 0;
}

static struct change *new_change(const struct hook *h, const char *from, const char *to,
				 const char *next, const char *reason, uint64_t wall_ms)
{
	struct change *c = calloc(1, sizeof(*c));
	char now[CLOCK_ISO_LEN];
	const char *const pairs[OWN_VARIABLES][2] = {
		{"KMSVOL_STATE", to},
		{"KMSVOL_STATE_FROM", from},
		{"KMSVOL_STATE_NEXT", next ? next : ""},
		{"KMSVOL_REASON", reason ? reason : ""},
		{"KMSVOL_TIME", now},
		{"KMSVOL_VOLUME_ID", h->setup.volume_id},
		{"KMSVOL_VOLUME_DIR", h->setup.volume_dir},
	};

	clock_iso(wall_ms, now);
	for (size_t i = 0; c && i < OWN_VARIABLES; i++) {
		if (asprintf(&c->variables[i], "%s=%s", pairs[i][0], pairs[i][1]) < 0) {
			c->variables[i] = NULL;
			change_free(c);
			c = NULL;
		}
	}
	return c;
}

/* Put @c, or when it is NULL nothing, behind the others. */
static void queue(struct hook *hook, struct change *c, const char *to)
{
	struct change *dropped = NULL, **end;

	if (!c) {
		say_warning("--on-state-change: out of memory, %s is not told", to);
		return;
	}
	pthread_mutex_lock(&hook->lock);
	if (hook->count == HOOK_WAITING_MAX) {
		dropped = hook->first;
		hook->first = dropped->next;
		hook->count--;
	}
	for (end = &hook->first; *end; end = &(*end)->next)
		;
	*end = c;
	hook->count++;
	hook->awaiting |= c->awaited;
	if (dropped && dropped->awaited)
		finish_locked(hook);
	pthread_cond_signal(&hook->work);
	pthread_mutex_unlock(&hook->lock);
	if (dropped)
		say_warning("--on-state-change: the command is slower than the changes; one is "
			    "dropped: %s",
			    dropped->variables[0]);
	change_free(dropped);
}

void hook_add(struct hook *hook, const char *from, const char *to, const char *reason,
	      uint64_t wall_ms)
{
	if (hook)
		queue(hook, new_change(hook, from, to, NULL, reason, wall_ms), to);
}

void hook_add_and_wait(struct hook *hook, const char *from, const char *to, const char *next,
		       uint64_t wall_ms)
{
	struct timespec until;
	struct change *c;
	int num = 0;

	if (!hook)
		return;
	/* What is still running may use up its own time before; then this one has had none. */
	until = clock_timespec(clock_monotonic_ms() + hook->setup.timeout_ms + TERM_MS);
	c = new_change(hook, from, to, next, NULL, wall_ms);
	if (c)
		c->awaited = true;
	queue(hook, c, to);
	pthread_mutex_lock(&hook->lock);
	while (c && hook->awaiting && !hook->hurry && num != ETIMEDOUT)
		num = pthread_cond_timedwait(&hook->done, &hook->lock, &until);
	pthread_mutex_unlock(&hook->lock);
	if (num == ETIMEDOUT)
		say_warning(
			"--on-state-change: the command for %s has not ended in its time; access "
			"ends without it",
			to);
}

void hook_hurry(struct hook *hook)
{
	if (!hook)
		return;
	pthread_mutex_lock(&hook->lock);
	hook->hurry = true;
	pthread_cond_broadcast(&hook->done);
	pthread_mutex_unlock(&hook->lock);
}

void hook_free(struct hook *hook)
{
	struct change *c, *next;

	if (!hook)
		return;
	pthread_mutex_lock(&hook->lock);
	hook->ending = true;
	pthread_cond_signal(&hook->work);
	pthread_mutex_unlock(&hook->lock);
	pthread_join(hook->thread, NULL);
	for (c = hook->first; c; c = next) {
		next = c->next;
		change_free(c);
	}
	pthread_cond_destroy(&hook->work);
	pthread_cond_destroy(&hook->done);
	pthread_mutex_destroy(&hook->lock);
	free(hook);
}

/*
 * FUSE over io_uring: all threads together. Each processor has a queue in the kernel, and some threads of
 * ours with an entry each in a ring of their own. A thread sleeps until its entry has a request, serves it,
 * and answers it and asks for the next in one call. So a slow request holds up nobody but its own thread.
 *
 * An entry whose request waits at the gate is not free, so the thread lends another. That alone is not
 * enough: the kernel gives requests that found no free entry to one that is *committed*, never to one that
 * is new. So a kicker, on that processor, makes a request whose answer is such a commit.
 */
#include "fusering.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "clock.h"
#include "err.h"
#include "fusering_internal.h"
#include "say.h"

#define PAGE	      4096
#define WORKERS_MAX   32 /* in all, but at least ... */
#define WORKERS_LEAST 2	 /* ... these on each processor, ... */
#define WORKERS_MOST  8	 /* ... and at most these */
#define NUDGE_MS      5

static const char *parameter_file = "/sys/module/fuse/parameters/enable_uring";
static const char *possible_file = "/sys/devices/system/cpu/possible";

/* The first line of a file of the kernel's. False: there is none. */
static bool read_line(const char *path, char *ret_line, int len)
{
	FILE *f = fopen(path, "re");
	bool good = f && fgets(ret_line, len, f);

	if (f)
		(void)fclose(f);
	return good;
}

/* The kernel has a queue for each processor that there may ever be. */
static unsigned count_queues(void)
{
	char line[256], *last;
	long n = sysconf(_SC_NPROCESSORS_CONF);

	if (read_line(possible_file, line, sizeof(line))) {
		last = line + strcspn(line, "\n");
		while (last > line && last[-1] >= '0' && last[-1] <= '9')
			last--;
		n = strtol(last, NULL, 10) + 1;
	}
	return n < 1 ? 1 : (unsigned)n;
}

/* The kicker must get to each processor that is at work. */
static bool may_run_everywhere(void)
{
	cpu_set_t *set = CPU_ALLOC(FUSERING_QUEUES_MAX);
	size_t len = CPU_ALLOC_SIZE(FUSERING_QUEUES_MAX);
	bool good = false;

	if (set && sched_getaffinity(0, len, set) == 0)
		good = CPU_COUNT_S(len, set) >= sysconf(_SC_NPROCESSORS_ONLN);
	CPU_FREE(set);
	return good;
}

bool fusering_possible(char *ret_why, size_t why_len)
{
	char line[8];
	const char *why = NULL;

	if (!read_line(parameter_file, line, sizeof(line)))
		why = "this kernel has no FUSE over io_uring; Linux 6.14 and later do";
	else if (line[0] != 'Y')
		why = "it is switched off; as root: echo Y > "
		      "/sys/module/fuse/parameters/enable_uring, "
		      "and mount anew";
	else if (count_queues() > FUSERING_QUEUES_MAX)
		why = "there are more processors than it is made for here";
	else if (!may_run_everywhere())
		why = "this process may not run on every processor (taskset, cpuset)";
	if (why)
		(void)snprintf(ret_why, why_len, "%s", why); /* cut is fine */
	return !why;
}

struct fusering_entry *fusering_entry_new(struct fusering *ring, struct fusering_queue *queue)
{
	struct fusering_entry *e = calloc(1, sizeof(*e));
	uint8_t *mem;

	if (!e)
		return NULL;
	mem = mmap(NULL, PAGE + ring->setup.payload_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		free(e);
		return NULL;
	}
	(void)madvise(mem, PAGE + ring->setup.payload_bytes, MADV_DONTDUMP); /* a second fence */
	e->header = (struct fusering_header *)(void *)mem;
	e->payload = mem + PAGE;
	e->queue = queue;
	e->iov[0] = (struct iovec){e->header, sizeof(*e->header)};
	e->iov[1] = (struct iovec){e->payload, ring->setup.payload_bytes};
	pthread_mutex_lock(&ring->lock);
	e->all = ring->all;
	ring->all = e;
	ring->entries++;
	pthread_mutex_unlock(&ring->lock);
	return e;
}

void fusering_entry_wipe(struct fusering_entry *entry, bool give_back)
{
	if (!entry->dirty)
		return;
	OPENSSL_cleanse(entry->payload, entry->dirty);
	entry->dirty = 0;
	if (give_back)
		(void)madvise(entry->payload, entry->iov[1].iov_len, MADV_DONTNEED);
}

void fusering_hand(struct fusering_entry *entry, bool answered)
{
	struct fusering_queue *q = entry->queue;
	bool first;

	pthread_mutex_lock(&q->lock);
	entry->answered = answered;
	entry->next = NULL;
	*q->handed_end = entry;
	q->handed_end = &entry->next;
	first = atomic_fetch_add(&q->handed_count, 1) == 0;
	pthread_mutex_unlock(&q->lock);
	if (first)
		(void)eventfd_write(q->wake_fd, 1); /* cannot fail below its maximum */
}

struct fusering_entry *fusering_take(struct fusering_queue *queue)
{
	struct fusering_entry *e;
	bool more = false;

	if (!atomic_load(&queue->handed_count))
		return NULL;
	pthread_mutex_lock(&queue->lock);
	e = queue->handed;
	if (e) {
		queue->handed = e->next;
		if (!e->next)
			queue->handed_end = &queue->handed;
		more = atomic_fetch_sub(&queue->handed_count, 1) > 1;
	}
	pthread_mutex_unlock(&queue->lock);
	/* Who takes a request may be busy with it: the next one is for another. */
	if (more && !e->answered)
		(void)eventfd_write(queue->wake_fd, 1); /* cannot fail below its maximum */
	return e;
}

/* False: the end. */
static bool wait_for_kick(struct fusering_queue *q)
{
	struct fusering *ring = q->ring;
	bool kick;

	pthread_mutex_lock(&ring->lock);
	q->kickers_idle++;
	while (!ring->kick_end && !q->kick)
		pthread_cond_wait(&ring->changed, &ring->lock);
	q->kickers_idle--;
	kick = !ring->kick_end;
	q->kick = false;
	pthread_mutex_unlock(&ring->lock);
	return kick;
}

static void *kicker_main(void *arg)
{
	struct fusering_queue *q = arg;
	struct statfs unused;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(q->number, &set);
	while (wait_for_kick(q))
		/* Fails for a processor that is off, on which nobody has asked. */
		if (sched_setaffinity(0, sizeof(set), &set) == 0)
			(void)statfs(q->ring->setup.mountpoint, &unused); /* never from a cache */
	return NULL;
}

/*
 * A kick that finds no free entry is held back itself, and so is its thread; what is lent after it needs
 * another kick. So there is a thread more whenever none is idle.
 */
void fusering_kick(struct fusering_queue *queue)
{
	struct fusering *ring = queue->ring;

	pthread_mutex_lock(&ring->lock);
	queue->kick = true;
	if (queue->kickers_idle)
		pthread_cond_broadcast(&ring->changed);
	else if (queue->kicker_count < FUSERING_KICKERS_MAX && !ring->kick_end &&
		 pthread_create(&queue->kickers[queue->kicker_count], NULL, kicker_main, queue) ==
			 0)
		queue->kicker_count++;
	pthread_mutex_unlock(&ring->lock);
}

void fusering_report(struct fusering_worker *worker, int num)
{
	struct fusering *ring = worker->ring;

	pthread_mutex_lock(&ring->lock);
	ring->reported++;
	if (num && !ring->failed)
		ring->failed = num;
	if (!num)
		worker->queue->served++;
	pthread_cond_broadcast(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

static int new_queues(struct fusering *ring)
{
	unsigned per = WORKERS_MAX / ring->queue_count;

	per = per < WORKERS_LEAST ? WORKERS_LEAST : per > WORKERS_MOST ? WORKERS_MOST : per;
	ring->worker_count = per * ring->queue_count;
	ring->queues = calloc(ring->queue_count, sizeof(*ring->queues));
	ring->workers = calloc(ring->worker_count, sizeof(*ring->workers));
	if (!ring->queues || !ring->workers)
		return -ENOMEM;
	for (unsigned i = 0; i < ring->queue_count; i++)
		ring->queues[i].wake_fd = -1;
	for (unsigned i = 0; i < ring->queue_count; i++) {
		struct fusering_queue *q = &ring->queues[i];

		q->number = i;
		q->ring = ring;
		q->handed_end = &q->handed;
		pthread_mutex_init(&q->lock, NULL);
		q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
		if (q->wake_fd < 0)
			return -errno;
	}
	return 0;
}

/* Start the threads, and wait until each has lent its entry or failed. */
static int start_workers(struct fusering *ring)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ring->worker_count; i++) {
		struct fusering_worker *w = &ring->workers[i];

		w->ring = ring;
		w->queue = &ring->queues[i % ring->queue_count];
		w->ready_end = &w->ready;
		r = -pthread_create(&w->thread, NULL, fusering_worker_main, w);
		ring->started += r == 0;
	}
	pthread_mutex_lock(&ring->lock);
	while (ring->reported < ring->started)
		pthread_cond_wait(&ring->changed, &ring->lock);
	for (unsigned i = 0; i < ring->queue_count; i++)
		if (r == 0 && ring->queues[i].served == 0)
			r = -ring->failed;
	pthread_mutex_unlock(&ring->lock);
	return r;
}

int fusering_start(const struct fusering_setup *setup, struct fusering **ret_ring, struct err *err)
{
	struct fusering *ring = calloc(1, sizeof(*ring));
	int r;

	*ret_ring = ring;
	if (!ring)
		return err_set(err, ENOMEM, "out of memory");
	ring->setup = *setup;
	ring->queue_count = count_queues();
	pthread_mutex_init(&ring->lock, NULL);
	pthread_cond_init(&ring->changed, NULL);
	r = new_queues(ring);
	if (r == 0)
		r = start_workers(ring);
	return r < 0 ? err_set(err, -r, "the kernel refuses it: %s%s", strerror(-r),
			       r == -EPERM ? " (sysctl kernel.io_uring_disabled)" : "")
		     : 0;
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = clock_timespec(ms);

	(void)nanosleep(&ts, NULL); /* shorter is fine: we look again */
}

void fusering_stop(struct fusering *ring)
{
	if (!ring)
		return;
	pthread_mutex_lock(&ring->lock);
	ring->kick_end = true;
	pthread_cond_broadcast(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
	atomic_store(&ring->stop, true);
	for (unsigned i = 0; i < ring->started; i++) {
		struct fusering_worker *w = &ring->workers[i];

		while (!atomic_load(&w->ended)) {
			(void)pthread_kill(w->thread, SIGUSR1); /* not joined: it exists */
			sleep_ms(NUDGE_MS);
		}
		pthread_join(w->thread, NULL);
	}
	ring->started = 0;
}

void fusering_free(struct fusering *ring)
{
	struct fusering_entry *e;

	if (!ring)
		return;
	for (unsigned i = 0; ring->queues && i < ring->queue_count;
	     i++) /* their requests have ended */
		for (unsigned k = 0; k < ring->queues[i].kicker_count; k++)
			pthread_join(ring->queues[i].kickers[k], NULL);
	while ((e = ring->all)) {
		ring->all = e->all;
		fusering_entry_wipe(e, false);
		(void)munmap(e->header, PAGE + e->iov[1].iov_len);
		free(e);
	}
	for (unsigned i = 0; ring->queues && i < ring->queue_count; i++) {
		pthread_mutex_destroy(&ring->queues[i].lock);
		if (ring->queues[i].wake_fd >= 0)
			(void)close(ring->queues[i].wake_fd);
	}
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	free(ring->workers);
	free(ring->queues);
	free(ring);
}

static bool has_handed(struct fusering *ring)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ring->queue_count; i++)
		n += atomic_load(&ring->queues[i].handed_count);
	return n > 0;
}

bool fusering_forget(struct fusering *ring, uint64_t timeout_ms)
{
	uint64_t until = clock_monotonic_ms() + timeout_ms;
	unsigned round;
	bool all = true;

	if (!ring)
		return true;
	while (has_handed(ring) && clock_monotonic_ms() < until)
		sleep_ms(1); /* answers of this thread's are on their way */
	round = atomic_fetch_add(&ring->forget, 1) + 1;
	for (unsigned i = 0; i < ring->started; i++) {
		struct fusering_worker *w = &ring->workers[i];

		while (atomic_load(&w->forgot) < round && clock_monotonic_ms() < until) {
			(void)pthread_kill(w->thread, SIGUSR1); /* not joined: it exists */
			sleep_ms(1);
		}
		all = all && atomic_load(&w->forgot) >= round;
	}
	return all;
}

void fusering_count(struct fusering *ring, struct fusering_counters *ret_counters)
{
	*ret_counters = (struct fusering_counters){0};
	if (!ring)
		return;
	pthread_mutex_lock(&ring->lock);
	ret_counters->threads = ring->started;
	ret_counters->entries = ring->entries;
	ret_counters->buffer_bytes = ring->entries * ring->setup.payload_bytes;
	pthread_mutex_unlock(&ring->lock);
}

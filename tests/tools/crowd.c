/*
 * A crowd of threads, each with one request on a disk that holds its I/O, for the cases of an outage.
 *
 *   crowd fill DISK N             write what the requests of the next two expect to find; sync
 *   crowd ordered DISK STATUS N   N requests. Every tenth goes to one block, and begins only when STATUS (the
 *                                 volume's file) says that all before it wait: so their order is known, and each
 *                                 read has to find the write just before it. The others have a block each: they
 *                                 write it, or find what `fill` wrote. Says "waiting N" when all wait; when all
 *                                 are answered, reads all blocks and says "good G wrong W failed F".
 *   crowd any DISK STATUS N       N such requests in any order and without reading them afterwards; says
 *                                 "waiting N", and "good G wrong W failed F", and errno and count for each kind
 *                                 of failure
 *
 * Exit 1 when something is wrong or failed, for "any" only when something is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	  4096
#define EVERY	  10 /* nth request goes to the shared block, which is block 0 */
#define N_MAX	  20000
#define ERRNO_MAX 256
#define LONG_MS	  120000

struct request {
	pthread_t thread;
	unsigned block;
	bool writes;
	uint64_t stamp; /* that it writes, or that it has to find */
};

static int disk;
static struct request *requests;
static atomic_uint good, wrong, errors[ERRNO_MAX];

static void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t *new_block(void)
{
	uint64_t *b = aligned_alloc(BLOCK, BLOCK);

	if (!b)
		fail("a block");
	return b;
}

static void stamp(uint64_t *block, uint64_t value)
{
	for (size_t i = 0; i < BLOCK / sizeof(value); i++)
		block[i] = value;
}

static bool has(const uint64_t *block, uint64_t value)
{
	for (size_t i = 0; i < BLOCK / sizeof(value); i++)
		if (block[i] != value)
			return false;
	return true;
}

/* What `fill` writes. */
static uint64_t first_stamp(unsigned block)
{
	return 1000000 + block;
}

/* Each its block and stamp; of the shared block as their order has it. */
static void plan(unsigned n)
{
	uint64_t last = first_stamp(0);

	requests = calloc(n, sizeof(*requests));
	if (!requests)
		fail("requests");
	for (unsigned i = 0; i < n; i++) {
		struct request *r = &requests[i];
		bool shared = i % EVERY == 0;

		r->block = shared ? 0 : i + 1;
		r->writes = shared ? (i / EVERY) % 3 != 2 : i % 2;
		if (r->writes)
			r->stamp = i + 1;
		else
			r->stamp = shared ? last : first_stamp(r->block);
		if (shared && r->writes)
			last = r->stamp;
	}
}

static void count_failure(void)
{
	atomic_fetch_add(&errors[errno < ERRNO_MAX ? errno : 0], 1);
}

static void *send(void *arg)
{
	const struct request *r = arg;
	uint64_t *block = new_block();
	off_t off = (off_t)r->block * BLOCK;
	ssize_t n;

	if (r->writes) {
		stamp(block, r->stamp);
		n = pwrite(disk, block, BLOCK, off);
	} else {
		n = pread(disk, block, BLOCK, off);
	}
	if (n != BLOCK) {
		errno = n < 0 ? errno : 0;
		count_failure();
	} else if (!r->writes && !has(block, r->stamp)) {
		atomic_fetch_add(&wrong, 1);
	} else {
		atomic_fetch_add(&good, 1);
	}
	free(block);
	return NULL;
}

static unsigned waiting(const char *status)
{
	char text[16384];
	int fd = open(status, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (n < 0)
		fail(status);
	close(fd);
	text[n] = '\0';
	at = strstr(text, "\nwaiting_requests: ");
	return at ? (unsigned)strtoul(at + 19, NULL, 10) : 0;
}

static void wait_until(const char *status, unsigned n)
{
	const struct timespec pause = {.tv_nsec = 20000};
	unsigned long us = 0;

	while (waiting(status) < n) {
		(void)nanosleep(&pause, NULL);
		us += 20;
		if (us > LONG_MS * 1000UL) {
			errno = ETIMEDOUT;
			fail("waiting requests");
		}
	}
}

static void send_all(const char *status, unsigned n, bool ordered)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (unsigned i = 0; i < n; i++) {
		if (ordered && i % EVERY == 0)
			wait_until(status, i);
		errno = pthread_create(&requests[i].thread, &attr, send, &requests[i]);
		if (errno)
			fail("a thread");
		if (ordered && i % EVERY == 0)
			wait_until(status, i + 1);
	}
	pthread_attr_destroy(&attr);
	wait_until(status, n);
	printf("waiting %u\n", n);
	fflush(stdout);
}

/* The blocks hold what the writes wrote, and all else what it was. */
static void read_back(unsigned n)
{
	uint64_t *block = new_block();
	uint64_t shared = first_stamp(0);

	for (unsigned i = 0; i < n; i++)
		if (requests[i].block == 0 && requests[i].writes)
			shared = requests[i].stamp;
	for (unsigned i = 0; i < n; i++) {
		unsigned b = requests[i].block;
		uint64_t want = b ? requests[i].stamp : shared; /* of a read: what it was */

		if (pread(disk, block, BLOCK, (off_t)b * BLOCK) != BLOCK)
			count_failure();
		else if (!has(block, want))
			atomic_fetch_add(&wrong, 1);
	}
	free(block);
}

static int fill(unsigned n)
{
	uint64_t *block = new_block();

	for (unsigned b = 0; b <= n; b++) {
		stamp(block, first_stamp(b));
		if (pwrite(disk, block, BLOCK, (off_t)b * BLOCK) != BLOCK)
			fail("filling");
	}
	if (fsync(disk) < 0)
		fail("fsync");
	free(block);
	return 0;
}

static int report(bool strict)
{
	unsigned failed = 0;

	for (int i = 0; i < ERRNO_MAX; i++)
		failed += atomic_load(&errors[i]);
	printf("good %u wrong %u failed %u\n", atomic_load(&good), atomic_load(&wrong), failed);
	for (int i = 0; i < ERRNO_MAX; i++)
		if (atomic_load(&errors[i]))
			printf("%s %u\n", i ? strerrorname_np(i) : "short",
			       atomic_load(&errors[i]));
	return atomic_load(&wrong) || (strict && failed);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 3 ? (unsigned)strtoul(argv[argc - 1], NULL, 10) : 0;
	bool ordered = argc > 1 && strcmp(argv[1], "ordered") == 0;

	if (n < 1 || n > N_MAX) {
		fprintf(stderr, "usage: crowd fill DISK N | ordered|any DISK STATUS N\n");
		return 2;
	}
	disk = open(argv[2], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk < 0)
		fail(argv[2]);
	if (strcmp(argv[1], "fill") == 0)
		return fill(n);
	plan(n);
	send_all(argv[3], n, ordered);
	for (unsigned i = 0; i < n; i++)
		pthread_join(requests[i].thread, NULL);
	if (ordered)
		read_back(n);
	return report(ordered);
}

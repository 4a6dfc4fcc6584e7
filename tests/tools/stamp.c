/*
 * A load whose every effect can be told afterwards, for cases that kill the daemon under it.
 *
 *   stamp load DISK JOURNAL THREADS SEED     write, discard, read back and flush until DISK fails or a
 *                                            signal comes; exit 1 when what was read was not what was written
 *   stamp verify DISK JOURNAL                what DISK shows is what the journal allows
 *
 * The unit is a sector of 512 bytes, smaller than a block, so that threads meet in one block. Each sector
 * belongs to one thread, so its operations have an order. A written sector names its operation (epoch,
 * thread, index) and itself, and its other bytes follow from that. The journal, a mapped file outside the
 * volume, has every operation before it is issued, and how many of a thread's were issued before a flush
 * that returned.
 *
 * For each thread, what is seen has to be the work of its operations up to one of them, none left out,
 * none before the last flush missing; for the last one, which may have been under way, and for discards
 * after it, which leave no name, also what was there before. Then verify takes what it saw as the state
 * from which the next load begins.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	    512
#define ALIGN	    4096
#define CHUNK	    37 /* sectors of one thread before those of the next; no divisor of a block */
#define THREADS_MAX 8
#define OPS_MAX	    (1U << 17) /* of one thread in one load */
#define HOT_CHUNKS  2 /* of each thread, which get half of what it does: so that threads meet */
#define WRITE_MAX   (256 * 1024 / SECTOR)
#define SECTORS_MAX (1U << 22)
#define FLUSH_EVERY 6 /* operations, on average */
#define READ_EVERY  3
#define MAGIC	    0x4b4d5354414d5032ULL
#define WORST_SHOWN 5

enum kind { WRITE, PUNCH, ZERO };

struct op {
	uint32_t first, count, kind;
};

struct journal_thread {
	_Atomic uint32_t issued, durable; /* counts of ops */
	struct op ops[OPS_MAX];
};

struct journal {
	uint64_t magic, sectors, epoch;
	uint32_t threads;
	uint64_t base
		[SECTORS_MAX]; /* name of what each sector held at the start of the load, 0: zeros */
	struct journal_thread thread[THREADS_MAX];
};

/* Of a load. */
struct worker {
	pthread_t id;
	struct journal *journal;
	uint32_t index;
	uint64_t random;
	int fd, direct_fd;
	uint8_t *buffer;
	uint64_t *
		now; /* names of what stands in the sectors; each thread has its own sectors of it */
};

static _Atomic bool stop;
static _Atomic unsigned wrong_reads;

static void __attribute__((format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fputs("stamp: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(2);
}

/* splitmix64, public domain, by Sebastiano Vigna */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t op_name(uint64_t epoch, uint32_t thread, uint32_t index)
{
	return epoch << 40 | (uint64_t)thread << 32 | index;
}

/* All bytes of a sector follow from its number and the name of the operation that wrote it. */
static void fill(uint64_t name, uint64_t sector, uint8_t *ret)
{
	uint64_t state = name * 0x9e3779b97f4a7c15ULL ^ sector, word;

	memcpy(ret, &(uint64_t){MAGIC}, 8);
	memcpy(ret + 8, &name, 8);
	memcpy(ret + 16, &sector, 8);
	for (size_t i = 24; i < SECTOR; i += 8) {
		word = next_random(&state);
		memcpy(ret + i, &word, 8);
	}
}

/* The name in a sector, 0 for zeros; false when it is neither. */
static bool name_of(const uint8_t *bytes, uint64_t sector, uint64_t *ret_name)
{
	uint8_t want[SECTOR] = {0};

	*ret_name = 0;
	if (memcmp(bytes, want, SECTOR) == 0)
		return true;
	memcpy(ret_name, bytes + 8, 8);
	fill(*ret_name, sector, want);
	return *ret_name && memcmp(bytes, want, SECTOR) == 0;
}

static uint32_t owner(const struct journal *j, uint64_t sector)
{
	return (uint32_t)(sector / CHUNK % j->threads);
}

static struct journal *map_journal(const char *path, bool create)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
	struct journal *j;

	if (fd < 0 || ftruncate(fd, sizeof(*j)) < 0)
		die("journal '%s': %s", path, strerror(errno));
	j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (j == MAP_FAILED)
		die("journal '%s': %s", path, strerror(errno));
	(void)close(fd);
	return j;
}

static uint64_t sectors_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		die("'%s': %s", path, strerror(errno));
	if (st.st_size == 0 || st.st_size / SECTOR > SECTORS_MAX)
		die("'%s': a size of %lld is not for this program", path, (long long)st.st_size);
	return (uint64_t)st.st_size / SECTOR;
}

/* What the operation leaves in its sectors. */
static uint64_t result(const struct journal *j, uint32_t thread, uint32_t index)
{
	return j->thread[thread].ops[index].kind == WRITE ? op_name(j->epoch, thread, index) : 0;
}

/* --- load */

static struct op choose(struct worker *w)
{
	const struct journal *j = w->journal;
	uint64_t chunks = j->sectors / CHUNK / j->threads, r = next_random(&w->random);
	uint64_t chunk = (r >> 32) % (r >> 16 & 1 ? HOT_CHUNKS : chunks) * j->threads + w->index;
	struct op op = {.kind = r % 16 == 0 ? PUNCH : r % 16 == 1 ? ZERO : WRITE};

	op.first = (uint32_t)(chunk * CHUNK);
	r = next_random(&w->random);
	op.first += (uint32_t)(r % CHUNK);
	op.count = 1 + (uint32_t)((r >> 32) % (CHUNK - r % CHUNK));
	return op;
}

/* With one thread there are no neighbours, and operations may be long. */
static struct op choose_long(struct worker *w)
{
	uint64_t r = next_random(&w->random);
	struct op op = {.kind = r % 16 == 0 ? PUNCH : r % 16 == 1 ? ZERO : WRITE};

	op.first = (uint32_t)((r >> 16) % w->journal->sectors);
	op.count = 1 + (uint32_t)(next_random(&w->random) % WRITE_MAX);
	if (op.first + op.count > w->journal->sectors)
		op.count = (uint32_t)(w->journal->sectors - op.first);
	return op;
}

static bool issue(struct worker *w, const struct op *op, uint64_t name)
{
	off_t off = (off_t)op->first * SECTOR;
	size_t len = (size_t)op->count * SECTOR;
	bool aligned = off % ALIGN == 0 && len % ALIGN == 0;
	ssize_t n;

	if (op->kind != WRITE)
		return fallocate(w->fd,
				 op->kind == ZERO ? FALLOC_FL_ZERO_RANGE
						  : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 off, (off_t)len) == 0;
	for (uint32_t i = 0; i < op->count; i++)
		fill(name, op->first + i, w->buffer + (size_t)i * SECTOR);
	n = pwrite(aligned || next_random(&w->random) % 2 ? w->direct_fd : w->fd, w->buffer, len,
		   off);
	return n == (ssize_t)len;
}

/* A thread reads what it wrote, whatever others do beside it. */
static bool read_back(struct worker *w, const struct op *op)
{
	size_t len = (size_t)op->count * SECTOR;
	uint64_t name;

	if (pread(w->fd, w->buffer, len, (off_t)op->first * SECTOR) != (ssize_t)len)
		return false;
	for (uint32_t i = 0; i < op->count; i++) {
		uint64_t sector = op->first + i;

		if (name_of(w->buffer + (size_t)i * SECTOR, sector, &name) &&
		    name == w->now[sector])
			continue;
		if (atomic_fetch_add(&wrong_reads, 1) < WORST_SHOWN)
			printf("sector %" PRIu64 ": read %" PRIx64 ", written was %" PRIx64 "\n",
			       sector, name, w->now[sector]);
	}
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct journal_thread *t = &w->journal->thread[w->index];

	for (uint32_t i = 0; i < OPS_MAX && !atomic_load(&stop); i++) {
		t->ops[i] = w->journal->threads == 1 ? choose_long(w) : choose(w);
		atomic_store(&t->issued, i + 1);
		if (!issue(w, &t->ops[i], op_name(w->journal->epoch, w->index, i)))
			break;
		for (uint32_t k = 0; k < t->ops[i].count; k++)
			w->now[t->ops[i].first + k] = result(w->journal, w->index, i);
		if (next_random(&w->random) % READ_EVERY == 0) {
			struct op op = w->journal->threads == 1 ? choose_long(w) : choose(w);

			if (!read_back(w, &op))
				break;
		}
		if (next_random(&w->random) % FLUSH_EVERY == 0) {
			if (fsync(w->fd) < 0)
				break;
			atomic_store(&t->durable, i + 1);
		}
	}
	return NULL;
}

static void on_signal(int number)
{
	(void)number;
	atomic_store(&stop, true);
}

static int load(const char *disk, const char *path, uint32_t threads, uint64_t seed)
{
	struct journal *j = map_journal(path, true);
	uint64_t sectors = sectors_of(disk), ops = 0, durable = 0;
	struct worker w[THREADS_MAX] = {0};
	uint64_t *now = malloc(sectors * sizeof(*now));

	if (threads < 1 || threads > THREADS_MAX)
		die("1 to %d threads, not %" PRIu32, THREADS_MAX, threads);
	if (j->magic && (j->magic != MAGIC || j->sectors != sectors))
		die("journal '%s' is not of '%s'", path, disk);
	j->magic = MAGIC;
	j->sectors = sectors;
	j->threads = threads;
	j->epoch++;
	if (!now)
		die("out of memory");
	memcpy(now, j->base, sectors * sizeof(*now));
	(void)signal(SIGTERM, on_signal);
	for (uint32_t i = 0; i < threads; i++) {
		atomic_store(&j->thread[i].issued, 0);
		atomic_store(&j->thread[i].durable, 0);
		w[i] = (struct worker){.journal = j,
				       .index = i,
				       .random = seed * THREADS_MAX + i,
				       .fd = open(disk, O_RDWR | O_CLOEXEC),
				       .direct_fd = open(disk, O_RDWR | O_CLOEXEC | O_DIRECT),
				       .now = now,
				       .buffer = aligned_alloc(ALIGN, WRITE_MAX * SECTOR)};
		if (w[i].fd < 0 || w[i].direct_fd < 0 || !w[i].buffer)
			die("'%s': %s", disk, strerror(errno));
		if (pthread_create(&w[i].id, NULL, work, &w[i]) != 0)
			die("no thread");
	}
	for (uint32_t i = 0; i < threads; i++) {
		pthread_join(w[i].id, NULL);
		ops += atomic_load(&j->thread[i].issued);
		durable += atomic_load(&j->thread[i].durable);
	}
	printf("%" PRIu64 " operations, %" PRIu64 " of them flushed\n", ops, durable);
	return atomic_load(&wrong_reads) > 0;
}

/* --- verify */

/* What is known of a sector; names of operations, 0: zeros. */
struct sector {
	uint64_t seen, wanted,
		before; /* before: what the operation under way may have left standing */
	bool discarded_later;
};

/* How many operations of the thread were done for sure: the flushed ones, and those before one seen. */
static uint32_t surely_done(const struct journal *j, const struct sector *s, uint32_t thread)
{
	uint32_t done = atomic_load(&j->thread[thread].durable);

	for (uint64_t i = 0; i < j->sectors; i++) {
		uint32_t index = (uint32_t)s[i].seen;

		if (s[i].seen && s[i].seen >> 40 == j->epoch && (s[i].seen >> 32 & 255) == thread &&
		    index < atomic_load(&j->thread[thread].issued) && index >= done)
			done = index + 1;
	}
	return done;
}

static void apply(const struct journal *j, uint32_t thread, struct sector *s)
{
	const struct journal_thread *t = &j->thread[thread];
	uint32_t done = surely_done(j, s, thread), durable = atomic_load(&t->durable);

	for (uint32_t i = 0; i < atomic_load(&t->issued); i++) {
		const struct op *op = &t->ops[i];

		for (uint64_t k = op->first; k < op->first + op->count; k++) {
			if (i >= done) {
				s[k].discarded_later |= op->kind != WRITE;
				continue;
			}
			s[k].before = i + 1 == done && done > durable ? s[k].wanted
								      : result(j, thread, i);
			s[k].wanted = result(j, thread, i);
		}
	}
}

static void read_sectors(const char *disk, struct journal *j, struct sector *s, uint64_t *bad)
{
	static uint8_t bytes[1 << 20];
	int fd = open(disk, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("'%s': %s", disk, strerror(errno));
	for (uint64_t i = 0; i < j->sectors; i++) {
		size_t at = i * SECTOR % sizeof(bytes);

		if (at == 0 && pread(fd, bytes, sizeof(bytes), (off_t)(i * SECTOR)) <= 0)
			die("'%s': read at %" PRIu64 ": %s", disk, i * SECTOR, strerror(errno));
		s[i].wanted = s[i].before = j->base[i];
		if (!name_of(bytes + at, i, &s[i].seen) && (*bad)++ < WORST_SHOWN)
			printf("sector %" PRIu64 ": what stands there nobody wrote\n", i);
	}
	(void)close(fd);
}

static void show(const char *what, uint64_t name)
{
	if (name)
		printf(" %s %" PRIu64 "/%" PRIu64 "/%" PRIu64, what, name >> 40, name >> 32 & 255,
		       name & UINT32_MAX);
	else
		printf(" %s zeros", what);
}

static int verify(const char *disk, const char *path)
{
	struct journal *j = map_journal(path, false);
	struct sector *s = calloc(SECTORS_MAX, sizeof(*s));
	uint64_t bad = 0, written = 0;

	if (!s || j->magic != MAGIC || j->sectors != sectors_of(disk))
		die("journal '%s' is not of '%s'", path, disk);
	read_sectors(disk, j, s, &bad);
	for (uint32_t i = 0; i < j->threads; i++)
		apply(j, i, s);
	for (uint64_t i = 0; i < j->sectors; i++) {
		written += s[i].seen != 0;
		if (s[i].seen == s[i].wanted || s[i].seen == s[i].before ||
		    (s[i].seen == 0 && s[i].discarded_later))
			continue;
		if (bad++ >= WORST_SHOWN)
			continue;
		printf("sector %" PRIu64 " of thread %" PRIu32 ":", i, owner(j, i));
		show("has", s[i].seen);
		show("but should have", s[i].wanted);
		printf(" (epoch/thread/operation; %" PRIu32 " flushed)\n",
		       atomic_load(&j->thread[owner(j, i)].durable));
	}
	for (uint64_t i = 0; i < j->sectors; i++)
		j->base[i] = s[i].seen;
	for (uint32_t i = 0; i < THREADS_MAX; i++) {
		atomic_store(&j->thread[i].issued, 0);
		atomic_store(&j->thread[i].durable, 0);
	}
	free(s);
	printf("%" PRIu64 " sectors written, %" PRIu64 " wrong\n", written, bad);
	return bad > 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "load") == 0)
		return load(argv[2], argv[3], (uint32_t)atoi(argv[4]), strtoull(argv[5], NULL, 0));
	if (argc == 4 && strcmp(argv[1], "verify") == 0)
		return verify(argv[2], argv[3]);
	(void)fputs("usage: stamp load DISK JOURNAL THREADS SEED | stamp verify DISK JOURNAL\n",
		    stderr);
	return 2;
}

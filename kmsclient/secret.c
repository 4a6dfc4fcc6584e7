/*
 * Locked, undumpable, wiped memory for keys. See secret.h.
 *
 * What may be locked is little (8 MiB by default) and counts in pages, so small secrets share pages, 64 a
 * page; a larger one has a mapping of its own. A page of which nothing is in use is given back, but for one.
 */
#include "secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "err.h"

#define STACK_BYTES (32 * 1024) /* deeper than libcrypto and the dynamic linker go */
#define SLOTS	    64		/* of a shared page: bits of a mask */
#define ALL_USED    UINT64_MAX

/* A page of small secrets. */
struct page {
	struct page *prev, *next; /* in the list of those with a free slot */
	uint8_t *bytes;
	uint64_t used;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct page *open_pages; /* guarded by lock, as what the pages say */

struct secret {
	uint8_t *bytes;
	size_t len;
	size_t room;	   /* what @bytes has: what is wiped */
	struct page *page; /* NULL: a mapping of its own, of @room bytes */
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int map(size_t bytes, uint8_t **ret, struct err *err)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_set(err, ENOMEM, "%s", strerror(errno));
	if (mlock(p, bytes) < 0 || madvise(p, bytes, MADV_DONTDUMP) < 0 ||
	    madvise(p, bytes, MADV_WIPEONFORK) < 0) {
		int num = errno;

		(void)munmap(p, bytes); /* cannot fail on our own mapping */
		return err_set(err, ENOMEM, "cannot lock it in memory: %s; see 'ulimit -l'",
			       strerror(num));
	}
	*ret = p;
	return 0;
}

static void open_locked(struct page *page)
{
	page->prev = NULL;
	page->next = open_pages;
	if (open_pages)
		open_pages->prev = page;
	open_pages = page;
}

static void close_locked(struct page *page)
{
	*(page->prev ? &page->prev->next : &open_pages) = page->next;
	if (page->next)
		page->next->prev = page->prev;
}

static int new_page_locked(struct err *err)
{
	struct page *page = calloc(1, sizeof(*page));
	int r = page ? map(page_size(), &page->bytes, err) : err_set(err, ENOMEM, "out of memory");

	if (r < 0)
		free(page);
	else
		open_locked(page);
	return r;
}

static int take_slot_locked(struct secret *s, struct err *err)
{
	int r = open_pages ? 0 : new_page_locked(err), i;

	if (r < 0)
		return r;
	s->page = open_pages;
	i = __builtin_ctzll(~s->page->used);
	s->page->used |= UINT64_C(1) << i;
	if (s->page->used == ALL_USED)
		close_locked(s->page);
	s->bytes = s->page->bytes + (size_t)i * s->room;
	return 0;
}

static void give_slot_locked(struct secret *s)
{
	struct page *page = s->page;

	if (page->used == ALL_USED)
		open_locked(page);
	page->used &= ~(UINT64_C(1) << (size_t)(s->bytes - page->bytes) / s->room);
	if (page->used || (!page->prev && !page->next))
		return;
	close_locked(page);
	(void)munmap(page->bytes, page_size()); /* cannot fail on our own mapping */
	free(page);
}

static int take_room(struct secret *s, struct err *err)
{
	size_t page = page_size();
	int r;

	s->room = page / SLOTS;
	if (s->len > s->room) {
		s->room = (s->len + page - 1) / page * page;
		return map(s->room, &s->bytes, err);
	}
	pthread_mutex_lock(&lock);
	r = take_slot_locked(s, err);
	pthread_mutex_unlock(&lock);
	return r;
}

int secret_new(size_t len_bytes, struct secret **ret_secret, struct err *err)
{
	struct secret *s;
	int r;

	if (len_bytes == 0 || len_bytes > SECRET_LEN_MAX)
		return err_set(err, EINVAL, "secret of %zu bytes: must be 1 to %d", len_bytes,
			       SECRET_LEN_MAX);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "secret of %zu bytes: out of memory", len_bytes);
	s->len = len_bytes;
	r = take_room(s, err);
	if (r < 0) {
		free(s);
		return err_prefix(err, "secret of %zu bytes", len_bytes);
	}
	*ret_secret = s;
	return 0;
}

int secret_from(const void *bytes, size_t len_bytes, struct secret **ret_secret, struct err *err)
{
	int r = secret_new(len_bytes, ret_secret, err);

	if (r == 0)
		memcpy((*ret_secret)->bytes, bytes, len_bytes);
	return r;
}

void secret_free(struct secret *secret)
{
	if (!secret)
		return;
	OPENSSL_cleanse(secret->bytes, secret->room);
	if (secret->page) {
		pthread_mutex_lock(&lock);
		give_slot_locked(secret);
		pthread_mutex_unlock(&lock);
	} else {
		(void)munmap(secret->bytes, secret->room); /* cannot fail on our own mapping */
	}
	free(secret);
}

void secret_freep(struct secret **secret)
{
	secret_free(*secret);
	*secret = NULL;
}

uint8_t *secret_bytes(struct secret *secret)
{
	return secret->bytes;
}

const uint8_t *secret_cbytes(const struct secret *secret)
{
	return secret->bytes;
}

size_t secret_len(const struct secret *secret)
{
	return secret->len;
}

__attribute__((noinline)) void secret_wipe_stack(void)
{
	uint8_t below[STACK_BYTES];

	OPENSSL_cleanse(below, sizeof(below));
}

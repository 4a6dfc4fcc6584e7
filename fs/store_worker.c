/* What I/O needs besides the request: contexts of the cipher and buffers, made once and lent. */
#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "blockcrypt.h"
#include "err.h"
#include "format.h"
#include "segment.h"
#include "store_internal.h"

static void worker_free(const struct store *s, struct store_worker *w)
{
	if (!w)
		return;
	blockcrypt_free(w->encrypt);
	blockcrypt_free(w->decrypt);
	for (size_t i = 0; i < 2; i++) {
		if (w->edges[i])
			OPENSSL_cleanse(w->edges[i], s->geometry.block_size);
		free(w->edges[i]);
	}
	free(w->slots);
	free(w);
}

static int worker_new(const struct store *s, struct store_worker **ret_worker, struct err *err)
{
	struct store_worker *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (w) {
		w->slots = malloc(FORMAT_RECORD_LEN + (size_t)s->chunk_blocks * s->slot_len);
		w->edges[0] = malloc(s->geometry.block_size);
		w->edges[1] = malloc(s->geometry.block_size);
	}
	if (!w || !w->slots || !w->edges[0] || !w->edges[1])
		(void)err_set(err, ENOMEM, "buffers for I/O: out of memory");
	else
		r = blockcrypt_new(s->geometry.cipher, BLOCKCRYPT_ENCRYPT, s->geometry.block_size,
				   &w->encrypt, err);
	if (r == 0)
		r = blockcrypt_new(s->geometry.cipher, BLOCKCRYPT_DECRYPT, s->geometry.block_size,
				   &w->decrypt, err);
	if (r < 0) {
		worker_free(s, w);
		return r;
	}
	*ret_worker = w;
	return 0;
}

int store_worker_get(struct store *store, bool helper, struct store_worker **ret_worker,
		     struct err *err)
{
	struct store_worker *w;
	int r = 0;

	pthread_mutex_lock(&store->worker_lock);
	while (!helper && !store->workers && store->worker_count >= STORE_WORKERS_MAX)
		pthread_cond_wait(&store->worker_back, &store->worker_lock);
	w = store->workers;
	if (w)
		store->workers = w->next;
	else
		store->worker_count++;
	pthread_mutex_unlock(&store->worker_lock);
	if (!w) {
		r = worker_new(store, &w, err);
		if (r < 0) {
			pthread_mutex_lock(&store->worker_lock);
			store->worker_count--;
			pthread_mutex_unlock(&store->worker_lock);
			return r;
		}
	}
	*ret_worker = w;
	return 0;
}

void store_worker_put(struct store *store, struct store_worker *worker)
{
	pthread_mutex_lock(&store->worker_lock);
	worker->next = store->workers;
	store->workers = worker;
	pthread_cond_signal(&store->worker_back);
	pthread_mutex_unlock(&store->worker_lock);
}

void store_workers_free(struct store *store)
{
	struct store_worker *w;

	while ((w = store->workers)) {
		store->workers = w->next;
		worker_free(store, w);
	}
}

int store_use_key(struct blockcrypt *crypt, uint32_t *id, const struct segment *segment)
{
	if (*id == segment_id(segment))
		return 0;
	*id = 0;
	if (blockcrypt_set_key(crypt, segment_key(segment)) < 0)
		return -EIO;
	*id = segment_id(segment);
	return 0;
}

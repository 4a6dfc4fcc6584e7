/*
 * Requests on `disk`. A request that has to wait becomes a gate_waiter with a copy of its payload, and
 * its thread goes on to the next request; that is why interrupts and `status` are served however many
 * wait.
 *
 * An interrupted waiter has two who want to answer it: the thread with the interrupt, which libfuse
 * calls with the request's own lock held, and the one that runs waiters. gate_interrupt() gives it to
 * one of them. The other, before it frees the waiter, takes the interrupt handler away, which waits for
 * that same lock; so a handler never sees a freed waiter. Lock order: request, then gate.
 */
#include "fuseio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "clock.h"
#include "err.h"
#include "faults.h"
#include "fusering.h"
#include "gate.h"
#include "say.h"
#include "secret.h"
#include "status.h"
#include "store.h"
#include "watch.h"

#define SAY_AGAIN_MS 60000 /* a failure of the same kind is logged this often at most */
#define BUFFER_ALIGN 4096
#define ATTR_SECONDS 1.0

struct waiting {
	struct gate_waiter at_gate;
	struct fuseio *io;
	fuse_req_t req;
	struct fusering_entry *entry; /* where its answer goes; NULL: /dev/fuse */
	struct fuseio_call call;
	uint8_t payload[];
};

static _Thread_local uint8_t *thread_buffer;

static const char *const op_names[FUSEIO_OPS] = {
	"read", "write", "flush", "discard", "truncate", "seek data", "seek hole",
};

void fuseio_init(struct fuseio *io)
{
	pthread_mutex_init(&io->said_lock, NULL);
	atomic_store(&io->size_bytes, (unsigned long long)io->attr.st_size);
	atomic_store(&io->fence, 1);
	atomic_store(&io->changed_s, (long long)io->attr.st_mtim.tv_sec);
}

void fuseio_destroy(struct fuseio *io)
{
	pthread_mutex_destroy(&io->said_lock);
}

void fuseio_thread_buffer(uint8_t *buffer)
{
	thread_buffer = buffer;
}

uint64_t fuseio_size(const struct fuseio *io)
{
	return atomic_load_explicit(&io->size_bytes, memory_order_relaxed);
}

void fuseio_stat(struct fuseio *io, struct stat *ret_stat)
{
	struct watch_status status;

	watch_status(io->watch, &status);
	*ret_stat = io->attr;
	ret_stat->st_size = (off_t)fuseio_size(io);
	ret_stat->st_blocks = (blkcnt_t)(status.store.mapped_bytes / 512);
	ret_stat->st_mtim.tv_sec = ret_stat->st_ctim.tv_sec =
		(time_t)atomic_load_explicit(&io->changed_s, memory_order_relaxed);
}

void fuseio_count(struct fuseio *io, struct io_counters *ret_counters)
{
	*ret_counters = (struct io_counters){
		.reads = atomic_load(&io->counts[FUSEIO_READ]),
		.writes = atomic_load(&io->counts[FUSEIO_WRITE]),
		.read_bytes = atomic_load(&io->read_bytes),
		.written_bytes = atomic_load(&io->written_bytes),
		.flushes = atomic_load(&io->counts[FUSEIO_FLUSH]),
		.discards = atomic_load(&io->counts[FUSEIO_DISCARD]) +
			    atomic_load(&io->counts[FUSEIO_TRUNCATE]),
		.errors = atomic_load(&io->errors),
	};
}

static bool changes(enum fuseio_op op)
{
	return op == FUSEIO_WRITE || op == FUSEIO_DISCARD || op == FUSEIO_TRUNCATE;
}

/* Log a failure of the store: one sentence a kind and minute. */
static void say_failure(struct fuseio *io, enum fuseio_op op, int num, const char *sentence)
{
	uint64_t now = clock_monotonic_ms();
	bool again;

	pthread_mutex_lock(&io->said_lock);
	again = io->said_num == num && io->said_op == op && now - io->said_ms < SAY_AGAIN_MS;
	if (!again) {
		io->said_num = num;
		io->said_op = op;
		io->said_ms = now;
	}
	pthread_mutex_unlock(&io->said_lock);
	if (!again)
		say_error("%s: %s", op_names[op], sentence);
}

static void reply_error(struct fuseio *io, fuse_req_t req, int num)
{
	atomic_fetch_add_explicit(&io->errors, 1, memory_order_relaxed);
	(void)fuse_reply_err(req, num); /* fails when the requester is gone */
}

uint8_t *fuseio_buffer(void)
{
	return thread_buffer;
}

/* What the store says to @call; *@ret_pos is where a seek ended. */
static int execute(struct fuseio *io, const struct fuseio_call *c, uint8_t *buffer,
		   uint64_t *ret_pos, struct err *err)
{
	struct store *store = watch_store(io->watch);

	if (changes(c->op))
		atomic_store_explicit(&io->changed_s, (long long)time(NULL), memory_order_relaxed);
	switch (c->op) {
	case FUSEIO_READ:
		return buffer ? store_read(store, c->off, c->len, buffer, err)
			      : err_set(err, ENOMEM, "out of memory");
	case FUSEIO_WRITE:
		return store_write(store, c->off, c->len, c->data, err);
	case FUSEIO_FLUSH:
		return io->read_only ? 0 : store_flush(store, err);
	case FUSEIO_DISCARD:
	case FUSEIO_TRUNCATE:
		return c->len ? store_discard(store, c->off, c->len, err) : 0;
	case FUSEIO_SEEK_DATA:
	case FUSEIO_SEEK_HOLE:
		return store_seek(store, c->off, c->op == FUSEIO_SEEK_HOLE, ret_pos);
	}
	return -EINVAL;
}

static void reply_good(struct fuseio *io, fuse_req_t req, const struct fuseio_call *c,
		       const uint8_t *buffer, uint64_t pos)
{
	struct stat st;

	atomic_fetch_add_explicit(&io->counts[c->op], 1, memory_order_relaxed);
	switch (c->op) {
	case FUSEIO_READ:
		atomic_fetch_add_explicit(&io->read_bytes, c->len, memory_order_relaxed);
		(void)fuse_reply_buf(req, (const char *)buffer, c->len);
		break;
	case FUSEIO_WRITE:
		atomic_fetch_add_explicit(&io->written_bytes, c->len, memory_order_relaxed);
		(void)fuse_reply_write(req, c->len);
		break;
	case FUSEIO_FLUSH:
	case FUSEIO_DISCARD:
		(void)fuse_reply_err(req, 0);
		break;
	case FUSEIO_TRUNCATE:
		fuseio_stat(io, &st);
		(void)fuse_reply_attr(req, &st, ATTR_SECONDS);
		break;
	case FUSEIO_SEEK_DATA:
	case FUSEIO_SEEK_HOLE:
		(void)fuse_reply_lseek(req, (off_t)pos);
		break;
	}
}

/*
 * False: nothing was answered; the store has sent it back to the gate, which is closed. @may_interrupt:
 * the request has a handler for that, which must be gone before it is answered.
 */
static bool execute_and_reply(struct fuseio *io, fuse_req_t req, const struct fuseio_call *call,
			      uint8_t *buffer, bool may_interrupt)
{
	struct err err;
	uint64_t pos = 0;
	bool fenced_off;
	int r;

	err.num = 0; /* the rest of it is large and only looked at after a failure */
	err.msg[0] = '\0';
	fenced_off = call->fence && call->fence != atomic_load(&io->fence);
	r = fenced_off ? -EIO : execute(io, call, buffer, &pos, &err);
	if (r == -EAGAIN)
		return false;
	if (may_interrupt)
		fuse_req_interrupt_func(req, NULL, NULL); /* waits for a handler that runs */
	if (r >= 0) {
		reply_good(io, req, call, buffer, pos);
	} else if (r == -ENXIO) { /* a seek that found nothing is no failure */
		(void)fuse_reply_err(req, ENXIO);
	} else {
		if (!fenced_off)
			say_failure(io, call->op, -r, err.num ? err.msg : strerror(-r));
		reply_error(io, req, -r);
	}
	return true;
}

void fuseio_fence(struct fuseio *io)
{
	(void)atomic_fetch_add(&io->fence, 1);
}

static void free_waiting(struct waiting *w)
{
	OPENSSL_cleanse(w->payload, w->at_gate.bytes);
	free(w);
}

/*
 * In the thread that opens the gate, or one that serves delays: nobody wipes what it leaves when the key is
 * lost, so it does so before it counts as having left the gate.
 */
static bool run_waiting(struct gate_waiter *waiter)
{
	struct waiting *w = (struct waiting *)waiter;
	size_t room = w->call.op != FUSEIO_READ
			      ? 0
			      : (w->call.len + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
	uint8_t *buffer = room ? aligned_alloc(BUFFER_ALIGN, room) : NULL;
	bool answered;

	fusering_resume(w->entry);
	answered = execute_and_reply(w->io, w->req, &w->call, buffer, true);
	fusering_resume(NULL);
	if (buffer)
		OPENSSL_cleanse(buffer, room);
	free(buffer);
	secret_wipe_stack();
	if (answered)
		free_waiting(w);
	return answered;
}

static void fail_waiting(struct gate_waiter *waiter, int num)
{
	struct waiting *w = (struct waiting *)waiter;

	fuse_req_interrupt_func(w->req, NULL, NULL);
	fusering_resume(w->entry);
	reply_error(w->io, w->req, num);
	free_waiting(w);
}

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct waiting *w = arg;

	if (!gate_interrupt(w->io->gate, &w->at_gate))
		return;
	fusering_resume(w->entry);
	(void)fuse_reply_err(req, EINTR);
	free_waiting(w);
}

static struct waiting *new_waiting(struct fuseio *io, fuse_req_t req,
				   const struct fuseio_call *call)
{
	size_t bytes = call->op == FUSEIO_WRITE ? call->len : 0;
	struct waiting *w = malloc(sizeof(*w) + bytes);

	if (!w)
		return NULL;
	*w = (struct waiting){
		.at_gate = {.run = run_waiting,
			    .fail = fail_waiting,
			    .bytes = bytes,
			    .changes = changes(call->op)},
		.io = io,
		.req = req,
		.call = *call,
	};
	if (bytes)
		memcpy(w->payload, call->data, bytes);
	w->call.data = w->payload;
	return w;
}

/* Execute the request, which has entered the gate. */
static void inside(struct fuseio *io, fuse_req_t req, const struct fuseio_call *call)
{
	bool answered = execute_and_reply(io, req, call, thread_buffer, false);

	gate_leave(io->gate, changes(call->op));
	if (!answered)
		fuseio_submit(io, req, call);
}

/*
 * Queue the request; @due_us 0: at the gate, else until then. When that is not to be, because of what has
 * changed meanwhile, do what that wants.
 */
static void let_wait(struct fuseio *io, fuse_req_t req, const struct fuseio_call *call,
		     uint64_t due_us)
{
	struct waiting *w = new_waiting(io, req, call);
	int r;

	if (!w || fusering_park(&w->entry) < 0) {
		if (w)
			free_waiting(w);
		reply_error(io, req, ENOMEM);
		return;
	}
	fuse_req_interrupt_func(req, on_interrupt, w);
	r = due_us ? gate_delay(io->gate, &w->at_gate, due_us) : gate_wait(io->gate, &w->at_gate);
	if (r == GATE_MUST_WAIT)
		return; /* it may be answered and freed already */
	fuse_req_interrupt_func(req, NULL, NULL);
	fusering_resume(w->entry);
	/* What @call has was wiped with the place that it came in. */
	if (r == 0) {
		inside(io, req, &w->call);
	} else if (r == -ESHUTDOWN) { /* faults are over: again, without one */
		fuseio_submit(io, req, &w->call);
	} else {
		if (r == -ENOBUFS)
			say_failure(io, call->op, ENOBUFS,
				    "more requests wait than may; they get EIO");
		reply_error(io, req, r == -ENOBUFS ? EIO : -r);
	}
	free_waiting(w);
}

/* Does an injected fault take the request, which has entered the gate? Then it has left that. */
static bool faulty(struct fuseio *io, fuse_req_t req, const struct fuseio_call *call)
{
	static const unsigned targets[FUSEIO_OPS] = {
		[FUSEIO_READ] = FAULT_READS,	  [FUSEIO_WRITE] = FAULT_WRITES,
		[FUSEIO_FLUSH] = FAULT_FLUSHES,	  [FUSEIO_DISCARD] = FAULT_WRITES,
		[FUSEIO_TRUNCATE] = FAULT_WRITES,
	};
	bool data = call->op == FUSEIO_READ || call->op == FUSEIO_WRITE;
	struct fault_verdict v = faults_judge(io->faults, targets[call->op], data ? call->len : 0);

	if (!v.error && (!v.due_us || call->never_wait))
		return false;
	gate_leave(io->gate, changes(call->op));
	if (v.error)
		reply_error(io, req, v.error);
	else
		let_wait(io, req, call, v.due_us);
	return true;
}

void fuseio_submit(struct fuseio *io, fuse_req_t req, const struct fuseio_call *call)
{
	int r = gate_enter(io->gate, changes(call->op));

	if (r == 0) {
		if (!faulty(io, req, call))
			inside(io, req, call);
	} else if (r == GATE_MUST_WAIT && !call->never_wait) {
		let_wait(io, req, call, 0);
	} else {
		reply_error(io, req, r == GATE_MUST_WAIT ? EIO : -r);
	}
}

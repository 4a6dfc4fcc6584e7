/*
 * One thread of FUSE over io_uring, and what it does with a request.
 *
 * The ring is set up so that the kernel writes into lent entries only while this thread is in
 * io_uring_enter(2) to wait (IORING_SETUP_DEFER_TASKRUN). So outside of it the thread may wipe whatever is
 * lent and has no request, without spoiling one that is on its way.
 */
#include "fusering_internal.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/fuse.h>
#include <openssl/crypto.h>

#include "say.h"
#include "secret.h"

#define SUBMIT_MAX   64
#define SUBMIT_TRIES 8	/* before it is left to a later submission */
#define AHEAD_MAX    16 /* what a thread has lent while requests wait */
#define COMMIT_MAX   32 /* handed entries that are committed together */

/* What this thread is processing, and whose answer comes next. */
static _Thread_local struct {
	struct fusering_worker *worker; /* NULL: no thread of a ring */
	struct fusering_entry *serving;
	struct fusering_entry *current;
	bool answered, parked;
} here;

static void link_lent(struct fusering_worker *w, struct fusering_entry *e)
{
	e->lent = w->lent;
	e->at = &w->lent;
	if (e->lent)
		e->lent->at = &e->lent;
	w->lent = e;
	w->lent_count++;
}

static void unlink_lent(struct fusering_worker *w, struct fusering_entry *e)
{
	if (!e->at)
		return;
	*e->at = e->lent;
	if (e->lent)
		e->lent->at = e->at;
	e->at = NULL;
	w->lent_count--;
}

/* May a submission that ended so be tried again? */
static bool passes(int r)
{
	return r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY;
}

/* False: some of what was to go out is still here, and goes with a later submission. */
static bool submit_all(struct fusering_worker *w)
{
	for (int i = 0; i < SUBMIT_TRIES && io_uring_sq_ready(&w->io); i++)
		if (!passes(io_uring_submit(&w->io)))
			break;
	return io_uring_sq_ready(&w->io) == 0;
}

/* NULL: the ring takes nothing any more, or the end has come while it was full. */
static struct io_uring_sqe *get_sqe(struct fusering_worker *w)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->io);

	while (!sqe && !w->failed && !atomic_load(&w->ring->stop)) {
		int r = io_uring_submit(&w->io);

		if (!passes(r))
			w->failed = -r;
		sqe = io_uring_get_sqe(&w->io);
	}
	return sqe;
}

/* Lend an entry: a new one, or with the answer to its request. It goes out at the next submission. */
static void lend(struct fusering_worker *w, struct fusering_entry *e)
{
	struct io_uring_sqe *sqe = get_sqe(w);
	struct fusering_command command = {.commit_id = e->commit_id,
					   .queue = (uint16_t)e->queue->number};

	if (!sqe)
		return;
	memset(sqe, 0, 2 * sizeof(*sqe)); /* they are of 128 bytes */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = w->ring->setup.fd;
	sqe->cmd_op = e->commit_id ? FUSERING_COMMIT_AND_FETCH : FUSERING_REGISTER;
	if (!e->commit_id) {
		sqe->addr = (uintptr_t)e->iov;
		sqe->len = 2;
	}
	memcpy(sqe->cmd, &command, sizeof(command));
	io_uring_sqe_set_data(sqe, e);
	link_lent(w, e);
}

static void wait_for_handed(struct fusering_worker *w)
{
	struct io_uring_sqe *sqe = get_sqe(w);

	if (!sqe)
		return;
	memset(sqe, 0, 2 * sizeof(*sqe));
	io_uring_prep_read(sqe, w->queue->wake_fd, &w->wake_value, sizeof(w->wake_value), 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* What the kernel says of an entry: it has a request, or it is not lent any more. */
static void on_entry(struct fusering_worker *w, struct fusering_entry *e, int res)
{
	unlink_lent(w, e);
	if (res == -EAGAIN || res == -EINTR) {
		lend(w, e);
	} else if (res < 0) {
		w->failed = -res;
	} else {
		e->commit_id = e->header->commit_id;
		e->next = NULL;
		*w->ready_end = e;
		w->ready_end = &e->next;
	}
}

/* Look what has come. No system call. */
static void reap(struct fusering_worker *w)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&w->io, head, cqe)
	{
		struct fusering_entry *e = io_uring_cqe_get_data(cqe);

		n++;
		if (e)
			on_entry(w, e, cqe->res);
		else
			wait_for_handed(w);
	}
	io_uring_cq_advance(&w->io, n);
}

/* Submit, look what has come, and submit what that gave back. False: as submit_all(). */
static bool submit_and_reap(struct fusering_worker *w)
{
	for (int i = 0; i < SUBMIT_TRIES; i++) {
		if (!submit_all(w))
			return false;
		reap(w);
		if (!io_uring_sq_ready(&w->io))
			return true;
	}
	return false;
}

static struct fusering_entry *next_ready(struct fusering_worker *w)
{
	struct fusering_entry *e = w->ready;

	if (e) {
		w->ready = e->next;
		if (!e->next)
			w->ready_end = &w->ready;
	}
	return e;
}

/* The request as one piece, as read(2) on /dev/fuse gives it: headers end where the payload begins. */
static void *make_request(struct fusering_worker *w, struct fusering_entry *e, size_t *ret_len)
{
	struct fuse_in_header in;
	size_t payload = e->header->payload_len, op;
	uint8_t *start;

	memcpy(&in, e->header->in_out, sizeof(in));
	if (in.len < sizeof(in) + payload || payload > w->ring->setup.payload_bytes)
		return NULL;
	op = in.len - sizeof(in) - payload;
	if (op > FUSERING_OP_MAX)
		return NULL;
	start = e->payload - op - sizeof(in);
	memcpy(start, &in, sizeof(in));
	memcpy(start + sizeof(in), e->header->op_in, op);
	if (in.opcode == FUSE_READ && op >= sizeof(struct fuse_read_in))
		payload = ((const struct fuse_read_in *)(const void *)e->header->op_in)->size;
	if (payload > w->ring->setup.payload_bytes)
		return NULL;
	if (e->dirty < payload)
		e->dirty = payload;
	*ret_len = in.len;
	return start;
}

/*
 * After a request was parked: this thread has something lent again, and what the kernel holds back comes.
 * Some ahead, since where one waits more will, and those that find an entry need no kick.
 */
static void lend_more(struct fusering_worker *w, struct fusering_queue *q)
{
	unsigned wanted = w->lent_count ? w->lent_count : 1;

	if (w->spare) { /* fusering_park() has made it when nothing else is lent */
		lend(w, w->spare);
		w->spare = NULL;
		wanted = AHEAD_MAX;
	}
	while (w->lent_count < wanted && io_uring_sq_space_left(&w->io)) {
		struct fusering_entry *e = fusering_entry_new(w->ring, w->queue);

		if (!e)
			break;
		e->extra = true;
		lend(w, e);
	}
	(void)io_uring_submit(&w->io); /* the kicker's request may find them */
	fusering_kick(q);
}

static void serve(struct fusering_worker *w, struct fusering_entry *e)
{
	struct fusering_queue *q = e->queue;
	size_t len;
	void *request = make_request(w, e, &len);

	if (!request) {
		say_error("io_uring: a request that makes no sense");
		w->failed = EPROTO;
		return;
	}
	here.serving = here.current = e;
	here.answered = here.parked = false;
	w->ring->setup.process(w->ring->setup.arg, request, len, e->payload);
	here.serving = here.current = NULL;
	/* One that was parked is somebody else's by now. */
	if (here.answered)
		lend(w, e);
	else if (here.parked)
		lend_more(w, q);
}

/* What was handed: answers that other threads have given, or one request. False: nothing. */
static bool commit_handed(struct fusering_worker *w)
{
	struct fusering_entry *extra[COMMIT_MAX], *e;
	unsigned n = 0, extras = 0;
	bool gone;

	while (n < COMMIT_MAX && (e = fusering_take(w->queue))) {
		n++;
		if (!e->answered) {
			e->next = NULL;
			*w->ready_end = e;
			w->ready_end = &e->next;
			break; /* one request a thread */
		}
		lend(w, e);
		if (e->extra)
			extra[extras++] = e;
	}
	if (!n)
		return false;
	gone = submit_and_reap(w); /* from there on the answers are the kernel's */
	for (unsigned i = 0; gone && i < extras; i++)
		if (extra[i]->at) /* no request has come already */
			fusering_entry_wipe(extra[i], true);
	return true;
}

/* Wipe what is lent, when a round of forgetting wants it. Nothing is ready. */
static void forget(struct fusering_worker *w, unsigned round)
{
	if (!submit_and_reap(w)) /* an answer must go before it is wiped */
		return;
	if (w->ready)
		return; /* it came with that; next time */
	for (struct fusering_entry *e = w->lent; e; e = e->lent)
		fusering_entry_wipe(e, e->extra);
	secret_wipe_stack();
	atomic_store(&w->forgot, round);
}

static void step(struct fusering_worker *w)
{
	unsigned round = atomic_load(&w->ring->forget);
	struct fusering_entry *e;

	while (!w->ready && commit_handed(w))
		; /* there may be more */
	if (!w->ready)
		reap(w);
	if (!w->ready && round != atomic_load(&w->forgot))
		forget(w, round);
	e = next_ready(w);
	if (!e) {
		int r = io_uring_submit_and_wait(&w->io, 1);

		if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
			w->failed = -r;
		return;
	}
	for (struct fusering_entry *more; (more = next_ready(w));)
		fusering_hand(more, false); /* one request a thread */
	if (io_uring_sq_ready(&w->io))
		(void)io_uring_submit(&w->io); /* answers do not wait for this request's */
	/* What others have answered does not wait for it either: somebody else is woken. */
	if (atomic_load(&w->queue->handed_count))
		(void)eventfd_write(w->queue->wake_fd, 1); /* cannot fail below its maximum */
	serve(w, e);
}

/* On the processor of its queue, where who asks for something is, too. */
static void move_to_processor(const struct fusering_worker *w)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->queue->number, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set); /* it may be off now */
}

/* Make the ring and lend the first entry. 0 or an errno. */
static int begin(struct fusering_worker *w)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	struct fusering_entry *e = fusering_entry_new(w->ring, w->queue);
	int r = e ? io_uring_queue_init_params(SUBMIT_MAX, &w->io, &params) : -ENOMEM;

	if (r < 0)
		return -r;
	lend(w, e);
	wait_for_handed(w);
	r = io_uring_submit(&w->io);
	if (r < 0)
		w->failed = -r;
	reap(w); /* a refusal is there at once */
	if (w->failed)
		io_uring_queue_exit(&w->io);
	return w->failed;
}

void *fusering_worker_main(void *worker)
{
	struct fusering_worker *w = worker;
	int num;

	move_to_processor(w);
	here.worker = w;
	num = begin(w);
	fusering_report(w, num);
	if (num == 0) {
		while (!w->failed && !atomic_load(&w->ring->stop))
			step(w);
		while (!w->failed && commit_handed(w))
			; /* what was answered before the end */
		if (!w->failed)
			(void)submit_all(w); /* and what this thread has answered last */
		if (w->failed && w->failed != ENOTCONN && w->failed != ECONNABORTED &&
		    w->failed != ECANCELED && w->failed != ENODEV)
			say_error("io_uring: a thread has ended: %s", strerror(w->failed));
		io_uring_queue_exit(&w->io);
	}
	atomic_store(&w->forgot, UINT32_MAX);
	atomic_store(&w->ended, true);
	return NULL;
}

int fusering_park(struct fusering_entry **ret_entry)
{
	struct fusering_worker *w = here.worker;

	*ret_entry = NULL;
	if (!w)
		return 0;
	if (!w->lent && !w->spare) {
		w->spare = fusering_entry_new(w->ring, here.serving->queue);
		if (!w->spare)
			return -ENOMEM;
		w->spare->extra = true;
	}
	fusering_entry_wipe(here.serving, true);
	here.parked = true;
	here.current = NULL;
	*ret_entry = here.serving;
	return 0;
}

void fusering_resume(struct fusering_entry *entry)
{
	here.current = entry;
}

bool fusering_reply(const struct iovec *iov, int count)
{
	struct fusering_entry *e = here.current;
	struct fuse_out_header out;
	size_t len = 0;

	if (!e || !e->commit_id)
		return false;
	memcpy(&out, iov[0].iov_base, sizeof(out));
	if (out.unique != e->commit_id)
		return false; /* a notification, or what an interrupt is told */
	here.current = NULL;
	for (int i = 1; i < count; i++) {
		assert(len + iov[i].iov_len <= e->iov[1].iov_len); /* we have clamped it */
		if (iov[i].iov_len && iov[i].iov_base != e->payload + len)
			memmove(e->payload + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	if (e->dirty < len)
		e->dirty = len;
	memcpy(e->header->in_out, &out, sizeof(out));
	e->header->payload_len = (uint32_t)len;
	if (e == here.serving) {
		here.answered = true;
		here.parked = false;
	} else {
		fusering_hand(e, true);
	}
	return true;
}

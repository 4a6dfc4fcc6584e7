/* What another thread wants the key watch's thread to do between its checks. See watch.h. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "events.h"
#include "gate.h"
#include "kms.h"
#include "say.h"
#include "secret.h"
#include "store.h"
#include "watch_internal.h"

void watch_run_errand_locked(struct watch *w)
{
	struct watch_errand *errand = w->errand;
	bool available = w->key.state == KEYWATCH_AVAILABLE && w->store;
	int r;

	errand->taken = true;
	if (!available)
		r = err_set(errand->err, EAGAIN,
			    "volume is in %s state but expected it to be available",
			    keywatch_state_name(w->key.state));
	pthread_mutex_unlock(&w->lock);
	if (available)
		r = errand->run(errand->arg, errand->err);
	pthread_mutex_lock(&w->lock);
	errand->result = r;
	errand->done = true;
	w->errand = NULL;
	pthread_cond_broadcast(&w->errand_done);
}

int watch_do(struct watch *watch, int (*fn)(void *arg, struct err *err), void *arg, struct err *err)
{
	struct watch_errand errand = {.run = fn, .arg = arg, .err = err};

	pthread_mutex_lock(&watch->lock);
	while (watch->errand && !watch->quit)
		pthread_cond_wait(&watch->errand_done, &watch->lock);
	if (!watch->quit) {
		watch->errand = &errand;
		pthread_cond_signal(&watch->wake);
	}
	/* Once taken it is done to its end, also by an unmount. */
	while (!errand.done && (errand.taken || !watch->quit))
		pthread_cond_wait(&watch->errand_done, &watch->lock);
	if (!errand.done) {
		if (watch->errand == &errand)
			watch->errand = NULL;
		errand.result = err_set(err, ECANCELED, "the volume is being unmounted");
	}
	pthread_mutex_unlock(&watch->lock);
	return errand.result;
}

void watch_errand_asks(struct watch *watch, struct kms *kms)
{
	pthread_mutex_lock(&watch->lock);
	watch->errand_kms = kms;
	if (kms && watch->quit)
		kms_cancel(kms);
	pthread_mutex_unlock(&watch->lock);
}

int watch_reopen(struct watch *watch,
		 int (*between)(void *arg, struct secret **data_keys, struct err *err), void *arg,
		 struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct gate *gate = watch->setup.gate;
	struct err open_err;
	int r = watch_unwrap(watch, &key, err), opened;

	if (r < 0)
		return r;
	gate_close(gate, GATE_HOLD);
	store_hurry(watch->store, true);
	while (!gate_drain(gate, false, WATCH_DRAIN_SAY_MS))
		say_warning(
			"the volume is being changed, but requests to the disk below do not end");
	r = watch_close_store(watch, err);
	if (r == 0)
		r = between(arg, &key, err);
	opened = watch_open_store(watch, key, &open_err);
	if (opened == 0) {
		gate_open(gate);
		return r;
	}
	(void)err_prefix(&open_err, "closed for a change, it cannot be opened again");
	say_error("%s", open_err.msg);
	events_add(watch->setup.events,
		   &(struct event){.name = "start-failed", .reason = open_err.msg});
	if (watch->setup.config.reaction == KEYWATCH_NONE) /* nobody opens it later */
		gate_close(gate, GATE_REFUSE);
	*err = watch->lost = open_err;
	return opened;
}

/*
 * What the key watch does when it has decided: let access end, let it go on. The order of losing the key: who
 * uses the volume is told; the file system above writes down what is dirty and stops; nothing new passes the
 * gate; what is inside ends; the store makes acknowledged writes durable and wipes its keys; plaintext kept
 * elsewhere is wiped.
 */
#include <pthread.h>
#include <stdio.h>

#include "above.h"
#include "clock.h"
#include "err.h"
#include "events.h"
#include "gate.h"
#include "hook.h"
#include "kms.h"
#include "say.h"
#include "store.h"
#include "watch_internal.h"

static void set_reason(struct watch *w, const char *reason)
{
	pthread_mutex_lock(&w->lock);
	(void)snprintf(w->status.reason, sizeof(w->status.reason), "%s", reason);
	pthread_mutex_unlock(&w->lock);
}

static void add_event(struct watch *w, const char *name)
{
	const struct event event = {.name = name};

	events_add(w->setup.events, &event);
}

/*
 * Access is about to end: who uses the volume is told, and may act while it still can; then the file system
 * above writes down what is dirty. Both within their times. A store that is closed already serves nobody.
 */
static void announce(struct watch *w, enum above_event event)
{
	enum keywatch_state next = w->key.state;

	if (!w->store)
		return;
	set_reason(w, "key lost; what is not yet written is being written down");
	hook_add_and_wait(w->setup.hook, keywatch_state_name(w->status.state), "stopping",
			  keywatch_state_name(next), clock_wall_ms());
	(void)above_tell(w->setup.above, event, w->setup.write_down_ms); /* said there */
}

static void lose(struct watch *w)
{
	bool hold = w->setup.config.reaction == KEYWATCH_HANG;
	struct err err = {0};

	announce(w, hold ? ABOVE_LOSE_HANG : ABOVE_LOSE_ERROR);
	gate_close(w->setup.gate, hold ? GATE_HOLD : GATE_REFUSE);
	add_event(w, hold ? "io-held" : "io-refused");
	store_hurry(w->store, true); /* back to the gate with those that wait for room */
	while (!gate_drain(w->setup.gate, false, WATCH_DRAIN_SAY_MS)) {
		say_warning("the key is lost, but requests to the disk below do not end; "
			    "the data key is wiped when they do");
		set_reason(w, "key lost; waiting for running requests to end");
	}
	(void)watch_close_store(w, &err); /* said there; the key is wiped in any case */
	if (w->forget)
		w->forget(w->forget_arg);
	kms_forget(w->setup.kms);
	add_event(w, "key-wiped");
	(void)above_tell(w->setup.above, ABOVE_CLOSED, ABOVE_CLOSED_MS); /* said there */
}

static void go_read_only(struct watch *w)
{
	struct err err = {0};

	announce(w, ABOVE_LOSE_READ_ONLY);
	gate_close(w->setup.gate, GATE_READ_ONLY);
	add_event(w, "writes-refused");
	store_hurry(w->store, true);
	while (!gate_drain(w->setup.gate, true, WATCH_DRAIN_SAY_MS))
		say_warning("the key is lost, but writes to the disk below do not end");
	store_hurry(w->store, false);
	if (!w->setup.read_only && store_flush(w->store, &err) < 0)
		say_error("flushing before read-only: %s", err.msg);
}

void watch_act(struct watch *w, unsigned actions)
{
	if (actions & KEYWATCH_DO_READ_ONLY)
		go_read_only(w);
	if (actions & KEYWATCH_DO_LOSE)
		lose(w);
	if (actions & KEYWATCH_DO_END) {
		gate_close(w->setup.gate, GATE_REFUSE);
		add_event(w, "io-refused");
		(void)above_tell(w->setup.above, ABOVE_RELEASE, ABOVE_RELEASE_MS); /* said there */
	}
	if (actions & KEYWATCH_DO_RESUME) {
		gate_open(w->setup.gate);
		add_event(w, "io-resumed");
		(void)above_tell(w->setup.above, ABOVE_REGAINED,
				 ABOVE_REGAINED_MS); /* said there */
	}
}

/* Signals that end a command which cleans up. See kmsvol_interrupt.h. */
#include "kmsvol_interrupt.h"

#include "daemon.h"
#include "kms.h"

static void *wait_for_signal(void *p)
{
	struct interrupt *in = p;
	int sig;

	if (sigwait(&in->set, &sig) == 0) {
		atomic_store(&in->signal, sig);
		atomic_store(&in->stop, true);
		if (in->kms)
			kms_cancel(in->kms);
	}
	return NULL;
}

void interrupt_begin(struct interrupt *in, struct kms *kms)
{
	atomic_store(&in->stop, false);
	atomic_store(&in->signal, 0);
	in->kms = kms;
	daemon_ending_signals(&in->set);
	(void)pthread_sigmask(SIG_BLOCK, &in->set, &in->before); /* cannot fail so */
	in->watched = pthread_create(&in->thread, NULL, wait_for_signal, in) == 0;
}

int interrupt_end(struct interrupt *in)
{
	if (in->watched) {
		(void)pthread_cancel(in->thread); /* sigwait() is a cancellation point */
		(void)pthread_join(in->thread, NULL);
	}
	(void)pthread_sigmask(SIG_SETMASK, &in->before, NULL);
	return atomic_load(&in->signal);
}

void interrupt_die(int sig)
{
	if (!sig)
		return;
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

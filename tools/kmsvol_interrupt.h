/*
 * SIGINT, SIGTERM and SIGHUP in a command that must clean up behind itself: they end calls of KMS and
 * raise a flag, so that the ordinary way out is taken; then the process dies of the signal.
 */
#ifndef TOOLS_KMSVOL_INTERRUPT_H
#define TOOLS_KMSVOL_INTERRUPT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct kms;

struct interrupt {
	atomic_bool stop; /* a signal came */
	struct kms *kms;
	pthread_t thread;
	bool watched;
	_Atomic int signal;
	sigset_t set, before;
};

/*
 * Watch for the signals that are not ignored (nohup). Before any other thread is made, which must leave
 * them to ours. @kms (NULL is allowed) is cancelled when one comes.
 */
void interrupt_begin(struct interrupt *in, struct kms *kms);

/* Stop watching. The signal that came, or 0. */
int interrupt_end(struct interrupt *in);

/* All is undone: die of the signal @sig as was asked. Does nothing for 0. */
void interrupt_die(int sig);

#endif

/* What the tests of the gate share: a log of what was run and failed, and a gate for each test. */
#ifndef TESTS_LIB_GATE_RIG_H
#define TESTS_LIB_GATE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate.h"

#define LOG_MAX 64

static int log_ids[LOG_MAX], log_nums[LOG_MAX]; /* what was run (0) or failed (errno), in order */
static size_t logged;

static void note(int id, int num)
{
	assert_true(logged < LOG_MAX);
	log_ids[logged] = id;
	log_nums[logged++] = num;
}

static int make_gate(void **state)
{
	logged = 0;
	*state = gate_new();
	return *state ? 0 : -1;
}

static int free_gate(void **state)
{
	gate_free(*state);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, make_gate, free_gate)

#endif

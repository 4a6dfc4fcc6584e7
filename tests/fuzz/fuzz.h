/* What every fuzz target has: libFuzzer's entry, which driver.c calls too where there is no libFuzzer. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Never keeps @data, never fails; what must not be is an abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

#!/bin/bash
# Each fuzz target takes its committed corpus, whole and cut short. `make fuzz` looks for more.
. "$(dirname "$0")/../lib/case.sh"

for source in "$CASE_ROOT"/tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	ok "$name takes its corpus" "$BUILD/fuzz/$name" "$CASE_ROOT/tests/fuzz/corpus/${name#fuzz_}"
done
done_testing

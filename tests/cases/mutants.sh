#!/bin/bash
# long
# The tests of the store bite: each patch in tests/mutants puts one deliberate bug into it, of the kinds that
# logs and cleaners are known for, and one of the unit programs that the patch names finds it.
# MUTANT=NAME tries one. A patch that does not apply any more fails, too: it has to follow the code.
. "$(dirname "$0")/../lib/case.sh"
need patch make gcc
[ -z "${SAN:-}" ] || skip_all 'the programs of the sanitizers are too slow for this'

for part in fs kmsclient tools tests; do
	cp -a "$CASE_ROOT/$part" . || exit 1
done
cp -a "$CASE_ROOT/Makefile" .
mkdir -p build/tests
cp -a "$BUILD"/{fs,kmsclient,tools,lib*.a} build/
cp -a "$BUILD"/tests/{lib,unit} build/tests/

# found PATCH: some program that it names fails.
found() {
	local programs program seed
	programs=$(sed -n 's/^Tests: //p' "$1")
	make -j2 $(printf 'build/unit/%s ' $programs) >make.out 2>&1 || {
		echo "it does not compile: $(grep -m 3 error make.out)"
		return 1
	}
	# A race is not lost each time, so there are three tries.
	for seed in 1 2 3; do
		for program in $programs; do
			SEED=$seed timeout 120 "build/unit/$program" >"$program.out" 2>&1 || return 0
		done
	done
	echo "$programs: all passed with the bug"
	return 1
}

for patch in "$CASE_ROOT"/tests/mutants/*"${MUTANT:-}"*.patch; do
	name=$(basename "$patch" .patch)
	if ! patch -p1 -s -i "$patch" >patch.out 2>&1; then
		fail "$name: the patch applies" "$(cat patch.out)"
		continue
	fi
	ok "$name: is found" found "$patch"
	patch -p1 -s -R -i "$patch"
done
done_testing

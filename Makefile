# kmsvol: see README.md. `make demo` and `make check` are the two commands; `make help` lists all.
#
#   V=1            show the commands
#   FUZZ_SECONDS=60 with fuzz: how long each target runs
#   SAN=address    build with address and undefined sanitizers (in build-address/); SAN=thread
#   T=segment      with check: only tests whose name has this in it
#   JOBS=2         with check: so many tests at a time
#   PREFIX DESTDIR with install

SHELL := /bin/bash
PREFIX ?= /usr/local
CC ?= gcc
B := build$(if $(SAN),-$(SAN))
Q := $(if $(V),,@)
MAKEFLAGS += --no-print-directory

VERSION := 0.1.0
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla
comma := ,
SANFLAGS := $(if $(filter address,$(SAN)),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer) \
	$(if $(filter thread,$(SAN)),-fsanitize=thread) \
	$(if $(filter fuzz,$(SAN)),-fsanitize=fuzzer-no-link$(comma)address$(comma)undefined -fno-sanitize-recover=undefined)
CFLAGS ?= -O2 -g
LIBS := fuse3 liburing libcurl json-c libssl libcrypto
KMSD_LIBS := sqlite3 json-c libssl libcrypto
# Expanded only where used: pkg-config may not be there before `make setup`.
PC_CFLAGS = $(shell pkg-config --cflags $(LIBS) $(KMSD_LIBS))
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-DFUSE_USE_VERSION=314 -DKMSVOL_VERSION='"$(VERSION)"' -Ikmsclient $(DIRS) -Itests/lib $(PC_CFLAGS)
# Intel's library is used where its header is; it has no pkg-config file.
IPSEC_MB_LIB = $(shell echo '\#include <intel-ipsec-mb.h>' | $(CC) -E -x c - >/dev/null 2>&1 && echo -lIPSec_MB)
LINK_LIBS = $(shell pkg-config --libs $(LIBS)) $(IPSEC_MB_LIB) -lm -pthread
KMSD_LINK_LIBS = $(shell pkg-config --libs $(KMSD_LIBS)) -pthread

CLIENT_SRC := $(wildcard kmsclient/*.c)
FS_SRC := $(filter-out fs/main.c,$(wildcard fs/*.c))
KMSVOL_SRC := fs/main.c $(wildcard tools/*.c)
KMSD_SRC := $(wildcard tools/kmsd/*.c)
# What the picture of a scenario is made by: pure, and tested by itself.
TIMELINE_SRC := tools/markup.c $(wildcard tools/timeline*.c)
SCENARIO_FILES := $(wildcard tools/scenarios/*.scenario tools/scenarios/*.bash)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
TESTLIB_SRC := $(wildcard tests/lib/*.c)
TESTTOOL_SRC := $(wildcard tests/tools/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
ALL_SRC := $(CLIENT_SRC) $(FS_SRC) $(KMSVOL_SRC) $(KMSD_SRC) $(UNIT_SRC) $(TESTLIB_SRC) $(TESTTOOL_SRC) $(FUZZ_SRC) tests/fuzz/driver.c
obj = $(patsubst %.c,$(B)/%.o,$(1))

BINS := $(B)/kmsvol $(B)/kmsd
UNIT_BINS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
TESTTOOLS := $(patsubst tests/tools/%.c,$(B)/tests/%,$(TESTTOOL_SRC))
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))

.PHONY: all help setup setup-passthrough build demo check check-run crash-soak crash-soak-run outage-soak outage-soak-run bench bench-kmsd bench-store profile scenarios scenarios-run install uninstall clean format unit testtools fuzz fuzz-run fuzzers
all: build

help:
	@echo "make demo      set up, build, and show the main job on real data"
	@echo "make check     set up, build, run every test (T=NAME: only some; JOBS=N: so many at a time)"
	@echo "make crash-soak SEED=N HOURS=H  crash histories of the store, on and on; 1 hour"
	@echo "make outage-soak CYCLES=1000  a key disabled and enabled, on and on, under fio and PostgreSQL"
	@echo "make fuzz      set up, build with clang, run each fuzz target for FUZZ_SECONDS=60 (T=NAME: only some)"
	@echo "make bench     set up, build, measure all layers of it and other encrypted file systems (BENCH_ARGS)"
	@echo "make profile   set up, build, show where a mount's time goes, job by job (CIPHER= JOBS= PROVIDER=)"
	@echo "make bench-kmsd set up, build, print how fast kmsd answers, empty and with a million grants"
	@echo "make scenarios set up, build, run every scenario, with reports in $(B)/scenarios (T=NAME: only some)"
	@echo "make setup     install the Debian packages that build and tests need"
	@echo "make setup-passthrough  build libfuse's passthrough examples with io_uring, to compare with"
	@echo "make build     build kmsvol and kmsd into $(B)/"
	@echo "make bench-store  space, cleaning, memory, mount after a kill: the store's numbers against their limits"
	@echo "make install   install them below PREFIX=$(PREFIX)"
	@echo "make uninstall remove what install put there"
	@echo "make format    put the sources into the project's layout"
	@echo "make clean     remove what was built"
	@echo "V=1 shows the commands; SAN=address or SAN=thread builds with sanitizers into a directory of its own"

# What is wanted runs in a second make, so that what set-up installed is seen.
demo check crash-soak outage-soak bench bench-kmsd bench-store profile scenarios:
	$(Q)$(MAKE) setup
	$(Q)$(MAKE) build
	$(Q)$(MAKE) $@-run

setup:
	$(Q)tests/lib/setup

# What to compare with where nothing is encrypted; needed by nothing else.
setup-passthrough:
	$(Q)tests/lib/setup-passthrough

# libFuzzer is clang's; a directory of its own, as with other sanitizers.
fuzz:
	$(Q)tests/lib/setup fuzz
	$(Q)$(MAKE) SAN=fuzz CC=clang CFLAGS="-O1 -g" fuzz-run

fuzz-run: fuzzers
	$(Q)BUILD=$(abspath $(B)) T=$(T) tests/fuzz/run

# The targets: with libFuzzer in the directory of SAN=fuzz, else with a driver that takes a corpus.
fuzzers: $(FUZZ_BINS)

build: $(BINS)

demo-run: $(BINS)
	$(Q)BUILD=$(abspath $(B)) tests/demo

# Every scenario, and their reports in $(B)/scenarios (T=NAME: only some).
scenarios-run: $(BINS)
	$(Q)BUILD=$(abspath $(B)) T=$(T) tests/scenarios

check-run: $(BINS) unit $(TESTTOOLS) fuzzers
	$(Q)BUILD=$(abspath $(B)) SAN=$(SAN) T=$(T) JOBS=$(JOBS) tests/run

# libfuse's example that passes everything through, from its own package, to compare with.
PASSTHROUGH_SRC := $(wildcard /usr/share/doc/libfuse3-dev/examples/passthrough_ll.c)
$(B)/tests/passthrough_ll: $(PASSTHROUGH_SRC)
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -w -D_FILE_OFFSET_BITS=64 $(shell pkg-config --cflags fuse3) -o $@ $< $(shell pkg-config --libs fuse3)

BENCH_ARGS ?= --peers --time 9m --rounds 5 --plot $(B)/bench.svg
bench-run: $(BINS) $(if $(PASSTHROUGH_SRC),$(B)/tests/passthrough_ll)
	$(Q)$(B)/kmsvol bench $(if $(PASSTHROUGH_SRC),--passthrough $(B)/tests/passthrough_ll) $(BENCH_ARGS)

profile-run: $(BINS)
	$(Q)BUILD=$(abspath $(B)) tests/profile

bench-kmsd-run: $(BINS) $(B)/tests/kmsload $(B)/tests/kmsdstart $(B)/unit/test_kmsd_policy_explain
	$(Q)BUILD=$(abspath $(B)) tests/bench-kmsd

crash-soak-run: unit
	$(Q)BUILD=$(abspath $(B)) SEED=$(SEED) HOURS=$(HOURS) tests/crash-soak

outage-soak-run: $(BINS)
	$(Q)BUILD=$(abspath $(B)) CYCLES=$(CYCLES) SEED=$(SEED) tests/outage-soak

bench-store-run: $(BINS)
	$(Q)BUILD=$(abspath $(B)) tests/bench-store

unit: $(UNIT_BINS)

# What the cases run beside kmsvol and kmsd.
testtools: $(TESTTOOLS)

$(B)/tests/kmsload $(B)/tests/kmsdstart: $(B)/libtest.a $(B)/libkmsclient.a
$(B)/tests/kmsload $(B)/tests/kmsdstart: TOOL_LIBS = -lcrypto
$(TESTTOOLS): $(B)/tests/%: $(B)/tests/tools/%.o
	@echo "  LD      $@"
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) -pthread

$(B)/libkmsclient.a: $(call obj,$(CLIENT_SRC))
$(B)/libkmsvolfs.a: $(call obj,$(FS_SRC))
$(B)/libbench.a: $(call obj,$(wildcard tools/kmsvol_bench_*.c))
$(B)/libkmsd.a: $(call obj,$(filter-out tools/kmsd/main.c,$(KMSD_SRC)))
$(B)/libtest.a: $(call obj,$(TESTLIB_SRC))
$(B)/libtimeline.a: $(call obj,$(TIMELINE_SRC))
$(B)/%.a:
	@echo "  AR      $@"
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/kmsvol: $(call obj,$(KMSVOL_SRC)) $(B)/libkmsvolfs.a $(B)/libkmsclient.a
	@echo "  LD      $@"
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LINK_LIBS)

$(B)/kmsd: $(call obj,tools/kmsd/main.c) $(B)/libkmsd.a $(B)/libkmsclient.a
	@echo "  LD      $@"
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(KMSD_LINK_LIBS)

# kmsd is a program beside the volume, not above it: neither sees the other's headers or functions.
DIRS = -Ifs -Itools
$(B)/tools/kmsd/%.o $(B)/tests/unit/test_kmsd_%.o: DIRS = -Itools/kmsd

$(B)/unit/test_kmsd_%: $(B)/tests/unit/test_kmsd_%.o $(B)/libtest.a $(B)/libkmsd.a $(B)/libkmsclient.a
	@echo "  LD      $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LINK_LIBS) $(KMSD_LINK_LIBS) -lcmocka -lm

$(B)/tests/fuzz/%.o: DIRS = -Itools/kmsd

$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(if $(filter fuzz,$(SAN)),,$(B)/tests/fuzz/driver.o) $(B)/libkmsd.a $(B)/libkmsclient.a
	@echo "  LD      $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANFLAGS) $(if $(filter fuzz,$(SAN)),-fsanitize=fuzzer) $(LDFLAGS) -o $@ $^ $(LINK_LIBS) $(KMSD_LINK_LIBS) -lcmocka -lm

$(B)/unit/%: $(B)/tests/unit/%.o $(B)/libtest.a $(B)/libtimeline.a $(B)/libbench.a $(B)/libkmsvolfs.a $(B)/libkmsclient.a
	@echo "  LD      $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LINK_LIBS) -lcmocka -lm

$(B)/%.o: %.c Makefile
	@echo "  CC      $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

install: build
	install -Dm755 $(B)/kmsvol $(DESTDIR)$(PREFIX)/bin/kmsvol
	install -Dm755 $(B)/kmsd $(DESTDIR)$(PREFIX)/bin/kmsd
	for f in $(SCENARIO_FILES); do install -Dm644 $$f $(DESTDIR)$(PREFIX)/share/kmsvol/scenarios/$${f##*/}; done
	for m in $(wildcard docs/*.1); do install -Dm644 $$m $(DESTDIR)$(PREFIX)/share/man/man1/$${m##*/}; done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/kmsvol $(DESTDIR)$(PREFIX)/bin/kmsd
	rm -f $(patsubst docs/%,$(DESTDIR)$(PREFIX)/share/man/man1/%,$(wildcard docs/*.1))
	rm -f $(patsubst tools/scenarios/%,$(DESTDIR)$(PREFIX)/share/kmsvol/scenarios/%,$(SCENARIO_FILES))
	-rmdir $(DESTDIR)$(PREFIX)/share/kmsvol/scenarios $(DESTDIR)$(PREFIX)/share/kmsvol

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build build-*

.PRECIOUS: $(B)/%.o $(B)/%.a
.DELETE_ON_ERROR:
-include $(patsubst %.c,$(B)/%.d,$(ALL_SRC))

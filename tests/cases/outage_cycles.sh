#!/bin/bash
# long
# The short form of `make outage-soak`: 8 cycles of disable-key and enable-key under fio and PostgreSQL.
CYCLES=${CYCLES:-8} exec "$(dirname "$0")/../outage-soak"
